// Terminal output: tables line up, bars fit, and the report says what the data says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <regex>
#include <sstream>

#include "eval/guards.h"
#include "eval/made_up.h"
#include "report/eval_text.h"
#include "report/html.h"
#include "report/json.h"
#include "report/terminal.h"
#include "report/text_table.h"
#include "report/words.h"

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

TEST(TextTable, NamesCannotSteerTheTerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\r\n\x7f\t"), "a\\x1b[31mb\\x0d\\x0a\\x7f\\x09");
  EXPECT_EQ(printable("\xc2\x9b" "31m"), "\\x9b31m");        // C1 as UTF-8
  EXPECT_EQ(printable("\x9b" "31m \xff"), "\\x9b31m \\xff");  // and as a byte
  EXPECT_EQ(printable("日本語 é ±"), "日本語 é ±");
  EvalReport report = made_up::report(true, 40);
  const std::string evil = "x\x1b]0;title\x07\x1b[2J\xc2\x9b" "1m\n";
  report.rows[2].name = evil;
  report.rows[0].categories[1].category = evil;
  report.suite_name = report.machine = evil;
  report.warnings.push_back({"x", evil});
  report.comparisons.front().sentence = evil;
  for (const char c : render_text(report, {}, 100))
    EXPECT_TRUE(c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f)) << static_cast<int>(c);
  EXPECT_EQ(render_text(report, {}, 100).find("\xc2\x9b"), std::string::npos);
}

TEST(Words, UnevenArmsAreShownAsTheyAre) {
  EXPECT_EQ(plus_minus({0.837, 0.829, 0.845, 99}), "83.7 ± 0.8");
  EXPECT_EQ(plus_minus({0.0, 0.0, 0.494, 3}), "0.0 (0.0–49.4)");
  EXPECT_EQ(plus_minus({0.99, 0.97, 0.995, 99}), "99.0 (97.0–99.5)");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(plus_minus({0.5, -kInfinity, kInfinity, 0}), "50.0 ± -");
  EXPECT_EQ(signed_nats({0.5, -kInfinity, kInfinity, 0}), "+0.5000 (-)");
  EXPECT_EQ(signed_points({std::nan(""), 0, 0, 0}), "-");
  EXPECT_EQ(signed_number(std::nan(""), 3), "-");
}

// Whether "nan" or "inf" stands anywhere as a word or number of its own.
bool has_no_number(const std::string& text) {
  return std::regex_search(text, std::regex("(^|[^a-zA-Z])(nan|inf|NaN|Infinity)([^a-zA-Z]|$)"));
}

TEST(Reports, TinySuitesHoldNoNonNumbers) {
  EXPECT_TRUE(has_no_number("± inf"));
  EXPECT_FALSE(has_no_number("information"));
  for (const int n_items : {1, 2, 3})
    for (const bool two_kv : {false, true}) {
      EvalReport report = made_up::report(two_kv, n_items);
      for (const Warning& w : guard_results(report)) report.warnings.push_back(w);
      for (const Comparison& c : report.comparisons) {
        EXPECT_GE(c.accuracy.low, -1);
        EXPECT_LE(c.accuracy.high, 1);
      }
      EXPECT_FALSE(has_no_number(render_text(report, {}, 100))) << n_items << render_text(report, {}, 100);
      EXPECT_FALSE(has_no_number(render_html(report))) << n_items;
      EXPECT_FALSE(has_no_number(to_json(report))) << n_items;
    }
}

TEST(EvalText, WordsTheTruthTableWhereThereIsNoQat) {
  std::vector<ReportRow> rows = made_up::rows({TensorType::F16}, false);
  rows.resize(5);  // originals alone
  const Plan plan = make_plan(rows);
  const Suite suite = made_up::suite(60);
  const EvalReport report = made_up::judged(plan, suite, made_up::scores(plan, suite, 1));
  EXPECT_EQ(leading_table(report), Comparison::Table::truth);
  const std::string text = render_text(report, {}, 10000), html = render_html(report);
  int n_open = 0;
  for (const Comparison& c : report.comparisons) {
    if (c.table != Comparison::Table::truth) continue;
    EXPECT_NE(text.find(c.sentence), std::string::npos) << c.sentence;
    EXPECT_NE(html.find(c.sentence), std::string::npos) << c.sentence;
    if (c.n_more_items == 0) continue;
    ++n_open;
    EXPECT_NE(text.find("not enough data, " + more_items(c.n_more_items)), std::string::npos);
  }
  EXPECT_GT(n_open, 0);
}

TEST(Words, CutListsSayHowMuchIsLeftOut) {
  const EvalReport report = made_up::report(true, 40);
  const PlainList list = plain_list(report, Comparison::Table::headline, 1);
  EXPECT_EQ(list.shown.size(), 1u);
  EXPECT_EQ(list.n_left_out, 3);  // of four with the first KV type
  EXPECT_EQ(left_out(list.n_left_out), "And 3 more in the tables.");
  EXPECT_EQ(plain_list(report, Comparison::Table::headline, 9).n_left_out, 0);
}

TEST(PerplexityText, OneChunkShowsNoSpread) {
  PerplexityReport report;
  report.perplexity = {12.5, std::numeric_limits<double>::quiet_NaN()};
  EXPECT_NE(render_text(report).find("12.5000 ± -\n"), std::string::npos);
  report.perplexity.error = 0.25;
  EXPECT_NE(render_text(report).find("12.5000 ± 0.2500\n"), std::string::npos);
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
