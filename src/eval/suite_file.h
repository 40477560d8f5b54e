// Suites from files: one JSON object per line.
//
//   {"category": "math", "question": "17 + 25?", "answer": "42"}
//   {"category": "tools", "messages": [{"role": "user", "content": "…"}, …], "tools": […], "answer": "…"}
//   {"category": "chat", "messages": [{"role": "user", …}, {"role": "assistant", …}], "checker": "likelihood"}
//   {"category": "math", "prompt": "<|turn>user\n17 + 25?<turn|>\n<|turn>model\n", "answer": "42", "end": "<turn|>"}
//   {"category": "records", "pieces": ["ann: 4\nbob: 7\nbob? ", {"answer": "7"}, "\nann? ", {"answer": "4"}, "\n"]}
//   {"category": "text", "text": "any text, scored token by token"}
//
// A question is put into the chat template and its answer closed by the end of the turn; in neither are control tokens
// recognised. Messages are a conversation in the form of chat APIs; the answer is stated beside them, or is the last
// message, which may be a tool call. A prompt stands as it is written. Pieces are tokenized one by one, with control
// tokens recognised, so that an answer begins and ends at a token; BOS is put in front. An answer's span holds its
// tokens and the first one after it. Of questions, messages and prompts only answer and end are scored, of the others
// everything after BOS.
//
// The judge writes no text of its own: it reads how likely the models find the reference answer. So there are two
// checkers: "exact" (the default; right if every token of the answer is the model's first choice, which is what greedy
// decoding would write) and "likelihood" (one of many good answers: its NLL counts, and nothing is right or wrong).
// Checkers that look at a text that a model wrote ("contains", "regex", "number", "json") are refused.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "eval/suite.h"
#include "model/config.h"

namespace carat {

// Errors name file and line; an item longer than the model's context is one. Safe on untrusted bytes.
Result<Suite> read_suite(const std::string& path, const Tokenizer& tokenizer, const Config& config);
Result<Suite> parse_suite(std::string_view text, std::string_view name, const Tokenizer& tokenizer,
                          const Config& config);

}  // namespace carat
