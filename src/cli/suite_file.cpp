// JSON lines -> Suite.
#include "cli/suite_file.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "model/chat.h"

namespace carat::cli {
namespace {

Result<SuiteItem> read_item(const std::string& line, const Model& model, const std::string& where) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return fail("{}: not a JSON object", where);
  for (const char* key : {"prompt", "answer"})
    if (!json.contains(key) || !json[key].is_string()) return fail("{}: expected \"{}\", a text", where, key);
  SuiteItem item;
  item.category = json.contains("category") && json["category"].is_string() ? json["category"].get<std::string>() : "all";
  const ChatTurn turns[] = {{ChatTurn::Role::user, json["prompt"].get<std::string>()}};
  const Tokenizer& tokenizer = model.tokenizer;
  item.tokens = tokenizer.encode(render_chat(turns, model.config), {.parse_special = true});
  const int begin = static_cast<int>(item.tokens.size());
  auto answer = tokenizer.encode(json["answer"].get<std::string>(), {.add_bos = false});
  if (answer.empty()) return fail("{}: the answer is empty", where);
  if (const Token end = tokenizer.find("<turn|>"); end >= 0) answer.push_back(end);
  item.tokens.insert(item.tokens.end(), answer.begin(), answer.end());
  item.first_scored = begin;
  item.answers.push_back({begin, static_cast<int>(item.tokens.size())});
  if (static_cast<int64_t>(item.tokens.size()) > model.config.context_length)
    return fail("{}: {} tokens, the model's context is {}", where, item.tokens.size(), model.config.context_length);
  return item;
}

}  // namespace

Result<Suite> read_suite(const std::string& path, const Model& model) {
  const std::string text = TRY(read_file(path));
  Suite suite;
  suite.name = std::filesystem::path(path).filename().string();
  int number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    suite.items.push_back(TRY(read_item(line, model, fmt::format("{}: line {}", path, number))));
  }
  if (suite.items.empty()) return fail("{}: no questions in it", path);
  return suite;
}

}  // namespace carat::cli
