// Conversations as JSON: what chat APIs and their clients send is taken, what would be lost is refused by
// name.
#include "model/chat_json.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

std::string error_of(std::string_view json) {
  const auto value = parse_json(json);
  EXPECT_TRUE(value) << json;
  const auto conversation = parse_conversation(value ? *value : JsonValue());
  return conversation ? "no error" : conversation.error().message;
}

std::string message_error(const std::string& message) { return error_of("{\"messages\":[" + message + "]}"); }

TEST(ChatJson, WhatClientsSend) {
  const auto conversation = parse_conversation(parse_json(R"({
      "model": "gemma", "temperature": 0.5, "stream": true, "tools": [{"type": "function", "strict": true}],
      "enable_thinking": true, "add_generation_prompt": false, "tool_choice": "auto", "response_format": {"type": "text"},
      "parallel_tool_calls": false, "chat_template_kwargs": {}, "functions": [],
      "messages": [
        {"role": "user", "name": "ann", "content": [
          {"type": "text", "text": "Q", "cache_control": {"type": "ephemeral"}}, {"type": "image_url", "image_url": {"url": "data:,"}},
          {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, {"type": "video", "path": "x"}]},
        {"role": "assistant", "content": null, "refusal": "", "annotations": [], "function_call": null, "reasoning_details": [{}], "thinking": "T",
         "tool_calls": [{"id": "1", "index": 0, "type": "function", "extra_content": {"x": 1},
                         "function": {"name": "f", "arguments": "{\"a\": [1]}"}}]},
        {"role": "tool", "tool_call_id": "1", "name": "f", "content": {"x": 1}},
        {"role": "assistant", "content": "A", "reasoning": "", "reasoning_content": "R"}]})")
                                                   .take());
  ASSERT_TRUE(conversation) << conversation.error().message;
  EXPECT_TRUE(conversation->think);
  EXPECT_FALSE(conversation->open_answer);
  EXPECT_EQ(conversation->tools.size(), 1u);
  ASSERT_EQ(conversation->turns.size(), 4u);
  EXPECT_EQ(std::get<std::vector<ContentPart>>(conversation->turns[0].content).size(), 4u);
  EXPECT_EQ(conversation->turns[1].reasoning, "T");
  EXPECT_EQ(conversation->turns[1].tool_calls,
            (std::vector<ToolCall>{{"1", "f", {{"a", JsonValue::Array{1}}}}}));
  EXPECT_EQ(conversation->turns[2].tool_call_id, "1");
  EXPECT_EQ(conversation->turns[3].reasoning, "R");
}

// Each names the member and where it stands.
TEST(ChatJson, MembersThatWouldChangeThePrompt) {
  EXPECT_EQ(error_of(R"({"messages":[],"chat_template_kwargs":{"enable_thinking":true}})"),
            "the member \"chat_template_kwargs\" is not supported, and without it the prompt would be another");
  EXPECT_EQ(message_error(R"({"role":"user","content":""},{"role":"assistant","function_call":{"name":"f"}})"),
            "message 1: the member \"function_call\" is not supported, and without it the prompt would be another");
  EXPECT_TRUE(message_error(R"({"role":"tool","tool_responses":[{"name":"f"}]})")
                  .starts_with("message 0: the member \"tool_responses\" is not supported"));
  EXPECT_TRUE(message_error(R"({"role":"user","content":[{"type":"image","text":"caption"}]})")
                  .starts_with("message 0: part 0 of \"content\": the member \"text\" is not supported"));
  const auto call_error = [](const std::string& call) {
    return message_error(R"({"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":""}},)" + call + "]}");
  };
  EXPECT_EQ(call_error(R"({"type":"custom","function":{"name":"f"}})"),
            "message 0: tool call 1: its \"type\" is not \"function\"");
  EXPECT_EQ(call_error("1"), "message 0: tool call 1: not an object");
  EXPECT_EQ(message_error(R"({"role":"user","content":["x"]})"),
            "message 0: part 0 of \"content\": not an object");
}

// Calls as they are handed out are read back.
TEST(ChatJson, ToolCallsOfAnAnswer) {
  const std::vector<ToolCall> calls = {{"", "f", {{"a", "\"q\"\n"}, {"b", JsonValue::Object{{"c", 1.5}}}}},
                                       {"x", "g", {}}};
  EXPECT_EQ(
      to_json(to_json_value(calls)),
      R"([{"id":"call_0","type":"function","function":{"name":"f","arguments":"{\"a\":\"\\\"q\\\"\\n\",)"
      R"(\"b\":{\"c\":1.5}}"}},{"id":"x","type":"function","function":{"name":"g","arguments":"{}"}}])");
  const auto conversation = parse_conversation(JsonValue::Object{
      {"messages",
       JsonValue::Array{JsonValue::Object{{"role", "assistant"}, {"tool_calls", to_json_value(calls)}}}}});
  ASSERT_TRUE(conversation) << conversation.error().message;
  ASSERT_EQ(conversation->turns[0].tool_calls.size(), 2u);
  EXPECT_EQ(conversation->turns[0].tool_calls[0], (ToolCall{"call_0", "f", calls[0].arguments}));
  EXPECT_EQ(conversation->turns[0].tool_calls[1], calls[1]);
}

}  // namespace
}  // namespace carat
