// How much memory a model may ask for: sizes out of a file are added up without overflow and compared with the machine
// before anything is allocated.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace carat {

// Products and sums of counts that stop at the largest int64 instead of wrapping. Arguments are not negative.
int64_t saturating_multiply(int64_t a, int64_t b);
int64_t saturating_add(int64_t a, int64_t b);

// Bytes of memory that this machine has; INT64_MAX where it does not tell.
int64_t physical_memory_bytes();

// The same, or less where a control group (a container) limits this process.
int64_t usable_memory_bytes();

// An error that names both sizes if `n_bytes` for `what` ("scratch for 512 rows") exceed usable_memory_bytes().
Result<void> check_memory(int64_t n_bytes, std::string_view what);

}  // namespace carat
