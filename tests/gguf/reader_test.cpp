// The reader on good files, on every prefix of one, on one broken field at a time, and on random damage.
#include "gguf/reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "base/random.h"
#include "craft.h"
#include "gguf/layout.h"

namespace carat::gguf {
namespace {

using craft::Bytes, craft::Draft, craft::key_string, craft::key_u32, craft::tensor;

// Parses a copy in a heap block of exactly that size, so that a sanitizer sees every read beyond it, and
// touches everything that a successful parse hands out.
uint64_t parse_and_touch(std::span<const std::byte> bytes, bool* accepted = nullptr) {
  const auto exact = std::make_unique<std::byte[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), exact.get());
  const auto file = parse({exact.get(), bytes.size()}, "test.gguf");
  if (accepted != nullptr) *accepted = file.has_value();
  if (!file) {
    EXPECT_EQ(file.error().message.find("test.gguf: "), 0u) << file.error().message;
    EXPECT_EQ(file.error().message.find('\n'), std::string::npos) << file.error().message;
    return 0;
  }
  volatile uint64_t sum = 0;  // so that the reads happen
  for (const Tensor& t : file->tensors)
    for (const std::byte b : t.bytes()) sum = sum + static_cast<uint64_t>(b);
  for (const auto& entry : file->metadata.entries())
    if (const auto texts = file->metadata.texts(entry.key))
      for (const std::string_view text : *texts)
        for (const char c : text) sum = sum + static_cast<unsigned char>(c);
  return sum;
}

std::string error_of(const Draft& draft) {
  bool accepted = false;
  const auto bytes = draft.build();
  parse_and_touch(bytes, &accepted);
  if (accepted) return "(accepted)";
  return parse(bytes, "f").error().message;
}

TEST(Reader, ReadsEveryKindOfValue) {
  const auto bytes = craft::everything().build();
  const auto file = parse(bytes, "all");
  ASSERT_TRUE(file) << file.error().message;
  const Metadata& m = file->metadata;
  EXPECT_EQ(m.entries().size(), 18u);
  EXPECT_EQ(m.entries()[0].key, "a.u8");
  EXPECT_EQ(*m.integer("a.u8", 0, 255), 200);
  EXPECT_EQ(*m.integer("a.i8", -128, 0), -5);
  EXPECT_EQ(*m.integer("a.u16", 0, 65535), 60000);
  EXPECT_EQ(*m.integer("a.i16", -1000, 0), -300);
  EXPECT_EQ(*m.integer("a.u32", 0, INT64_MAX), 4'000'000'000);
  EXPECT_EQ(*m.integer("a.i32", -100000, 0), -70000);
  EXPECT_EQ(*m.number("a.f32"), 0.5);
  EXPECT_TRUE(*m.boolean_or("a.bool", false));
  EXPECT_EQ(*m.text("a.string"), "gemma4");
  EXPECT_EQ(std::get<uint64_t>(*m.find("a.u64")), UINT64_MAX);
  EXPECT_EQ(*m.integer("a.i64", INT64_MIN, 0), -5'000'000'000);
  EXPECT_EQ(*m.number("a.f64"), 0.1);
  EXPECT_EQ(*m.integers("b.u32", 1), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(*m.integers("b.bool", 1), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(*m.integers("b.i64", 1), (std::vector<int64_t>{-1}));
  EXPECT_EQ(m.integers("b.empty", 1)->size(), 0u);
  ASSERT_EQ(m.texts("b.string")->size(), 3u);
  EXPECT_EQ((*m.texts("b.string"))[2], "llo");
}

TEST(Reader, StringsAreViewsIntoTheFile) {
  const auto bytes = craft::everything().build();
  const auto file = parse(bytes, "all");
  const std::string_view text = (*file->metadata.texts("b.string"))[0];
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  EXPECT_TRUE(data >= bytes.data() && data < bytes.data() + bytes.size());
}

TEST(Reader, PlacesTensors) {
  const auto bytes = craft::everything().build();
  const auto file = parse(bytes, "all");
  ASSERT_EQ(file->tensors.size(), 3u);
  const Tensor* q = file->find("blk.0.q.weight");
  ASSERT_NE(q, nullptr);
  EXPECT_EQ(q->type, TensorType::Q8_0);
  EXPECT_EQ(q->shape, (Shape{32, 2, 1, 1}));
  EXPECT_EQ(q->data - file->find("norm.weight")->data, 32);
  const Tensor* experts = file->find("exps.weight");
  EXPECT_EQ(experts->data + experts->n_bytes(), bytes.data() + bytes.size());
  EXPECT_EQ(experts->data - q->data, 96);
  EXPECT_EQ(file->find("nothing"), nullptr);
}

TEST(Reader, EveryPrefixFailsCleanly) {
  const auto bytes = craft::everything().build();
  for (size_t n = 0; n < bytes.size(); ++n) {
    bool accepted = true;
    parse_and_touch(std::span(bytes).first(n), &accepted);
    EXPECT_FALSE(accepted) << "prefix of " << n << " bytes";
  }
}

TEST(Reader, BytesAfterTheLastTensorAreLeftAlone) {
  Draft draft = craft::everything();
  draft.n_data_bytes += 100;
  EXPECT_EQ(error_of(draft), "(accepted)");
}

// Any single byte changed to anything must end in an error or in a file that is safe to touch.
TEST(Reader, SurvivesDamage) {
  const auto original = craft::everything().build();
  Random random(1);
  for (size_t at = 0; at < original.size(); ++at)
    for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
      auto bytes = original;
      bytes[at] = static_cast<std::byte>(value);
      parse_and_touch(bytes);
    }
  for (int i = 0; i < 5000; ++i) {
    auto bytes = original;
    for (int64_t n = 1 + random.below(3); n > 0; --n)
      bytes[static_cast<size_t>(random.below(static_cast<int64_t>(bytes.size())))] =
          static_cast<std::byte>(random.below(256));
    parse_and_touch(bytes);
  }
}

TEST(Reader, OpensAFile) {
  namespace fs = std::filesystem;
  const std::string path =
      (fs::temp_directory_path() / fmt::format("carat-reader-{}.gguf", ::getpid())).string();
  const auto bytes = craft::everything().build();
  ASSERT_TRUE(write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  {
    auto file = open(path);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->path, path);
    EXPECT_EQ(file->n_bytes, bytes.size());
    const File moved = std::move(*file);
    EXPECT_EQ(moved.find("norm.weight")->n_elements(), 3);
    EXPECT_EQ((*moved.metadata.texts("b.string"))[0], "he");
  }
  fs::remove(path);
  EXPECT_NE(open(path).error().message.find(path), std::string::npos);
}

// One broken thing in an otherwise good file, and what the error must say.
struct Broken {
  std::string what;
  Draft draft;
  std::string expected;  // part of the message
};
void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.what; }

Draft with_key(const Bytes& key) {
  Draft draft;
  draft.keys = {key_string("general.architecture", "gemma4"), key};
  return draft;
}

Draft with_tensor(const Bytes& info, size_t n_data_bytes = 4096) {
  Draft draft;
  draft.tensors = {info};
  draft.n_data_bytes = n_data_bytes;
  return draft;
}

Draft with_tensors(std::vector<Bytes> infos) {
  Draft draft;
  draft.tensors = std::move(infos);
  draft.n_data_bytes = 4096;
  return draft;
}

Draft with_alignment(const Bytes& key, size_t alignment) {
  Draft draft = with_tensor(tensor("t", {4}, 0, 0));
  draft.keys = {key};
  draft.alignment = alignment;
  return draft;
}

Bytes array_head(ValueType type, uint64_t count) {
  return Bytes().string("k").type(ValueType::Array).type(type).u64(count);
}

std::vector<Broken> broken_headers() {
  Draft magic, big_endian, empty_version;
  magic.magic = "GGML";
  big_endian.version = 0x03000000;
  std::vector<Broken> cases = {{"magic", magic, "begins with 'GGML', expected 'GGUF'"},
                               {"big endian", big_endian, "big-endian"}};
  for (const uint32_t version : {1u, 4u, 0xffffffffu}) {
    Draft draft;
    draft.version = version;
    cases.push_back({fmt::format("version {}", version), draft, "expected 2 or 3"});
  }
  // Wrapping allocations from n_kv and n_tensors (CVE-2024-23605, CVE-2024-21836).
  for (const int64_t n : {int64_t{1}, int64_t{1} << 32, INT64_MAX / 24, INT64_MAX, int64_t{-1}, INT64_MIN}) {
    Draft keys, tensors;
    keys.n_extra_keys = n;
    tensors.n_extra_tensors = n;
    cases.push_back({fmt::format("{} keys", n), keys, "the number of keys says"});
    cases.push_back({fmt::format("{} tensors", n), tensors, "the number of tensors says"});
  }
  Draft crowd;
  crowd.n_extra_keys = 100'001;
  crowd.n_data_bytes = 100'001 * 14;
  cases.push_back({"too many keys", crowd, "at most 100000"});
  crowd.n_extra_keys = 0;
  crowd.n_extra_tensors = 100'001;
  crowd.n_data_bytes = 100'001 * 33;
  cases.push_back({"too many tensors", crowd, "at most 100000"});
  return cases;
}

std::vector<Broken> broken_keys() {
  using enum ValueType;
  std::vector<Broken> cases = {
      {"duplicate key", with_key(key_u32("general.architecture", 1)), "'general.architecture': occurs twice"},
      {"empty key", with_key(key_u32("", 1)), "key is empty"},
      {"NUL in a key", with_key(key_u32(std::string_view("a\0b", 3), 1)),
       "'a\\x00b': the key contains a NUL"},
      {"long key", with_key(key_u32(std::string(65536, 'k'), 1)), "at most 65535"},
      {"value type 13", with_key(Bytes().string("k").u32(13).u64(0)), "unknown value type 13"},
      {"value type -1", with_key(Bytes().string("k").u32(0xffffffff).u64(0)), "unknown value type"},
      {"bool 7", with_key(Bytes().string("k").type(Bool).u8(7)), "key 'k': a bool is 7, expected 0 or 1"},
      {"bool 2 in an array", with_key(array_head(Bool, 2).u8(1).u8(2)), "a bool is 2"},
      {"nested array", with_key(array_head(Array, 1).type(U8).u64(1).u8(0)), "array of arrays"},
      {"element type 13", with_key(Bytes().string("k").type(Array).u32(13).u64(0)),
       "unknown element type 13"},
  };
  // Lengths beyond the file, up to those whose +1 or product wraps (CVE-2024-23496, CVE-2024-21825).
  for (const uint64_t n :
       {uint64_t{100}, uint64_t{1} << 61, uint64_t{1} << 62, uint64_t{1} << 63, UINT64_MAX}) {
    cases.push_back(
        {fmt::format("key of {}", n), with_key(Bytes().u64(n).raw("k").u64(0)), "length of a key says"});
    cases.push_back({fmt::format("string of {}", n),
                     with_key(Bytes().string("k").type(String).u64(n).raw("text")),
                     "the length of string 'k' says"});
    cases.push_back(
        {fmt::format("u8 array of {}", n), with_key(array_head(U8, n).u64(0)), "length of array 'k'"});
    cases.push_back(
        {fmt::format("u64 array of {}", n), with_key(array_head(U64, n).u64(0)), "length of array 'k'"});
    cases.push_back(
        {fmt::format("strings, {}", n), with_key(array_head(String, n).string("")), "of array 'k'"});
    cases.push_back({fmt::format("string of {} in an array", n),
                     with_key(array_head(String, 1).u64(n).raw("text")),
                     "key 'k': string 0 of 1 goes beyond"});
  }
  Draft part = with_key(Bytes().string("split.count").type(U16).number(uint16_t{3}));
  cases.push_back({"split without a number", part, "key 'split.no' is missing"});
  part.keys.push_back(Bytes().string("split.no").type(U16).number(uint16_t{1}));
  cases.push_back({"split", part, "part 2 of 3 of a split model, expected a whole file"});
  cases.push_back(
      {"split as text", with_key(key_string("split.count", "3")), "'split.count': expected an integer"});
  return cases;
}

std::vector<Broken> broken_alignments() {
  std::vector<Broken> cases;
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 131072u, 1u << 30, 1u << 31, 0xffffffffu})
    cases.push_back({fmt::format("alignment {}", alignment),
                     with_alignment(key_u32("general.alignment", alignment), 32),
                     "not a power of two in 8..65536"});
  cases.push_back({"alignment as u64",
                   with_alignment(Bytes().string("general.alignment").type(ValueType::U64).u64(32), 32),
                   "expected u32, found u64"});
  return cases;
}

std::vector<Broken> broken_tensors() {
  const uint64_t wide = uint64_t{1} << 32;
  std::vector<Broken> cases = {
      {"duplicate tensor", with_tensors({tensor("t", {4}, 0, 0), tensor("t", {4}, 0, 32)}),
       "'t': occurs twice"},
      {"empty name", with_tensor(tensor("", {4}, 0, 0)), "name is empty"},
      {"name of 64 bytes", with_tensor(tensor(std::string(64, 'n'), {4}, 0, 0)), "at most 63"},
      {"NUL in a name", with_tensor(tensor(std::string_view("t\0u", 3), {4}, 0, 0)), "NUL"},
      {"huge name", with_tensor(Bytes().u64(UINT64_MAX).raw("t").zeros(64)),
       "length of a tensor's name says"},
      {"no dimensions", with_tensor(tensor("t", {}, 0, 0)), "0 dimensions, expected 1..4"},
      {"5 dimensions", with_tensor(tensor("t", {1, 1, 1, 1, 1}, 0, 0)), "5 dimensions"},
      {"2^32-1 dimensions", with_tensor(Bytes().string("t").u32(0xffffffff).zeros(64)),
       "4294967295 dimensions"},
      {"dimension 0", with_tensor(tensor("t", {4, 0}, 0, 0)), "'t': dimension 0"},
      {"first dimension 0", with_tensor(tensor("t", {0}, 8, 0)), "'t': dimension 0"},
      {"negative dimension", with_tensor(tensor("t", {UINT64_MAX}, 0, 0)), "outside"},
      {"product wraps to 0", with_tensor(tensor("t", {wide, wide}, 0, 0)), "more than 2^62"},
      {"product wraps to 0, 4 dimensions", with_tensor(tensor("t", {65536, 65536, 65536, 65536}, 0, 0)),
       "2^62"},
      {"product wraps to a small number", with_tensor(tensor("t", {wide + 1, wide, 1, 1}, 24, 0)), "2^62"},
      {"bytes wrap", with_tensor(tensor("t", {1 << 30, 1 << 30, 1 << 2}, 28, 0)), "2^62"},
      {"dimension 2^63-1", with_tensor(tensor("t", {INT64_MAX, 2}, 24, 0)), "outside"},
      {"larger than the file", with_tensor(tensor("t", {1 << 20, 1 << 20}, 0, 0)), "goes beyond the end"},
      {"one byte short", with_tensor(tensor("t", {32}, 8, 0), 33), "data of 34 bytes"},
      {"no data at all", with_tensor(tensor("t", {32}, 8, 0), 0), "goes beyond the end"},
      {"row not a whole block", with_tensor(tensor("t", {33}, 8, 0)),
       "not a whole number of Q8_0 blocks of 32"},
      {"K row not a whole block", with_tensor(tensor("t", {32, 8}, 12, 0)), "Q4_K blocks of 256"},
      {"gap", with_tensors({tensor("t", {4}, 0, 0), tensor("u", {4}, 0, 64)}), "'u': offset 64, expected 32"},
      {"overlap", with_tensors({tensor("t", {4}, 0, 0), tensor("u", {4}, 0, 0)}),
       "'u': offset 0, expected 32"},
      {"order", with_tensors({tensor("t", {4}, 0, 32), tensor("u", {4}, 0, 0)}),
       "'t': offset 32, expected 0"},
      {"misaligned", with_tensors({tensor("t", {4}, 0, 0), tensor("u", {4}, 0, 16)}),
       "16 is not a multiple of 32"},
      {"huge offset", with_tensor(tensor("t", {4}, 0, UINT64_MAX - 31)), "expected 0"},
  };
  // Removed, foreign and negative type ids.
  for (const uint32_t id : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 202u, 0x80000000u, 0xffffffffu})
    cases.push_back({fmt::format("type {}", id), with_tensor(tensor("t", {256}, id, 0)),
                     fmt::format("unknown tensor type {}", id)});
  return cases;
}

struct BrokenFile : testing::TestWithParam<Broken> {};
TEST_P(BrokenFile, IsRefused) {
  EXPECT_NE(error_of(GetParam().draft).find(GetParam().expected), std::string::npos)
      << error_of(GetParam().draft);
}
INSTANTIATE_TEST_SUITE_P(Header, BrokenFile, testing::ValuesIn(broken_headers()));
INSTANTIATE_TEST_SUITE_P(Keys, BrokenFile, testing::ValuesIn(broken_keys()));
INSTANTIATE_TEST_SUITE_P(Alignment, BrokenFile, testing::ValuesIn(broken_alignments()));
INSTANTIATE_TEST_SUITE_P(Tensors, BrokenFile, testing::ValuesIn(broken_tensors()));

TEST(Reader, AcceptsTheUnusualButSound) {
  Draft version2 = craft::everything();
  version2.version = 2;
  EXPECT_EQ(error_of(version2), "(accepted)");
  EXPECT_EQ(error_of(with_tensor(tensor(std::string(63, 'n'), {4}, 0, 0))), "(accepted)");
  EXPECT_EQ(error_of(with_tensor(tensor("t", {4, 1, 1, 1}, 0, 0))), "(accepted)");
  for (const uint32_t alignment : {8u, 64u, 65536u})
    EXPECT_EQ(error_of(with_alignment(key_u32("general.alignment", alignment), alignment)), "(accepted)");
  Draft unpadded;  // no tensors, no padding: vocabulary files
  unpadded.keys = {key_string("general.architecture", "gemma4")};
  EXPECT_EQ(error_of(unpadded), "(accepted)");
  EXPECT_EQ(error_of(Draft()), "(accepted)");
  EXPECT_EQ(error_of(with_key(Bytes().string("split.count").type(ValueType::U16).number(uint16_t{1}))),
            "(accepted)");
}

TEST(Reader, MessagesCannotCarryControlCharacters) {
  const Draft draft = with_key(Bytes().string("\x1b[2Jkey\n").u32(99).u64(0));
  EXPECT_EQ(error_of(draft), "f: key '\\x1b[2Jkey\\x0a': unknown value type 99");
}

TEST(Reader, PrintableIsPlainAscii) {
  EXPECT_EQ(printable("a\x7f\x9b\xc2\x9b~ "), "a\\x7f\\x9b\\xc2\\x9b~ ");
  EXPECT_EQ(printable(std::string(80, 'n')), std::string(80, 'n'));
  EXPECT_EQ(printable(std::string(81, 'n')), std::string(80, 'n') + "...");
}

// A vocabulary of Gemma's size must cost views, not copies.
TEST(Reader, ReadsALargeVocabulary) {
  Draft draft;
  Bytes tokens =
      Bytes().string("tokenizer.ggml.tokens").type(ValueType::Array).type(ValueType::String).u64(262'144);
  for (int i = 0; i < 262'144; ++i) tokens.string(fmt::format("token{}", i));
  draft.keys = {tokens};
  const auto bytes = draft.build();
  const auto file = parse(bytes, "vocabulary");
  ASSERT_TRUE(file);
  EXPECT_EQ((*file->metadata.texts("tokenizer.ggml.tokens"))[262'143], "token262143");
}

}  // namespace
}  // namespace carat::gguf
