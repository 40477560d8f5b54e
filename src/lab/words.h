// The words of the lab language. They are short and share their endings, so that a vocabulary of 512 tokens
// with about 190 merges has a token for nearly each of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace carat::lab {

enum class WordClass { person, animal, thing, place, look };

// The first `n_words` of a class (16 at most), in a fixed order.
std::vector<std::string_view> words(WordClass word_class, int n_words);

// "a", "b", …: 26 at most.
std::vector<std::string_view> letters(int n_letters);

}  // namespace carat::lab
