// The shapes of the lab family keep their promises: row lengths, sizes, and files that fit into a repository.
#include "lab/family.h"

#include <gtest/gtest.h>

#include <set>

#include "model/architecture.h"

namespace carat::lab {
namespace {

bool is_matrix(const TensorSlot& slot) {
  return slot.role == TensorRole::token_embedding || slot.role == TensorRole::per_layer_embedding ||
         slot.role == TensorRole::matrix;
}

int64_t stored_bytes(const Config& config, TensorType type) {
  int64_t n = 0;
  for (const TensorSlot& slot : tensor_slots(config)) {
    const int64_t n_values = slot.shape[0] * slot.shape[1] * slot.shape[2] * slot.shape[3];
    const TypeInfo& stored = type_info(is_matrix(slot) ? type : TensorType::F32);
    n += n_values / stored.block_length * stored.block_bytes;
  }
  return n;
}

TEST(Family, RowsFitTheFormats) {
  for (const FamilyModel& model : family()) {
    for (const TensorSlot& slot : tensor_slots(model.config)) {
      if (is_matrix(slot)) {
        EXPECT_EQ(slot.shape[0] % (model.name == "lab-m" ? 256 : 32), 0) << slot.name;
      }
    }
  }
}

TEST(Family, HasEveryTraitOfTheArchitecture) {
  for (const FamilyModel& model : family()) {
    const Config& config = model.config;
    ASSERT_EQ(config.n_layers(), 5);
    EXPECT_TRUE(config.owns_kv(0) && config.owns_kv(1) && config.owns_kv(2));
    EXPECT_EQ(config.layers[3].kv_source, 1);
    EXPECT_EQ(config.layers[4].kv_source, 2);
    EXPECT_TRUE(config.layers[0].sliding && !config.layers[2].sliding && !config.layers[4].sliding);
    EXPECT_GT(config.layers[3].n_ff, config.layers[0].n_ff);
    EXPECT_GT(config.per_layer_dim, 0);
    EXPECT_GT(config.layers[0].n_heads, config.layers[0].n_kv_heads);
  }
}

TEST(Family, FilesFitIntoARepository) {
  EXPECT_NEAR(static_cast<double>(n_parameters(lab_s().config)), 305e3, 10e3);
  EXPECT_NEAR(static_cast<double>(n_parameters(lab_m().config)), 4.0e6, 0.1e6);
  int64_t n_bytes = 0;
  std::set<std::string> files;
  for (const FamilyModel& model : family()) {
    for (const TrainingRun& run : model.runs) {
      if (run.is_shipped) n_bytes += stored_bytes(model.config, run.stored_as) + 20'000;  // and the metadata
      EXPECT_TRUE(files.insert(run.file).second) << run.file;
      EXPECT_TRUE(run.parent.empty() || files.contains(run.parent)) << run.file;
    }
  }
  EXPECT_LT(n_bytes, 25'000'000);
}

TEST(Family, SeedsDifferExceptTheControls) {
  for (const FamilyModel& model : family()) {
    EXPECT_NE(model.runs[1].seed, model.runs[2].seed);
    const TrainingRun& control = model.runs[3];
    EXPECT_EQ(control.seed, model.runs[1].seed);
    EXPECT_EQ(control.n_tokens, model.runs[1].n_tokens);
    EXPECT_FALSE(control.fake_quant.has_value());
  }
}

}  // namespace
}  // namespace carat::lab
