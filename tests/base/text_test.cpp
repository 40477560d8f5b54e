// Names are compared as users type them.
#include "base/text.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(Text, EqualIgnoringCase) {
  EXPECT_TRUE(equal_ignoring_case("q4_K_m", "Q4_k_M"));
  EXPECT_TRUE(equal_ignoring_case("", ""));
  EXPECT_FALSE(equal_ignoring_case("Q4_K", "Q4_K_M"));
  EXPECT_FALSE(equal_ignoring_case("Q4_0", "Q4_1"));
  EXPECT_FALSE(equal_ignoring_case("[", "{"));  // differ by the same bit as letters do
  EXPECT_TRUE(equal_ignoring_case("\xc3\xa4", "\xc3\xa4"));
}

}  // namespace
}  // namespace carat
