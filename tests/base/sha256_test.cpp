// Digests against the published test vectors (FIPS 180-4 examples; git's name of a blob).
#include "base/sha256.h"

#include <gtest/gtest.h>

#include <vector>

namespace carat {
namespace {

TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// `printf 'hello\n' | git hash-object --stdin`
TEST(Sha256, GitBlob) {
  Digest digest(Digest::Algorithm::Sha1);
  digest.update(std::string_view("blob 6\0", 7));
  digest.update("hello\n");
  EXPECT_EQ(digest.hex(), "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST(Sha256, SlicesAndProgress) {
  const std::vector<std::byte> bytes((size_t{9} << 20) + 7, std::byte{3});
  uint64_t last = 0;
  const auto sliced = sha256_hex(bytes, [&](uint64_t done, uint64_t total, std::string_view) {
    EXPECT_GT(done, last);
    EXPECT_EQ(total, bytes.size());
    last = done;
  });
  ASSERT_TRUE(sliced);
  EXPECT_EQ(*sliced, sha256_hex(bytes));
  EXPECT_EQ(last, bytes.size());
  EXPECT_EQ(sha256_hex(std::span<const std::byte>{}, Progress{}), sha256_hex(""));
}

TEST(Sha256, StopsWhenInterrupted) {
  const std::vector<std::byte> bytes(100);
  interrupt_requested = true;
  const auto hash = sha256_hex(bytes, Progress{});
  interrupt_requested = false;
  EXPECT_FALSE(hash);
}

TEST(Sha256, Recognized) {
  EXPECT_TRUE(is_sha256(sha256_hex("")));
  EXPECT_FALSE(is_sha256(""));
  EXPECT_FALSE(is_sha256(std::string(63, 'a')));
  EXPECT_FALSE(is_sha256(std::string(65, 'a')));
  EXPECT_FALSE(is_sha256(std::string(64, 'A')));
  EXPECT_FALSE(is_sha256(std::string(64, 'g')));
}

}  // namespace
}  // namespace carat
