// Percentiles at their ends, between values, and of what has no order.
#include "base/stats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace carat {
namespace {

TEST(Stats, PercentilesInterpolate) {
  const std::vector<double> values = {40, 10, 30, 20};
  EXPECT_EQ(percentile(values, 0), 10);
  EXPECT_EQ(percentile(values, 1), 40);
  EXPECT_EQ(percentile(values, 0.5), 25);
  EXPECT_DOUBLE_EQ(percentile(values, 0.1), 13);
  EXPECT_EQ(median(std::vector<double>{7}), 7);
  EXPECT_EQ(median({}), 0);
}

TEST(Stats, ANanIsNotOrdered) {
  std::vector<double> values(100, 1.0);
  values[50] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(percentile(values, 0.99)));
  EXPECT_TRUE(std::isnan(percentile(values, 0)));
}

TEST(Stats, AFractionOutsideIsOurFault) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::vector<double> values = {1, 2};
  EXPECT_DEATH((void)percentile(values, 1.01), "fraction");
  EXPECT_DEATH((void)percentile(values, -0.01), "fraction");
  EXPECT_DEATH((void)percentile(values, std::nan("")), "fraction");
}

TEST(Stats, MeansAndErrors) {
  EXPECT_EQ(mean({}), 0);
  EXPECT_EQ(mean(std::vector<double>{1, 2, 6}), 3);
  EXPECT_EQ(standard_error(std::vector<double>{5}), 0);
  EXPECT_DOUBLE_EQ(standard_error(std::vector<double>{1, 3}), 1);
}

}  // namespace
}  // namespace carat
