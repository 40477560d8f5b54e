// The recipes against sizes that llama-quantize reports for Gemma 4 (reference sheet 5.5), and rule by rule.
#include "quant/recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "quant/quantize.h"

namespace carat {
namespace {

using enum TensorType;

struct Family {
  std::string_view name;
  int64_t n_layers, width, ffn, ffn_shared, n_heads, n_kv_heads, n_kv_heads_full, full_period, n_shared;
  bool has_ple, k_is_v, has_experts;
};

constexpr Family kE2B = {"E2B", 35, 1536, 6144, 12288, 8, 1, 1, 5, 20, true, false, false};
constexpr Family kE4B = {"E4B", 42, 2560, 10240, 10240, 8, 2, 2, 6, 18, true, false, false};
constexpr Family kA4B = {"26B-A4B", 30, 2816, 2112, 2112, 16, 8, 2, 6, 0, false, true, true};
constexpr Family k31B = {"31B", 60, 5376, 21504, 21504, 32, 16, 4, 6, 0, false, true, false};

// The tensors of a model as names and shapes, without data.
class Shapes {
 public:
  explicit Shapes(const Family& f) {
    file.path = f.name;
    file.metadata.set("general.architecture", std::string("gemma4"));
    file.metadata.set("gemma4.block_count", static_cast<uint32_t>(f.n_layers));
    if (f.has_experts) file.metadata.set("gemma4.expert_count", uint32_t{128});
    constexpr int64_t vocabulary = 262144;
    add("token_embd.weight", BF16, {f.width, vocabulary, 1, 1});
    add("output_norm.weight", F32, {f.width, 1, 1, 1});
    add("rope_freqs.weight", F32, {256, 1, 1, 1});
    if (f.has_ple) {
      add("per_layer_token_embd.weight", BF16, {256 * f.n_layers, vocabulary, 1, 1});
      add("per_layer_model_proj.weight", BF16, {f.width, 256 * f.n_layers, 1, 1});
      add("per_layer_proj_norm.weight", F32, {256, 1, 1, 1});
    }
    for (int64_t i = 0; i < f.n_layers; ++i) add_layer(f, i);
    for (size_t i = 0; i < file.tensors.size(); ++i) file.index[file.tensors[i].name] = i;
  }

  gguf::File file;

 private:
  void add(std::string name, TensorType type, const Shape& shape) {
    file.tensors.push_back({names_.emplace_back(std::move(name)), type, shape, nullptr});
  }

  void add_layer(const Family& f, int64_t layer) {
    const auto matrix = [&](std::string_view name, int64_t n_in, int64_t n_out, int64_t n = 1) {
      add(fmt::format("blk.{}.{}.weight", layer, name), n_out == 1 ? F32 : BF16, {n_in, n_out, n, 1});
    };
    const bool full = (layer + 1) % f.full_period == 0, owns = layer < f.n_layers - f.n_shared;
    const int64_t head = full ? 512 : 256, q = head * f.n_heads;
    const int64_t kv = head * (full ? f.n_kv_heads_full : f.n_kv_heads), ffn = owns ? f.ffn : f.ffn_shared;
    matrix("attn_norm", f.width, 1);
    matrix("attn_q", f.width, q);
    matrix("attn_q_norm", head, 1);
    if (owns) matrix("attn_k", f.width, kv);
    if (owns) matrix("attn_k_norm", head, 1);
    if (owns && !(full && f.k_is_v)) matrix("attn_v", f.width, kv);
    matrix("attn_output", q, f.width);
    for (const auto norm : {"post_attention_norm", "ffn_norm", "post_ffw_norm"}) matrix(norm, f.width, 1);
    matrix("ffn_gate", f.width, ffn);
    matrix("ffn_up", f.width, ffn);
    matrix("ffn_down", ffn, f.width);
    matrix("layer_output_scale", 1, 1);
    if (f.has_ple) {
      matrix("inp_gate", f.width, 256);
      matrix("proj", 256, f.width);
      matrix("post_norm", f.width, 1);
    }
    if (f.has_experts) add_experts(f, layer);
  }

  void add_experts(const Family& f, int64_t layer) {
    const std::string block = fmt::format("blk.{}.", layer);
    add(block + "ffn_gate_inp.weight", F32, {f.width, 128, 1, 1});
    add(block + "ffn_gate_inp.scale", F32, {f.width, 1, 1, 1});
    add(block + "ffn_gate_up_exps.weight", BF16, {f.width, 1408, 128, 1});
    add(block + "ffn_down_exps.weight", BF16, {704, f.width, 128, 1});
    add(block + "ffn_down_exps.scale", F32, {128, 1, 1, 1});
    for (const auto norm : {"pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"})
      add(block + norm + ".weight", F32, {f.width, 1, 1, 1});
  }

  std::deque<std::string> names_;
};

std::vector<TensorType> plan(const gguf::File& file, const QuantizeOptions& options) {
  const auto types = plan_types(file, options);
  EXPECT_TRUE(types) << types.error().message;
  return *types;
}

double mebibytes(const gguf::File& file, const QuantizeOptions& options) {
  const auto types = plan(file, options);
  uint64_t n_bytes = 0;
  for (size_t i = 0; i < types.size(); ++i)
    n_bytes +=
        row_bytes(types[i], file.tensors[i].n_columns()) * static_cast<uint64_t>(file.tensors[i].n_rows());
  return static_cast<double>(n_bytes) / (1 << 20);
}

QuantizeOptions options_of(std::string_view recipe) {
  const auto parsed = parse_recipe(recipe);
  EXPECT_TRUE(parsed);
  QuantizeOptions options;
  options.type = parsed->type;
  options.mix = parsed->mix;
  return options;
}

std::string types_of(const gguf::File& file, const std::vector<TensorType>& types, std::string_view part) {
  std::string text;
  for (size_t i = 0; i < types.size(); ++i)
    if (file.tensors[i].name.find(part) != std::string_view::npos)
      text += fmt::format("{} ", type_name(types[i]));
  return text;
}

TEST(Recipe, SizesAreThoseOfLlamaQuantize) {
  struct Expected {
    std::string_view recipe;
    double e2b, e4b, a4b, b31;
  };
  // Its "Q4_0" raises the embedding tables to Q6_K; so does the option here.
  constexpr Expected table[] = {
      {"Q4_0", 3179, 4901, 13755, 16818},   {"Q4_K_S", 3184, 4917, 14733, 16925},
      {"Q4_K_M", 3243, 5042, 16003, 17806}, {"Q5_K_M", 3434, 5444, 18231, 20818},
      {"Q6_K", 3637, 5871, 21575, 24019},   {"Q8_0", 4703, 7588, 25600, 31109},
      {"Q4_K", 2503, 4043, 14503, 16472},
  };
  for (const Expected& row : table) {
    QuantizeOptions options = options_of(row.recipe);
    if (row.recipe == "Q4_0") options.embedding_type = Q6_K;
    EXPECT_NEAR(mebibytes(Shapes(kE2B).file, options), row.e2b, 0.51) << row.recipe;
    EXPECT_NEAR(mebibytes(Shapes(kE4B).file, options), row.e4b, 0.51) << row.recipe;
    EXPECT_NEAR(mebibytes(Shapes(kA4B).file, options), row.a4b, 0.51) << row.recipe;
    EXPECT_NEAR(mebibytes(Shapes(k31B).file, options), row.b31, 0.51) << row.recipe;
  }
}

TEST(Recipe, NamesAreParsed) {
  EXPECT_EQ(parse_recipe("q4_k_m")->type, Q4_K);
  EXPECT_EQ(parse_recipe("q4_k_m")->mix, Mix::Medium);
  EXPECT_EQ(parse_recipe("Q5_K_S")->mix, Mix::Small);
  EXPECT_EQ(parse_recipe("Q6_K")->mix, Mix::Pure);
  EXPECT_EQ(parse_recipe("nvfp4")->type, NVFP4);
  for (const auto name : {"", "Q4", "Q3_K_M", "Q8_1", "I32", "Q4_K_M "}) {
    const auto parsed = parse_recipe(name);
    ASSERT_FALSE(parsed) << name;
    EXPECT_NE(parsed.error().message.find(fmt::format("'{}'", name)), std::string::npos);
  }
}

TEST(Recipe, FileTypeNumbers) {
  EXPECT_EQ(file_type_of({F32, Mix::Pure}), 0u);
  EXPECT_EQ(file_type_of({Q4_0, Mix::Pure}), 2u);
  EXPECT_EQ(file_type_of({Q4_K, Mix::Small}), 14u);
  EXPECT_EQ(file_type_of({Q4_K, Mix::Medium}), 15u);
  EXPECT_EQ(file_type_of({Q4_K, Mix::Pure}), 15u);
  EXPECT_EQ(file_type_of({Q5_K, Mix::Medium}), 17u);
  EXPECT_EQ(file_type_of({BF16, Mix::Pure}), 32u);
  EXPECT_EQ(file_type_of({Q4_0, Mix::Medium}), std::nullopt);
  EXPECT_EQ(file_type_of({Q8_K, Mix::Pure}), std::nullopt);
}

TEST(Recipe, WhatMayBeQuantized) {
  const auto may = [](std::string_view name, Shape shape) {
    return is_quantizable({name, F32, shape, nullptr});
  };
  EXPECT_TRUE(may("token_embd.weight", {64, 100, 1, 1}));
  EXPECT_TRUE(may("blk.3.ffn_down_exps.weight", {64, 64, 8, 1}));
  EXPECT_TRUE(may("nextn.pre_projection.weight", {128, 64, 1, 1}));
  EXPECT_FALSE(may("blk.3.attn_norm.weight", {64, 1, 1, 1}));
  EXPECT_FALSE(may("blk.3.attn_norm.weight", {64, 64, 1, 1}));
  EXPECT_FALSE(may("blk.3.layer_output_scale.weight", {1, 1, 1, 1}));
  EXPECT_FALSE(may("blk.3.ffn_gate_inp.weight", {64, 8, 1, 1}));
  EXPECT_FALSE(may("blk.3.ffn_down_exps.scale", {8, 2, 1, 1}));
  EXPECT_FALSE(may("per_layer_model_proj.weight", {64, 64, 1, 1}));
  EXPECT_FALSE(may("v.blk.0.attn_q.weight", {64, 64, 1, 1}));
  EXPECT_FALSE(may("masked_embd_ordering", {64, 64, 1, 1}));
}

TEST(Recipe, ShapeFallback) {
  struct Expected {
    TensorType wanted;
    int64_t n_columns;
    TensorType got;
  };
  constexpr Expected table[] = {
      {Q4_K, 256, Q4_K},   {Q4_K, 704, Q5_0},     {Q5_K, 704, Q5_1},   {Q6_K, 704, Q8_0}, {Q2_K, 704, Q4_0},
      {Q3_K, 704, Q4_0},   {IQ4_XS, 704, IQ4_NL}, {IQ3_S, 64, IQ4_NL}, {TQ2_0, 64, Q4_0}, {NVFP4, 64, NVFP4},
      {NVFP4, 96, IQ4_NL}, {Q4_K, 48, F16},       {Q4_0, 48, F16},     {IQ4_XS, 33, F16}, {F32, 33, F32},
      {BF16, 33, BF16},    {Q2_0, 96, Q4_0},
  };
  for (const Expected& row : table)
    EXPECT_EQ(fitting_type(row.wanted, row.n_columns), row.got)
        << type_name(row.wanted) << " " << row.n_columns;
}

TEST(Recipe, LayersWithMoreBits) {
  const Shapes a4b(kA4B), e2b(kE2B);
  const auto types = plan(a4b.file, options_of("Q4_K_M"));
  std::string
      down;  // rows of 704: Q6_K falls back to Q8_0 (layers 0, 1, 2, 5, 8, ..., 26, 27-29), Q4_K to Q5_0
  for (int64_t i = 0; i < 30; ++i) down += i < 3 || i > 25 || i % 3 == 2 ? "Q8_0 " : "Q5_0 ";
  EXPECT_EQ(types_of(a4b.file, types, "ffn_down_exps.weight"), down);
  EXPECT_EQ(types_of(a4b.file, types, "ffn_down.weight"), down);
  std::string values;  // 15 layers own a V; numbers 0, 3, 6, 9, 12, 13, 14 of them
  for (int64_t i = 0; i < 15; ++i) values += i % 3 == 0 || i > 12 ? "Q6_K " : "Q4_K ";
  EXPECT_EQ(types_of(e2b.file, plan(e2b.file, options_of("Q4_K_M")), "attn_v"), values);
}

TEST(Recipe, EightExpertsKeepAttentionWide) {
  Shapes shapes(kA4B);
  shapes.file.metadata.set("gemma4.expert_count", uint32_t{8});
  const auto types = plan(shapes.file, options_of("Q4_K_S"));
  const auto type_of = [&](std::string_view name) { return types[shapes.file.index.at(name)]; };
  EXPECT_EQ(type_of("blk.7.attn_v.weight"), Q8_0);
  EXPECT_EQ(type_of("blk.7.attn_k.weight"), Q8_0);
  EXPECT_EQ(type_of("blk.7.attn_output.weight"), Q5_K);
  EXPECT_EQ(type_of("blk.7.attn_q.weight"), Q4_K);
}

// Layers are counted by number, wherever the file puts them.
TEST(Recipe, FileOrderDoesNotMatter) {
  Shapes shapes(kE2B);
  const auto types = plan(shapes.file, options_of("Q4_K_M"));
  std::ranges::reverse(shapes.file.tensors);
  auto reversed = plan(shapes.file, options_of("Q4_K_M"));
  std::ranges::reverse(reversed);
  EXPECT_EQ(types, reversed);
}

TEST(Recipe, OverridesAndEmbeddings) {
  const Shapes shapes(kE2B);
  QuantizeOptions options = options_of("Q4_0");
  options.overrides = {
      {"blk\\.0\\.ffn", Q8_0}, {"ffn_(gate|up)", Q5_0}, {"norm", Q4_0}, {"token_embd", Q5_1}};
  options.embedding_type = Q6_K;
  const auto types = plan(shapes.file, options);
  const auto type_of = [&](std::string_view name) { return types[shapes.file.index.at(name)]; };
  EXPECT_EQ(type_of("blk.0.ffn_gate.weight"), Q8_0);
  EXPECT_EQ(type_of("blk.0.ffn_down.weight"), Q8_0);
  EXPECT_EQ(type_of("blk.1.ffn_gate.weight"), Q5_0);
  EXPECT_EQ(type_of("blk.1.ffn_down.weight"), Q4_0);
  EXPECT_EQ(type_of("blk.1.attn_norm.weight"), F32);
  EXPECT_EQ(type_of("token_embd.weight"), Q6_K);
  EXPECT_EQ(type_of("per_layer_token_embd.weight"), Q6_K);
  EXPECT_EQ(type_of("per_layer_model_proj.weight"), BF16);
  options.overrides = {{"(", Q8_0}};
  EXPECT_NE(plan_types(shapes.file, options).error().message.find("'(' is not a regular expression"),
            std::string::npos);
}

TEST(Recipe, AMixNeedsTheNumberOfLayers) {
  Shapes shapes(kE2B);
  shapes.file.metadata.remove("gemma4.block_count");
  EXPECT_EQ(plan_types(shapes.file, options_of("Q4_K_M")).error().message,
            "E2B: key 'gemma4.block_count' is missing");
  EXPECT_TRUE(plan_types(shapes.file, options_of("Q4_K")));
}

}  // namespace
}  // namespace carat
