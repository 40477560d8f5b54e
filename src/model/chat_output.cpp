// A state machine over text and markers. Text may end within a marker's spelling, so its last bytes wait for
// more.
#include "model/chat_output.h"

#include <algorithm>
#include <array>
#include <utility>

namespace carat {
namespace {

constexpr std::string_view kOpenChannel = "<|channel>", kCloseChannel = "<channel|>",
                           kOpenCall = "<|tool_call>", kCloseCall = "<tool_call|>", kQuote = "<|\"|>",
                           kThought = "thought\n";

// The last four end a turn, or begin what only a prompt may hold: they are dropped.
constexpr std::array<std::string_view, 9> kMarkers = {
    kOpenChannel, kCloseChannel, kOpenCall,          kCloseCall, kQuote,
    "<turn|>",    "<eos>",       "<|tool_response>", "<|turn>"};

// Whether more text can make a marker of it.
bool is_partial_marker(std::string_view text) {
  return std::any_of(kMarkers.begin(), kMarkers.end(), [&](std::string_view m) { return m.starts_with(text); });
}

std::string_view marker_at(std::string_view text) {
  for (const std::string_view marker : kMarkers)
    if (text.starts_with(marker)) return marker;
  return {};
}

}  // namespace

OutputDelta OutputParser::push(Token token, const Tokenizer& tokenizer) {
  OutputDelta delta;
  if (token < 0 || token >= tokenizer.n_tokens()) return delta;
  // Whatever kind the file declares it to be: files have been seen that get it wrong.
  const std::string_view text = tokenizer.token_text(token), marker = marker_at(text);
  if (!marker.empty() && marker.size() == text.size())
    take_marker(marker, delta);
  else
    take_text(tokenizer.piece(token), delta);
  return delta;
}

OutputDelta OutputParser::push(std::string_view text) {
  OutputDelta delta;
  held_ += text;
  const std::string pending = std::exchange(held_, {});
  std::string_view rest = pending;
  while (!rest.empty()) {
    const size_t begin = std::min(rest.find('<'), rest.size());
    take_text(rest.substr(0, begin), delta);
    rest.remove_prefix(begin);
    if (rest.empty()) break;
    if (const std::string_view marker = marker_at(rest); !marker.empty()) {
      take_marker(marker, delta);
      rest.remove_prefix(marker.size());
    } else if (is_partial_marker(rest)) {
      held_ = std::string(rest);
      break;
    } else {
      take_text(rest.substr(0, 1), delta);
      rest.remove_prefix(1);
    }
  }
  return delta;
}

OutputDelta OutputParser::finish() {
  OutputDelta delta;
  if (state_ == State::call && kCloseCall.starts_with(held_)) held_.clear();
  take_text(std::exchange(held_, {}), delta);
  if (state_ == State::call) {
    if (const auto parsed = parse_tool_call(block_)) unfinished_.push_back(parsed->call);
    delta.content += block_;  // a call that was cut off is shown as it was written
  } else if (state_ == State::header && !kThought.starts_with(block_)) {
    delta.reasoning += block_;
  }
  // A newline that ends an unfinished thought stays dropped: as in a finished one, it is the template's.
  block_.clear();
  state_ = State::content;
  return delta;
}

void OutputParser::take_text(std::string_view text, OutputDelta& delta) {
  if (text.empty()) return;
  switch (state_) {
    case State::content:
      delta.content += text;
      break;
    case State::call:
      block_ += text;
      break;
    case State::thought:
      take_thought(text, delta);
      break;
    case State::header:
      block_ += text;
      if (block_.size() < kThought.size() && kThought.starts_with(block_)) break;
      state_ = State::thought;
      const std::string named = std::exchange(block_, {});
      std::string_view rest = named;
      if (rest.starts_with(kThought)) rest.remove_prefix(kThought.size());
      take_thought(rest, delta);
      break;
  }
}

void OutputParser::take_thought(std::string_view text, OutputDelta& delta) {
  if (text.empty()) return;
  if (std::exchange(newline_, false)) delta.reasoning += '\n';
  newline_ = text.back() == '\n';
  if (newline_) text.remove_suffix(1);
  delta.reasoning += text;
}

void OutputParser::take_marker(std::string_view marker, OutputDelta& delta) {
  if (state_ == State::call) {
    if (marker == kCloseCall) return close_call(delta);
    if (marker == kQuote) {
      block_ += marker;
      return;
    }
    // Nothing else belongs into a call: it has broken off.
    close_call(delta);
  }
  if (state_ == State::header) {
    if (!kThought.starts_with(block_)) delta.reasoning += block_;
    block_.clear();
    state_ = State::thought;
  }
  if (marker == kOpenChannel) {
    state_ = State::header;
    newline_ = false;
  } else if (marker == kCloseChannel) {
    state_ = State::content;
    newline_ = false;
  } else if (marker == kOpenCall) {
    state_ = State::call;
    newline_ = false;
  } else if (marker == kQuote) {
    take_text(marker, delta);
  }
}

void OutputParser::close_call(OutputDelta& delta) {
  const std::string text = std::exchange(block_, {});
  state_ = State::content;
  const auto parsed = parse_tool_call(text);
  if (parsed && parsed->complete)
    delta.calls.push_back(parsed->call);
  else
    delta.content += text;
}

}  // namespace carat
