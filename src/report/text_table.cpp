// Widths, padding and wrapping behind text_table.h.
#include "report/text_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace carat {
namespace {

struct Range {
  uint32_t first, last;
};

constexpr Range kZeroWidth[] = {{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x064b, 0x065f},
                                {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
constexpr Range kWide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},  {0xac00, 0xd7a3},
                           {0xf900, 0xfaff},   {0xfe30, 0xfe4f},   {0xff00, 0xff60},  {0xffe0, 0xffe6},
                           {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

template <size_t n>
bool contains(const Range (&ranges)[n], uint32_t point) {
  return std::any_of(ranges, ranges + n, [&](const Range& r) { return r.first <= point && point <= r.last; });
}

// Decodes one code point at `at` and moves past it; a byte that begins none stands for itself.
uint32_t next_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  const size_t n = lead >= 0xf0 && lead < 0xf8   ? 4
                   : lead >= 0xe0 && lead < 0xf0 ? 3
                   : lead >= 0xc2 && lead < 0xe0 ? 2
                                                 : 1;
  if (n > 1 && at + n <= text.size()) {
    uint32_t point = lead & (0xffu >> (n + 1));
    bool whole = true;
    for (size_t i = 1; i < n; ++i) {
      whole = whole && (byte(at + i) & 0xc0) == 0x80;
      point = point << 6 | (byte(at + i) & 0x3fu);
    }
    if (whole) {
      at += n;
      return point;
    }
  }
  ++at;
  return lead;
}

void pad(std::string& out, int n) { out.append(static_cast<size_t>(std::max(0, n)), ' '); }

void trim_right(std::string& line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
}

}  // namespace

int display_width(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    const uint32_t point = next_point(text, at);
    width += contains(kZeroWidth, point) ? 0 : contains(kWide, point) ? 2 : 1;
  }
  return width;
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const uint32_t point = next_point(text, at);
    const bool is_stray = at == begin + 1 && point >= 0x80;
    const bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
    if (is_stray || is_control)
      out += fmt::format("\\x{:02x}", point);
    else
      out += text.substr(begin, at - begin);
  }
  return out;
}

std::string Style::paint(std::string_view text, std::string_view code) const {
  if (!colours || code.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

void TextTable::add_column(std::string title, Align align) { columns_.push_back({printable(title), align}); }

void TextTable::add_row(std::vector<Cell> cells) {
  CHECK(cells.size() == columns_.size());
  for (Cell& cell : cells) cell.text = printable(cell.text);
  rows_.push_back(std::move(cells));
}

std::string TextTable::render(const Style& style) const {
  std::vector<int> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    int width = display_width(columns_[c].title);
    for (const auto& row : rows_)
      if (!row.empty()) width = std::max(width, display_width(row[c].text));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](auto&& cell) {
    std::string text;
    for (size_t c = 0; c < columns_.size(); ++c) {
      const Cell content = cell(c);
      const int gap = widths[c] - display_width(content.text);
      pad(text, 2 + (columns_[c].align == Align::right ? gap : 0));
      text += style.paint(content.text, content.colour);
      pad(text, columns_[c].align == Align::left ? gap : 0);
    }
    trim_right(text);
    out += text + "\n";
  };
  const auto rule = [&] {
    line([&](size_t c) {
      std::string dashes;
      for (int i = 0; i < widths[c]; ++i) dashes += "─";
      return Cell(dashes);
    });
  };
  line([&](size_t c) { return Cell(columns_[c].title, "1"); });
  rule();
  for (const auto& row : rows_) {
    if (row.empty())
      rule();
    else
      line([&](size_t c) { return row[c]; });
  }
  return out;
}

std::string wrap(std::string_view text, int width, int indent) {
  std::string out;
  int column = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    const int n = display_width(word);
    if (column > 0 && column + 1 + n > width) {
      out += '\n';
      pad(out, indent);
      column = indent;
    } else if (!out.empty()) {
      out += ' ';
      ++column;
    }
    out += word;
    column += n;
    at = end + 1;
  }
  return out;
}

}  // namespace carat
