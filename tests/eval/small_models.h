// Small synthetic models on disk for tests that need real forward passes, and a suite for them.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/random.h"
#include "eval/suite.h"
#include "model/model.h"
#include "model/synth.h"
#include "quant/quantize.h"

namespace carat {

class SmallModels {
 public:
  SmallModels() { std::filesystem::create_directories(directory_); }
  ~SmallModels() { std::filesystem::remove_all(directory_); }

  std::shared_ptr<const Model> make(uint64_t seed, const std::string& name = "parent") const {
    const SynthShape shape{.like = "e2b", .n_layers = 5, .width_divisor = 24, .n_vocab = 600};
    synthesize(shape, {.matrix_type = TensorType::F16, .embedding_type = TensorType::F16, .seed = seed},
               path(name))
        .take();
    return open_model(path(name)).take();
  }
  std::shared_ptr<const Model> quantized(const Model& parent, TensorType type,
                                         const std::string& name) const {
    QuantizeOptions options;
    options.type = type;
    quantize(parent.file, path(name), options).take();
    return open_model(path(name)).take();
  }

 private:
  std::string path(const std::string& name) const { return (directory_ / (name + ".gguf")).string(); }
  std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("carat_eval_" + std::to_string(getpid()));
};

// Random tokens; every item has two answers.
inline Suite random_suite(int n_items, int shortest, int longest, int64_t n_vocab, Token bos) {
  Random random(9);
  Suite suite;
  suite.name = "random";
  for (int i = 0; i < n_items; ++i) {
    SuiteItem item;
    item.category = i % 2 == 0 ? "even" : "odd";
    const int64_t n = shortest + random.below(longest - shortest + 1);
    for (int64_t t = 0; t < n; ++t) item.tokens.push_back(static_cast<Token>(random.below(n_vocab)));
    item.tokens[0] = bos;
    item.first_scored = 1 + i % 3;
    item.answers = {{4, 5}, {6, 8}};
    suite.items.push_back(std::move(item));
  }
  return suite;
}

}  // namespace carat
