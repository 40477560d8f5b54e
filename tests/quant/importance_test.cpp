// Importance matrices: both formats byte by byte, what a broken file is told, and what quantize() does with
// one.
#include "quant/importance.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/file.h"
#include "base/random.h"
#include "gguf/craft.h"
#include "gguf/writer.h"
#include "quant/codec.h"
#include "quant/quantize.h"

namespace carat {
namespace {

namespace fs = std::filesystem;
using gguf::craft::Bytes;
using enum TensorType;

constexpr const char* kDense = "blk.0.attn_q.weight";
constexpr const char* kExperts = "blk.0.ffn_down_exps.weight";

// Two experts of three that tokens reached.
ImportanceMatrix example() {
  ImportanceMatrix importance;
  importance.datasets = {"wiki.txt", "code.txt"};
  importance.n_chunks = 3, importance.chunk_length = 4;
  importance.entries[kDense] = {4, {12, 24, 36, 0}, {12}};
  importance.entries[kExperts] = {2, {8, 16, 3, 0.5f, 0, 0}, {8, 1, 0}};
  return importance;
}

Bytes legacy_entry(std::string_view name, int32_t n_calls, std::vector<float> values) {
  Bytes bytes;
  bytes.number(static_cast<int32_t>(name.size()))
      .raw(name)
      .number(n_calls)
      .number(static_cast<int32_t>(values.size()));
  for (const float v : values) bytes.f32(v);
  return bytes;
}

// The layout of llama.cpp's imatrix.cpp: means times calls, then chunks and the data set.
std::vector<std::byte> legacy_example() {
  Bytes bytes;
  bytes.number(int32_t{2});
  bytes.append(legacy_entry(kDense, 3, {3, 6, 9, 0}));  // 12 rows are three chunks of four
  bytes.append(legacy_entry(kExperts, 2, {2, 4, 6, 1, 2, 2}));
  bytes.number(int32_t{3}).number(int32_t{8}).raw("wiki.txt");
  return bytes.get();
}

void put_floats(std::vector<std::byte>& bytes, size_t at, std::vector<float> values) {
  std::memcpy(bytes.data() + at, values.data(), values.size() * sizeof(float));
}

// What llama.cpp's imatrix writes for `example()`: keys and tensors in its order, each tensor padded to 32
// bytes.
std::vector<std::byte> gguf_example() {
  gguf::craft::Draft draft;
  draft.keys.push_back(gguf::craft::key_string("general.type", "imatrix"));
  Bytes datasets;
  datasets.string("imatrix.datasets").type(gguf::ValueType::Array).type(gguf::ValueType::String).u64(2);
  datasets.string("wiki.txt").string("code.txt");
  draft.keys.push_back(datasets);
  draft.keys.push_back(gguf::craft::key_u32("imatrix.chunk_count", 3));
  draft.keys.push_back(gguf::craft::key_u32("imatrix.chunk_size", 4));
  const std::string dense = kDense, experts = kExperts;
  draft.tensors.push_back(gguf::craft::tensor(dense + ".in_sum2", {4}, 0, 0));
  draft.tensors.push_back(gguf::craft::tensor(dense + ".counts", {1}, 0, 32));
  draft.tensors.push_back(gguf::craft::tensor(experts + ".in_sum2", {2, 3}, 0, 64));
  draft.tensors.push_back(gguf::craft::tensor(experts + ".counts", {1, 3}, 0, 96));
  draft.n_data_bytes = 128;
  auto bytes = draft.build();
  const size_t data = bytes.size() - 128;
  put_floats(bytes, data, {12, 24, 36, 0});
  put_floats(bytes, data + 32, {12});
  put_floats(bytes, data + 64, {8, 16, 3, 0.5f, 0, 0});
  put_floats(bytes, data + 96, {8, 1, 0});
  return bytes;
}

struct Importance : testing::Test {
  fs::path folder = fs::temp_directory_path() / fmt::format("carat-importance-test-{}", ::getpid());
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }
  std::string path(std::string_view name) { return (folder / name).string(); }

  std::vector<std::byte> written(ImportanceFormat format) {
    const auto done = write_importance(example(), path("i"), format);
    EXPECT_TRUE(done) << done.error().message;
    const std::string content = read_file(path("i")).take();
    const auto* data = reinterpret_cast<const std::byte*>(content.data());
    return {data, data + content.size()};
  }
  static std::string error_of(const std::vector<std::byte>& bytes) {
    const auto read = parse_importance(bytes, "i.dat");
    return read ? "(read)" : read.error().message;
  }
};

TEST_F(Importance, GgufIsLlamaCppsByteByByte) { EXPECT_EQ(written(ImportanceFormat::Gguf), gguf_example()); }
TEST_F(Importance, LegacyIsLlamaCppsByteByByte) {
  EXPECT_EQ(written(ImportanceFormat::Legacy), legacy_example());
}

TEST_F(Importance, BothFormatsGiveTheSameMeans) {
  const ImportanceMatrix a = parse_importance(gguf_example(), "a").take(),
                         b = parse_importance(legacy_example(), "b").take();
  for (const char* name : {kDense, kExperts})
    EXPECT_EQ(a.entries.find(name)->second.means(), b.entries.find(name)->second.means()) << name;
  EXPECT_EQ(a.entries.find(kDense)->second.means(), (std::vector<float>{1, 2, 3, 0}));
  EXPECT_EQ(a.entries.find(kExperts)->second.means(),
            (std::vector<float>{1, 2, 3, 0.5f, 1, 1}));  // the last: unseen
  EXPECT_EQ(a.datasets, (std::vector<std::string>{"wiki.txt", "code.txt"}));
  EXPECT_EQ(a.n_chunks, 3);
  EXPECT_EQ(a.chunk_length, 4);
  EXPECT_EQ(b.datasets, (std::vector<std::string>{"wiki.txt"}));
  EXPECT_EQ(b.n_chunks, 3);
}

// Nothing but a whole file is one. The older format may end early in two places: older programs did not write
// the rest. A GGUF file may lack the padding behind its last tensor (three numbers of 32 bytes here).
TEST_F(Importance, EveryPrefixIsRefused) {
  for (const auto& whole : {gguf_example(), legacy_example()}) {
    const bool legacy = whole == legacy_example();
    for (size_t n = 0; n < whole.size(); ++n) {
      const std::vector<std::byte> prefix(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));
      const std::string message = error_of(prefix);
      const bool ends_early = legacy ? n == whole.size() - 16 || n == whole.size() - 12
                                     : n >= whole.size() - (32 - 3 * sizeof(float));
      EXPECT_EQ(message == "(read)", ends_early) << n;
      EXPECT_EQ(message.find('\n'), std::string::npos);
      if (!ends_early) {
        EXPECT_TRUE(message.starts_with("i.dat: ")) << message;
      }
    }
  }
}

TEST_F(Importance, BrokenLegacyFilesAreNamed) {
  const auto one = [](int32_t n, const Bytes& entry) { return Bytes().number(n).append(entry).get(); };
  EXPECT_EQ(error_of(one(-1, {})), "i.dat: number of entries is -1, expected no negative number");
  EXPECT_EQ(error_of(one(0, {})), "i.dat: not one matrix has importance in it");
  EXPECT_EQ(error_of(one(1, legacy_entry("", 1, {1}))), "i.dat: an entry without a name");
  EXPECT_EQ(error_of(one(1, legacy_entry("a", -2, {1}))),
            "i.dat: number of calls is -2, expected no negative number");
  EXPECT_EQ(error_of(one(1, legacy_entry("a", 1, {}))), "i.dat: 'a' has no values");
  EXPECT_EQ(error_of(one(1, legacy_entry("a\n", 1, {1, -1}))),
            "i.dat: 'a\\x0a': value 1 is -1, expected a finite number that is not negative");
  EXPECT_EQ(error_of(one(2, Bytes(legacy_entry("a", 1, {1})).append(legacy_entry("a", 1, {1})))),
            "i.dat: two entries are called 'a'");
  EXPECT_NE(error_of(Bytes().number(int32_t{1}).number(INT32_MAX).raw("a").get()).find("truncated"),
            std::string::npos);
  Bytes huge;
  huge.number(int32_t{1}).number(int32_t{1}).raw("a").number(int32_t{1}).number(INT32_MAX);
  EXPECT_NE(error_of(huge.get()).find("truncated"), std::string::npos);
  auto trailing = legacy_example();
  trailing.push_back(std::byte{0});
  EXPECT_EQ(error_of(trailing), "i.dat: 1 bytes after the end of an importance matrix");
}

TEST_F(Importance, BrokenGgufFilesAreNamed) {
  const auto error_of_file = [&](const gguf::Metadata& metadata,
                                 const std::vector<gguf::TensorToWrite>& tensors) {
    EXPECT_TRUE(gguf::write(path("x"), metadata, tensors));
    const auto read = read_importance(path("x"));
    return read ? std::string("(read)") : read.error().message.substr(path("x").size() + 2);
  };
  const std::vector<float> four = {1, 2, 3, 4}, one = {1}, nan = {std::numeric_limits<float>::quiet_NaN()};
  const auto sums = gguf::owned_f32("a.in_sum2", {4, 1, 1, 1}, four),
             counts = gguf::owned_f32("a.counts", {1, 1, 1, 1}, one);
  gguf::Metadata model;
  model.set("general.type", std::string("model"));
  EXPECT_EQ(error_of_file({}, {sums, counts}), "(read)");
  EXPECT_EQ(error_of_file(model, {sums, counts}), "general.type is 'model': no importance matrix");
  EXPECT_EQ(error_of_file({}, {sums}), "'a' has sums but no counts");
  EXPECT_EQ(error_of_file({}, {counts}), "'a' has counts but no sums");
  EXPECT_EQ(error_of_file({}, {sums, gguf::owned_f32("a.counts", {1, 4, 1, 1}, four)}),
            "'a': sums [4] and counts [1, 4] do not belong together");
  EXPECT_EQ(error_of_file({}, {sums, gguf::owned_f32("a.counts", {1, 1, 1, 1}, nan)}),
            "'a.counts': value 0 is nan, expected a finite number that is not negative");
  EXPECT_EQ(error_of_file({}, {sums, gguf::owned("a.counts", I32, {1, 1, 1, 1}, std::vector<std::byte>(4))}),
            "'a.counts' is I32, expected F32");
  EXPECT_EQ(error_of_file({}, {gguf::owned_f32("a.mean", {1, 1, 1, 1}, one)}),
            "not one matrix has importance in it");
}

struct WithImportance : Importance {
  ThreadPool pool{2};

  gguf::File source() {
    Random random(3);
    const auto noise = [&](int64_t n) {
      std::vector<float> values(static_cast<size_t>(n));
      for (float& v : values) v = static_cast<float>(random.normal());
      return values;
    };
    EXPECT_TRUE(gguf::write(path("in.gguf"), {},
                            {gguf::owned_f32("token_embd.weight", {64, 9, 1, 1}, noise(64 * 9)),
                             gguf::owned_f32(kDense, {64, 7, 1, 1}, noise(64 * 7)),
                             gguf::owned_f32(kExperts, {32, 5, 3, 1}, noise(32 * 5 * 3))}));
    return gguf::open(path("in.gguf")).take();
  }
  ImportanceMatrix importance() {
    Random random(4);
    ImportanceMatrix all;
    all.path = path("i.gguf"), all.datasets = {std::string(200, 'x')}, all.n_chunks = 5, all.chunk_length = 8;
    all.entries[kDense] = {64, std::vector<float>(64), {40}};
    all.entries[kExperts] = {32, std::vector<float>(96), {20, 20, 0}};
    for (auto& [name, entry] : all.entries)
      for (float& v : entry.sums) v = static_cast<float>(std::exp(2 * random.normal()));
    return all;
  }
};

TEST_F(WithImportance, EachMatrixIsEncodedWithItsOwn) {
  const gguf::File in = source();
  const ImportanceMatrix all = importance();
  const auto summary = quantize(in, path("out.gguf"), {.type = Q4_0, .n_threads = 2, .importance = &all});
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->n_tensors_in_blocks, 3);
  EXPECT_EQ(summary->n_tensors_with_importance, 2);
  const gguf::File out = gguf::open(path("out.gguf")).take();
  for (size_t t = 0; t < 3; ++t) {
    const Tensor& tensor = in.tensors[t];
    std::vector<std::byte> expected(out.tensors[t].n_bytes());
    const auto entry = all.entries.find(tensor.name);
    const std::vector<float> means =
        entry == all.entries.end() ? std::vector<float>() : entry->second.means();
    for (int64_t m = 0; m < tensor.shape[2]; ++m) {
      const int64_t n = tensor.n_columns(), n_rows = tensor.shape[1];
      encode_tensor(Q4_0, tensor.f32() + m * n * n_rows, n, n_rows,
                    means.empty() ? nullptr : means.data() + m * n,
                    expected.data() + static_cast<uint64_t>(m * n_rows) * row_bytes(Q4_0, n), pool);
    }
    EXPECT_TRUE(std::ranges::equal(out.tensors[t].bytes(), expected)) << tensor.name;
  }
  EXPECT_EQ(*out.metadata.text("quantize.imatrix.file"), all.path);
  EXPECT_EQ(*out.metadata.text("quantize.imatrix.dataset"), std::string(127, 'x'));
  EXPECT_EQ(*out.metadata.integer("quantize.imatrix.entries_count", 0, 100), 2);
  EXPECT_EQ(*out.metadata.integer("quantize.imatrix.chunks_count", 0, 100), 5);
}

TEST_F(WithImportance, AnotherModelsIsRefused) {
  const gguf::File in = source();
  ImportanceMatrix all = importance();
  all.entries["token_embd.weight"] = {32, std::vector<float>(32, 1.0f), {1}};
  EXPECT_TRUE(quantize(in, path("out.gguf"), {.type = Q4_0, .importance = &all}));  // embeddings go without
  all.entries[kExperts] = {32, std::vector<float>(64, 1.0f), {1, 1}};
  const auto other = quantize(in, path("out.gguf"), {.type = Q4_0, .importance = &all});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message,
            in.path + ": tensor '" + kExperts +
                "' has 32 columns in 3 matrices, but its importance has 64 values: of another model?");
  ImportanceMatrix none;
  none.path = "x.dat";
  none.entries["blk.9.attn_q.weight"] = {64, std::vector<float>(64, 1.0f), {1}};
  const auto alien = quantize(in, path("out.gguf"), {.type = Q4_0, .importance = &none});
  ASSERT_FALSE(alien);
  EXPECT_EQ(alien.error().message,
            in.path + ": the importance matrix x.dat has no entry for any of its tensors");
}

}  // namespace
}  // namespace carat
