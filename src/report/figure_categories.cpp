// Where a file gains or loses: one panel per file, one line per category, the same scale everywhere.
#include "eval/sentences.h"
#include "report/figure_parts.h"

namespace carat {
namespace {

constexpr double kStep = 17, kTitle = 20, kGap = 14;
constexpr int kTicks = 4;

std::vector<const Comparison*> panels_of(const EvalReport& report) {
  std::vector<const Comparison*> panels;
  for (const Comparison& c : report.comparisons)
    if (c.table == Comparison::Table::truth && is_shown(report, c.row) && !c.categories.empty()) panels.push_back(&c);
  return panels;
}

void draw_panel(Svg& svg, const EvalReport& report, const Comparison& c, const Scale& x, double left, double top) {
  svg.text(left, top + 12, label(report, c.row),
           fmt::format("label {}", family_class(report.rows[static_cast<size_t>(c.row)].family)));
  const double n = static_cast<double>(c.categories.size()), bottom = top + kTitle + kStep * n;
  for (const double tick : linear_ticks(x.low, x.high, kTicks))
    svg.line(x(tick), top + kTitle, x(tick), bottom, tick == 0 ? "zero" : "grid");
  for (size_t i = 0; i < c.categories.size(); ++i) {
    const CategoryComparison& category = c.categories[i];
    const double y = top + kTitle + kStep * (static_cast<double>(i) + 0.5);
    svg.text(x.from - 6, y + 4, category.category, "tick", Anchor::end);
    const Interval& points = category.accuracy;
    if (!std::isfinite(points.estimate)) continue;
    const std::string_view colour = verdict_class(category.judgement.verdict);
    if (std::isfinite(points.low) && std::isfinite(points.high))
      svg.line(x(std::max(100 * points.low, x.low)), y, x(std::min(100 * points.high, x.high)), y,
               fmt::format("span {}", colour));
    svg.circle(x(std::clamp(100 * points.estimate, x.low, x.high)), y, 4, fmt::format("mark {}", colour),
               fmt::format("{}, {}: {:+.1f} ({:+.1f} to {:+.1f}) points, {}", label(report, c.row), category.category,
                           100 * points.estimate, 100 * points.low, 100 * points.high,
                           to_string(category.judgement.verdict)));
  }
}

}  // namespace

std::string category_figure(const EvalReport& report, FigureWidth width) {
  const auto panels = panels_of(report);
  if (panels.empty()) return "";
  double low = -1, high = 1, names = 0;
  size_t n_categories = 0;
  for (const Comparison* c : panels) {
    n_categories = std::max(n_categories, c->categories.size());
    for (const CategoryComparison& category : c->categories) {
      names = std::max(names, text_width(category.category, 11));
      for (const double end : {category.accuracy.low, category.accuracy.high})
        if (std::isfinite(end)) low = std::min(low, 100 * end), high = std::max(high, 100 * end);
    }
  }
  const size_t n_across = std::min<size_t>(width == FigureWidth::wide ? 3 : 1, panels.size());
  const double total = figure_width(width), panel_width = total / static_cast<double>(n_across);
  const double panel_height = kTitle + kStep * static_cast<double>(n_categories) + kGap;
  const size_t n_down = (panels.size() + n_across - 1) / n_across;
  const double height = panel_height * static_cast<double>(n_down) + 26;

  Svg svg(total, height, figure_class(width), "Right answers by category, against the reference");
  for (size_t i = 0; i < panels.size(); ++i) {
    const double left = panel_width * static_cast<double>(i % n_across) + 4;
    const double top = panel_height * static_cast<double>(i / n_across);
    const Scale x{low, high, left + names + 12, left + panel_width - 16};
    draw_panel(svg, report, *panels[i], x, left, top);
    if (i + n_across < panels.size()) continue;  // ticks under the last panel of each column
    for (const double tick : linear_ticks(low, high, kTicks))
      svg.text(x(tick), top + panel_height - kGap + 14, tick == 0 ? "0" : fmt::format("{:+g}", tick), "tick", Anchor::middle);
  }
  svg.text(total / 2, height - 2, "points of right answers against the reference", "axis", Anchor::middle);
  return svg.finish();
}

}  // namespace carat
