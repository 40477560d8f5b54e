// Trains a "gemma4" vocabulary on lab text: byte-pair merges by frequency, within words only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gguf/metadata.h"
#include "lab/language.h"

namespace carat::lab {

// Concatenated documents of `language`, as they stand in a training row.
std::string sample_text(const Language& language, uint64_t seed, int n_documents);

// Sets all tokenizer.ggml.* keys. Ids: 0 … 4 <pad> <eos> <bos> <unk> <mask>, the turn and tool tokens, 256
// bytes, the text's characters in code order, the merged tokens in the order of their merges; <unused…> up to
// n_vocab, which must have room for all but the merges.
//
// A merge joins letters, or a space and the letters after it. Digits, signs and newlines stay single, so no
// token crosses two words, and text may be cut before a space, before and after a sign, digit or newline
// without changing its tokens. Merging the lowest rank first (the encoder's rule) is what was done here.
// `text` is ASCII.
void train_tokenizer(std::string_view text, int n_vocab, gguf::Metadata& metadata);

}  // namespace carat::lab
