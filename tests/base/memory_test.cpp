// Arrays are zero, aligned, and cost nothing before they are touched; too large ones end as they should.
#include "base/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <new>

namespace carat {
namespace {

TEST(AlignedArray, IsZeroedAndAlignedWithSlackBehind) {
  for (const size_t n :
       {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{1} << 20, (size_t{1} << 20) + 1}) {
    const AlignedArray<uint8_t> array(n);
    EXPECT_EQ(array.size(), n);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(array.data()) % kCacheLine, 0u);
    const volatile uint8_t* bytes = array.data();
    bool zero = true;
    for (size_t i = 0; i < n + kCacheLine; ++i) zero = zero && bytes[i] == 0;
    EXPECT_TRUE(zero) << n;
  }
}

TEST(AlignedArray, MovesWithItsMemory) {
  AlignedArray<float> small(3), large(1 << 20);
  small[2] = 1, large[(1 << 20) - 1] = 2;
  std::swap(small, large);
  EXPECT_EQ(small[(1 << 20) - 1], 2);
  EXPECT_EQ(large[2], 1);
  large = AlignedArray<float>();
  EXPECT_EQ(large.size(), 0u);
  EXPECT_EQ(large.data(), nullptr);
}

TEST(AlignedArray, LargeOnesAreResidentOnlyWhereTouched) {
  if (resident_bytes() == 0) GTEST_SKIP() << "the system does not tell";
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "its shadow memory is several times as large";
#endif
  constexpr size_t kMiB = size_t{1} << 20;
  const uint64_t before = resident_bytes();
  AlignedArray<uint8_t> array(256 * kMiB);
  EXPECT_LT(resident_bytes(), before + 32 * kMiB);
  std::fill_n(array.data(), 64 * kMiB, uint8_t{1});
  EXPECT_GT(resident_bytes(), before + 48 * kMiB);
  EXPECT_LT(resident_bytes(), before + 128 * kMiB);
  array = AlignedArray<uint8_t>();
  EXPECT_LT(resident_bytes(), before + 32 * kMiB);
}

TEST(AlignedArray, TooMuchIsBadAlloc) { EXPECT_THROW(AlignedArray<double>(size_t{1} << 50), std::bad_alloc); }

TEST(AlignedArray, SizesThatWrapAreOurFault) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  EXPECT_DEATH(AlignedArray<double>(kMost / 8 + 2), "overflow");
  EXPECT_DEATH(AlignedArray<uint8_t>(kMost - 10), "overflow");
}

}  // namespace
}  // namespace carat
