// What can be said about a file's own template. The published texts are not part of the repository, so only
// texts made up here are examined.
#include "model/chat_template.h"

#include <gtest/gtest.h>

#include "base/sha256.h"

namespace carat {
namespace {

using Family = ChatTemplateReport::Family;

Config config_of(bool small) {
  Config config;
  config.per_layer_dim = small ? 256 : 0;
  return config;
}

// FIPS 180-4's examples, and the border between one last block and two.
TEST(Sha256, KnownValues) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(55, 'a')),
            "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  EXPECT_EQ(sha256_hex(std::string(64, 'a')),
            "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(ChatTemplate, MissingAndForeign) {
  const auto missing = examine_chat_template(gguf::Metadata(), config_of(true));
  EXPECT_FALSE(missing.present);
  EXPECT_FALSE(missing.defect);
  const auto foreign = examine_chat_template("<|im_start|>{{ messages }}", config_of(true));
  EXPECT_TRUE(foreign.present);
  EXPECT_TRUE(foreign.defect);
  EXPECT_FALSE(foreign.same_as_ours);
  EXPECT_EQ(foreign.family, Family::unknown);
  EXPECT_EQ(foreign.findings.back(), "it does not mark turns as Gemma 4 does");
}

TEST(ChatTemplate, UnknownTextsAreProbed) {
  const std::string small =
      "<|turn>{{ m }}<turn|> add_generation_prompt <|think|> <|tool> <|tool_response> is none "
      "<|image|> <|audio|>";
  const std::string large = small + "{{- '<|channel>thought\\n<channel|>' -}}";
  EXPECT_EQ(examine_chat_template(small, config_of(true)).findings.size(), 1u);
  EXPECT_FALSE(examine_chat_template(small, config_of(true)).defect);
  EXPECT_FALSE(examine_chat_template(large, config_of(false)).defect);
  EXPECT_EQ(examine_chat_template(large, config_of(false)).family, Family::large);
  EXPECT_TRUE(examine_chat_template(small, config_of(false)).defect);
  EXPECT_TRUE(examine_chat_template(large, config_of(true)).defect);
  // What a comment says is not what a template does.
  const std::string commented =
      "{#- no '<|channel>thought\\n<channel|>' here -#}" + small + "{# open '<|channel>thought\\n<channel|>'";
  EXPECT_FALSE(examine_chat_template(commented, config_of(true)).defect);
  EXPECT_EQ(examine_chat_template(commented, config_of(true)).family, Family::small);
  const auto poor = examine_chat_template("<|turn>{{ m }}<turn|>", config_of(true));
  EXPECT_EQ(poor.findings.size(), 8u);
  EXPECT_FALSE(poor.same_as_ours);
}

}  // namespace
}  // namespace carat
