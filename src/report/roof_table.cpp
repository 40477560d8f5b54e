// Rates of all threads together, lined up.
#include "report/roof_table.h"

#include <fmt/format.h>

namespace carat {

std::string roof_table(std::span<const Roof> roofs, const Style& style) {
  TextTable table;
  for (const char* title : {"threads", "reads GB/s", "int8 Gmac/s", "bf16 Gmac/s", "f32 Gmac/s"})
    table.add_column(title, Align::right);
  for (const Roof& roof : roofs) {
    std::vector<TextTable::Cell> cells{std::to_string(roof.n_threads),
                                       fmt::format("{:.1f}", roof.read_bytes / 1e9)};
    for (const double rate : roof.multiply_adds) cells.emplace_back(fmt::format("{:.1f}", rate / 1e9));
    table.add_row(std::move(cells));
  }
  return table.render(style);
}

}  // namespace carat
