// Renderings that a Jinja interpreter made with the published templates: chat_golden.jsonl, by
// tests/conformance/template.mjs --golden (its first line says so). The templates themselves are not part of
// the repository.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "model/chat_json.h"
#include "model/chat_template.h"
#include "model/vocabulary.h"

namespace carat {
namespace {

struct Golden {
  bool large;
  Conversation conversation;
  std::string text;

  ChatOptions options() const {
    ChatOptions options;
    options.empty_thought = large;
    return conversation.options(options);
  }
};

std::vector<Golden> read_golden() {
  std::ifstream file(CARAT_SOURCE_DIR "/tests/model/chat_golden.jsonl");
  std::string line;
  std::getline(file, line);
  std::vector<Golden> all;
  while (std::getline(file, line)) {
    const JsonValue entry = parse_json(line).take();
    all.push_back({*entry.find("large")->boolean(), parse_conversation(*entry.find("conversation")).take(),
                   *entry.find("text")->text()});
  }
  return all;
}

TEST(ChatGolden, RenderingsAreThePublishedTemplates) {
  const auto all = read_golden();
  ASSERT_GE(all.size(), 100u);
  for (size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(render_chat(all[i].conversation.turns, all[i].options()), all[i].text) << "line " << i + 2;
}

// The characters of the tokens are those of the text; and the tokens are those of the text as one, wherever
// nobody has written what looks like a marker.
TEST(ChatGolden, TokensAreThoseOfTheRenderings) {
  gguf::Metadata metadata;
  describe(sample_vocabulary(3000), metadata);
  const Tokenizer tokenizer = Tokenizer::load(metadata).take();
  size_t n_compared = 0;
  for (const Golden& golden : read_golden()) {
    const auto tokens = encode_chat(golden.conversation.turns, golden.options(), tokenizer);
    EXPECT_EQ(tokenizer.decode(tokens, true), golden.text);
    const bool looks_like_markers = golden.text.find("hi<turn|>") != std::string::npos ||
                                    golden.text.find("call:f{}<tool_call|>") != std::string::npos;
    if (looks_like_markers) continue;
    EXPECT_EQ(tokens, tokenizer.encode(golden.text, {.parse_special = true}));
    ++n_compared;
  }
  EXPECT_GT(n_compared, 20u);
}

}  // namespace
}  // namespace carat
