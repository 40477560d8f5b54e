// Configs: written and read back, defaults and traps of missing keys, and one clear line for each thing
// wrong.
#include "model/config.h"

#include <gtest/gtest.h>

#include "fake_file.h"

namespace carat {
namespace {

using gguf::Array;
using gguf::Metadata;

// What read_config says after `change` to the metadata of a good file.
template <class Change>
std::string error_after(const Config& config, Change change) {
  FakeFile fake(config);
  change(fake.file.metadata);
  const Result<Config> result = read_config(fake.file);
  return result ? "no error" : result.error().message;
}

template <class Change>
Config read_after(const Config& config, Change change) {
  FakeFile fake(config);
  change(fake.file.metadata);
  return read_config(fake.file).take();
}

TEST(Config, DescribedConfigsReadBack) {
  for (const Config& config : {tiny_ple_config(), tiny_dense_config(), tiny_moe_config()})
    EXPECT_EQ(read_after(config, [](Metadata&) {}), config);
}

// Shape lists only: a published size needs no data for its config.
TEST(Config, PublishedSizesReadBack) {
  for (const std::string_view size : published_sizes()) {
    const Config config = published_config(size).take();
    gguf::File file;
    file.path = "published.gguf";
    describe(config, file.metadata);
    const std::vector<TensorSlot> slots = tensor_slots(config);
    for (const TensorSlot& slot : slots) {
      file.index[slot.name] = file.tensors.size();
      file.tensors.push_back({slot.name, TensorType::F32, slot.shape, nullptr});
    }
    EXPECT_EQ(read_config(file).take(), config) << size;
  }
  EXPECT_EQ(published_config("2b").error().message,
            "unknown model size '2b': expected one of e2b, e4b, 12b, 26b-a4b, 31b");
}

int64_t n_parameters(const Config& config) {
  int64_t n = 0;
  for (const TensorSlot& slot : tensor_slots(config)) n += slot.shape[0] * slot.shape[1] * slot.shape[2];
  return n;
}

// The exact text parameter counts of the published files, the 256 rope divisors among them.
TEST(Config, PublishedSizesHaveThePublishedParameterCounts) {
  EXPECT_EQ(n_parameters(published_config("e2b").take()), 4628569635);
  EXPECT_EQ(n_parameters(published_config("e4b").take()), 7463013674);
  EXPECT_EQ(n_parameters(published_config("12b").take()), 11907350576);
  EXPECT_EQ(n_parameters(published_config("26b-a4b").take()), 25233142046);
  EXPECT_EQ(n_parameters(published_config("31b").take()), 30697345596);
}

// Tensors of published files. Those of E2B and E4B also hold the keys, values and key norms that the original
// checkpoints have on layers that share another's: three each, which nobody reads.
TEST(Config, PublishedSizesHaveThePublishedTensorCounts) {
  const auto n_tensors = [](std::string_view size) { return tensor_slots(published_config(size).take()).size(); };
  EXPECT_EQ(n_tensors("e2b") + 3 * 20, 601u);
  EXPECT_EQ(n_tensors("e4b") + 3 * 18, 720u);
  EXPECT_EQ(n_tensors("26b-a4b"), 658u);
  EXPECT_EQ(n_tensors("31b"), 833u);
}

TEST(Config, SharedLayersReadTheLastOwnerOfTheirKind) {
  const Config e2b = published_config("e2b").take(), e4b = published_config("e4b").take();
  EXPECT_EQ(e2b.last_kv_layer(), 14);
  EXPECT_EQ(e4b.last_kv_layer(), 23);
  for (int i = 15; i < 35; ++i)
    EXPECT_EQ(e2b.layers[static_cast<size_t>(i)].kv_source, (i + 1) % 5 == 0 ? 14 : 13);
  for (int i = 24; i < 42; ++i)
    EXPECT_EQ(e4b.layers[static_cast<size_t>(i)].kv_source, (i + 1) % 6 == 0 ? 23 : 22);
  EXPECT_EQ(published_config("12b").take().last_kv_layer(), 47);
}

TEST(Config, MissingKeysHaveTheirDefaults) {
  const Config config = tiny_ple_config();
  const Config read = read_after(config, [](Metadata& m) {
    for (const std::string_view key :
         {"rope.dimension_count", "rope.dimension_count_swa", "rope.freq_base_swa", "final_logit_softcapping",
          "attention.value_length_swa"})
      m.remove(fmt::format("gemma4.{}", key));
    m.remove("general.name");
  });
  Config expected = config;
  expected.name = "fake.gguf";
  EXPECT_EQ(read, expected);
  EXPECT_EQ(read.logit_soft_cap, 30);

  const Config moe = read_after(tiny_moe_config(), [](Metadata& m) {
    m.remove("gemma4.embedding_length_per_layer_input");
    m.remove("gemma4.attention.shared_kv_layers");
  });
  EXPECT_EQ(moe, tiny_moe_config());
}

TEST(Config, ScalarsAndArraysOfAnyIntegerTypeAreTheSame) {
  const Config config = tiny_dense_config();
  const auto same = [&](auto change) { EXPECT_EQ(read_after(config, change), config); };
  same([](Metadata& m) { m.set("gemma4.attention.sliding_window_pattern", uint32_t{3}); });
  same([](Metadata& m) {
    m.set("gemma4.attention.sliding_window_pattern", Array(std::vector<int32_t>{1, 1, 0, 1, 1, 0}));
  });
  same([](Metadata& m) { m.set("gemma4.attention.head_count", Array(std::vector<uint32_t>(6, 4))); });
  same([](Metadata& m) {
    m.set("gemma4.attention.head_count_kv", Array(std::vector<uint32_t>{2, 2, 1, 2, 2, 1}));
  });
  same([](Metadata& m) { m.set("gemma4.feed_forward_length", Array(std::vector<int64_t>(6, 64))); });
  same([](Metadata& m) { m.set("gemma4.block_count", uint64_t{6}); });
}

TEST(Config, SuppressedTokensAreOfTheVocabularyAndEachOnce) {
  const Config read = read_after(tiny_moe_config(), [](Metadata& m) {
    m.set("tokenizer.ggml.suppress_tokens", Array(std::vector<int32_t>{-1, 511, 512, 3, 511, 3}));
  });
  EXPECT_EQ(read.suppressed_tokens, (std::vector<int32_t>{511, 3}));
}

TEST(Config, NamesAreOneLineOfPrintableText) {
  const auto name = [](std::string text) {
    return read_after(tiny_ple_config(), [&](Metadata& m) { m.set("general.name", std::move(text)); }).name;
  };
  EXPECT_EQ(name("a model"), "a model");
  EXPECT_EQ(name("a\nmodel\x1b[31m"), "a\\x0amodel\\x1b[31m");
  EXPECT_LT(name(std::string(1 << 20, 'x')).size(), 100u);
}

TEST(Config, RefusesWithOneLine) {
  const auto error = [](auto change) { return error_after(tiny_ple_config(), change); };
  EXPECT_EQ(error([](Metadata& m) { m.set("general.architecture", std::string("gemma3")); }),
            "fake.gguf: a Gemma 3 model (key 'general.architecture': 'gemma3'), expected a Gemma 4 model ('gemma4')");
  EXPECT_EQ(error([](Metadata& m) { m.set("general.architecture", std::string("a\n\x1b[2J")); }),
            "fake.gguf: key 'general.architecture': 'a\\x0a\\x1b[2J', expected a Gemma 4 model ('gemma4')");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.attention.layer_norm_rms_epsilon", 0.0f); }),
            "fake.gguf: key 'gemma4.attention.layer_norm_rms_epsilon': 0 is outside 1e-12..1");
  EXPECT_EQ(error([](Metadata& m) {
              m.set("gemma4.attention.head_count", Array(std::vector<uint64_t>(9, UINT64_MAX)));
            }),
            "fake.gguf: key 'gemma4.attention.head_count': 9 entries, expected one for each of 7 layers");
  EXPECT_EQ(error([](Metadata& m) { m.remove("gemma4.attention.sliding_window"); }),
            "fake.gguf: key 'gemma4.attention.sliding_window' is missing");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.block_count", uint32_t{1000000}); }),
            "fake.gguf: key 'gemma4.block_count': 1000000 is outside 1..1024");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.attention.key_length", uint32_t{31}); }),
            "fake.gguf: key 'gemma4.attention.key_length': 31, expected an even number");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.attention.value_length", uint32_t{16}); }),
            "fake.gguf: key 'gemma4.attention.value_length': 16, expected 32 as the key length");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.rope.dimension_count_swa", uint32_t{32}); }),
            "fake.gguf: key 'gemma4.rope.dimension_count_swa': 32, expected 16 as the key length");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.attention.head_count", uint32_t{3}); }),
            "fake.gguf: layer 0 has 3 query heads for 2 key heads, expected a multiple");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.attention.head_count_kv", uint32_t{0}); }),
            "fake.gguf: key 'gemma4.attention.head_count_kv': 0 (layer 0) is outside 1..4096");
  EXPECT_EQ(error([](Metadata& m) {
              m.set("gemma4.feed_forward_length", Array(std::vector<int32_t>{64, 64}));
            }),
            "fake.gguf: key 'gemma4.feed_forward_length': 2 entries, expected one for each of 7 layers");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.attention.shared_kv_layers", uint32_t{7}); }),
            "fake.gguf: key 'gemma4.attention.shared_kv_layers': 7 is outside 0..6");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.attention.shared_kv_layers", uint32_t{5}); }),
            "fake.gguf: layer 2 shares keys, but no layer of its kind before it owns any");
  EXPECT_EQ(error([](Metadata& m) {
              m.set("gemma4.attention.head_count_kv", Array(std::vector<int32_t>{2, 2, 1, 2, 4, 1, 1}));
            }),
            "fake.gguf: layer 4 has 4 key heads but shares the keys of layer 3, which has 2");
  EXPECT_EQ(error([](Metadata& m) { m.set("gemma4.rope.freq_base", -1.0f); }),
            "fake.gguf: key 'gemma4.rope.freq_base': -1 is outside 1..1000000000000");
  EXPECT_EQ(
      error([](Metadata& m) { m.set("gemma4.final_logit_softcapping", std::string("x")); }).find("fake.gguf"),
      0u);
  EXPECT_EQ(
      error_after(tiny_moe_config(), [](Metadata& m) { m.set("gemma4.expert_used_count", uint32_t{7}); }),
      "fake.gguf: key 'gemma4.expert_used_count': 7 is outside 1..6");
}

}  // namespace
}  // namespace carat
