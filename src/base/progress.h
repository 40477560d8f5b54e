// How long work reports and how it is asked to stop, without knowing about terminals.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>

namespace carat {

// Called now and then, from one thread at a time: `done` of `total` units (same unit), and what is being done.
using Progress = std::function<void(uint64_t done, uint64_t total, std::string_view what)>;

// Set by the command line's Ctrl-C handler. Long loops look at it between units of work and return early with
// an error or a checkpoint; nothing half-written stays behind (base/file.h).
inline std::atomic<bool> interrupt_requested{false};
inline bool interrupted() { return interrupt_requested.load(std::memory_order_relaxed); }

}  // namespace carat
