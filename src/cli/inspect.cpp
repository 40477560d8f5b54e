// carat inspect: what a file says about itself, before anything is computed with it.
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/common.h"
#include "gguf/layout.h"
#include "gguf/reader.h"
#include "report/text_table.h"

namespace carat::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxShownElements = 6;

// A value as JSON; long arrays as their length and first elements.
Json to_json(const gguf::Value& value, bool whole) {
  return std::visit(
      [&]<class T>(const T& v) -> Json {
        if constexpr (std::is_same_v<T, gguf::Array>) {
          return std::visit(
              [&](const auto& elements) -> Json {
                Json shown = Json::array();
                const size_t n = whole ? elements.size() : std::min(elements.size(), kMaxShownElements);
                for (size_t i = 0; i < n; ++i) shown.push_back(elements[i]);
                if (n == elements.size()) return shown;
                return {{"n", elements.size()}, {"first", shown}};
              },
              v);
        } else {
          return v;
        }
      },
      value);
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string shortened(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not inside a code point
  return text.substr(0, end) + "…";
}

void print_table(const gguf::File& file) {
  print_line(fmt::format("{}: GGUF version {}, {:.2f} MB, {} tensors", file.path, file.version,
                         static_cast<double>(file.n_bytes) / 1e6, file.tensors.size()));
  if (file.parts.size() > 1) {
    print_line("\nparts");
    for (const gguf::Part& part : file.parts)
      print_line(fmt::format("  {:<36} {:>14} B  {} tensors", part.path, part.n_bytes, part.n_tensors));
  }
  print_line("\nmetadata");
  for (const auto& entry : file.metadata.entries())
    print_line(fmt::format("  {:<44} {}", gguf::printable(entry.key), printable(shortened(dump(to_json(entry.value, false)), 100))));
  print_line("\ntensors");
  std::map<std::string_view, std::pair<uint64_t, uint64_t>> by_type;  // count, bytes
  for (const Tensor& tensor : file.tensors) {
    print_line(fmt::format("  {:<36} {:<8} {:>14} B  {}", gguf::printable(tensor.name), type_name(tensor.type), tensor.n_bytes(),
                           to_string(tensor.shape)));
    auto& [count, bytes] = by_type[type_name(tensor.type)];
    ++count;
    bytes += tensor.n_bytes();
  }
  print_line("\ntypes");
  for (const auto& [name, total] : by_type)
    print_line(fmt::format("  {:<8} {:>5} tensors {:>14} B", name, total.first, total.second));
}

Json as_json(const gguf::File& file) {
  Json json{{"file", file.path}, {"version", file.version}, {"bytes", file.n_bytes}};
  json["parts"] = Json::array();
  for (const gguf::Part& part : file.parts)
    json["parts"].push_back({{"file", part.path}, {"bytes", part.n_bytes}, {"tensors", part.n_tensors}});
  for (const auto& entry : file.metadata.entries()) json["metadata"][entry.key] = to_json(entry.value, true);
  json["tensors"] = Json::array();
  for (const Tensor& tensor : file.tensors)
    json["tensors"].push_back({{"name", tensor.name},
                               {"type", type_name(tensor.type)},
                               {"shape", tensor.shape},
                               {"bytes", tensor.n_bytes()}});
  return json;
}

}  // namespace

Run add_inspect(CLI::App& app) {
  struct Flags {
    std::string file;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file")->required();
  app.add_flag("--json", flags->json, "JSON, arrays whole");
  return [flags]() -> Result<int> {
    const auto file = TRY(gguf::open(TRY(local_file(flags->file))));
    if (flags->json)
      print_line(dump(as_json(file)));
    else
      print_table(file);
    return 0;
  };
}

}  // namespace carat::cli
