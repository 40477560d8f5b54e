// Splits what a model writes into thoughts, answer and tool calls, as it comes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/chat.h"
#include "model/tool_call_syntax.h"

namespace carat {

// What a piece of output adds.
struct OutputDelta {
  std::string reasoning, content;
  std::vector<ToolCall> calls;  // complete ones
  bool empty() const { return reasoning.empty() && content.empty() && calls.empty(); }
};

// Feed it the whole output once, in pieces of any size: by token, where spelled markers stay text, or as
// text, where they are markers. The sum of the deltas does not depend on how the output is cut. Nothing is
// lost: what stands in a call's place and is none comes as content.
class OutputParser {
 public:
  // `in_thought`: the prompt ends in an open thought, as it does after a tool's result with thinking on.
  explicit OutputParser(bool in_thought = false) : state_(in_thought ? State::thought : State::content) {}

  OutputDelta push(Token token, const Tokenizer& tokenizer);
  OutputDelta push(std::string_view text);

  // The output is over. What was held back comes; a call that is not complete is in unfinished_call().
  OutputDelta finish();

  // After finish(): the call that the output broke off in, as far as it can be read.
  const std::vector<ToolCall>& unfinished_call() const { return unfinished_; }

 private:
  enum class State { content, header, thought, call };

  void take_text(std::string_view text, OutputDelta& delta);
  void take_marker(std::string_view marker, OutputDelta& delta);
  void take_thought(std::string_view text, OutputDelta& delta);
  void close_call(OutputDelta& delta);

  State state_;
  std::string held_;      // text that may be the beginning of a marker
  std::string block_;     // of the open call or of the channel's name
  bool newline_ = false;  // held back: the newline before <channel|> belongs to the template
  std::vector<ToolCall> unfinished_;
};

}  // namespace carat
