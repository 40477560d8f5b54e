// The publicly known faults of GGUF readers, one row each: a file that would trigger it is refused in one
// line, and nothing is read or allocated beyond it (sanitizer builds look). What concerns the tokenizer is in
// tests/model/known_faults_test.cpp.
#include <gtest/gtest.h>

#include <cctype>
#include <limits>
#include <memory>

#include "craft.h"
#include "gguf/layout.h"
#include "gguf/reader.h"

namespace carat::gguf {
namespace {

using craft::Bytes, craft::Draft, craft::key_string, craft::key_u32, craft::tensor;
using enum ValueType;

struct Fault {
  std::string id;    // as published
  std::string flaw;  // in the reader that had it
  Draft draft;
  std::string expected;  // part of the message
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.id << ": " << fault.flaw; }

Draft extra_keys(int64_t n) {
  Draft draft;
  draft.n_extra_keys = n;
  return draft;
}
Draft extra_tensors(int64_t n) {
  Draft draft;
  draft.n_extra_tensors = n;
  return draft;
}
Draft with_key(const Bytes& key) {
  Draft draft;
  draft.keys = {key};
  return draft;
}
Draft with_tensors(std::vector<Bytes> infos, size_t n_data_bytes = 256) {
  Draft draft;
  draft.tensors = std::move(infos);
  draft.n_data_bytes = n_data_bytes;
  return draft;
}
Draft with_alignment(uint32_t alignment) {
  Draft draft = with_tensors({tensor("t", {4}, 0, 0)});
  draft.keys = {key_u32("general.alignment", alignment)};
  return draft;
}
Bytes array(ValueType type, uint64_t count) { return Bytes().string("k").type(Array).type(type).u64(count); }

constexpr uint64_t kWide = uint64_t{1} << 32;
// The record of one key in the readers that had the fault: 24 (CVE-2024-23605) or 48 bytes; of one tensor 88
// or more. Counts whose product with such a size wraps to something small.
constexpr int64_t wrapping_count(uint64_t size) { return static_cast<int64_t>(UINT64_MAX / size + 2); }

std::vector<Fault> counts_and_lengths() {
  const Bytes long_key = Bytes().u64(UINT64_MAX).raw("k").zeros(32);
  const Bytes long_value = Bytes().string("k").type(String).u64(UINT64_MAX).raw("text").zeros(32);
  return {
      {"CVE-2024-23605", "count of keys times a record's size wraps", extra_keys(wrapping_count(24)),
       "the number of keys says"},
      {"CVE-2024-23605", "the same with records of 48 bytes", extra_keys(wrapping_count(48)),
       "the number of keys says"},
      {"CVE-2024-21836", "count of tensors times a record's size wraps", extra_tensors(wrapping_count(88)),
       "the number of tensors says"},
      {"CVE-2024-21836", "the same with records of 96 bytes", extra_tensors(wrapping_count(96)),
       "the number of tensors says"},
      {"CVE-2024-23496", "length of a key plus one wraps to 0", with_key(long_key),
       "the length of a key says"},
      {"CVE-2024-23496", "length of a value plus one wraps to 0", with_key(long_value),
       "the length of string 'k' says"},
      {"CVE-2024-21825", "elements of an array times their size wrap",
       with_key(array(U64, (uint64_t{1} << 61) + 1).u64(0)), "the length of array 'k' says"},
      {"CVE-2024-21825", "the same with strings of 16 bytes",
       with_key(array(String, (uint64_t{1} << 60) + 1).string("x")), "the length of array 'k' says"},
      {"CVE-2025-49847", "a token longer than INT32_MAX",
       with_key(array(String, 1).u64(uint64_t{1} << 31).raw("token")),
       "key 'k': string 0 of 1 goes beyond the end"},
      {"CVE-2025-49847", "a token whose length is negative as int32",
       with_key(array(String, 1).u64(0xffffffffu).raw("token")),
       "key 'k': string 0 of 1 goes beyond the end"},
      {"oss-security 2026-05-15", "length of a string without bound",
       with_key(Bytes().u64(uint64_t{1} << 40).raw("k").zeros(32)), "the length of a key says"},
      {"oss-security 2026-05-15", "type of a value out of bounds",
       with_key(Bytes().string("k").u32(13).u64(0)), "unknown value type 13"},
      {"oss-security 2026-05-15", "type of an element out of bounds",
       with_key(Bytes().string("k").type(Array).u32(0x7fffffff).u64(1)), "unknown element type 2147483647"},
      {"CVE-2025-0315", "allocation for a count that the file cannot hold",
       with_key(array(U8, uint64_t{1} << 34).u8(0)), "the length of array 'k' says"},
  };
}

std::vector<Fault> shapes() {
  const Bytes five_dimensions = Bytes().string("t").u32(0x40000000).zeros(64);
  return {
      {"CVE-2024-21802", "product of the dimensions wraps",
       with_tensors({tensor("t", {kWide, kWide, 1}, 0, 0)}), "more than 2^62 elements"},
      {"CVE-2024-21802", "more dimensions than the array for them", with_tensors({five_dimensions}),
       "1073741824 dimensions, expected 1..4"},
      {"CVE-2026-33298", "bytes of a tensor wrap to few",
       with_tensors({tensor("t", {1 << 20, 1 << 21, 1 << 21}, 0, 0)}), "more than 2^62 elements or bytes"},
      {"CVE-2026-33298", "the same in blocks",
       with_tensors({tensor("t", {32, uint64_t{1} << 39, uint64_t{1} << 18}, 8, 0)}),
       "more than 2^62 elements or bytes"},
      {"llama.cpp #27203", "the test for a wrap wraps itself",
       with_tensors({tensor("t", {kWide, kWide}, 0, 0)}), "more than 2^62 elements"},
      {"llama.cpp #26978", "padded size wraps to 0",
       with_tensors({tensor("t", {static_cast<uint64_t>(INT64_MAX), 2}, 24, 0)}),
       "is outside 1..1099511627775"},
      {"ggml #1516", "division by a dimension of 0", with_tensors({tensor("t", {0, 4}, 0, 0)}),
       "dimension 0 is outside"},
      {"llama.cpp #25378", "no bound for the number of dimensions",
       with_tensors({tensor("t", {1, 1, 1, 1, 1}, 0, 0)}), "5 dimensions, expected 1..4"},
      {"oss-security 2026-05-15", "no dimensions", with_tensors({tensor("t", {}, 0, 0)}),
       "0 dimensions, expected 1..4"},
      {"oss-security 2026-05-15", "division by a removed type's block of 0",
       with_tensors({tensor("t", {32}, 4, 0)}), "unknown tensor type 4"},
      {"oss-security 2026-05-15", "negative type", with_tensors({tensor("t", {32}, 0xffffffffu, 0)}),
       "unknown tensor type 4294967295"},
  };
}

std::vector<Fault> places() {
  const uint64_t half = uint64_t{1} << 59;  // elements: 2^61 bytes of F32, within the limit one by one
  return {
      {"CVE-2025-53630", "sum of the tensors' sizes wraps",
       with_tensors({tensor("a", {1 << 20, 1 << 20, half >> 40}, 0, 0),
                     tensor("b", {1 << 20, 1 << 20, half >> 40}, 0, half * 4),
                     tensor("c", {4}, 0, half * 8)}),
       "'a': data of 2305843009213693952 bytes at byte"},
      {"CVE-2026-27940", "size plus the context's overhead wraps",
       with_tensors({tensor("t", {1 << 20, 1 << 20, 1 << 19, 1}, 28, 0)}),
       "more than 2^62 elements or bytes"},
      {"CVE-2026-7482", "dimensions larger than the data: memory beyond it leaks",
       with_tensors({tensor("t", {1 << 16, 1 << 8}, 0, 0)}, 64), "goes beyond the end of the file"},
      {"CVE-2026-7482", "an offset beyond the data", with_tensors({tensor("t", {4}, 0, uint64_t{1} << 40)}),
       "offset 1099511627776, expected 0"},
      {"oss-security 2026-05-15", "alignment wraps in the padding", with_alignment(0x80000000u),
       "2147483648 is not a power of two in 8..65536"},
      {"CVE-2025-0317", "division by an alignment of 0", with_alignment(0),
       "0 is not a power of two in 8..65536"},
      {"ggml #1516", "alignment without bound", with_alignment(1u << 30), "1073741824 is not a power of two"},
      {"CVE-2024-12055", "data read beyond the end", with_tensors({tensor("t", {64}, 0, 0)}, 255),
       "goes beyond the end of the file"},
  };
}

struct KnownFault : testing::TestWithParam<Fault> {};

// The bytes lie in a block of exactly their size, so that a sanitizer sees every read beyond them.
TEST_P(KnownFault, IsRefusedInOneLine) {
  const auto bytes = GetParam().draft.build();
  const auto exact = std::make_unique<std::byte[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), exact.get());
  const auto file = parse({exact.get(), bytes.size()}, "f");
  ASSERT_FALSE(file) << GetParam().flaw;
  const std::string& message = file.error().message;
  EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
  EXPECT_EQ(message.find("f: "), 0u) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

// "CVE-2024-23605" -> "CVE_2024_23605_0": test names have letters, digits and underscores.
std::string test_name(const testing::TestParamInfo<Fault>& info) {
  std::string name = info.param.id;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return fmt::format("{}_{}", name, info.index);
}
INSTANTIATE_TEST_SUITE_P(Counts, KnownFault, testing::ValuesIn(counts_and_lengths()), test_name);
INSTANTIATE_TEST_SUITE_P(Shapes, KnownFault, testing::ValuesIn(shapes()), test_name);
INSTANTIATE_TEST_SUITE_P(Places, KnownFault, testing::ValuesIn(places()), test_name);

// CVE-2024-32878 (an uninitialised pointer freed on the way out), CVE-2024-41130 (a failed read not noticed),
// CVE-2026-52131 (an assertion that a file can reach), CVE-2024-39720 and CVE-2025-0312 (truncated files):
// each a read that fails somewhere. Here it fails everywhere, once.
TEST(KnownFaults, CVE_2024_32878_CVE_2024_41130_CVE_2026_52131_CVE_2024_39720_CVE_2025_0312_ReadsThatFail) {
  const auto bytes = craft::everything().build();
  for (size_t n = 0; n < bytes.size(); ++n) {
    const auto exact = std::make_unique<std::byte[]>(n);
    std::copy_n(bytes.begin(), n, exact.get());
    const auto file = parse({exact.get(), n}, "f");
    ASSERT_FALSE(file) << n;
    EXPECT_EQ(file.error().message.find("f: "), 0u) << file.error().message;
  }
}

// CVE-2024-34359 and CVE-2026-5760 (a template rendered outside a sandbox): to this layer it is text like any
// other.
TEST(KnownFaults, CVE_2024_34359_CVE_2026_5760_TemplatesAreData) {
  const std::string hostile = "{{ ''.__class__.__mro__[1].__subclasses__() }}\n{% include '/etc/passwd' %}";
  const auto bytes = with_key(key_string("tokenizer.chat_template", hostile)).build();
  const auto file = parse(bytes, "f");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file->metadata.text("tokenizer.chat_template"), hostile);
}

}  // namespace
}  // namespace carat::gguf
