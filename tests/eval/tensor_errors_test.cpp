// Errors of a file whose rounding is known, tensor by tensor.
#include "eval/tensor_errors.h"

#include <gtest/gtest.h>

#include <cmath>

#include "eval/small_models.h"

namespace carat {
namespace {

struct TensorErrorsTest : testing::Test {
  SmallModels models;
  std::shared_ptr<const Model> parent = models.make(3);
};

TEST_F(TensorErrorsTest, NothingIsLostInTheSameFile) {
  const TensorErrors errors = tensor_errors(*parent, *parent);
  EXPECT_EQ(errors.n_layers, 5);
  EXPECT_FALSE(errors.roles.empty());
  for (const double error : errors.errors) EXPECT_TRUE(std::isnan(error) || error == 0);
  ASSERT_FALSE(errors.whole.empty());
  for (const auto& whole : errors.whole) EXPECT_EQ(whole.error, 0);
}

// A uniform quantizer of 16 steps over a block of 32 normal numbers errs by about 8 %, one of 256 by half a per cent.
TEST_F(TensorErrorsTest, FewerBitsLoseMore) {
  const auto q4 = models.quantized(*parent, TensorType::Q4_0, "q4"), q8 = models.quantized(*parent, TensorType::Q8_0, "q8");
  const TensorErrors coarse = tensor_errors(*q4, *parent), fine = tensor_errors(*q8, *parent);
  ASSERT_EQ(coarse.errors.size(), fine.errors.size());
  const auto role = std::find(coarse.roles.begin(), coarse.roles.end(), "ffn_up");
  ASSERT_NE(role, coarse.roles.end());
  const size_t up = static_cast<size_t>(role - coarse.roles.begin());
  for (int64_t layer = 0; layer < 5; ++layer) {
    EXPECT_GT(coarse.at(up, layer), 0.05);
    EXPECT_LT(coarse.at(up, layer), 0.12);
    EXPECT_GT(fine.at(up, layer), 0.002);
    EXPECT_LT(fine.at(up, layer), 0.01);
  }
}

// Layers whose keys are their values have no matrix for these.
TEST_F(TensorErrorsTest, WhatALayerHasNotIsNoNumber) {
  const std::string path = testing::TempDir() + "tensor_errors_12b.gguf";
  synthesize({.like = "12b", .n_layers = 6, .width_divisor = 24, .n_vocab = 600}, {}, path).take();
  const auto model = open_model(path).take();
  std::filesystem::remove(path);
  const TensorErrors errors = tensor_errors(*model, *model);
  const auto role = std::find(errors.roles.begin(), errors.roles.end(), "attn_v");
  ASSERT_NE(role, errors.roles.end());
  const size_t v = static_cast<size_t>(role - errors.roles.begin());
  EXPECT_EQ(errors.at(v, 0), 0);
  EXPECT_TRUE(std::isnan(errors.at(v, 5)));
}

TEST_F(TensorErrorsTest, FactorsBesideTheMatricesCount) {
  const auto fp4 = models.quantized(*parent, TensorType::NVFP4, "fp4");
  for (const double error : tensor_errors(*fp4, *parent).errors) EXPECT_TRUE(std::isnan(error) || error < 0.2) << error;
}

// Another model altogether: as far away as two independent normal numbers.
TEST_F(TensorErrorsTest, AnotherParentIsFarAway) {
  const auto other = models.make(4, "other");
  const TensorErrors errors = tensor_errors(*other, *parent);
  EXPECT_NEAR(errors.whole.front().error, std::sqrt(2), 0.15);
}

}  // namespace
}  // namespace carat
