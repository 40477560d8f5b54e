// Byte-pair training over distinct words and their counts: the language has a few hundred, so each round
// counts all pairs afresh.
#include "lab/tokenizer_training.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <unordered_set>
#include <utility>
#include <vector>

#include "model/tokenizer.h"

namespace carat::lab {
namespace {

constexpr std::string_view kSpace = "\u2581";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string symbol_of(char c) { return c == ' ' ? std::string(kSpace) : std::string(1, c); }

// Runs of letters with the space before them, as symbols, and how often they occur.
struct Word {
  std::vector<std::string> symbols;
  int64_t count;
};

std::vector<Word> count_words(std::string_view text) {
  std::map<std::string_view, int64_t> counts;
  for (size_t end, begin = 0; begin < text.size(); begin = end) {
    end = begin + 1;
    if (!is_letter(text[begin]) && text[begin] != ' ') continue;
    while (end < text.size() && is_letter(text[end])) ++end;
    ++counts[text.substr(begin, end - begin)];
  }
  std::vector<Word> words;
  for (const auto& [text_of_word, count] : counts) {
    Word word{{}, count};
    for (const char c : text_of_word) word.symbols.push_back(symbol_of(c));
    words.push_back(std::move(word));
  }
  return words;
}

using Pair = std::pair<std::string, std::string>;

// The most frequent pair, the alphabetically first of several; false: no pair is left.
bool most_frequent(const std::vector<Word>& words, Pair& best) {
  std::map<Pair, int64_t> counts;
  for (const Word& word : words)
    for (size_t i = 0; i + 1 < word.symbols.size(); ++i)
      counts[{word.symbols[i], word.symbols[i + 1]}] += word.count;
  int64_t most = 0;
  for (const auto& [pair, count] : counts) {
    if (count <= most) continue;
    most = count;
    best = pair;
  }
  return most > 0;
}

void merge(Word& word, const Pair& pair) {
  std::vector<std::string> merged;
  for (size_t i = 0; i < word.symbols.size(); ++i) {
    const bool joins =
        i + 1 < word.symbols.size() && word.symbols[i] == pair.first && word.symbols[i + 1] == pair.second;
    merged.push_back(joins ? pair.first + pair.second : word.symbols[i]);
    if (joins) ++i;
  }
  word.symbols = std::move(merged);
}

struct Vocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;

  void add(std::string token, TokenKind kind) {
    tokens.push_back(std::move(token));
    types.push_back(static_cast<int32_t>(kind));
  }
};

Vocabulary start(std::string_view text) {
  Vocabulary vocabulary;
  for (const std::string_view name :
       {"<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<|turn>", "<turn|>", "<|tool_response>"})
    vocabulary.add(std::string(name), name == "<unk>" ? TokenKind::unknown : TokenKind::control);
  for (int byte = 0; byte < 256; ++byte) vocabulary.add(fmt::format("<0x{:02X}>", byte), TokenKind::byte);
  for (const char c : std::set<char>(text.begin(), text.end())) {
    CHECK(static_cast<unsigned char>(c) < 0x80);
    vocabulary.add(symbol_of(c), TokenKind::normal);
  }
  return vocabulary;
}

void add_merges(std::string_view text, size_t n_vocab, Vocabulary& vocabulary) {
  std::vector<Word> words = count_words(text);
  std::unordered_set<std::string> known(vocabulary.tokens.begin(), vocabulary.tokens.end());
  for (Pair pair; most_frequent(words, pair);) {
    // Two different pairs may give the same token: the second is one more way to it.
    const std::string joined = pair.first + pair.second;
    if (!known.contains(joined)) {
      if (vocabulary.tokens.size() == n_vocab) return;
      vocabulary.add(joined, TokenKind::normal);
      known.insert(joined);
    }
    vocabulary.merges.push_back(fmt::format("{} {}", pair.first, pair.second));
    for (Word& word : words) merge(word, pair);
  }
}

}  // namespace

std::string sample_text(const Language& language, uint64_t seed, int n_documents) {
  Random random(seed);
  std::string text;
  for (int i = 0; i < n_documents; ++i) text += language.draw(random).text();
  return text;
}

void train_tokenizer(std::string_view text, int n_vocab, gguf::Metadata& metadata) {
  Vocabulary vocabulary = start(text);
  CHECK(vocabulary.tokens.size() <= static_cast<size_t>(n_vocab));
  add_merges(text, static_cast<size_t>(n_vocab), vocabulary);
  for (int i = 0; vocabulary.tokens.size() < static_cast<size_t>(n_vocab); ++i)
    vocabulary.add(fmt::format("<unused{}>", i), TokenKind::unused);

  metadata.set("tokenizer.ggml.model", std::string("gemma4"));
  metadata.set_texts("tokenizer.ggml.tokens", vocabulary.tokens);
  metadata.set("tokenizer.ggml.scores", gguf::Array(std::vector<float>(vocabulary.tokens.size(), -1000.0f)));
  metadata.set("tokenizer.ggml.token_type", gguf::Array(vocabulary.types));
  metadata.set_texts("tokenizer.ggml.merges", vocabulary.merges);
  metadata.set("tokenizer.ggml.bos_token_id", uint32_t{2});
  metadata.set("tokenizer.ggml.eos_token_id", uint32_t{1});
  metadata.set("tokenizer.ggml.unknown_token_id", uint32_t{3});
  metadata.set("tokenizer.ggml.padding_token_id", uint32_t{0});
  metadata.set("tokenizer.ggml.mask_token_id", uint32_t{4});
  metadata.set("tokenizer.ggml.add_space_prefix", false);
  metadata.set("tokenizer.ggml.add_bos_token", true);
}

}  // namespace carat::lab
