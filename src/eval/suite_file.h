// Suites from files: one JSON object per line.
//
//   {"category": "math", "prompt": "<|turn>user\n17 + 25?<turn|>\n<|turn>model\n", "answer": "42", "end":
//   "<turn|>"}
//   {"category": "records", "pieces": ["ann: 4\nbob: 7\nbob? ", {"answer": "7"}, "\nann? ", {"answer": "4"},
//   "\n"]}
//   {"category": "chat", "text": "any text, scored token by token"}
//
// Pieces are tokenized one by one, with control tokens recognised, so that an answer begins and ends at a
// token; BOS is put in front. An answer's span holds its tokens and the first one after it (in "prompt" items
// the end token). Of "prompt" items only answer and end are scored, of the others everything after BOS.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "eval/suite.h"

namespace carat {

// Errors name file and line. Safe on untrusted bytes.
Result<Suite> read_suite(const std::string& path, const Tokenizer& tokenizer);
Result<Suite> parse_suite(std::string_view text, std::string_view name, const Tokenizer& tokenizer);

}  // namespace carat
