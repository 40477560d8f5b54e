// The built-in suite: no question twice, categories in balance, everything where the template wants it, and
// answers that a second computation finds, too.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "eval/suite_answers.h"
#include "eval/suites/builtin.h"
#include "eval/suites/long_document.h"
#include "model/vocabulary.h"

namespace carat {
namespace {

Tokenizer tokenizer() {
  gguf::Metadata metadata;
  describe(sample_vocabulary(900), metadata);
  return Tokenizer::load(metadata).take();
}

// `small`: E2B or E4B, whose answers begin without an empty thought.
Config config(bool small = true) {
  Config config;
  config.context_length = 131072;
  config.per_layer_dim = small ? 1 : 0;
  return config;
}

constexpr int64_t kLongest = 16384;

std::unique_ptr<BuiltinSource> source(uint64_t seed = 1, int64_t longest = kLongest) {
  return BuiltinSource::create({seed, longest}, tokenizer(), config()).take();
}

std::string content(const ChatTurn& turn) { return std::get<std::string>(turn.content); }

std::string joined(const std::vector<std::string>& lines) { return suites::joined(lines, "\n"); }

// Questions with their answers: what is asked, and the example before it.
struct Solved {
  std::string category, question, answer;
};

std::vector<Solved> solved(int n_rounds, uint64_t seed = 1) {
  std::vector<Solved> result;
  const auto suite = source(seed);
  for (int round = 0; round < n_rounds; ++round)
    for (const auto& [category, q] : suite->next_round().take()) {
      if (!q.is_exact || q.call || q.turns.size() == 5) continue;  // prose, calls, dialogues
      result.push_back({category, content(q.turns.back()), joined(q.lines)});
      if (q.turns.size() == 3) result.push_back({category, content(q.turns[0]), content(q.turns[1])});
    }
  return result;
}

TEST(BuiltinSuite, DependsOnItsSeedAlone) {
  const Suite suite = builtin_suite({1, kLongest}, 9, tokenizer(), config()).take();
  EXPECT_EQ(builtin_suite({1, kLongest}, 9, tokenizer(), config()).take().hash(), suite.hash());
  EXPECT_NE(builtin_suite({2, kLongest}, 9, tokenizer(), config()).take().hash(), suite.hash());
  // However many are taken at a time.
  const auto at_once = source()->more(40).take();
  ASSERT_GE(at_once.size(), 40u);
  for (size_t i = 0; i < at_once.size(); ++i) EXPECT_EQ(at_once[i].tokens, suite.items[i].tokens) << i;
}

TEST(BuiltinSuite, AsksNothingTwiceAndKeepsTheBalance) {
  const auto suite = source(3);
  std::set<std::string> questions;
  std::map<std::string, int> n_exact, n_prose;
  constexpr int kRounds = 150;  // more than some kinds have questions
  for (int round = 0; round < kRounds; ++round)
    for (const auto& [category, q] : suite->next_round().take()) {
      std::string text;
      for (size_t t = q.turns.size() == 3 ? 2 : 0; t < q.turns.size(); ++t)
        text += content(q.turns[t]) + "\n";
      EXPECT_TRUE(questions.insert(text).second) << text;
      ++(q.is_exact ? n_exact : n_prose)[category];
      EXPECT_FALSE(q.turns.size() == 3 && content(q.turns[0]) == content(q.turns[2]));
    }
  EXPECT_EQ(n_exact.size(), 13u);
  for (const auto& [category, n] : n_exact) {
    EXPECT_EQ(n + n_prose[category], category == "long" ? kRounds / 3 : kRounds) << category;
    EXPECT_GE(n, category == "long" ? kRounds / 3 : kRounds - 16) << category;
  }
  for (const char* category :
       {"chat", "code", "science", "chinese", "japanese", "korean", "arabic", "hindi", "russian"})
    EXPECT_GE(n_prose[category], 6) << category;
}

TEST(BuiltinSuite, StandsInTheTemplate) {
  const Tokenizer t = tokenizer();
  for (const bool small : {true, false}) {
    const auto asked = source()->next_round().take();
    const auto made = BuiltinSource::create({1, kLongest}, t, config(small)).take()->more(1).take();
    ASSERT_EQ(made.size(), asked.size());
    for (size_t i = 0; i < made.size(); ++i) {
      const Question& q = asked[i].question;
      const SuiteItem& item = made[i];
      ChatOptions options = chat_options(config(small));
      options.tools = q.tools;
      const std::string prompt = render_chat(q.turns, options);
      const auto text = [&](int begin, int end) {
        return t.decode(
            std::span(item.tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
            true);
      };
      const int n = static_cast<int>(item.tokens.size());
      EXPECT_EQ(text(0, item.first_scored), prompt) << item.category;
      EXPECT_TRUE(prompt.ends_with(small ? "<|turn>model\n" : "<|channel>thought\n<channel|>"));
      EXPECT_EQ(item.tokens.front(), t.bos());
      EXPECT_EQ(item.answers.front().begin, item.first_scored);
      EXPECT_EQ(item.answers.back().end, n);
      if (q.call) {
        EXPECT_EQ(text(item.first_scored, n).substr(0, 17), "<|tool_call>call:") << small;
        EXPECT_TRUE(text(item.first_scored, n).ends_with("}<tool_call|><|tool_response>"));
      } else {
        EXPECT_EQ(text(item.first_scored, n), joined(q.lines) + "<turn|>");
        ASSERT_EQ(item.answers.size(), q.lines.size());
        for (size_t a = 0; a < q.lines.size(); ++a)
          EXPECT_EQ(text(item.answers[a].begin, item.answers[a].end),
                    q.lines[a] + (a + 1 < q.lines.size() ? "\n" : "<turn|>"));
      }
    }
  }
}

TEST(BuiltinSuite, LinesAreTokenizedAsOneText) {
  const Tokenizer t = tokenizer();
  const auto suite = source();
  for (int round = 0; round < 6; ++round)
    for (const auto& [category, q] : suite->next_round().take()) {
      if (q.call) continue;
      const SuiteItem item = encode_question(q, category, t, config()).take();
      std::vector<Token> whole = encode_content(joined(q.lines), t);
      whole.push_back(t.find("<turn|>"));
      EXPECT_EQ(std::vector<Token>(item.tokens.begin() + item.first_scored, item.tokens.end()), whole)
          << category;
    }
}

TEST(BuiltinSuite, DocumentsAreAsLongAsTheySay) {
  const Suite suite = builtin_suite({5, kLongest}, 36, tokenizer(), config()).take();
  std::vector<double> shares;
  int i = 0;
  for (const SuiteItem& item : suite.items) {
    if (item.category != "long") {
      EXPECT_LT(item.tokens.size(), 6000u) << item.category;  // of single letters: about four to a real token
      continue;
    }
    EXPECT_EQ(item.answers.size(), 4u);
    const double wanted = static_cast<double>(kLongest >> (3 - i++ % 4));
    const double share = static_cast<double>(item.tokens.size()) / wanted;
    EXPECT_LE(share, 1) << wanted;
    EXPECT_GE(share, wanted < 4000 ? 0.75 : 0.9) << wanted;
  }
  EXPECT_EQ(i, 12);
  EXPECT_EQ(builtin_suite({5, 0}, 3, tokenizer(), config()).take().items.size(), 36u);
}

TEST(BuiltinSuite, ShortContextsAreRefusedInOneLine) {
  Config short_context = config();
  short_context.context_length = 1024;
  const auto with_documents = BuiltinSource::create({1, kLongest}, tokenizer(), short_context);
  ASSERT_FALSE(with_documents.has_value());
  EXPECT_NE(with_documents.error().message.find("1024"), std::string::npos);
  short_context.context_length = 100;
  const auto items = BuiltinSource::create({1, 0}, tokenizer(), short_context).take()->more(1);
  ASSERT_FALSE(items.has_value());
  EXPECT_NE(items.error().message.find("context is 100"), std::string::npos);
}

TEST(BuiltinSuite, ASecondComputationFindsTheSameAnswers) {
  std::map<std::string, int> n_known, n_all;
  for (const Solved& s : solved(90, 7)) {
    std::optional<std::string> known;
    if (s.category == "maths")
      known = suite_answers::maths(s.question);
    else if (s.category == "science")
      known = suite_answers::science(s.question);
    else if (s.category == "chat")
      known = suite_answers::chat(s.question);
    else if (s.category == "recall")
      known = suite_answers::recall(s.question);
    else if (s.category == "long")
      known = suite_answers::long_document(s.question);
    else if (suite_answers::tongues().contains(s.category))
      known = suite_answers::language(s.category, s.question, s.answer);
    else
      continue;
    ++n_all[s.category];
    n_known[s.category] += known.has_value();
    EXPECT_EQ(known.value_or(s.answer), s.answer) << s.question;
  }
  // All but facts, and numbers whose place in the question the second computation does not find.
  for (const auto& [category, n] : n_all)
    EXPECT_GE(n_known[category], n * (category == "science" ? 0.5 : 0.98)) << category;
  EXPECT_EQ(n_all.size(), 11u);
}

TEST(BuiltinSuite, CallsAndObjectsSayWhatTheRequestSays) {
  const auto suite = source(11);
  int n_calls = 0, n_objects = 0;
  for (int round = 0; round < 60; ++round)
    for (const auto& [category, q] : suite->next_round().take()) {
      if (category != "tools") continue;
      const std::string request = content(q.turns.back());
      if (q.call) {
        ++n_calls;
        ASSERT_EQ(q.tools.size(), 4u);
        const auto is_called = [&](const JsonValue& tool) {
          return *tool.find("function")->find("name")->text() == q.call->name;
        };
        EXPECT_EQ(std::ranges::count_if(q.tools, is_called), 1);
        for (const auto& [key, value] : q.call->arguments) {
          const std::string text = value.text() != nullptr ? *value.text() : std::to_string(*value.integer());
          EXPECT_NE(request.find(text), std::string::npos) << request;
        }
      } else {
        ++n_objects;
        const auto object = nlohmann::json::parse(q.lines.at(0));
        for (const auto& [key, value] : object.items()) {
          EXPECT_NE(request.find("\"" + key + "\""), std::string::npos);
          if (key == "count" || key == "stops" || value.is_boolean()) continue;
          const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
          EXPECT_NE(request.find(text), std::string::npos) << request;
        }
      }
    }
  EXPECT_GT(n_calls, 20);
  EXPECT_GT(n_objects, 10);
}

TEST(BuiltinSuite, ProgramsPrintWhatIsExpected) {
  if (std::system("python3 -c pass >/dev/null 2>&1") != 0) GTEST_SKIP() << "no Python here";
  const auto path =
      std::filesystem::temp_directory_path() / ("carat_programs_" + std::to_string(getpid()) + ".py");
  int n = 0;
  {
    std::ofstream script(path);
    script << "import contextlib, io, json, sys\nwrong = 0\ndef check(program, expected):\n  global wrong\n  "
              "out = io.StringIO()\n"
              "  with contextlib.redirect_stdout(out): exec(program, {})\n  if out.getvalue() != expected + "
              "'\\n':\n"
              "    wrong += 1; print(program, out.getvalue(), expected, sep='\\n', file=sys.stderr)\n";
    for (const Solved& s : solved(90, 7)) {
      if (s.category != "code") continue;
      ++n;
      script << "check(" << nlohmann::json(*suite_answers::between(s.question, "```python\n", "\n```")).dump()
             << ", " << nlohmann::json(s.answer).dump() << ")\n";
    }
    script << "sys.exit(1 if wrong else 0)\n";
  }
  EXPECT_GT(n, 150);
  EXPECT_EQ(std::system(("python3 " + path.string()).c_str()), 0);
  std::filesystem::remove(path);
}

TEST(TemplateHash, TellsTheTwoTemplatesApart) {
  EXPECT_EQ(template_hash(config(true)), template_hash(config(true)));
  EXPECT_NE(template_hash(config(true)), template_hash(config(false)));
  EXPECT_EQ(template_hash(config()).size(), 16u);
}

}  // namespace
}  // namespace carat
