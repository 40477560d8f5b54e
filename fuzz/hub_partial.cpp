// Any bytes as the state of a partial download, and as what somebody types: nothing, or something consistent.
#include "hub/partial.h"

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "hub/name.h"

using namespace carat::hub;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto state = parse_partial_state(text)) {
    uint64_t sum = 0;
    for (size_t i = 0; i < state->done.size(); ++i) {
      CHECK(state->done[i] <= state->chunk_size(i));
      sum += state->chunk_size(i);
    }
    CHECK(sum == state->n_bytes && state->total_done() <= sum);
    const auto again = parse_partial_state(to_text(*state));
    CHECK(again && *again == *state);
  }
  if (const auto request = parse_request(text)) {
    CHECK(is_safe_path(request->repo.id()) && is_safe_path(request->revision));
    CHECK(request->what.empty() || is_safe_path(request->what));
    const auto again = parse_request(to_text(*request));
    CHECK(again && again->repo == request->repo && again->what == request->what &&
          again->revision == request->revision);
  }
  return 0;
}
