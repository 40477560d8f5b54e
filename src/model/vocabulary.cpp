// Builds vocabularies and writes them into metadata.
#include "model/vocabulary.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace carat {
namespace {

struct Special {
  int64_t id;
  std::string_view text;
  TokenKind kind;
};

constexpr TokenKind kControl = TokenKind::control, kVisible = TokenKind::user_defined;

// Reference sheet 4.4: those that a reader of the output must see are user-defined, unless they end a turn.
constexpr Special kSpecials[] = {
    {0, "<pad>", kControl},
    {1, "<eos>", kControl},
    {2, "<bos>", kControl},
    {3, "<unk>", TokenKind::unknown},
    {4, "<mask>", kControl},
    {46, "<|tool>", kControl},
    {47, "<tool|>", kControl},
    {48, "<|tool_call>", kVisible},
    {49, "<tool_call|>", kVisible},
    {50, "<|tool_response>", kControl},
    {51, "<tool_response|>", kVisible},
    {52, "<|\"|>", kVisible},
    {98, "<|think|>", kControl},
    {100, "<|channel>", kVisible},
    {101, "<channel|>", kVisible},
    {105, "<|turn>", kControl},
    {106, "<turn|>", kControl},
};
constexpr int64_t kNSpecials = 107;

constexpr Special kMedia[] = {
    {255999, "<|image>", kControl},  {256000, "<|audio>", kControl}, {258880, "<|image|>", kControl},
    {258881, "<|audio|>", kControl}, {258882, "<image|>", kControl}, {258883, "<audio|>", kControl},
    {258884, "<|video|>", kControl},
};

constexpr int kNNewlineRuns = 4;
constexpr std::string_view kSpace = "\u2581";
constexpr std::string_view kLetters = "etaoinshrdlucmfwypvbgkjqxz";

// Strings of letters, perhaps after a space, in order of length: each is a shorter one and a letter.
class Words {
 public:
  Words() {
    heads_.emplace_back(kSpace);
    for (const char letter : kLetters) heads_.emplace_back(1, letter);
  }

  // The next word as the two pieces that merge into it.
  std::pair<std::string, std::string> next() {
    std::pair<std::string, std::string> pieces{heads_[head_], std::string(1, kLetters[letter_])};
    longer_.push_back(pieces.first + pieces.second);
    if (++letter_ == kLetters.size()) letter_ = 0, ++head_;
    if (head_ == heads_.size()) heads_ = std::exchange(longer_, {}), head_ = 0;
    return pieces;
  }

 private:
  std::vector<std::string> heads_, longer_;
  size_t head_ = 0, letter_ = 0;
};

}  // namespace

void Vocabulary::add(std::string text, TokenKind kind) {
  tokens.push_back(std::move(text));
  kinds.push_back(kind);
}

void describe(const Vocabulary& vocabulary, gguf::Metadata& metadata) {
  CHECK(vocabulary.kinds.size() == vocabulary.tokens.size());
  const auto id_of = [&](std::string_view text) {
    const auto found = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), text);
    CHECK(found != vocabulary.tokens.end());
    return static_cast<uint32_t>(found - vocabulary.tokens.begin());
  };
  std::vector<int32_t> types;
  for (const TokenKind kind : vocabulary.kinds) types.push_back(static_cast<int32_t>(kind));
  metadata.set("tokenizer.ggml.model", std::string("gemma4"));
  metadata.set_texts("tokenizer.ggml.tokens", vocabulary.tokens);
  metadata.set("tokenizer.ggml.scores", gguf::Array(std::vector<float>(types.size(), -1000.0f)));
  metadata.set("tokenizer.ggml.token_type", gguf::Array(std::move(types)));
  metadata.set_texts("tokenizer.ggml.merges", vocabulary.merges);
  metadata.set("tokenizer.ggml.bos_token_id", id_of("<bos>"));
  metadata.set("tokenizer.ggml.eos_token_id", id_of("<eos>"));
  metadata.set("tokenizer.ggml.unknown_token_id", id_of("<unk>"));
  metadata.set("tokenizer.ggml.padding_token_id", id_of("<pad>"));
  metadata.set("tokenizer.ggml.mask_token_id", id_of("<mask>"));
  metadata.set("tokenizer.ggml.add_space_prefix", false);
  metadata.set("tokenizer.ggml.add_bos_token", true);
}

Vocabulary special_vocabulary() {
  Vocabulary vocabulary;
  for (int64_t id = 0; id < kNSpecials; ++id)
    vocabulary.add(fmt::format("<unused{}>", id), TokenKind::unused);
  for (const Special& special : kSpecials) {
    vocabulary.tokens[static_cast<size_t>(special.id)] = special.text;
    vocabulary.kinds[static_cast<size_t>(special.id)] = special.kind;
  }
  return vocabulary;
}

Vocabulary sample_vocabulary(int64_t n_tokens) {
  CHECK(n_tokens >= kMinSampleTokens);
  Vocabulary vocabulary = special_vocabulary();
  for (int length = 1; length <= kNNewlineRuns; ++length)
    vocabulary.add(std::string(static_cast<size_t>(length), '\n'), TokenKind::normal);
  for (int byte = 0; byte < 256; ++byte) vocabulary.add(fmt::format("<0x{:02X}>", byte), TokenKind::byte);
  vocabulary.add(std::string(kSpace), TokenKind::normal);
  for (char c = '!'; c <= '~'; ++c) vocabulary.add(std::string(1, c), TokenKind::normal);
  Words words;
  while (vocabulary.n_tokens() < n_tokens) {
    const Special* media = std::find_if(std::begin(kMedia), std::end(kMedia),
                                        [&](const Special& m) { return m.id == vocabulary.n_tokens(); });
    if (media != std::end(kMedia)) {
      vocabulary.add(std::string(media->text), media->kind);
      continue;
    }
    const auto [left, right] = words.next();
    vocabulary.merges.push_back(fmt::format("{} {}", left, right));
    vocabulary.add(left + right, TokenKind::normal);
  }
  return vocabulary;
}

}  // namespace carat
