// Question: an item of a suite as a conversation and the answer that is expected to it, before it is
// tokenized. The judge asks inside the chat template, without thinking, and scores the answer token by token.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/suite.h"
#include "model/chat.h"
#include "model/config.h"

namespace carat {

struct Question {
  std::vector<ChatTurn> turns;   // up to the user's last
  std::vector<JsonValue> tools;  // offered to the model
  // The answer, line by line, each line an answer of its own: a long answer has as many witnesses as lines,
  // and all are one item. A line ends with the newline behind it, the last with the end of the turn.
  std::vector<std::string> lines;
  std::optional<ToolCall> call;  // the answer, instead of lines
  bool is_exact =
      true;  // false: one of many good answers, judged by its likelihood alone; lines are one text
};

// BOS, the conversation, the answer; only the answer is scored. Errors: an empty line; a call where the
// vocabulary has no tokens for calls.
Result<SuiteItem> encode_question(const Question& question, std::string category, const Tokenizer& tokenizer,
                                  const Config& config);

// The template that encode_question() uses for a model, as 16 hexadecimal digits over a conversation in which
// everything occurs that questions have: two judgements with one hash asked in one way.
std::string template_hash(const Config& config);

}  // namespace carat
