// Any bytes as what a judgement kept of itself, scores or looks: taken up whole, or refused in one line that
// names the file.
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/check.h"
#include "eval/look_times.h"
#include "eval/saved_scores.h"

using namespace carat;

namespace {

void check_refusal(const std::string& message) {
  CHECK(message.starts_with("fuzz: ") && message.find('\n') == std::string::npos);
}

void scores(std::span<const std::byte> bytes) {
  Suite suite;
  SuiteItem item;
  item.tokens = {1, 2, 3};
  item.first_scored = 1;
  suite.items = {item, item};
  SavedScores saved{std::vector<uint8_t>(2), empty_scores(suite, 2, 1)};
  const auto parsed = parse_scores(bytes, "fuzz", {{"suite", "x"}, {"pairs", " 1:0"}}, saved);
  if (parsed) return;
  check_refusal(parsed.error().message);
  CHECK(saved.done == std::vector<uint8_t>(2));
}

void looks(std::string_view text) {
  auto times = LookTimes::parse(text, "fuzz", "x", {.max_items = 400, .budget_seconds = 60}, 0.05);
  if (!times) check_refusal(times.error().message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  scores({reinterpret_cast<const std::byte*>(data), size});
  looks({reinterpret_cast<const char*>(data), size});
  return 0;
}
