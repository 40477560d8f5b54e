// Svg: a small writer of inline SVG, and labels that keep out of each other's way.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

// & < > " ' as entities; bytes that are not UTF-8 and control characters as U+FFFD.
std::string escape_html(std::string_view text);

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;

  bool overlaps(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
  bool inside(const Box& outer) const {
    return left >= outer.left && right <= outer.right && top >= outer.top && bottom <= outer.bottom;
  }
};

enum class Anchor { start, middle, end };

class Svg {
 public:
  // `label` is what a screen reader says; `css_class` chooses between pictures of one figure.
  Svg(double width, double height, std::string_view css_class, std::string_view label);

  void line(double x1, double y1, double x2, double y2, std::string_view css_class);
  void polyline(std::span<const std::pair<double, double>> points, std::string_view css_class);
  void rect(const Box& box, std::string_view css_class);
  // Without rounded corners and as dense as `opacity` says: one of many that touch each other.
  void cell(const Box& box, std::string_view css_class, double opacity, std::string_view tooltip);
  void circle(double x, double y, double radius, std::string_view css_class, std::string_view tooltip);
  void text(double x, double y, std::string_view words, std::string_view css_class,
            Anchor anchor = Anchor::start);

  std::string finish();

 private:
  std::string out_;
};

// Width of text in the page's font, generously: letters are not measured.
double text_width(std::string_view text, double font_size);

// Round numbers that cover [low, high], about `n` of them; on a logarithmic axis 1, 2 and 5 times powers of
// ten.
std::vector<double> linear_ticks(double low, double high, int n);
std::vector<double> log_ticks(double low, double high);

struct LabelRequest {
  double x, y;           // of the point
  double width, height;  // of the label
};

// A place for each label in order of importance: next to its point, overlapping no label placed before and no
// obstacle; soft obstacles only where there is no other place. Where there is none within `reach` pixels
// (from further away one could not tell which point it names): the empty box, and nothing is drawn.
std::vector<Box> place_labels(std::span<const LabelRequest> requests, std::span<const Box> obstacles,
                              std::span<const Box> soft_obstacles, const Box& bounds, double reach);

}  // namespace carat
