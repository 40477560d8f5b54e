// Terminal output: tables line up, bars fit, and the report says what the data says.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "eval/made_up.h"
#include "report/eval_text.h"
#include "report/terminal.h"
#include "report/text_table.h"

namespace carat {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(TextTable, WidthsOfScripts) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("±–é"), 3);
  EXPECT_EQ(display_width("e\u0301"), 1);  // combining accent
  EXPECT_EQ(display_width("日本語"), 6);
  EXPECT_EQ(display_width("한국"), 4);
  EXPECT_EQ(display_width("سلام"), 4);
  EXPECT_EQ(display_width("\xff\xfe"), 2);  // not UTF-8: a column each
  EXPECT_EQ(display_width("\xe6\x97"), 2);  // cut short
  EXPECT_EQ(display_width(""), 0);
}

TEST(TextTable, ColumnsLineUp) {
  TextTable table;
  table.add_column("file", Align::left);
  table.add_column("right %", Align::right);
  table.add_column("word", Align::left);
  table.add_row({"日本語.gguf", "9.1", "tie"});
  table.add_row({"short", "100.0 ± 0.1", "not enough data"});
  const std::vector<std::string> lines = lines_of(table.render({}));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "  file             right %  word");
  EXPECT_EQ(lines[2], "  日本語.gguf          9.1  tie");
  EXPECT_EQ(lines[3], "  short        100.0 ± 0.1  not enough data");
  EXPECT_EQ(display_width(lines[1]), display_width(lines[3]));
}

TEST(TextTable, ColoursOnlyWhenAsked) {
  TextTable table;
  table.add_column("a", Align::left);
  table.add_row({{"x", "31"}});
  EXPECT_EQ(table.render({false}).find('\x1b'), std::string::npos);
  const std::string coloured = table.render({true});
  EXPECT_NE(coloured.find("\x1b[31mx\x1b[0m"), std::string::npos);
}

TEST(Wrap, BreaksAtBlanks) {
  EXPECT_EQ(wrap("one two three four", 9, 2), "one two\n  three\n  four");
  EXPECT_EQ(wrap("unbreakable-word x", 5, 0), "unbreakable-word\nx");
  for (const std::string& line : lines_of(wrap("a bb ccc dddd eeeee ffffff ggggggg", 12, 3)))
    EXPECT_LE(display_width(line), 12);
}

TEST(ProgressBar, FitsItsLine) {
  const std::string half = ProgressBar::line(50, 100, "judging", 12, 60);
  EXPECT_TRUE(half.starts_with("judging  [")) << half;
  EXPECT_TRUE(half.ends_with("   50 %  0:12 left")) << half;
  EXPECT_LE(half.size(), 60u);
  const auto n_done = std::count(half.begin(), half.end(), '#'),
             n_left = std::count(half.begin(), half.end(), '.');
  EXPECT_LE(std::abs(n_done - n_left), 1);
  EXPECT_EQ(ProgressBar::line(0, 0, "x", 0, 10), "x    0 %");
  for (const int width : {20, 40, 79, 200})
    for (const uint64_t done : {0u, 3u, 100u})
      EXPECT_LE(display_width(ProgressBar::line(done, 100, "judging", 7200, width)), std::max(width, 32));
}

TEST(EvalText, VerdictsComeFirstAndEveryFileHasALine) {
  const EvalReport report = made_up::report(true, 300);
  const std::string text = render_text(report, {}, 100);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  const size_t verdicts = text.find("against the original"), words = text.find("In plain words");
  ASSERT_NE(verdicts, std::string::npos);
  ASSERT_NE(words, std::string::npos);
  EXPECT_LT(verdicts, words);
  for (const ReportRow& row : report.rows) EXPECT_NE(text.substr(0, words).find(row.name), std::string::npos);
  for (const Warning& w : report.warnings) EXPECT_NE(text.find(w.message.substr(0, 30)), std::string::npos);
  EXPECT_NE(text.find(report.suite_hash), std::string::npos);
}

}  // namespace
}  // namespace carat
