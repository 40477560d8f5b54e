// Requests that a model or the machine cannot satisfy: one line that names both numbers, whatever command asks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cli/program.h"
#include "gguf/reader.h"
#include "gguf/writer.h"
#include "model/synth.h"

namespace carat::cli {
namespace {

// A model of 5 layers with heads of 32, after `change` to its metadata and tensors.
template <class Change>
void write_model(const std::string& path, Change&& change) {
  const SynthShape shape{.like = "e2b", .n_layers = 5, .width_divisor = 24, .n_vocab = 600};
  const std::string plain = path + ".plain";
  ASSERT_TRUE(synthesize(shape, {.matrix_type = TensorType::F16, .embedding_type = TensorType::F16, .seed = 1}, plain));
  const gguf::File file = gguf::open(plain).take();
  gguf::Metadata metadata = file.metadata;
  std::vector<gguf::TensorToWrite> tensors;
  for (const Tensor& tensor : file.tensors) tensors.push_back(gguf::existing(tensor));
  change(metadata, tensors);
  ASSERT_TRUE(gguf::write(path, metadata, tensors));
}

void expect_refused(const Outcome& outcome, const std::string& says) {
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(says), std::string::npos) << outcome.err << "does not say " << says;
}

TEST(Limits, TheContextIsNotExceeded) {
  const Folder folder;
  const std::string model = folder / "model.gguf";
  write_model(model, [](gguf::Metadata& m, auto&) { m.set("gemma4.context_length", uint32_t{3}); });
  expect_refused(carat({"logits", model, "--tokens", "2,5,6,7"}),
                 "4 tokens, but the context of " + model + " has 3");
  EXPECT_EQ(carat({"logits", model, "--tokens", "2,5,6"}).code, 0);
  expect_refused(carat({"bench", model, "-p", "2", "-n", "1", "-d", "2"}),
                 "4 tokens (--depth and the longest of -p, -n and --verify), but the context of " + model + " has 3");
}

TEST(Limits, CacheTypesMustFitTheHeads) {
  const Folder folder;
  const std::string model = folder / "model.gguf", text = folder / "text.txt";
  Config config = synth_config({.like = "e2b", .n_layers = 5, .width_divisor = 24, .n_vocab = 600}).take();
  for (LayerConfig& layer : config.layers) layer.head_dim = 16;
  ASSERT_TRUE(synthesize(config, {.matrix_type = TensorType::F16, .embedding_type = TensorType::F16}, model));
  overwrite(text, std::string(6000, 'x'));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"logits", model, "--tokens", "2"}, {"bench", model, "-p", "4", "-n", "1"},
        {"run", model, "-p", "x"}, {"perplexity", model, "-f", text, "-c", "64", "--chunks", "1"}}) {
    SCOPED_TRACE(command.front());
    std::vector<std::string> with_cache = command;
    with_cache.insert(with_cache.end(), {"--kv", "q8_0"});
    expect_refused(carat(with_cache), "blocks of 32 values, but layer 0 has heads of 16");
  }
  EXPECT_EQ(carat({"logits", model, "--tokens", "2", "--kv", "bf16"}).code, 0);
}

TEST(Limits, LogitsThatAreNotNumbersAreAnError) {
  const Folder folder;
  const std::string model = folder / "model.gguf";
  write_model(model, [](gguf::Metadata&, auto& tensors) {
    for (auto& tensor : tensors)
      if (tensor.name == "output_norm.weight")
        tensor = gguf::owned_f32(tensor.name, tensor.shape,
                                 std::vector<float>(static_cast<size_t>(tensor.shape[0]), NAN));
  });
  expect_refused(carat({"logits", model, "--tokens", "2,5"}), "position 1: the model's logits are not numbers");
  expect_refused(carat({"logits", model, "--tokens", "2,5", "--all", "--out", folder / "rows.npy"}), "position 0");
  EXPECT_FALSE(std::filesystem::exists(folder / "rows.npy"));
}

}  // namespace
}  // namespace carat::cli
