// Which matrices of which layers were rounded hardest: one map per file, layers across, matrices down.
#include "report/figure_parts.h"

namespace carat {
namespace {

constexpr double kLeast = 0.001, kMost = 0.5;  // relative error at the ends of the colours
constexpr int kShades = 24;
constexpr double kRow = 15, kTop = 18;

int shade_of(double error) {
  if (!(error > kLeast)) return 0;
  const double share = std::log(std::min(error, kMost) / kLeast) / std::log(kMost / kLeast);
  return static_cast<int>(std::lround(share * kShades));
}
double opacity_of(int shade) { return 0.06 + 0.94 * shade / kShades; }

std::string error_words(double error) { return fmt::format("{:.2g} %", 100 * error); }

// A map's matrices: those of layers, then those of none.
struct Band {
  std::string name;
  std::vector<double> errors;  // one per layer, or one
};

std::vector<Band> bands_of(const TensorErrors& t) {
  std::vector<Band> bands;
  for (size_t role = 0; role < t.roles.size(); ++role) {
    Band band{t.roles[role], {}};
    for (int64_t layer = 0; layer < t.n_layers; ++layer) band.errors.push_back(t.at(role, layer));
    bands.push_back(std::move(band));
  }
  for (const TensorErrors::Whole& whole : t.whole) bands.push_back({whole.name, {whole.error}});
  return bands;
}

// Neighbours of one shade are one rectangle: a file of 60 layers has a thousand cells.
void draw_band(Svg& svg, const Band& band, double left, double right, double y) {
  const double n = static_cast<double>(band.errors.size());
  for (size_t begin = 0; begin < band.errors.size();) {
    size_t end = begin + 1;
    const bool is_there = std::isfinite(band.errors[begin]);
    const int shade = shade_of(band.errors[begin]);
    const auto continues = [&](double error) { return std::isfinite(error) == is_there && shade_of(error) == shade; };
    while (end < band.errors.size() && continues(band.errors[end])) ++end;
    if (is_there) {
      const auto [least, most] = std::minmax_element(band.errors.begin() + static_cast<long>(begin), band.errors.begin() + static_cast<long>(end));
      std::string tip = band.name;
      if (band.errors.size() > 1)
        tip += end - begin > 1 ? fmt::format(", layers {} to {}", begin, end - 1) : fmt::format(", layer {}", begin);
      tip += ": " + error_words(*least);
      if (error_words(*least) != error_words(*most)) tip += " to " + error_words(*most);
      const auto x = [&](size_t i) { return left + (right - left) * static_cast<double>(i) / n; };
      svg.cell({x(begin), y, x(end), y + kRow - 2}, "heat", opacity_of(shade), tip);
    }
    begin = end;
  }
}

}  // namespace

std::string tensor_figure(const TensorErrors& errors, FigureWidth width) {
  const std::vector<Band> bands = bands_of(errors);
  if (bands.empty()) return "";
  double names = 0;
  for (const Band& band : bands) names = std::max(names, text_width(band.name, 11));
  const double total = figure_width(width), left = names + 10, right = total - 8;
  const double height = kTop + kRow * static_cast<double>(bands.size()) + 22;
  Svg svg(total, height, figure_class(width), "Relative error of each matrix");
  svg.text(left, 12, "layer", "axis");
  const double n_layers = static_cast<double>(std::max<int64_t>(1, errors.n_layers));
  for (const double tick : linear_ticks(0, n_layers - 1, width == FigureWidth::wide ? 12 : 5))
    if (tick == std::floor(tick))
      svg.text(std::max(left + (right - left) * (tick + 0.5) / n_layers, left + 46), 12, fmt::format("{:g}", tick), "tick", Anchor::middle);
  for (size_t i = 0; i < bands.size(); ++i) {
    const double y = kTop + kRow * static_cast<double>(i);
    svg.text(left - 6, y + 10, bands[i].name, "tick", Anchor::end);
    draw_band(svg, bands[i], left, right, y);
  }
  const double y = height - 14, step = std::min(9.0, (right - left) / (3 * kShades));
  svg.text(left, y + 10, error_words(kLeast), "tick");
  const double ramp = left + 46;
  for (int shade = 0; shade <= kShades; ++shade)
    svg.cell({ramp + step * shade, y, ramp + step * (shade + 1), y + 11}, "heat", opacity_of(shade), "");
  svg.text(ramp + step * (kShades + 1) + 6, y + 10, error_words(kMost) + " and more", "tick");
  return svg.finish();
}

}  // namespace carat
