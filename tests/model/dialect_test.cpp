// The ways in which Gemma 4 files are written, line by line of reference sheet 3.1 and 3.2: what has a
// default, what has several spellings, what is ignored and what cannot be right. The network behind them is
// the same.
#include "model/dialect.h"

#include <gtest/gtest.h>

#include "fake_file.h"
#include "model/assistant.h"
#include "model/model.h"

namespace carat {
namespace {

using gguf::Array, gguf::Metadata;

std::string key(std::string_view name) { return fmt::format("gemma4.{}", name); }

// What opening says of a file after `change`: everything but the tokenizer, which fakes do not have.
template <class Change>
std::string error_after(const Config& config, Change change) {
  FakeFile fake(config);
  change(fake);
  const Result<Config> read = read_config(fake.file);
  if (!read) return read.error().message;
  const Result<Weights> weights = find_weights(fake.file, *read);
  if (!weights) return weights.error().message;
  return *read == config ? "same network" : "another network";
}

struct Line {
  std::string what;
  Config config;
  std::function<void(FakeFile&)> change;
  std::string expected;
};
void PrintTo(const Line& line, std::ostream* out) { *out << line.what; }

std::function<void(FakeFile&)> set(std::string_view name, gguf::Value value) {
  return [name = key(name), value](FakeFile& f) { f.file.metadata.set(name, value); };
}
std::function<void(FakeFile&)> without(std::string_view name) {
  return [name = key(name)](FakeFile& f) { f.file.metadata.remove(name); };
}
std::string missing(std::string_view name) {
  return fmt::format("fake.gguf: key '{}' is missing", key(name));
}

constexpr std::string_view kSame = "same network";

std::vector<Line> keys() {
  const Config ple = tiny_ple_config(), dense = tiny_dense_config(), moe = tiny_moe_config();
  const std::string same(kSame);
  std::vector<Line> lines;
  for (const std::string_view required :
       {"context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
        "attention.head_count_kv", "attention.key_length", "attention.key_length_swa",
        "attention.sliding_window", "attention.sliding_window_pattern"})
    lines.push_back({fmt::format("{} is required", required), ple, without(required), missing(required)});
  for (const std::string_view optional :
       {"attention.value_length", "attention.value_length_swa", "attention.layer_norm_rms_epsilon",
        "rope.freq_base", "rope.freq_base_swa", "rope.dimension_count", "rope.dimension_count_swa",
        "final_logit_softcapping"})
    lines.push_back({fmt::format("{} has a default", optional), ple, without(optional), same});
  for (const std::string_view optional : {"attention.shared_kv_layers", "embedding_length_per_layer_input"})
    lines.push_back({fmt::format("{} is 0 where it is absent", optional), dense, without(optional), same});
  for (const std::string_view needed : {"expert_used_count", "expert_feed_forward_length"})
    lines.push_back(
        {fmt::format("{} is required with experts", needed), moe, without(needed), missing(needed)});
  return lines;
}

std::vector<Line> spellings() {
  const Config ple = tiny_ple_config(), dense = tiny_dense_config(), moe = tiny_moe_config();
  const std::string same(kSame);
  using I32s = std::vector<int32_t>;
  using U32s = std::vector<uint32_t>;
  return {
      {"widths as i32", ple, set("feed_forward_length", Array(I32s{64, 64, 64, 64, 128, 128, 128})), same},
      {"widths as u32", ple, set("feed_forward_length", Array(U32s{64, 64, 64, 64, 128, 128, 128})), same},
      {"one width", dense, set("feed_forward_length", uint32_t{64}), same},
      {"key heads as i32", dense, set("attention.head_count_kv", Array(I32s{2, 2, 1, 2, 2, 1})), same},
      {"key heads as u32", dense, set("attention.head_count_kv", Array(U32s{2, 2, 1, 2, 2, 1})), same},
      {"query heads as an array", dense, set("attention.head_count", Array(I32s(6, 4))), same},
      {"pattern as bools", dense,
       set("attention.sliding_window_pattern",
           Array(std::vector<bool>{true, true, false, true, true, false})),
       same},
      {"pattern as numbers", dense, set("attention.sliding_window_pattern", Array(I32s{1, 1, 0, 1, 1, 0})),
       same},
      {"pattern as a period", dense, set("attention.sliding_window_pattern", uint32_t{3}), same},
      {"one width for all experts as an array", moe, set("expert_feed_forward_length", Array(I32s(4, 32))),
       same},
      {"counts as i32", dense, set("block_count", int32_t{6}), same},
      {"counts as u64", dense, set("embedding_length", uint64_t{64}), same},
      {"numbers as f64", dense, set("rope.freq_base", double{1e6}), same},
      {"vocab_size says nothing new", dense, set("vocab_size", uint32_t{512}), same},
      {"sampling advice is no part of the network", dense,
       [](FakeFile& f) { f.file.metadata.set("general.sampling.top_k", int32_t{64}); }, same},
      {"a soft cap of 0 is none", dense, set("final_logit_softcapping", 0.0f), "another network"},
      {"neutral scaling", dense, set("rope.scaling.type", std::string("none")), same},
      {"neutral attention scale", dense, set("attention.scale", 1.0f), same},
  };
}

std::vector<Line> contradictions() {
  const Config ple = tiny_ple_config(), dense = tiny_dense_config();
  const auto unknown = [](std::string_view name) {
    return fmt::format("fake.gguf: tensor '{}': no part of the network that the file's keys describe", name);
  };
  return {
      {"a sliding layer's rotation inherited from full ones", ple,
       set("rope.dimension_count_swa", uint32_t{32}),
       "fake.gguf: key 'gemma4.rope.dimension_count_swa': 32, expected 16 as the key length"},
      {"per-layer embeddings whose key is lost", ple, without("embedding_length_per_layer_input"),
       unknown("per_layer_token_embd.weight")},
      {"shared layers whose key is lost", ple, without("attention.shared_kv_layers"),
       "fake.gguf: tensor 'blk.6.attn_v.weight' is missing, although layer 2, a full layer too, has its own"},
      {"linear scaling of positions", dense, set("rope.scaling.type", std::string("linear")),
       "fake.gguf: key 'gemma4.rope.scaling.type': 'linear', expected 'none' or no such key"},
      {"a factor of positions", dense, set("rope.scaling.factor", 8.0f),
       "fake.gguf: key 'gemma4.rope.scaling.factor': 8, expected 1 or no such key: Gemma 4 has nothing of "
       "the kind"},
      {"scaled attention", dense, set("attention.scale", 0.0625f),
       "fake.gguf: key 'gemma4.attention.scale': 0.0625, expected 1 or no such key: Gemma 4 has nothing of "
       "the kind"},
      {"capped attention", dense, set("attn_logit_softcapping", 50.0f),
       "fake.gguf: key 'gemma4.attn_logit_softcapping': 50, expected 0 or no such key: Gemma 4 has nothing "
       "of the kind"},
      {"attention to what follows", dense, set("attention.causal", false),
       "fake.gguf: key 'gemma4.attention.causal': false, expected true"},
      {"a bias", dense,
       [](FakeFile& f) {
         f.add("blk.0.attn_q.bias", {128, 1, 1, 1}, TensorType::F32);
       },
       unknown("blk.0.attn_q.bias")},
      {"a layer too many", dense,
       [](FakeFile& f) {
         f.add("blk.6.attn_norm.weight", {64, 1, 1, 1}, TensorType::F32);
       },
       unknown("blk.6.attn_norm.weight")},
      {"experts whose key is lost", tiny_moe_config(), without("expert_count"),
       unknown("blk.0.ffn_gate_inp.weight")},
  };
}

void halve(FakeFile& f, TensorType type) {
  for (Tensor& tensor : f.file.tensors)
    if (tensor.name.find("norm") != std::string_view::npos ||
        tensor.name.find("scale") != std::string_view::npos)
      tensor.type = type;
}

std::vector<Line> tensors() {
  const Config ple = tiny_ple_config(), dense = tiny_dense_config(), moe = tiny_moe_config();
  const std::string same(kSame);
  return {
      {"a head of its own", dense,
       [](FakeFile& f) {
         f.add("output.weight", {64, 512, 1, 1}, TensorType::Q8_0);
       },
       same},
      {"no divisors", dense, [](FakeFile& f) { f.remove("rope_freqs.weight"); }, same},
      {"no layer scalars", ple,
       [&](FakeFile& f) {
         for (int i = 0; i < 7; ++i) f.remove(fmt::format("blk.{}.layer_output_scale.weight", i));
       },
       same},
      {"dead keys and values on shared layers", ple,
       [](FakeFile& f) {
         f.add("blk.5.attn_k.weight", {64, 32, 1, 1}, TensorType::F32);
         f.add("blk.5.attn_v.weight", {64, 32, 1, 1}, TensorType::F32);
         f.add("blk.5.attn_k_norm.weight", {16, 1, 1, 1}, TensorType::F32);
       },
       same},
      {"experts apart", moe,
       [](FakeFile& f) {
         f.remove("blk.2.ffn_gate_up_exps.weight");
         f.add("blk.2.ffn_gate_exps.weight", {64, 32, 6, 1}, TensorType::Q8_0);
         f.add("blk.2.ffn_up_exps.weight", {64, 32, 6, 1}, TensorType::F16);
       },
       same},
      {"values of their own on full layers", tiny_config("SSF", 6, 0, false), [](FakeFile&) {}, same},
      {"norms in F16", moe, [](FakeFile& f) { halve(f, TensorType::F16); }, same},
      {"norms in BF16", ple, [](FakeFile& f) { halve(f, TensorType::BF16); }, same},
      {"a router in BF16", moe,
       [](FakeFile& f) { f.tensor("blk.0.ffn_gate_inp.weight").type = TensorType::BF16; }, same},
      {"scales of inputs", moe,
       [](FakeFile& f) {
         f.add("blk.0.attn_q.input_scale", {1, 1, 1, 1}, TensorType::F32);
       },
       same},
  };
}

struct DialectLine : testing::TestWithParam<Line> {};
TEST_P(DialectLine, Reads) {
  EXPECT_EQ(error_after(GetParam().config, GetParam().change), GetParam().expected);
}
INSTANTIATE_TEST_SUITE_P(Keys, DialectLine, testing::ValuesIn(keys()));
INSTANTIATE_TEST_SUITE_P(Spellings, DialectLine, testing::ValuesIn(spellings()));
INSTANTIATE_TEST_SUITE_P(Contradictions, DialectLine, testing::ValuesIn(contradictions()));
INSTANTIATE_TEST_SUITE_P(Tensors, DialectLine, testing::ValuesIn(tensors()));

// The mixes of types in published QAT files (reference sheet 8.2, 8.3).
TEST(Dialect, TypesOfPublishedFiles) {
  Config config = tiny_ple_config();
  config.dim = config.per_layer_dim = 256;
  const auto mix = [&](TensorType tables, TensorType projection) {
    FakeFile fake(config);
    for (const TensorSlot& slot : tensor_slots(config)) {
      const bool table =
          slot.role == TensorRole::token_embedding || slot.role == TensorRole::per_layer_embedding;
      if (slot.role == TensorRole::matrix || table)
        fake.tensor(slot.name).type = table ? tables : TensorType::Q4_0;
    }
    fake.tensor("per_layer_model_proj.weight").type = projection;
    const auto weights = find_weights(fake.file, read_config(fake.file).take());
    return weights ? std::string(type_name(weights->token_embedding.type)) : weights.error().message;
  };
  EXPECT_EQ(mix(TensorType::Q6_K, TensorType::F16), "Q6_K");   // Google's
  EXPECT_EQ(mix(TensorType::Q6_K, TensorType::BF16), "Q6_K");  // Google's, if that is what they hold
  EXPECT_EQ(mix(TensorType::Q4_0, TensorType::Q4_0), "Q4_0");  // Unsloth's
}

TEST(Dialect, NormsOfSixteenBitsKeepTheirValues) {
  const Config config = tiny_dense_config();
  FakeFile fake(config);
  Tensor& norm = fake.tensor("blk.0.attn_norm.weight");
  norm.type = TensorType::F16;
  auto* halves = reinterpret_cast<uint16_t*>(fake.data[fake.file.index.at("blk.0.attn_norm.weight")].data());
  std::fill_n(halves, 64, uint16_t{0x3e00});  // 1.5
  Weights weights = find_weights(fake.file, config).take();
  const Weights copy = weights;
  weights = {};  // the converted values live as long as a copy does
  EXPECT_EQ(copy.layers[0].attn_norm.type, TensorType::F32);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(copy.layers[0].attn_norm.f32()[i], 1.5f);
}

TEST(Dialect, SaysWhatAFileIs) {
  const auto error = [](auto change) { return error_after(tiny_dense_config(), change); };
  const auto architecture = [&](const std::string& name) {
    return error([&](FakeFile& f) { f.file.metadata.set("general.architecture", name); });
  };
  const auto type = [&](const std::string& name) {
    return error([&](FakeFile& f) { f.file.metadata.set("general.type", name); });
  };
  const std::string expected = ", expected a Gemma 4 model ('gemma4')";
  EXPECT_EQ(
      architecture("clip"),
      "fake.gguf: a projector of images or sound (mmproj) (key 'general.architecture': 'clip')" + expected);
  EXPECT_EQ(architecture("gemma3"),
            "fake.gguf: a Gemma 3 model (key 'general.architecture': 'gemma3')" + expected);
  EXPECT_EQ(architecture("gemma3n"),
            "fake.gguf: a Gemma 3n model (key 'general.architecture': 'gemma3n')" + expected);
  EXPECT_EQ(architecture("llama"), "fake.gguf: key 'general.architecture': 'llama'" + expected);
  for (const AssistantDialect& dialect : assistant_dialects())
    EXPECT_EQ(architecture(std::string(dialect.architecture)),
              fmt::format(
                  "fake.gguf: an MTP assistant, which drafts for a model (key 'general.architecture': '{}')",
                  dialect.architecture) +
                  expected);
  EXPECT_EQ(type("adapter"), "fake.gguf: a LoRA adapter (key 'general.type': 'adapter')" + expected);
  EXPECT_EQ(type("imatrix"), "fake.gguf: an importance matrix (key 'general.type': 'imatrix')" + expected);
  EXPECT_EQ(type("mmproj"),
            "fake.gguf: a projector of images or sound (mmproj) (key 'general.type': 'mmproj')" + expected);
  EXPECT_EQ(type("model"), "same network");
  EXPECT_EQ(error([](FakeFile& f) { f.file.metadata.remove("general.architecture"); }),
            "fake.gguf: key 'general.architecture' is missing");
  EXPECT_EQ(error([](FakeFile& f) { f.file.tensors.clear(), f.file.index.clear(); }),
            "fake.gguf: a vocabulary without weights (no tensors)" + expected);
}

TEST(Dialect, RefusesOllamasFilesOfEverything) {
  const auto error = [](auto change) { return error_after(tiny_dense_config(), change); };
  EXPECT_EQ(error([](FakeFile& f) { f.file.metadata.set("gemma4.vision.block_count", uint32_t{16}); }),
            "fake.gguf: Ollama's dialect, text, images and sound in one file (key "
            "'gemma4.vision.block_count'), expected "
            "the text model alone");
  EXPECT_EQ(error([](FakeFile& f) { f.file.metadata.set("gemma4.audio.block_count", uint32_t{12}); }),
            "fake.gguf: Ollama's dialect, text, images and sound in one file (key "
            "'gemma4.audio.block_count'), expected "
            "the text model alone");
  EXPECT_EQ(error([](FakeFile& f) {
              f.add("v.patch_embd.weight", {4, 1, 1, 1}, TensorType::F32);
            }),
            "fake.gguf: holds parts for images or sound too (tensor 'v.patch_embd.weight'), expected the "
            "text model alone");
}

TEST(Dialect, AModelIsNoAssistant) {
  FakeFile fake(tiny_dense_config());
  EXPECT_EQ(
      make_assistant(fake.file).error().message,
      "fake.gguf: a Gemma 4 model, not an assistant (key 'general.architecture': 'gemma4'), expected an MTP "
      "assistant ('gemma4-assistant', 'gemma4_assistant' or 'gemma4_mtp')");
}

}  // namespace
}  // namespace carat
