// Long documents: thousands of tokens in which a few lines are asked for.
#pragma once

#include "eval/suites/category.h"

namespace carat::suites {

// A question about a document, together about n_tokens long under the tokenizer and never longer. Four
// answers, one per line. `kind` counts the items: it goes round the kinds of documents. Error: no room for
// four entries.
Result<Question> long_document(Draw& draw, int64_t kind, int64_t n_tokens, const Tokenizer& tokenizer);

inline constexpr int64_t kShortestDocument = 512;

}  // namespace carat::suites
