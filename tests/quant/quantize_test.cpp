// Whole files through quantize(): what changes, what is copied, what is refused, and that nothing half-made
// stays.
#include "quant/quantize.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/random.h"
#include "gguf/writer.h"
#include "quant/codec.h"

namespace carat {
namespace {

namespace fs = std::filesystem;
using enum TensorType;

struct Quantize : testing::Test {
  fs::path folder = fs::temp_directory_path() / fmt::format("carat-quantize-test-{}", ::getpid());
  ThreadPool pool{2};

  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override {
    interrupt_requested = false;
    fs::remove_all(folder);
  }
  std::string path(std::string_view name) { return (folder / name).string(); }

  static std::vector<float> noise(int64_t n, uint64_t seed) {
    Random random(seed);
    std::vector<float> values(static_cast<size_t>(n));
    for (float& v : values) v = static_cast<float>(random.normal());
    return values;
  }

  gguf::TensorToWrite matrix(std::string name, TensorType type, const Shape& shape, uint64_t seed) {
    const int64_t n_rows = shape[1] * shape[2] * shape[3];
    std::vector<std::byte> bytes(row_bytes(type, shape[0]) * static_cast<uint64_t>(n_rows));
    encode_tensor(type, noise(shape[0] * n_rows, seed).data(), shape[0], n_rows, nullptr, bytes.data(), pool);
    return gguf::owned(std::move(name), type, shape, std::move(bytes));
  }

  std::vector<gguf::TensorToWrite> model(TensorType type = F32) {
    return {matrix("token_embd.weight", type, {64, 50, 1, 1}, 1),
            matrix("output_norm.weight", F32, {64, 1, 1, 1}, 2),
            matrix("blk.0.attn_q.weight", type, {64, 96, 1, 1}, 3),
            matrix("blk.0.ffn_gate_inp.weight", F32, {64, 8, 1, 1}, 4),
            matrix("blk.0.ffn_down_exps.weight", type, {32, 64, 8, 1}, 5),
            matrix("blk.0.narrow.weight", F32, {48, 4, 1, 1}, 6)};
  }

  gguf::File written(const std::vector<gguf::TensorToWrite>& tensors, const gguf::Metadata& metadata = {}) {
    EXPECT_TRUE(gguf::write(path("in.gguf"), metadata, tensors));
    return opened("in.gguf");
  }
  gguf::File opened(std::string_view name) {
    auto file = gguf::open(path(name));
    EXPECT_TRUE(file) << file.error().message;
    return file.take();
  }
  gguf::File quantized(const gguf::File& in, const QuantizeOptions& options) {
    const auto summary = quantize(in, path("out.gguf"), options);
    EXPECT_TRUE(summary) << summary.error().message;
    return opened("out.gguf");
  }
  // The error of quantizing, which must leave no file.
  std::string error_of(const gguf::File& in, const QuantizeOptions& options) {
    const auto summary = quantize(in, path("out.gguf"), options);
    EXPECT_FALSE(fs::exists(path("out.gguf")));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
    return summary ? "(written)" : summary.error().message;
  }

  std::vector<float> values_of(const Tensor& tensor) {
    std::vector<float> values(static_cast<size_t>(tensor.n_elements()));
    decode_tensor(tensor, values.data(), pool);
    return values;
  }
};

QuantizeOptions to(TensorType type, int n_threads = 2) {
  QuantizeOptions options;
  options.type = type;
  options.n_threads = n_threads;
  return options;
}

TEST_F(Quantize, EveryTensorIsItsCodecsWork) {
  const gguf::File in = written(model());
  const gguf::File out = quantized(in, to(Q8_0));
  ASSERT_EQ(out.tensors.size(), in.tensors.size());
  for (size_t i = 0; i < in.tensors.size(); ++i) {
    const Tensor &source = in.tensors[i], &result = out.tensors[i];
    EXPECT_EQ(result.name, source.name);  // and so the order
    EXPECT_EQ(result.shape, source.shape);
    const bool kept = source.name.find("norm") != std::string_view::npos ||
                      source.name.find("_inp") != std::string_view::npos;
    EXPECT_EQ(result.type, kept ? F32 : source.n_columns() == 48 ? F16 : Q8_0) << source.name;
    std::vector<std::byte> expected(result.n_bytes());
    encode_tensor(result.type, source.f32(), source.n_columns(), source.n_rows(), nullptr, expected.data(),
                  pool);
    EXPECT_TRUE(std::ranges::equal(result.bytes(), expected)) << source.name;
  }
}

TEST_F(Quantize, EveryCodecMakesAFile) {
  const gguf::File in = written({matrix("q.weight", F32, {512, 24, 1, 1}, 1)});
  for (const Codec& codec : codecs()) {
    if (codec.encode == nullptr) continue;
    const gguf::File out = quantized(in, to(codec.type));
    const Tensor& result = out.tensors[0];
    EXPECT_EQ(result.type, codec.type);
    std::vector<std::byte> expected(result.n_bytes());
    encode_tensor(codec.type, in.tensors[0].f32(), 512, 24, nullptr, expected.data(), pool);
    EXPECT_TRUE(std::ranges::equal(result.bytes(), expected)) << type_name(codec.type);
    const gguf::File plain = [&] {
      EXPECT_TRUE(quantize(out, path("plain.gguf"), to(F32)));
      return opened("plain.gguf");
    }();
    EXPECT_EQ(values_of(plain.tensors[0]), values_of(result)) << type_name(codec.type);
  }
}

TEST_F(Quantize, ThreadsDoNotChangeTheFile) {
  const gguf::File in = written(model());
  ASSERT_TRUE(quantize(in, path("1"), to(Q4_0, 1)));
  ASSERT_TRUE(quantize(in, path("3"), to(Q4_0, 3)));
  EXPECT_EQ(*read_file(path("1")), *read_file(path("3")));
}

TEST_F(Quantize, ATensorOfSeveralBlocksOfRows) {
  const gguf::File in = written({matrix("big.weight", F32, {512, 5000, 1, 1}, 9)});
  const gguf::File out = quantized(in, to(BF16));
  std::vector<std::byte> expected(out.tensors[0].n_bytes());
  encode_tensor(BF16, in.tensors[0].f32(), 512, 5000, nullptr, expected.data(), pool);
  EXPECT_TRUE(std::ranges::equal(out.tensors[0].bytes(), expected));
}

TEST_F(Quantize, MetadataFollowsTheFormat) {
  gguf::Metadata metadata;
  metadata.set("general.file_type", uint32_t{0});
  metadata.set("general.name", std::string("a model"));
  metadata.set("general.alignment", uint32_t{64});
  metadata.set("split.count", uint16_t{1});
  const std::vector<std::string> words = {"one", "two"};
  metadata.set_texts("tokenizer.ggml.tokens", words);
  const gguf::File in = written(model(), metadata);
  const gguf::File out = quantized(in, to(Q8_0));
  std::string keys;
  for (const auto& entry : out.metadata.entries()) keys += entry.key + " ";
  EXPECT_EQ(keys, "general.name tokenizer.ggml.tokens general.quantization_version general.file_type ");
  EXPECT_EQ(*out.metadata.integer("general.file_type", 0, 100), 7);
  EXPECT_EQ(*out.metadata.integer("general.quantization_version", 0, 100), 2);
  EXPECT_EQ((*out.metadata.texts("tokenizer.ggml.tokens"))[1], "two");
}

TEST_F(Quantize, SummaryCountsTheData) {
  const gguf::File in = written(model());
  uint64_t last = 0, total = 0;
  const auto summary =
      quantize(in, path("out.gguf"), to(Q8_0),
               [&](uint64_t done, uint64_t of, std::string_view) { last = done, total = of; });
  ASSERT_TRUE(summary);
  const uint64_t n_quantized = 64 * 50 + 64 * 96 + 32 * 64 * 8, n_f16 = 48 * 4, n_f32 = 64 + 64 * 8;
  EXPECT_EQ(summary->n_weights, n_quantized);
  EXPECT_EQ(summary->bytes_in, 4 * (n_quantized + n_f16 + n_f32));
  EXPECT_EQ(summary->bytes_out, n_quantized / 32 * 34 + n_f16 * 2 + n_f32 * 4);
  EXPECT_DOUBLE_EQ(summary->bits_per_weight, 8.0 * static_cast<double>(summary->bytes_out) /
                                                 static_cast<double>(n_quantized + n_f16 + n_f32));
  EXPECT_EQ(last, summary->bytes_out);
  EXPECT_EQ(total, summary->bytes_out);
}

TEST_F(Quantize, SourceTypesOf16BitsServe) {
  for (const TensorType type : {F16, BF16}) {
    const gguf::File in = written(model(type));
    const gguf::File out = quantized(in, to(Q8_0));
    const std::vector<float> values = values_of(*in.find("blk.0.attn_q.weight"));
    std::vector<std::byte> expected(row_bytes(Q8_0, 64) * 96);
    encode_tensor(Q8_0, values.data(), 64, 96, nullptr, expected.data(), pool);
    EXPECT_TRUE(std::ranges::equal(out.find("blk.0.attn_q.weight")->bytes(), expected));
  }
}

TEST_F(Quantize, TheSameTypeIsCopiedBitByBit) {
  const gguf::File in = written(model(Q8_0));
  const gguf::File out = quantized(in, to(Q8_0));
  for (const Tensor& tensor : in.tensors)
    if (tensor.n_columns() != 48) {
      EXPECT_TRUE(std::ranges::equal(tensor.bytes(), out.find(tensor.name)->bytes())) << tensor.name;
    }
}

TEST_F(Quantize, QuantizedFilesAreDecodedButNotRequantized) {
  const gguf::File in = written(model(Q8_0));
  EXPECT_EQ(error_of(in, to(Q4_0)), in.path +
                                        ": tensor 'token_embd.weight': requantizing Q8_0 to Q4_0 needs a 16- "
                                        "or 32-bit source");
  const gguf::File out = quantized(in, to(F32));
  const Tensor* experts = out.find("blk.0.ffn_down_exps.weight");
  EXPECT_EQ(experts->type, F32);
  EXPECT_EQ(values_of(*experts), values_of(*in.find("blk.0.ffn_down_exps.weight")));
  EXPECT_EQ(*out.metadata.integer("general.file_type", 0, 100), 0);
}

TEST_F(Quantize, RefusesWhatIsNotANumber) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const std::string_view name : {"blk.0.attn_q.weight", "blk.0.attn_norm.weight"}) {
      std::vector<float> values = noise(64 * 20, 7);
      values[64 * 17 + 63] = bad;
      values[64 * 19] = bad;
      const gguf::File in = written({gguf::owned_f32(std::string(name), {64, 20, 1, 1}, values)});
      EXPECT_EQ(error_of(in, to(Q4_0)),
                fmt::format("{}: tensor '{}': row 17 contains a NaN or an infinity", in.path, name));
    }
  }
}

TEST_F(Quantize, RefusesWhatTheTypeCannotHold) {
  std::vector<float> values(64 * 3, 1.0f);
  values[64 + 5] = 1e6f;
  const gguf::File in = written({gguf::owned_f32("q.weight", {64, 3, 1, 1}, values)});
  EXPECT_EQ(error_of(in, to(F16)), in.path + ": tensor 'q.weight': row 1 contains a value too large for F16");
  EXPECT_TRUE(quantize(in, path("out.gguf"), to(BF16)));
  EXPECT_TRUE(quantize(in, path("out.gguf"), to(Q8_0)));  // 1e6 / 127 fits a half
}

TEST_F(Quantize, RefusesWhatWouldSaturate) {
  for (const float sign : {1.0f, -1.0f}) {
    std::vector<float> values(64 * 3, 1.0f);
    values[64 * 2 + 5] = sign * 2689;
    const gguf::File in = written({gguf::owned_f32("q.weight", {64, 3, 1, 1}, values)});
    EXPECT_EQ(error_of(in, to(NVFP4)),
              in.path + ": tensor 'q.weight': row 2 contains a value too large for NVFP4");
    values[64 * 2 + 5] = sign * 2688;
    const gguf::File out = quantized(written({gguf::owned_f32("q.weight", {64, 3, 1, 1}, values)}), to(NVFP4));
    EXPECT_EQ(values_of(out.tensors[0])[64 * 2 + 5], sign * 2688);
    fs::remove(path("out.gguf"));
  }
}

// Names come from files: they must not steer a terminal.
TEST_F(Quantize, MessagesShowPrintableNames) {
  std::vector<float> values(64 * 3, 1.0f);
  values[5] = std::numeric_limits<float>::quiet_NaN();
  const std::string name = "\x1b[2J\x9b.weight", shown = "\\x1b[2J\\x9b.weight";
  const gguf::File in = written({gguf::owned_f32(name, {64, 3, 1, 1}, values)});
  EXPECT_EQ(error_of(in, to(Q8_0)), in.path + ": tensor '" + shown + "': row 0 contains a NaN or an infinity");
  values[5] = 1e6f;
  const gguf::File large = written({gguf::owned_f32(name, {64, 3, 1, 1}, values)});
  EXPECT_EQ(error_of(large, to(F16)), in.path + ": tensor '" + shown + "': row 0 contains a value too large for F16");
  const gguf::File blocks = written({matrix(name, Q8_0, {64, 4, 1, 1}, 1)});
  EXPECT_NE(error_of(blocks, to(Q4_0)).find("tensor '" + shown + "': requantizing"), std::string::npos);
}

TEST_F(Quantize, FewerRowsThanThreads) {
  const gguf::File in = written({matrix("wide.weight", F32, {1 << 20, 3, 1, 1}, 3)});
  const gguf::File out = quantized(in, to(Q8_0, 7));
  std::vector<std::byte> expected(out.tensors[0].n_bytes());
  encode_tensor(Q8_0, in.tensors[0].f32(), 1 << 20, 3, nullptr, expected.data(), pool);
  EXPECT_TRUE(std::ranges::equal(out.tensors[0].bytes(), expected));
}

TEST_F(Quantize, TablesOfIntegersAreCopied) {
  std::vector<std::byte> bytes(64 * 4);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  const gguf::File in = written({gguf::owned("table.weight", I8, {64, 4, 1, 1}, bytes),
                                 gguf::owned("ordering", I8, {64, 4, 1, 1}, bytes),
                                 matrix("q.weight", BF16, {64, 4, 1, 1}, 1)});
  for (const TensorType type : {F32, Q8_0}) {
    const gguf::File out = quantized(in, to(type));
    EXPECT_TRUE(std::ranges::equal(out.find("table.weight")->bytes(), bytes));
    EXPECT_TRUE(std::ranges::equal(out.find("ordering")->bytes(), bytes));
    EXPECT_EQ(out.find("ordering")->type, I8);
    EXPECT_EQ(out.find("q.weight")->type, type);
  }
}

TEST_F(Quantize, ARuleThatMatchesNothingIsNamed) {
  const gguf::File in = written(model());
  QuantizeOptions options = to(Q8_0);
  options.overrides = {{"attn_q", Q4_0}, {"atn_k", Q5_0}};
  EXPECT_EQ(error_of(in, options), "the rule 'atn_k=Q5_0' matches no tensor's name");
  options.overrides = {{"attn_q", Q4_0}, {"blk.0.attn_q", Q5_0}};  // an earlier rule won: not a mistake
  EXPECT_EQ(quantized(in, options).find("blk.0.attn_q.weight")->type, Q4_0);
}

TEST_F(Quantize, LargeFiniteFactorsAreKept) {
  const std::vector<float> factors = {1, 1, 1e30f, 1e30f};  // rope_freqs
  const gguf::File in = written({gguf::owned_f32("rope_freqs.weight", {4, 1, 1, 1}, factors)});
  const gguf::File out = quantized(in, to(Q4_0));
  EXPECT_TRUE(std::ranges::equal(std::span(out.tensors[0].f32(), 4), factors));
}

TEST_F(Quantize, TypesWithoutAnEncoderAreRefused) {
  const gguf::File in = written(model());
  EXPECT_NE(error_of(in, to(I8)).find("I8 is not a type"), std::string::npos);
  ASSERT_FALSE(can_encode(IQ1_M));
  QuantizeOptions options = to(Q8_0);
  options.overrides = {{"wide", IQ1_M}};
  const gguf::File wide = written({matrix("wide.weight", F32, {256, 4, 1, 1}, 1)});
  EXPECT_EQ(error_of(wide, options), "carat cannot encode IQ1_M");
  options.overrides.clear();
  options.embedding_type = IQ1_M;
  EXPECT_EQ(error_of(wide, options), "carat cannot encode IQ1_M");
  options.embedding_type.reset();
  const gguf::File nothing_to_do = written({matrix("norm", F32, {256, 1, 1, 1}, 1)});
  EXPECT_EQ(error_of(nothing_to_do, to(IQ1_M)), "carat cannot encode IQ1_M");
  const gguf::File strange =
      written({gguf::owned("strange.weight", Q8_K, {256, 4, 1, 1}, std::vector<std::byte>(292 * 4))});
  EXPECT_NE(error_of(strange, options).find("'strange.weight': carat cannot decode Q8_K"), std::string::npos);
}

// Going back to floats needs no encoder.
TEST_F(Quantize, TypesWithoutAnEncoderAreDecoded) {
  std::vector<std::byte> blocks(66 * 4);
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<std::byte>(37 * i);
  for (size_t b = 0; b < 4; ++b) codec_of(IQ2_XXS).set_scale(0.25f, blocks.data() + 66 * b);
  const gguf::File in = written({gguf::owned("low.weight", IQ2_XXS, {256, 4, 1, 1}, blocks)});
  EXPECT_NE(error_of(in, to(Q8_0)).find("requantizing IQ2_XXS to Q8_0 needs"), std::string::npos);
  const gguf::File out = quantized(in, to(F32));
  std::vector<float> expected(4 * 256);
  codec_of(IQ2_XXS).decode(blocks.data(), 4 * 256, expected.data());
  EXPECT_EQ(values_of(out.tensors[0]), expected);
}

TEST_F(Quantize, AnInterruptLeavesNothing) {
  const gguf::File in = written(model());
  interrupt_requested = true;
  EXPECT_NE(error_of(in, to(Q4_0)).find("interrupted"), std::string::npos);
}

TEST_F(Quantize, AFileCanReplaceItself) {
  const gguf::File in = written(model());
  const std::vector<float> before = values_of(*in.find("output_norm.weight"));
  ASSERT_TRUE(quantize(in, path("in.gguf"), to(Q8_0)));
  const gguf::File out = opened("in.gguf");
  EXPECT_EQ(values_of(*out.find("output_norm.weight")), before);
  EXPECT_EQ(out.find("token_embd.weight")->type, Q8_0);
}

TEST_F(Quantize, NamesADiskThatIsFullAndAFolderThatIsMissing) {
  const gguf::File in = written(model());
  const auto missing = quantize(in, path("no/such.gguf"), to(Q4_0));
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("no/such.gguf"), std::string::npos);
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const auto full = quantize(in, "/dev/full", to(Q4_0));
  ASSERT_FALSE(full);
  EXPECT_NE(full.error().message.find("/dev/full"), std::string::npos);
}

TEST_F(Quantize, SaysWhatFellBack) {
  const gguf::File file = written(model());
  const auto summary = quantize(file, path("out.gguf"), {.type = Q6_K}).take();
  EXPECT_EQ(summary.n_tensors_as_wanted, 0);
  uint64_t n_weights = 0;
  int64_t n_tensors = 0;
  for (const Fallback& fallback : summary.fallbacks) {
    EXPECT_EQ(fallback.wanted, Q6_K);
    EXPECT_NE(fallback.got, Q6_K);
    n_weights += fallback.n_weights;
    n_tensors += fallback.n_tensors;
  }
  EXPECT_EQ(n_tensors, 4);  // token_embd, attn_q, the experts, the narrow one
  EXPECT_EQ(n_weights, 64u * 50 + 64 * 96 + 32 * 64 * 8 + 48 * 4);
  EXPECT_EQ(summary.n_elements, n_weights + 64 + 64 * 8);

  const auto partial = quantize(file, path("out.gguf"), {.type = Q4_0}).take();
  EXPECT_EQ(partial.n_tensors_as_wanted, 3);
  ASSERT_EQ(partial.fallbacks.size(), 1u);  // rows of 48
  EXPECT_EQ(partial.fallbacks[0].n_weights, 48u * 4);

  // A rule's success is not the recipe's, unless rules decide all.
  const auto ruled = quantize(file, path("out.gguf"), {.type = Q6_K, .overrides = {{"attn_q", Q8_0}}}).take();
  EXPECT_EQ(ruled.n_tensors_as_wanted, 0);
  const auto all = quantize(file, path("out.gguf"), {.type = Q6_K, .overrides = {{".", F16}}}).take();
  EXPECT_EQ(all.n_tensors_as_wanted, 4);
  EXPECT_TRUE(all.fallbacks.empty());
}

TEST_F(Quantize, IntoAFileWithoutAName) {
  const gguf::File file = written(model());
  ::setenv("TMPDIR", folder.c_str(), 1);
  auto out = OutputFile::create_temporary("nameless").take();
  ::unsetenv("TMPDIR");
  ASSERT_TRUE(quantize(file, out, {.type = Q8_0}));
  const gguf::File mapped = gguf::open(out.map().take()).take();
  EXPECT_EQ(mapped.path, "nameless");
  ASSERT_TRUE(quantize(file, path("out.gguf"), {.type = Q8_0}));
  const gguf::File named = opened("out.gguf");
  EXPECT_TRUE(std::ranges::equal(mapped.parts[0].mapping->bytes(), named.parts[0].mapping->bytes()));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 2);  // in.gguf, out.gguf
}

}  // namespace
}  // namespace carat
