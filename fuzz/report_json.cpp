// Any bytes as judgements from another machine: refused in one line, or a page can be drawn and written again.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "eval/merge.h"
#include "report/eval_text.h"
#include "report/html.h"
#include "report/json.h"
#include "report/json_read.h"

using namespace carat;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto reports = read_reports({reinterpret_cast<const char*>(data), size});
  if (!reports) {
    CHECK(!reports.error().message.empty());
    return 0;
  }
  const auto merged = merge(std::move(*reports));
  CHECK(!merged.empty() && !render_html(merged).empty());
  for (const EvalReport& report : merged) CHECK(!render_text(report, {}, 100).empty());
  CHECK(read_reports(to_json(merged)));
  return 0;
}
