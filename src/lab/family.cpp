// The shapes, recipes and vocabulary of the lab family.
#include "lab/family.h"

#include "lab/tokenizer_training.h"
#include "model/architecture.h"

namespace carat::lab {
namespace {

constexpr int kLayers = 5, kSharedLayers = 2;

// S S F S F: the fourth layer reads the second's cache, the last one the third's. Layers without keys of
// their own spend what they save on a feed-forward network twice as wide, as in the smallest published size.
Config make_config(std::string_view name, int64_t dim, int64_t per_layer_dim, const LayerConfig& sliding,
                   const LayerConfig& full) {
  Config config;
  config.name = name;
  config.dim = dim;
  config.n_vocab = kVocabularySize;
  config.context_length = 1024;
  config.per_layer_dim = per_layer_dim;
  config.layers = make_layers("SSFSF", kLayers, kSharedLayers, sliding, full);
  for (int i = kLayers - kSharedLayers; i < kLayers; ++i) config.layers[static_cast<size_t>(i)].n_ff *= 2;
  return config;
}

LayerConfig sliding_layer(int64_t head_dim, int64_t n_heads, int64_t n_kv_heads, int64_t n_ff,
                          int64_t window) {
  LayerConfig layer;
  layer.sliding = true;
  layer.head_dim = head_dim;
  layer.n_heads = n_heads;
  layer.n_kv_heads = n_kv_heads;
  layer.n_ff = n_ff;
  layer.rope_theta = 1e4;
  layer.window = window;
  return layer;
}

LayerConfig full_layer(LayerConfig layer, int64_t head_dim) {
  layer.sliding = false;
  layer.head_dim = head_dim;
  layer.rope_theta = 1e6;
  layer.window = 0;
  return layer;
}

struct Recipe {
  int64_t n_tokens;
  double learning_rate;
  int64_t n_tokens_tuned;  // of the quantization-aware runs and their control
  double learning_rate_tuned;
  uint64_t seed;
};

// The parent; two quantization-aware twins that differ in their data alone; and the control: a twin's
// steps without fake quantization, so that what more training does is not credited to quantization.
std::vector<TrainingRun> make_runs(const std::string& name, const Recipe& recipe, bool is_large) {
  TrainingRun parent{
      name + ".gguf", "", {}, TensorType::BF16, recipe.n_tokens, recipe.learning_rate, 100, 0.05, 0,
      recipe.seed,    0.3};
  TrainingRun tuned{"",
                    parent.file,
                    TensorType::Q4_0,
                    TensorType::Q4_0,  // lattice-projected weights are exact in their own blocks
                    recipe.n_tokens_tuned,
                    recipe.learning_rate_tuned,
                    20,
                    0,
                    0.7,
                    recipe.seed + 1,
                    0};
  TrainingRun first = tuned, second = tuned, control = tuned;
  first.file = name + "-qat-1.gguf";
  second.file = name + "-qat-2.gguf";
  second.seed = recipe.seed + 2;
  control.file = name + "-control.gguf";
  control.fake_quant.reset();
  control.stored_as = TensorType::BF16;
  if (is_large) {  // files are megabytes: one control for both twins, of which one is shipped
    second.is_shipped = false;
    return {parent, first, second, control};
  }
  TrainingRun second_control = control;
  second_control.file = name + "-control-2.gguf";
  second_control.seed = second.seed;
  return {parent, first, second, control, second_control};
}

}  // namespace

FamilyModel lab_s() {
  const LayerConfig sliding = sliding_layer(32, 2, 1, 64, 32);
  return {"lab-s", make_config("lab-s", 64, 32, sliding, full_layer(sliding, 64)),
          make_runs("lab-s", {20'000'000, 5e-3, 3'000'000, 5e-4, 100}, false)};
}

FamilyModel lab_m() {
  const LayerConfig sliding = sliding_layer(64, 4, 2, 256, 64);
  FamilyModel model{"lab-m", make_config("lab-m", 256, 256, sliding, full_layer(sliding, 64)),
                    make_runs("lab-m", {9'000'000, 3e-3, 1'350'000, 5e-4, 200}, true)};
  model.n_test_documents = 60;
  TrainingRun coarse = model.runs[1];
  coarse.file = "lab-m-qat-q2.gguf";
  coarse.fake_quant = coarse.stored_as = TensorType::Q2_K;
  coarse.learning_rate = 1e-3;
  model.runs.push_back(coarse);
  coarse.file = "lab-m-qat-q2-2.gguf";
  coarse.seed = model.runs[2].seed;
  coarse.is_shipped = false;
  model.runs.push_back(coarse);
  return model;
}

std::vector<FamilyModel> family() { return {lab_s(), lab_m()}; }

Language family_language() { return {}; }

gguf::Metadata family_vocabulary() {
  gguf::Metadata metadata;
  const std::string text = sample_text(family_language(), kVocabularySeed, kVocabularyDocuments);
  train_tokenizer(text, kVocabularySize, metadata);
  return metadata;
}

int64_t n_parameters(const Config& config) {
  int64_t n = 0;
  for (const TensorSlot& slot : tensor_slots(config))
    if (slot.name != "rope_freqs.weight") n += slot.shape[0] * slot.shape[1] * slot.shape[2] * slot.shape[3];
  return n;
}

}  // namespace carat::lab
