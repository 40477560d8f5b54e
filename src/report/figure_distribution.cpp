// How the divergence from the parent is spread over tokens: means hide the few tokens that change an answer.
#include "eval/sentences.h"
#include "report/figure_parts.h"

namespace carat {
namespace {

struct Line {
  std::string label;
  Family family;
  const std::vector<double>* reached;
  double label_y = 0;  // pixels
};

std::vector<Line> lines_of(const EvalReport& report) {
  std::vector<Line> lines;
  for (int r = 0; r < static_cast<int>(report.rows.size()); ++r) {
    const ReportRow& row = report.rows[static_cast<size_t>(r)];
    const std::optional<Divergence>& divergence = row.on_policy ? row.on_policy : row.divergence;
    if (is_shown(report, r) && divergence && divergence->kld_reached.size() > 1)
      lines.push_back({label(report, r), row.family, &divergence->kld_reached});
  }
  return lines;
}

// Labels in their lines' order, each at least a line's height below the one before.
void spread_labels(std::vector<Line>& lines, double top, double bottom) {
  constexpr double kStep = 13;
  std::stable_sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.label_y < b.label_y; });
  double last = top - kStep;
  for (Line& line : lines) last = line.label_y = std::max(line.label_y, last + kStep);
  for (size_t i = lines.size(); i-- > 0; bottom -= kStep) lines[i].label_y = std::min(lines[i].label_y, bottom);
}

std::string share_words(double share) {
  return share >= 1 ? "all" : fmt::format("1 in {}", format_count(std::llround(1 / share)));
}

}  // namespace

std::string distribution_figure(const EvalReport& report, FigureWidth width) {
  std::vector<Line> lines = lines_of(report);
  if (lines.empty()) return "";
  const std::vector<double> shares = kld_shares();
  constexpr double kLeast = 1e-7;  // below, rounding of the sums
  double low = INFINITY, high = 0, labels = 0;
  size_t n = 0;
  for (const Line& line : lines) {
    n = std::max(n, line.reached->size());
    labels = std::max(labels, text_width(line.label, kFigureFont));
    for (const double kld : *line.reached)
      if (std::isfinite(kld) && kld > kLeast) low = std::min(low, kld), high = std::max(high, kld);
  }
  if (!(high > low)) return "";
  low = std::max(low, high * 1e-8);

  const double total = figure_width(width), height = width == FigureWidth::wide ? 380 : 340;
  const Scale x{1, shares[n - 1], 58, total - labels - 20, true}, y{low, high, height - 44, 26, true};
  Svg svg(total, height, figure_class(width), "Divergence from the parent over the share of tokens");
  for (double tick = std::pow(10, std::ceil(std::log10(low))); tick <= high; tick *= 10) {
    svg.line(x.from, y(tick), x.to, y(tick), "grid");
    svg.text(x.from - 6, y(tick) + 4, fmt::format("{:g}", tick), "tick", Anchor::end);
  }
  const bool is_narrow = width == FigureWidth::narrow;
  for (size_t i = 0; i < n; i += 8) {
    svg.line(x(shares[i]), y.to, x(shares[i]), y.from, "grid");
    if (!is_narrow || i % 16 == 0)
      svg.text(x(shares[i]), y.from + 16, share_words(shares[i]), "tick", Anchor::middle);
  }
  svg.text(x.from + 6, y.to - 8, "KL divergence that so many tokens reach, nat", "axis");
  svg.text((x.from + x.to) / 2, height - 8, "share of tokens", "axis", Anchor::middle);

  for (Line& line : lines) {
    std::vector<std::pair<double, double>> points;
    for (size_t i = 0; i < line.reached->size(); ++i)
      if (const double kld = (*line.reached)[i]; std::isfinite(kld))
        points.emplace_back(x(shares[i]), y(std::clamp(kld, low, high)));
    if (points.empty()) continue;
    svg.polyline(points, fmt::format("spread {}", family_class(line.family)));
    line.label_y = points.back().second + 4;
  }
  spread_labels(lines, y.to, y.from);
  for (const Line& line : lines)
    svg.text(x.to + 8, line.label_y, line.label, fmt::format("label {}", family_class(line.family)));
  return svg.finish();
}

}  // namespace carat
