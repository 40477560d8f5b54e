// Scales, marks and labels of the figures.
#include "report/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/choice.h"
#include "eval/sentences.h"
#include "report/figure_parts.h"
#include "report/words.h"

namespace carat {
namespace {

std::string short_bytes(double bytes) {
  if (bytes >= 1e9) return fmt::format("{:g} GB", bytes / 1e9);
  if (bytes >= 1e6) return fmt::format("{:g} MB", bytes / 1e6);
  return fmt::format("{:g} kB", bytes / 1e3);
}

struct Mark {
  int row;
  bool on_front;
  double x, y, y_low, y_high;  // pixels
};

// The picture of quality against memory.
class Pareto {
 public:
  Pareto(const EvalReport& report, FigureWidth width)
      : report_(report),
        width_(figure_width(width)),
        height_(width == FigureWidth::wide ? 460 : 400),
        plot_{54, 14, width_ - 14, height_ - 46},
        is_narrow_(width == FigureWidth::narrow),
        svg_(width_, height_, figure_class(width), "Quality against memory, one point per file") {}

  std::string draw() {
    set_scales();
    if (!(y_low_ < y_high_)) return "";  // nothing that could be drawn
    axes();
    place_marks();
    front();
    for (const Mark& m : marks_)
      if (m.y_low > m.y_high) svg_.line(m.x, m.y_low, m.x, m.y_high, error_class(m));
    for (const Mark& m : marks_) draw_mark(m);
    labels();
    return svg_.finish();
  }

 private:
  const ReportRow& row(int r) const { return report_.rows[static_cast<size_t>(r)]; }
  bool has_answers() const { return report_.n_answers > 0; }
  // In the figure's unit, upwards better: per cent of right answers, or minus the NLL.
  Interval quality_of(int r) const {
    if (!has_answers()) return {-row(r).nll.estimate, -row(r).nll.high, -row(r).nll.low, 0};
    const Interval& a = row(r).accuracy;
    return {100 * a.estimate, 100 * a.low, 100 * a.high, 0};
  }
  double x_of(double bytes) const {
    const double share = (std::log(bytes) - std::log(x_low_)) / (std::log(x_high_) - std::log(x_low_));
    return plot_.left + share * (plot_.right - plot_.left);
  }
  double y_of(double value) const {
    return plot_.bottom - (value - y_low_) / (y_high_ - y_low_) * (plot_.bottom - plot_.top);
  }

  void set_scales() {
    x_low_ = y_low_ = INFINITY;
    x_high_ = y_high_ = -INFINITY;
    for (const ParetoPoint& p : report_.pareto) {
      const double bytes = static_cast<double>(row(p.row).memory_bytes);
      const Interval q = quality_of(p.row);
      if (!std::isfinite(q.estimate)) continue;
      x_low_ = std::min(x_low_, bytes);
      x_high_ = std::max(x_high_, bytes);
      y_low_ = std::min(y_low_, std::isfinite(q.low) ? q.low : q.estimate);
      y_high_ = std::max(y_high_, std::isfinite(q.high) ? q.high : q.estimate);
    }
    if (!std::isfinite(y_low_)) return;
    x_low_ *= is_narrow_ ? 0.72 : 0.88;
    x_high_ *= is_narrow_ ? 1.35 : 1.16;
    const double pad = 0.06 * std::max(y_high_ - y_low_, 1e-6);
    y_low_ -= pad;
    y_high_ += pad;
    if (has_answers()) y_high_ = std::min(y_high_, 100 + pad);
  }

  void axes() {
    for (const double tick : linear_ticks(y_low_, y_high_, 6)) {
      svg_.line(plot_.left, y_of(tick), plot_.right, y_of(tick), "grid");
      const std::string words =
          has_answers() ? fmt::format("{:g} %", tick + 0.0) : fmt::format("{:.4g}", -tick);
      svg_.text(plot_.left - 6, y_of(tick) + 4, words, "tick", Anchor::end);
    }
    double last = -1e9;
    for (const double tick : log_ticks(x_low_, x_high_)) {
      const double x = x_of(tick);
      svg_.line(x, plot_.top, x, plot_.bottom, "grid");
      if (x - last < 44) continue;
      svg_.text(x, plot_.bottom + 16, short_bytes(tick), "tick", Anchor::middle);
      last = x;
    }
    svg_.text((plot_.left + plot_.right) / 2, height_ - 8,
              fmt::format("memory at {} tokens of context", format_count(report_.n_ctx)), "axis",
              Anchor::middle);
    svg_.text(plot_.left + 6, plot_.top + 12,
              has_answers() ? "right answers ↑" : "NLL per token (lower is better) ↑", "axis");
  }

  // Files of equal size would hide each other: they stand side by side.
  void place_marks() {
    for (const ParetoPoint& p : report_.pareto) {
      const Interval q = quality_of(p.row);
      if (!std::isfinite(q.estimate)) continue;
      const bool has_bar = std::isfinite(q.low) && std::isfinite(q.high);
      marks_.push_back({p.row, p.on_front, x_of(static_cast<double>(row(p.row).memory_bytes)),
                        y_of(q.estimate), y_of(has_bar ? q.low : q.estimate), y_of(has_bar ? q.high : q.estimate)});
    }
    std::stable_sort(marks_.begin(), marks_.end(), [](const Mark& a, const Mark& b) { return a.x < b.x; });
    for (size_t begin = 0; begin < marks_.size();) {
      size_t end = begin + 1;
      while (end < marks_.size() && marks_[end].x - marks_[begin].x < 5) ++end;
      for (size_t i = begin; i < end; ++i)
        marks_[i].x += 9 * (static_cast<double>(i - begin) - static_cast<double>(end - begin - 1) / 2);
      begin = end;
    }
  }

  void front() {
    std::vector<std::pair<double, double>> points;
    double best = INFINITY;  // pixels grow downwards
    for (const Mark& m : marks_) {
      if (!m.on_front || m.y >= best) continue;
      if (!points.empty()) points.emplace_back(m.x, best);
      points.emplace_back(m.x, m.y);
      best = m.y;
    }
    if (points.size() > 1) svg_.polyline(points, "front");
    for (size_t i = 1; i < points.size(); ++i) {
      const auto [x0, x1] = std::minmax(points[i - 1].first, points[i].first);
      const auto [y0, y1] = std::minmax(points[i - 1].second, points[i].second);
      front_.push_back({x0, y0 - 1, x1, y1 + 1});
    }
  }

  bool is_other_kv(const Mark& m) const { return row(m.row).kv != report_.rows.front().kv; }
  std::string error_class(const Mark& m) const {
    return fmt::format("error {}", family_class(row(m.row).family));
  }

  void draw_mark(const Mark& m) {
    const ReportRow& r = row(m.row);
    std::string tip = fmt::format(
        "{}: {}, {}", label(report_, m.row), format_bytes(r.memory_bytes),
        has_answers() ? percent_interval(r.accuracy) + " right" : nats(r.nll.estimate) + " nat per token");
    if (r.decode_tok_s > 0) tip += fmt::format(", {:.0f} tokens/s", r.decode_tok_s);
    svg_.circle(m.x, m.y, m.on_front ? 6 : 4.5,
                fmt::format("point {}{}", family_class(r.family), is_other_kv(m) ? " hollow" : ""), tip);
  }

  void labels() {
    std::vector<Mark> order(marks_);
    std::stable_sort(order.begin(), order.end(), [&](const Mark& a, const Mark& b) {
      return std::pair(!a.on_front, is_other_kv(a)) < std::pair(!b.on_front, is_other_kv(b));
    });
    std::vector<LabelRequest> requests;
    std::vector<std::string> words;
    for (const Mark& m : order) {
      words.push_back(label(report_, m.row));
      requests.push_back({m.x, m.y, text_width(words.back(), kFigureFont), kFigureFont + 2});
    }
    std::vector<Box> obstacles{{plot_.left, plot_.top, plot_.left + 120, plot_.top + 16}};
    std::vector<Box> soft(front_);
    for (const Mark& m : marks_) {
      obstacles.push_back({m.x - 6, m.y - 6, m.x + 6, m.y + 6});
      soft.push_back({m.x - 2, m.y_high, m.x + 2, m.y_low});
    }
    const std::vector<Box> boxes = place_labels(requests, obstacles, soft, plot_, is_narrow_ ? 11 : 19);
    for (size_t i = 0; i < boxes.size(); ++i) {
      if (boxes[i].right <= boxes[i].left) continue;  // the tooltip and the tables name it
      svg_.text(boxes[i].left, boxes[i].bottom - 3, words[i],
                fmt::format("label {}", family_class(row(order[i].row).family)));
    }
  }

  const EvalReport& report_;
  double width_, height_;
  Box plot_;
  bool is_narrow_;
  Svg svg_;
  double x_low_ = 0, x_high_ = 1, y_low_ = 0, y_high_ = 1;
  std::vector<Mark> marks_;
  std::vector<Box> front_;  // its segments
};

}  // namespace

std::string pareto_figure(const EvalReport& report, FigureWidth width) {
  return Pareto(report, width).draw();
}

std::string bar_figure(const std::vector<BarRow>& rows, const std::string& axis, FigureWidth width) {
  if (rows.empty()) return "";
  const bool is_narrow = width == FigureWidth::narrow;
  double label_width = 0, words_width = 0, low = 0, high = 0;
  for (const BarRow& row : rows) {
    label_width = std::max(label_width, text_width(row.label, kFigureFont));
    words_width = std::max(words_width, text_width(row.words, kFigureFont));
    for (const double value : {row.value.low, row.value.estimate, row.value.high})
      if (std::isfinite(value)) {
        low = std::min(low, value);
        high = std::max(high, value);
      }
  }
  if (!(high > low)) high = low + 1e-6;
  const double total = figure_width(width), step = is_narrow ? 38 : 24;
  const double left = is_narrow ? 8 : label_width + 14, right = total - words_width - 14;
  const double top = 22, height = top + step * static_cast<double>(rows.size()) + 24;
  const auto x_of = [&](double v) { return left + (v - low) / (high - low) * (right - left); };

  Svg svg(total, height, figure_class(width), axis);
  svg.text(left, 12, axis, "axis");
  for (const double tick : linear_ticks(low, high, is_narrow ? 3 : 6)) {
    svg.line(x_of(tick), top, x_of(tick), height - 20, tick == 0 ? "zero" : "grid");
    svg.text(x_of(tick), height - 6, fmt::format("{:g}", tick + 0.0), "tick", Anchor::middle);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const BarRow& row = rows[i];
    const double y = top + step * static_cast<double>(i) + (is_narrow ? 18 : 4), bar = 15;
    if (is_narrow)
      svg.text(left, y - 5, row.label, "label");
    else
      svg.text(left - 8, y + 12, row.label, "label", Anchor::end);
    svg.text(total - 6, y + 12, row.words, "value", Anchor::end);
    if (!std::isfinite(row.value.estimate)) continue;
    const double from = x_of(std::min(0.0, row.value.estimate)), to = x_of(std::max(0.0, row.value.estimate));
    svg.rect({from, y, to, y + bar}, fmt::format("bar {}", family_class(row.family)));
    const double middle = y + bar / 2;
    if (!std::isfinite(row.value.low) || !std::isfinite(row.value.high)) continue;
    svg.line(x_of(row.value.low), middle, x_of(row.value.high), middle, "interval");
    for (const double end : {row.value.low, row.value.high})
      svg.line(x_of(end), middle - 4, x_of(end), middle + 4, "interval");
  }
  return svg.finish();
}

}  // namespace carat
