// The page: one well-formed file that fetches nothing, whatever the files are called.
#include "report/html.h"

#include <gtest/gtest.h>

#include <limits>

#include "eval/made_up.h"
#include "report/figures.h"
#include "report/svg.h"

namespace carat {
namespace {

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; }

// A strict reader of the XML-like subset that the page is written in: every element closed, attributes
// quoted, entities known. Returns what is wrong, or nothing.
std::string defect_of(std::string_view html) {
  std::vector<std::string> open;
  const auto here = [&](size_t at) { return std::string(html.substr(at, 60)); };
  for (size_t at = 0; at < html.size();) {
    if (html[at] == '&') {
      const size_t end = html.find(';', at);
      if (end == std::string_view::npos || end - at > 8) return "bare & at " + here(at);
      at = end + 1;
      continue;
    }
    if (html[at] == '>') return "bare > at " + here(at);
    if (html[at] != '<') {
      ++at;
      continue;
    }
    const size_t end = html.find('>', at);
    if (end == std::string_view::npos) return "unclosed tag at " + here(at);
    std::string_view tag = html.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.starts_with('!')) continue;
    if (tag.starts_with('/')) {
      if (open.empty() || open.back() != tag.substr(1))
        return "unexpected </" + std::string(tag.substr(1)) + ">";
      open.pop_back();
      continue;
    }
    size_t name_end = 0;
    while (name_end < tag.size() && is_name_char(tag[name_end])) ++name_end;
    const std::string name(tag.substr(0, name_end));
    if (name.empty()) return "no name in <" + std::string(tag) + ">";
    std::string_view rest = tag.substr(name_end);
    const bool closes = rest.ends_with('/');
    if (closes) rest.remove_suffix(1);
    while (!rest.empty()) {
      while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
      if (rest.empty()) break;
      size_t n = 0;
      while (n < rest.size() && is_name_char(rest[n])) ++n;
      const size_t quote = rest.find('"', n + 2);
      if (n == 0 || rest.substr(n, 2) != "=\"" || quote == std::string_view::npos ||
          rest.substr(0, quote).find('<') != std::string_view::npos)
        return "bad attribute in <" + std::string(tag) + ">";
      rest.remove_prefix(quote + 1);
    }
    if (closes) continue;
    open.push_back(name);
    if (name == "style") at = html.find("</style>", at);
  }
  return open.empty() ? "" : "unclosed <" + open.back() + ">";
}

TEST(Html, TheReaderFindsDefects) {
  EXPECT_EQ(defect_of("<a b=\"c\"><i />&amp;</a>"), "");
  for (const char* wrong :
       {"<a>", "<a></b>", "<a b=c></a>", "a & b", "<a b=\"<\"></a>", "x > y", "<a b></a>"})
    EXPECT_NE(defect_of(wrong), "") << wrong;
}

TEST(Html, IsWellFormedAndFetchesNothing) {
  for (const bool two_kv : {false, true}) {
    const std::string html = render_html(made_up::report(two_kv, 120));
    EXPECT_EQ(defect_of(html), "");
    for (const char* forbidden :
         {"http:", "https:", "src=", "href=", "@import", "url(", "<script", "<link", "<iframe"})
      EXPECT_EQ(html.find(forbidden), std::string::npos) << forbidden;
    for (const char* wanted :
         {"<svg class=\"wide\"", "<svg class=\"narrow\"", "prefers-color-scheme: dark", "max-width: 640px",
          "carat compare --kv f16,q8_0", "0123456789abcde3", "The verdicts"})
      EXPECT_NE(html.find(wanted), std::string::npos) << wanted;
    EXPECT_EQ(html.find("nan"), std::string::npos);
    EXPECT_EQ(html.find("inf"), std::string::npos);
  }
}

TEST(Html, NamesAreText) {
  EvalReport report = made_up::report(true, 120);
  report.rows[2].name = "<script>alert(\"x\")</script> & 'co' \xff\x01";
  report.rows[2].path = "</style><img onerror=x>";
  report.command = "carat compare '<b>'";
  report.warnings.push_back({"x", "<i>careful</i>"});
  report.rows[0].categories[0].category = "a<b";
  const std::string html = render_html(report);
  EXPECT_EQ(defect_of(html), "");
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("<img"), std::string::npos);
  EXPECT_NE(
      html.find(
          "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;co&#39; \xef\xbf\xbd\xef\xbf\xbd"),
      std::string::npos);
}

TEST(Html, SaysWhichCacheTheParentHad) {
  EvalReport report = made_up::report(true, 40);
  EXPECT_NE(render_html(report).find("own parent with F16 KV cache"), std::string::npos);
  EXPECT_NE(render_html(report).find("Does QAT suffer less from a quantized cache?"), std::string::npos);
  for (ReportRow& row : report.rows) row.kv = TensorType::Q8_0;
  EXPECT_NE(render_html(report).find("own parent with Q8_0 KV cache"), std::string::npos);
  EXPECT_EQ(render_html(report).find("16-bit KV cache"), std::string::npos);
}

TEST(Html, SurvivesAlmostNothing) {
  EvalReport report;
  report.rows.resize(1);
  report.reference = 0;
  report.rows[0].file = 0;
  report.rows[0].name = "only";
  report.rows[0].memory_bytes = 1000;
  report.rows[0].nll = {2, 1, 3, 10};
  report.rows[0].accuracy.estimate = std::numeric_limits<double>::quiet_NaN();
  report.pareto = {{0, true}};
  EXPECT_EQ(defect_of(render_html(report)), "");
}

TEST(Labels, NeverOverlap) {
  Random random(4);
  const Box bounds{0, 0, 500, 300};
  std::vector<LabelRequest> requests;
  std::vector<Box> points;
  for (int i = 0; i < 40; ++i) {
    const double x = 20 + 460 * random.uniform(), y = 20 + 260 * random.uniform();
    requests.push_back({x, y, 60 + 60 * random.uniform(), 14});
    points.push_back({x - 5, y - 5, x + 5, y + 5});
  }
  const std::vector<Box> boxes = place_labels(requests, points, {}, bounds, 20);
  int n_drawn = 0;
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (boxes[i].right <= boxes[i].left) continue;
    ++n_drawn;
    EXPECT_TRUE(boxes[i].inside(bounds));
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(boxes[i].overlaps(boxes[j])) << i << " " << j;
    for (const Box& point : points) EXPECT_FALSE(boxes[i].overlaps(point));
  }
  EXPECT_GT(n_drawn, 20);
  EXPECT_LT(boxes[0].left, boxes[0].right);  // the most important has a place
}

TEST(Ticks, AreRound) {
  EXPECT_EQ(linear_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(log_ticks(3e5, 4e6), (std::vector<double>{5e5, 1e6, 2e6}));
  EXPECT_EQ(log_ticks(2.6e6, 4.3e6), (std::vector<double>{3e6, 3.5e6, 4e6}));  // too narrow for 1, 2, 5
  EXPECT_EQ(linear_ticks(1, 1, 5).size(), 1u);
}

}  // namespace
}  // namespace carat
