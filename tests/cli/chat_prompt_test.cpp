// Conversations on the command line: tokenize --chat and run --think, on models of both families with random
// weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "cli/refused.h"
#include "gguf/writer.h"
#include "model/fake_file.h"

namespace carat::cli {
namespace {

using Json = nlohmann::json;

struct ChatPrompt : testing::Test {
  Folder folder;
  std::string small = folder / "small.gguf", large = folder / "large.gguf";

  void SetUp() override {
    for (const auto& [file, like, layers, divisor] :
         {std::tuple{small, "e2b", "5", "24"}, std::tuple{large, "12b", "6", "15"}})
      ASSERT_EQ(carat({"synth", file, "--like", like, "--layers", layers, "--width-divisor", divisor,
                       "--vocab", "600"})
                    .code,
                0);
  }

  Outcome batch(std::vector<std::string> arguments, const std::string& input) {
    std::ofstream(folder / "in.json") << input;
    const Folder outputs;
    return Program(outputs, std::move(arguments), {.in = folder / "in.json", .out = {}}).wait();
  }
};

constexpr const char* kConversation =
    R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":" Q "}]})";

TEST_F(ChatPrompt, RendersForTheModelsFamily) {
  const std::string head = "<bos><|turn>system\nS<turn|>\n<|turn>user\nQ<turn|>\n<|turn>model\n";
  EXPECT_EQ(carat({"tokenize", small, kConversation, "--chat", "--render"}).out, head + "\n");
  EXPECT_EQ(carat({"tokenize", large, kConversation, "--chat", "--render"}).out,
            head + "<|channel>thought\n<channel|>\n");
}

TEST_F(ChatPrompt, BatchesOfConversationsAndTexts) {
  const auto rendered =
      batch({"tokenize", small, "--chat", "--render", "--batch"}, std::string("[") + kConversation + "]");
  EXPECT_EQ(rendered.code, 0) << rendered.err;
  const std::string text = Json::parse(rendered.out)[0];
  const auto ids = batch({"tokenize", small, "--chat", "--batch"}, std::string("[") + kConversation + "]");
  const auto same = batch({"tokenize", small, "--special", "--batch"}, Json::array({text}).dump());
  EXPECT_EQ(ids.out, same.out);
}

TEST_F(ChatPrompt, RefusesWhatIsNoConversation) {
  expect_refused(carat({"tokenize", small, "{", "--chat"}), "the conversation: not JSON at byte");
  expect_refused(carat({"tokenize", small, "{}", "--chat"}), "an object with \"messages\"");
  expect_refused(carat({"tokenize", small, R"({"messages":[{"role":"boss"}]})", "--chat"}),
                 "message 0: \"role\"");
  expect_refused(carat({"tokenize", small, R"({"messages":[{"role":"user","parts":[{"text":"Q"}]}]})", "--chat"}),
                 "message 0: the member \"parts\" is not supported");
  expect_refused(batch({"tokenize", small, "--chat", "--batch"}, R"([{"messages":[]},{"messages":[1]}])"),
                 "entry 1: message 0");
  expect_refused(batch({"tokenize", small, "--batch"}, R"(["a",1])"), "entry 1: not a string");
  expect_refused(batch({"tokenize", small, "--batch"}, "{}"), "expected a JSON list");
  expect_refused(carat({"run", small, "-p", "x", "--raw", "--think"}), "--think");
}

TEST_F(ChatPrompt, BenchesAFile) {
  std::ofstream(folder / "text.txt") << "some text\n";
  const auto outcome = carat({"tokenize", small, "--bench", folder / "text.txt", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["texts"][0]["bytes"], 10);
  expect_refused(carat({"tokenize", small, "--bench", folder / "no.txt"}), "no.txt");
}

TEST_F(ChatPrompt, RunThinks) {
  for (const bool think : {false, true}) {
    std::vector<std::string> arguments = {"run", large, "-p", "Q", "-n", "4", "--ignore-eos", "--json"};
    if (think) arguments.push_back("--think");
    const auto outcome = carat(arguments);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const Json answer = Json::parse(outcome.out);
    EXPECT_TRUE(answer.contains("content"));
    // <bos> <|turn> user \n Q <turn|> \n <|turn> model \n, and a block for thinking or an empty thought.
    const auto prompt =
        carat({"tokenize", large,
               std::string(R"({"messages":[{"role":"user","content":"Q"}],"enable_thinking":)") +
                   (think ? "true" : "false") + "}",
               "--chat", "--json"});
    EXPECT_EQ(answer["n_prompt"], Json::parse(prompt.out).size());
  }
}

// A model that says these tokens one after the other, whatever it is asked, and begins behind the first:
// layers of zeros change nothing, so each token's row of the embedding leads to the next one's row of the
// head.
void write_model_that_says(const std::vector<std::string>& texts, const Vocabulary& vocabulary,
                           const std::string& path) {
  FakeFile model(tiny_dense_config());
  describe(vocabulary, model.file.metadata);
  const Shape table = model.tensor("token_embd.weight").shape;
  model.add("output.weight", table, TensorType::F32);
  model.set_values("output_norm.weight", 1);
  for (const std::string& name : model.names)
    if (name.ends_with("layer_output_scale.weight")) model.set_values(name, 1);
  const auto cell = [&](const char* tensor, const std::string& text, size_t column) -> float& {
    const auto row = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), text);
    EXPECT_NE(row, vocabulary.tokens.end()) << text;
    return model
        .data[model.file.index.at(tensor)]
             [static_cast<size_t>(row - vocabulary.tokens.begin()) * static_cast<size_t>(table[0]) + column];
  };
  for (size_t i = 0; i + 1 < texts.size(); ++i) {
    cell("token_embd.weight", texts[i], i) = 1;
    cell("output.weight", texts[i + 1], i) = 1;
  }
  std::vector<gguf::TensorToWrite> tensors;
  for (const Tensor& tensor : model.file.tensors) tensors.push_back(gguf::existing(tensor));
  const auto written = gguf::write(path, model.file.metadata, tensors);
  ASSERT_TRUE(written) << written.error().message;
}

TEST(RunJson, ToolCallsAsApisHaveThem) {
  const Folder folder;
  Vocabulary vocabulary = sample_vocabulary(kMinSampleTokens);
  const std::string call = R"(call:f{a:1,b:"x"})";
  const auto unused = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), "<unused7>");
  ASSERT_NE(unused, vocabulary.tokens.end());
  vocabulary.kinds[static_cast<size_t>(unused - vocabulary.tokens.begin())] = TokenKind::normal;
  *unused = call;
  write_model_that_says({"<channel|>", "<|tool_call>", call, "<tool_call|>", "<|tool_response>"}, vocabulary,
                        folder / "caller.gguf");
  const auto outcome =
      carat({"run", folder / "caller.gguf", "-p", "Q", "--temp", "0", "-c", "100", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json answer = Json::parse(outcome.out);
  EXPECT_EQ(answer["content"], "");
  ASSERT_TRUE(answer.contains("tool_calls")) << outcome.out;
  EXPECT_EQ(
      answer["tool_calls"].dump(),
      R"([{"function":{"arguments":"{\"a\":1,\"b\":\"x\"}","name":"f"},"id":"call_0","type":"function"}])");
  // An answer without calls has no list of them.
  write_model_that_says({"<channel|>", "A", "<turn|>"}, vocabulary, folder / "talker.gguf");
  const auto talk = carat({"run", folder / "talker.gguf", "-p", "Q", "--temp", "0", "-c", "100", "--json"});
  ASSERT_EQ(talk.code, 0) << talk.err;
  EXPECT_EQ(Json::parse(talk.out)["content"], "A");
  EXPECT_FALSE(Json::parse(talk.out).contains("tool_calls"));
}

}  // namespace
}  // namespace carat::cli
