// Elements, ticks and greedy label placement.
#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/text_table.h"

namespace carat {
namespace {

std::string_view anchor_name(Anchor anchor) {
  return anchor == Anchor::start ? "start" : anchor == Anchor::middle ? "middle" : "end";
}

// Length of the UTF-8 sequence at `at`; 0: none.
size_t sequence_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return lead >= 0x20 || lead == '\n' || lead == '\t' ? 1 : 0;
  const size_t n = lead >= 0xc2 && lead < 0xe0   ? 2
                   : lead >= 0xe0 && lead < 0xf0 ? 3
                   : lead >= 0xf0 && lead < 0xf5 ? 4
                                                 : 0;
  if (n == 0 || at + n > text.size()) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  const bool overlong = (lead == 0xe0 && byte(at + 1) < 0xa0) || (lead == 0xf0 && byte(at + 1) < 0x90);
  const bool outside = (lead == 0xed && byte(at + 1) >= 0xa0) || (lead == 0xf4 && byte(at + 1) >= 0x90);
  return overlong || outside ? 0 : n;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t n = sequence_length(text, at);
    if (n == 0) {
      out += "\xef\xbf\xbd";
      ++at;
      continue;
    }
    switch (text[at]) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += text.substr(at, n);
    }
    at += n;
  }
  return out;
}

Svg::Svg(double width, double height, std::string_view css_class, std::string_view label)
    : out_(fmt::format("<svg class=\"{}\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n",
                       css_class, width, height, escape_html(label))) {}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  out_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\" />\n", x1,
                      y1, x2, y2, css_class);
}

void Svg::polyline(std::span<const std::pair<double, double>> points, std::string_view css_class) {
  out_ += "<polyline points=\"";
  for (const auto& [x, y] : points) out_ += fmt::format("{:.1f},{:.1f} ", x, y);
  out_ += fmt::format("\" class=\"{}\" />\n", css_class);
}

void Svg::rect(const Box& box, std::string_view css_class) {
  out_ += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"2\" class=\"{}\" />\n",
      box.left, box.top, std::max(0.0, box.right - box.left), std::max(0.0, box.bottom - box.top), css_class);
}

void Svg::cell(const Box& box, std::string_view css_class, double opacity, std::string_view tooltip) {
  out_ += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"{}\" fill-opacity=\"{:.2f}\">",
      box.left, box.top, std::max(0.0, box.right - box.left), std::max(0.0, box.bottom - box.top), css_class, opacity);
  if (!tooltip.empty()) out_ += fmt::format("<title>{}</title>", escape_html(tooltip));
  out_ += "</rect>\n";
}

void Svg::circle(double x, double y, double radius, std::string_view css_class, std::string_view tooltip) {
  out_ += fmt::format(
      "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\" class=\"{}\"><title>{}</title></circle>\n", x, y,
      radius, css_class, escape_html(tooltip));
}

void Svg::text(double x, double y, std::string_view words, std::string_view css_class, Anchor anchor) {
  out_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y,
                      css_class, anchor_name(anchor), escape_html(words));
}

std::string Svg::finish() { return std::move(out_) + "</svg>\n"; }

double text_width(std::string_view text, double font_size) { return 0.58 * font_size * display_width(text); }

std::vector<double> linear_ticks(double low, double high, int n) {
  const double rough = (high - low) / std::max(1, n);
  if (!(rough > 0) || !std::isfinite(rough)) return {low};
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-9);
  for (int i = 0; i <= 10 * n && (first + i) * step <= high + 1e-9 * step; ++i)  // huge numbers have no neighbours
    ticks.push_back((first + i) * step + 0.0);                                   // no -0
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  if (!(low > std::numeric_limits<double>::min())) return linear_ticks(low, high, 4);
  std::vector<double> ticks;
  for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10)
    for (const double factor : {1.0, 2.0, 5.0})
      if (factor * power >= low && factor * power <= high) ticks.push_back(factor * power);
  return ticks.size() >= 3 ? ticks : linear_ticks(low, high, 4);
}

namespace {

// The first free place around a point: rings of growing distance, on each right and left, then above and
// below.
Box find_place(const LabelRequest& r, std::span<const Box> taken, std::span<const Box> soft,
               const Box& bounds, double reach) {
  const double w = r.width, h = r.height;
  const auto hits = [](std::span<const Box> boxes, const Box& box) {
    return std::any_of(boxes.begin(), boxes.end(), [&](const Box& other) { return box.overlaps(other); });
  };
  for (double gap = 7; gap <= reach; gap += 4) {
    const double near = 0.7 * gap;
    const std::pair<double, double> corners[] = {
        {r.x + gap, r.y - h / 2},        {r.x - gap - w, r.y - h / 2}, {r.x - w / 2, r.y - gap - h},
        {r.x - w / 2, r.y + gap},        {r.x + near, r.y - gap - h},  {r.x + near, r.y + gap},
        {r.x - near - w, r.y - gap - h}, {r.x - near - w, r.y + gap}};
    for (const auto& [left, top] : corners) {
      const Box box{left, top, left + w, top + h};
      if (box.inside(bounds) && !hits(taken, box) && !hits(soft, box)) return box;
    }
  }
  return {};
}

bool is_empty(const Box& box) { return box.right <= box.left; }

}  // namespace

std::vector<Box> place_labels(std::span<const LabelRequest> requests, std::span<const Box> obstacles,
                              std::span<const Box> soft_obstacles, const Box& bounds, double reach) {
  std::vector<Box> taken(obstacles.begin(), obstacles.end());
  std::vector<Box> placed;
  for (const LabelRequest& r : requests) {
    Box box = find_place(r, taken, soft_obstacles, bounds, reach);
    if (is_empty(box)) box = find_place(r, taken, {}, bounds, reach);
    if (!is_empty(box)) taken.push_back(box);
    placed.push_back(box);
  }
  return placed;
}

}  // namespace carat
