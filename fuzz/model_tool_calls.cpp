// Any bytes as what a model writes: thoughts, answer and calls do not depend on how the output is cut into
// pieces, and a call reads back from what the template shows of it.
#include <algorithm>
#include <cstdint>
#include <string>

#include "model/chat_output.h"
#include "model/chat_segments.h"
#include "model/chat_tools.h"

namespace {

using namespace carat;

struct Output {
  std::string reasoning, content;
  std::vector<ToolCall> calls, unfinished;
  bool operator==(const Output&) const = default;
};

void add(const OutputDelta& delta, Output& output) {
  output.reasoning += delta.reasoning;
  output.content += delta.content;
  output.calls.insert(output.calls.end(), delta.calls.begin(), delta.calls.end());
}

Output parse(std::string_view text, size_t piece, bool in_thought) {
  OutputParser parser(in_thought);
  Output output;
  for (size_t at = 0; at < text.size(); at += piece) add(parser.push(text.substr(at, piece)), output);
  add(parser.finish(), output);
  output.unfinished = parser.unfinished_call();
  return output;
}

// Texts with a quote token's spelling and keys with signs in them cannot be written.
bool is_plain(const JsonValue& value) {
  if (const std::string* text = value.text()) return text->find("<|\"|>") == std::string::npos;
  if (const JsonValue::Array* items = value.array())
    return std::all_of(items->begin(), items->end(), is_plain);
  if (const JsonValue::Object* members = value.object())
    return std::all_of(members->begin(), members->end(), [](const auto& member) {
      const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
      return !member.first.empty() && std::all_of(member.first.begin(), member.first.end(), is_letter) &&
             is_plain(member.second);
    });
  return true;
}

// Sorted by key, as the template shows them.
JsonValue sorted(const JsonValue& value) {
  if (const JsonValue::Array* items = value.array()) {
    JsonValue::Array out;
    for (const JsonValue& item : *items) out.push_back(sorted(item));
    return out;
  }
  if (const JsonValue::Object* members = value.object()) {
    JsonValue::Object out;
    for (const auto& [key, member] : *members) out.emplace_back(key, sorted(member));
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return out;
  }
  return value;
}

void check_round_trip(const ToolCall& call) {
  if (!is_plain(call.arguments) || call.name.find_first_of("{ \t\n") != std::string::npos) return;
  for (const char c : call.name)
    if (static_cast<unsigned char>(c) <= 32 || static_cast<unsigned char>(c) >= 127) return;
  Segments segments;
  render_call(call, segments);
  std::string text;
  const std::vector<ChatSegment>& list = segments.list();
  for (size_t i = 1; i + 1 < list.size(); ++i) text += list[i].text;  // without the markers around it
  const auto again = parse_tool_call(text);
  CHECK(again && again->complete && again->call.name == call.name);
  CHECK(sorted(again->call.arguments) == sorted(call.arguments));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), std::min<size_t>(size, 2000));
  if (const auto parsed = parse_tool_call(text)) {
    (void)to_json(parsed->call.arguments);
    if (parsed->complete) check_round_trip(parsed->call);
  } else {
    CHECK(!parsed.error().message.empty());
  }
  for (const bool in_thought : {false, true}) {
    const Output whole = parse(text, text.size() + 1, in_thought);
    for (const size_t piece : {size_t{1}, size_t{3}, size_t{10}})
      CHECK(parse(text, piece, in_thought) == whole);
  }
  return 0;
}
