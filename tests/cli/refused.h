// What every refusal looks like: one clear line on standard error and exit code 2.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/program.h"

namespace carat::cli {

// One line that starts with the program's name and names what it is about; no output but that line.
inline void expect_refused(const Outcome& outcome, const std::string& about) {
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("carat: ")) << outcome.err;
  EXPECT_TRUE(outcome.err.ends_with('\n')) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(about), std::string::npos) << outcome.err << "does not say " << about;
}

}  // namespace carat::cli
