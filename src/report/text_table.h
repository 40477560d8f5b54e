// TextTable: columns that line up in a terminal, whatever script the cells are written in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace carat {

// Columns that a terminal gives to UTF-8 text: 2 for wide characters, 0 for combining ones, 1 for a stray
// byte.
int display_width(std::string_view text);

// Text from outside as a terminal may be given it: control characters (C0, DEL, C1) and bytes that are not UTF-8
// as "\x1b", so that a name can neither move the cursor nor paint.
std::string printable(std::string_view text);

// Escape sequences, or nothing where output is not a terminal.
struct Style {
  bool colours = false;
  std::string paint(std::string_view text, std::string_view code) const;  // code: "1" bold, "32" green …
};

enum class Align { left, right };

// Titles and cells are made printable.
class TextTable {
 public:
  struct Cell {
    std::string text;
    std::string_view colour{};  // of Style::paint; empty: none
    Cell(std::string t, std::string_view c = {}) : text(std::move(t)), colour(c) {}
    Cell(const char* t) : text(t) {}
  };

  void add_column(std::string title, Align align);
  void add_row(std::vector<Cell> cells);  // as many as columns
  void add_rule() { rows_.emplace_back(); }
  bool empty() const { return rows_.empty(); }

  // Titles, a rule, rows; each line indented by two blanks and without blanks at its end.
  std::string render(const Style& style) const;

 private:
  struct Column {
    std::string title;
    Align align;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;  // empty: a rule
};

// Breaks text at blanks into lines of at most `width` columns, each after the first indented by `indent`.
std::string wrap(std::string_view text, int width, int indent);

}  // namespace carat
