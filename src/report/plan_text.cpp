// Lines of plan_text.h.
#include "report/plan_text.h"

#include <fmt/format.h>

#include <cmath>

#include "eval/sentences.h"

namespace carat {
namespace {

std::string counted(size_t n, std::string_view what) {
  const char* ending = n == 1 ? "" : what.ends_with('s') ? "es" : "s";
  return fmt::format("{} {}{}", format_count(static_cast<int64_t>(n)), what, ending);
}

}  // namespace

std::string format_duration(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", std::ceil(seconds));
  if (seconds < 90 * 60) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string render_text(const LockstepPlan& plan) {
  std::string text = fmt::format("plan: {} tokens through {} of {} in {}", format_count(plan.n_tokens),
                                 counted(plan.n_models, "run"), counted(plan.n_files, "file"),
                                 counted(plan.n_passes, "pass"));
  if (plan.n_items_saved > 0)
    text += fmt::format("; {} saved before", counted(static_cast<size_t>(plan.n_items_saved), "item"));
  const auto bytes = [](auto n) { return format_bytes(static_cast<uint64_t>(n)); };
  text += fmt::format("\nmemory: {} allowed, {} of scratch, {} of {} of weights stay", bytes(plan.memory_allowed),
                      bytes(plan.scratch_bytes), bytes(plan.kept_bytes), bytes(plan.weight_bytes));
  if (plan.streams())
    text += fmt::format("\ndisk: {} are read again in every pass, {} in all", bytes(plan.pass_bytes),
                        bytes(plan.read_bytes));
  if (plan.read_rate > 0 && plan.streams()) text += fmt::format(", at {}/s", bytes(plan.read_rate));
  if (plan.seconds > 0) text += fmt::format("\ntime: about {}", format_duration(plan.seconds));
  return text + "\n";
}

}  // namespace carat
