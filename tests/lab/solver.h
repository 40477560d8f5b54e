// Answers the lab's questions from the text alone, written without looking at how the texts are made.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace carat::lab {

// Splits at spaces; the signs of `separators` are words of their own.
inline std::vector<std::string> split(std::string_view text, std::string_view separators) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == ' ' || separators.find(c) != std::string_view::npos) {
      if (c != ' ') words.push_back(std::string(1, c));
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  std::erase(words, "");
  return words;
}

inline std::vector<std::string> sentences(std::string_view text) {
  std::vector<std::string> result(1);
  for (const char c : text) {
    if (c == '.' || c == '?' || c == ';' || c == ',')
      result.emplace_back();
    else
      result.back() += c;
  }
  return result;  // the last one is unfinished
}

// `before`: everything from after the heading up to the answer.
inline std::string solve_story(std::string_view before) {
  std::map<std::string, std::string> place, owner;
  std::vector<std::string> question;
  for (const std::string& sentence : sentences(before)) {
    const std::vector<std::string> w = split(sentence, "");
    if (w.size() >= 3 && w[0] != "where" && w[0] != "who") {
      if (w[1] == "is" || w[1] == "goes") place[w[0]] = w[3];
      if (w[1] == "gets") owner[w[2]] = w[0];
      if (w[1] == "gives") {
        if (owner[w[2]] != w[0]) return "gives what he has not";
        owner[w[2]] = w[4];
      }
    }
    if (!w.empty() && (w[0] == "where" || w[0] == "who")) question = w;
  }
  if (question.empty()) return "no question";
  if (question[0] == "who") return " " + owner.at(question[2]) + ".";
  if (place.contains(question[2])) return " " + place.at(question[2]) + ".";
  return " " + place.at(owner.at(question[2])) + ".";
}

inline std::string solve_sum(std::string_view before) {
  const std::string last(before.substr(before.rfind(' ') + 1));
  size_t n_read = 0;
  const long left = std::stol(last, &n_read);
  const long right = std::stol(last.substr(n_read + 1));
  const char sign = last[n_read];
  return std::to_string(sign == '+' ? left + right : sign == '-' ? left - right : left * right) + ";";
}

// A pair is a name and its value, the last word. The pairs before the first full stop, and those after it
// that begin with "now", say what stands for what; the question after the last semicolon is followed until
// nothing stands for it, and with "end" only the last stop counts.
inline std::string solve_pairs(std::string_view before) {
  std::map<std::string, std::string> pairs;
  const auto learn = [&](const std::string& pair) {
    const size_t space = pair.rfind(' ');
    pairs[pair.substr(0, space)] = pair.substr(space);
  };
  const size_t stop = before.find('.');
  for (const std::string& pair : sentences(before.substr(0, stop))) {
    if (pairs.contains(pair.substr(0, pair.rfind(' ')))) return "a name twice";
    learn(pair);
  }
  const std::vector<std::string> later = sentences(before.substr(stop + 1));
  for (const std::string& sentence : later)
    if (sentence.starts_with(" now ")) learn(sentence.substr(4));
  const bool only_end = later.back().starts_with(" end ");
  std::string answer, at = later.back().substr(only_end ? 4 : 0);
  while (pairs.contains(at)) {
    at = pairs[at];
    answer = only_end ? at : answer + at;
  }
  return answer + ";";
}

inline std::string solve_list(std::string_view before) {
  std::vector<std::string> w = split(sentences(before).back(), ":");
  const std::string task = w.front();
  w.erase(w.begin());
  w.pop_back();
  if (task == "flip") std::reverse(w.begin(), w.end());
  if (task == "sort") std::sort(w.begin(), w.end());
  std::string answer;
  for (const std::string& item : w) answer += " " + item;
  return answer + ";";
}

inline std::string solve_brackets(std::string_view before) {
  std::string open, answer;
  for (const char c : before.substr(before.rfind(' ') + 1)) {
    if (c == ':') break;
    const size_t closes = std::string_view(")]}>").find(c);
    if (closes == std::string_view::npos) {
      open += c;
    } else {
      if (open.empty() || open.back() != "([{<"[closes]) return "unbalanced";
      open.pop_back();
    }
  }
  for (; !open.empty(); open.pop_back()) answer += ")]}>"[std::string_view("([{<").find(open.back())];
  return answer + ";";
}

inline std::string solve_call(std::string_view before) {
  const size_t begin = before.rfind('}') == std::string_view::npos ? 0 : before.rfind('}') + 1;
  const std::vector<std::string> w = split(before.substr(begin), ":");
  std::vector<std::pair<std::string, std::string>> slots;
  for (size_t i = 0; i + 1 < w.size(); i += 2) {
    if (w[i] == "no")
      slots.back().second = w[i + 1];
    else
      slots.emplace_back(w[i], w[i + 1]);
  }
  for (const char* const action : {"get", "put", "send", "ask", "set", "call"})
    if (slots.back().first == action) std::rotate(slots.begin(), slots.end() - 1, slots.end());
  std::string answer;
  for (const auto& [name, value] : slots) {
    const bool is_number = value.find_first_not_of("0123456789") == std::string::npos;
    answer += (answer.empty() ? "{\"" : ",\"") + name + "\":" + (is_number ? value : "\"" + value + "\"");
  }
  return answer + "}";
}

inline std::string solve(std::string_view kind, std::string_view before) {
  if (kind == "story") return solve_story(before);
  if (kind == "arith") return solve_sum(before);
  if (kind == "kv" || kind == "chain") return solve_pairs(before);
  if (kind == "list") return solve_list(before);
  if (kind == "bracket") return solve_brackets(before);
  if (kind == "tool") return solve_call(before);
  return "unknown kind";
}

}  // namespace carat::lab
