// A second way to the answers of the built-in suite's questions: read from the question's text, with nothing
// of the generators. What is not recomputed here (facts, dialogues) is unknown.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace carat::suite_answers {

inline std::vector<int64_t> numbers_in(const std::string& text) {
  std::vector<int64_t> result;
  static const std::regex number("\\d+");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), number); it != std::sregex_iterator(); ++it)
    result.push_back(std::stoll(it->str()));
  return result;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

inline std::vector<std::string> parts_of(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string::npos; begin = end + separator.size())
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

// What stands between two texts; nothing if they do not follow each other.
inline std::optional<std::string> between(const std::string& text, const std::string& before,
                                          const std::string& after) {
  const size_t begin = text.find(before);
  if (begin == std::string::npos) return std::nullopt;
  const size_t end = text.find(after, begin + before.size());
  if (end == std::string::npos) return std::nullopt;
  return text.substr(begin + before.size(), end - begin - before.size());
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline void add_line(std::string& text, const std::string& line) {
  if (!text.empty()) text += '\n';
  text += line;
}

// * before + and -, left to right, one level of parentheses.
class Expression {
 public:
  explicit Expression(const std::string& text) {
    std::copy_if(text.begin(), text.end(), std::back_inserter(text_), [](char c) { return c != ' '; });
  }
  int64_t value() { return sum(); }

 private:
  char look() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  int64_t factor() {
    if (look() == '(') {
      ++at_;
      const int64_t inner = sum();
      ++at_;
      return inner;
    }
    int64_t n = 0;
    while (look() >= '0' && look() <= '9') n = 10 * n + (text_[at_++] - '0');
    return n;
  }
  int64_t product() {
    int64_t value = factor();
    while (look() == '*') ++at_, value *= factor();
    return value;
  }
  int64_t sum() {
    int64_t value = product();
    while (look() == '+' || look() == '-') value += text_[at_++] == '+' ? product() : -product();
    return value;
  }
  std::string text_;
  size_t at_ = 0;
};

// By finding the step that explains four terms: second differences, doubling, or alternation.
inline int64_t next_term(const std::vector<int64_t>& t) {
  const int64_t d1 = t[1] - t[0], d2 = t[2] - t[1], d3 = t[3] - t[2], d4 = t[4] - t[3];
  if (d2 - d1 == d3 - d2 && d3 - d2 == d4 - d3) return t[4] + d4 + (d4 - d3);
  if (d1 == d3 && d2 == d4) return t[4] + d1;
  return 2 * t[4] + (t[1] - 2 * t[0]);
}

inline std::optional<std::string> maths(const std::string& q) {
  const auto n = numbers_in(q);
  const auto text = [](int64_t value) { return std::to_string(value); };
  static const std::regex expression("^What is ([-0-9+*() ]+)\\?");
  std::smatch match;
  if (std::regex_search(q, match, expression)) return text(Expression(match[1].str()).value());
  if (has(q, "notebook costs")) return text(n[4] - n[0] * n[2] - n[1] * n[3]);
  if (has(q, "A train travels")) return text((n[0] * (60 * n[1] + n[2])) / 60);
  if (has(q, "percent of")) return text(n[0] * n[1] / 100);
  if (has(q, "reduced by")) return text(n[0] * (100 - n[1]) / 100);
  if (has(q, "Solve for x")) return text((n[2] + (has(q, "x - ") ? n[1] : -n[1])) / n[0]);
  if (has(q, "comes next in the sequence")) return text(next_term(n));
  if (has(q, "greatest common divisor")) {
    int64_t a = n[0], b = n[1];
    while (b != 0) a = std::exchange(b, a % b);
    return text(a);
  }
  if (has(q, "least common multiple")) {
    int64_t multiple = n[0];
    while (multiple % n[1] != 0) multiple += n[0];
    return text(multiple);
  }
  if (has(q, "remainder")) return text(n[0] - n[1] * (n[0] / n[1]));
  if (has(q, "perimeter")) return text(n[1] * (n[0] / 2 - n[1]));
  if (has(q, "mean of")) return text(std::accumulate(n.begin(), n.end(), int64_t{0}) / 5);
  if (has(q, "decimal number is")) return text(std::stoll(*between(q, "number is ", " in"), nullptr, 2));
  if (has(q, "written in binary")) {
    std::string digits;
    for (int64_t v = n[0]; v > 0; v /= 2) digits.insert(digits.begin(), static_cast<char>('0' + v % 2));
    return digits;
  }
  if (has(q, "in the ratio")) return text(n[0] / (n[1] + n[2]) * n[2]);
  return std::nullopt;
}

inline std::optional<std::string> science(const std::string& q) {
  const auto n = numbers_in(q);
  const auto text = [](int64_t value) { return std::to_string(value); };
  if (has(q, "A current of")) return text(n[0] * n[1]);
  if (has(q, "A voltage of")) return text(n[0] / n[1]);
  if (has(q, "A device draws")) return text(n[0] * n[1]);
  if (has(q, "starts from rest")) return text(n[0] * n[1] * n[1] / 2);  // the exponent of m/s² is no digit
  if (has(q, "A force of")) return text(n[0] / n[1]);
  if (has(q, "What is its density")) return text(n[0] / n[1]);
  if (has(q, "half-life")) {
    int64_t left = n[1];
    for (int64_t day = 0; day < n[2]; day += n[0]) left /= 2;
    return text(left);
  }
  if (has(q, "degrees Celsius to kelvins")) {
    const bool negative = has(q, "Convert -");
    return text(273 + (negative ? -n[0] : n[0]));
  }
  if (has(q, "kelvins to degrees")) return text(n[0] - 273);
  if (has(q, "How many atoms")) {
    // Counts the formula: a capital begins an element, digits behind it are its number.
    const size_t comma = q.rfind(", ", q.find('?'));
    int64_t atoms = 0;
    for (size_t i = comma + 2; q[i] != '?'; ++i) {
      if (!std::isupper(static_cast<unsigned char>(q[i]))) continue;
      size_t k = i + 1;
      while (std::islower(static_cast<unsigned char>(q[k]))) ++k;
      int64_t count = 0;
      while (std::isdigit(static_cast<unsigned char>(q[k]))) count = 10 * count + (q[k++] - '0');
      atoms += std::max<int64_t>(count, 1);
    }
    return text(n[0] * atoms);
  }
  return std::nullopt;
}

inline std::optional<std::string> chat(const std::string& q) {
  if (has(q, "The concert begins at")) {
    const auto n = numbers_in(q);
    const int64_t minutes = 60 * n[0] + n[1] - n[2] - n[3];
    char buffer[16];
    std::snprintf(buffer, sizeof buffer, "%02d:%02d", static_cast<int>(minutes / 60),
                  static_cast<int>(minutes % 60));
    return buffer;
  }
  if (has(q, "alphabetical order")) {
    auto names = parts_of(*between(q, "nothing else: ", "."), ", ");
    std::sort(names.begin(), names.end());
    std::string text;
    for (const auto& name : names) add_line(text, name);
    return text;
  }
  if (has(q, "These restaurants")) {
    const std::string day = *between(q, "is open on ", " and costs");
    const int64_t limit = numbers_in(*between(q, "costs at most", "euros?")).front();
    for (const std::string& line : lines_of(q))
      if (has(line, ", closed on ") && !line.ends_with(day) && numbers_in(line).front() <= limit)
        return line.substr(0, line.find(':'));
  }
  if (has(q, "Read this message"))
    return *between(q, "appointment on ", " at ") + "\n" +
           *between(q, *between(q, "appointment on ", " at ") + " at ", " in front of ") + "\n" +
           *between(q, "in front of ", ". Please");
  if (has(q, "My shopping list")) {
    auto list = parts_of(*between(q, "list: ", ". Take"), ", ");
    std::erase(list, *between(q, "Take ", " off it"));
    list.push_back(*between(q, "and put ", " at its end"));
    std::string text;
    for (const auto& entry : list) add_line(text, entry);
    return text;
  }
  return std::nullopt;
}

inline std::optional<std::string> recall(const std::string& q) {
  const auto lines = lines_of(q);
  if (q.starts_with("Serial numbers:")) {
    std::string text, asked = *between(q, "serial numbers of ", "? Answer");
    for (const auto& part : parts_of(asked, ", "))
      for (const auto& name : parts_of(part, " and "))
        add_line(text, *between(q, fmt::format("\n{}: ", name), "\n"));
    return text;
  }
  if (q.starts_with("Lockers"))
    return between(q, fmt::format("\n{} ", *between(q, "has locker ", "?")), "\n");
  if (q.starts_with("Here are"))
    return lines[static_cast<size_t>(numbers_in(*between(q, "Repeat line ", " exactly")).front())];
  if (has(q, "sentence of this text")) {
    static const std::vector<std::string> ordinals{"first", "second", "third", "fourth", "fifth", "sixth"};
    const auto which = std::find(ordinals.begin(), ordinals.end(), *between(q, "Repeat the ", " sentence")) -
                       ordinals.begin();
    auto sentence = parts_of(lines.front(), ".")[static_cast<size_t>(which)] + ".";
    return sentence.substr(sentence.find_first_not_of(' '));
  }
  if (has(q, "in reverse order")) {
    std::string text;
    for (const auto& code : parts_of(*between(q, "nothing else: ", "."), ", "))
      text.insert(0, text.empty() ? code : code + "\n");
    return text;
  }
  if (has(q, "Repeat this number")) return q.substr(q.rfind(' ') + 1);
  return std::nullopt;
}

// The last word on each of the four things asked for.
inline std::optional<std::string> long_document(const std::string& q) {
  const auto lines = lines_of(q);
  const auto named = [&](const std::string& before, const std::string& after) {
    std::vector<std::string> names;
    for (const auto& part : parts_of(*between(q, before, after), ", "))
      for (auto& name : parts_of(part, " and "))
        names.push_back(name.starts_with("the ") ? name.substr(4) : name);
    return names;
  };
  const auto joined = [](const std::vector<std::string>& values) {
    std::string text;
    for (const auto& v : values) add_line(text, v);
    return text;
  };
  std::vector<std::string> values;
  if (has(q, "What are the receipts")) {
    for (const auto& number : named("receipts of the entries ", "?"))
      values.push_back(*between(*between(q, "\nEntry " + number + ". ", "\n"), "Receipt ", "."));
    return joined(values);
  }
  if (has(q, "In which rooms")) {
    for (const auto& thing : named("In which rooms are ", " at the end")) {
      std::string room;
      for (const auto& line : lines) {
        if (const auto first = between(line, "The " + thing + " was put into ", ".")) room = *first;
        if (has(line, " took the " + thing + " from "))
          room = *between(line.substr(line.find(" from ")), " to ", ".");
      }
      values.push_back(room);
    }
    return joined(values);
  }
  if (has(q, "Which figures are in force")) {
    for (const auto& subject : named("in force for ", "?")) {
      std::string figure;
      for (const auto& line : lines) {
        if (const auto first = between(line, ". The " + subject + " is ", ".")) figure = *first;
        if (const auto later = between(line, ": the " + subject + " is ", " instead")) figure = *later;
      }
      values.push_back(figure);
    }
    return joined(values);
  }
  return std::nullopt;
}

// A language's weekdays, and how numbers are spelled in it, written a second time.
struct Tongue {
  std::array<std::string, 7> weekdays;
  // Digits, or words that add up; in East Asia hundred and ten multiply.
  std::vector<std::pair<std::string, int64_t>> words;
  std::array<std::string, 5>
      person;  // what stands before, between and behind a name, a city, an age and a colour
};

inline const std::map<std::string, Tongue>& tongues() {
  using Words = std::vector<std::pair<std::string, int64_t>>;
  const Words han{{"一", 1}, {"二", 2}, {"三", 3}, {"四", 4},  {"五", 5},  {"六", 6},
                  {"七", 7}, {"八", 8}, {"九", 9}, {"十", 10}, {"百", 100}};
  static const std::map<std::string, Tongue> all{
      {"chinese",
       {{"星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"},
        han,
        {"", "住在", "，今年", "岁，最喜欢的颜色是", "。"}}},
      {"japanese",
       {{"月曜日", "火曜日", "水曜日", "木曜日", "金曜日", "土曜日", "日曜日"},
        han,
        {"", "さんは", "に住んでいます。年齢は", "歳で、好きな色は", "です。"}}},
      {"korean",
       {{"월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일"},
        {{"일", 1},
         {"이", 2},
         {"삼", 3},
         {"사", 4},
         {"오", 5},
         {"육", 6},
         {"칠", 7},
         {"팔", 8},
         {"구", 9},
         {"십", 10},
         {"백", 100}},
        {"", " 씨는 ", "에 살고 있으며, 나이는 ", "세이고, 좋아하는 색은 ", "입니다."}}},
      {"arabic",
       {{"الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "الأحد"},
        {{"٠", 0}, {"١", 1}, {"٢", 2}, {"٣", 3}, {"٤", 4}, {"٥", 5}, {"٦", 6}, {"٧", 7}, {"٨", 8}, {"٩", 9}},
        {"يسكن ", " في مدينة ", "، وعمره ", " سنة، ولونه المفضل هو ", "."}}},
      {"hindi",
       {{"सोमवार", "मंगलवार", "बुधवार", "गुरुवार", "शुक्रवार", "शनिवार", "रविवार"},
        {{"०", 0}, {"१", 1}, {"२", 2}, {"३", 3}, {"४", 4}, {"५", 5}, {"६", 6}, {"७", 7}, {"८", 8}, {"९", 9}},
        {"", " ", " में रहता है, उसकी उम्र ", " साल है और उसका पसंदीदा रंग ", " है।"}}},
      {"russian",
       {{"понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"},
        {{"девятьсот", 900},  {"восемьсот", 800},   {"семьсот", 700},     {"шестьсот", 600},
         {"пятьсот", 500},    {"четыреста", 400},   {"триста", 300},      {"двести", 200},
         {"сто", 100},        {"девяносто", 90},    {"восемьдесят", 80},  {"семьдесят", 70},
         {"шестьдесят", 60},  {"пятьдесят", 50},    {"сорок", 40},        {"тридцать", 30},
         {"двадцать", 20},    {"девятнадцать", 19}, {"восемнадцать", 18}, {"семнадцать", 17},
         {"шестнадцать", 16}, {"пятнадцать", 15},   {"четырнадцать", 14}, {"тринадцать", 13},
         {"двенадцать", 12},  {"одиннадцать", 11},  {"десять", 10},       {"девять", 9},
         {"восемь", 8},       {"семь", 7},          {"шесть", 6},         {"пять", 5},
         {"четыре", 4},       {"три", 3},           {"два", 2},           {"один", 1}},
        {"", ": город — ", ", возраст — ", ", любимый цвет — ", "."}}}};
  return all;
}

// The value of a spelled number: longest words first, so that "восемь" is not seen in "восемьсот".
inline std::optional<int64_t> value_of(const std::string& language, const std::string& spelling) {
  const Tongue& tongue = tongues().at(language);
  const bool digits = language == "arabic" || language == "hindi", multiplies = language != "russian";
  int64_t total = 0, pending = 0;
  for (size_t at = 0; at < spelling.size();) {
    size_t length = 0;
    int64_t value = 0;
    for (const auto& [word, number] : tongue.words)
      if (spelling.compare(at, word.size(), word) == 0 && word.size() > length)
        length = word.size(), value = number;
    if (length == 0) {
      // Blanks and the Chinese zero that stands for a missing ten say nothing.
      const std::string zero = "零";
      if (spelling[at] == ' ') {
        ++at;
        continue;
      }
      if (spelling.compare(at, zero.size(), zero) == 0) {
        at += zero.size();
        continue;
      }
      return std::nullopt;
    }
    at += length;
    if (digits)
      total = 10 * total + value;
    else if (multiplies && value >= 10)
      total += std::max<int64_t>(pending, 1) * value, pending = 0;
    else if (multiplies)
      pending = value;
    else
      total += value;
  }
  return total + pending;
}

// Of the six kinds: sums, days, look-ups, the largest, spelled numbers, and places in lists.
inline std::optional<std::string> language(const std::string& name, const std::string& q,
                                           const std::string& answer) {
  const Tongue& tongue = tongues().at(name);
  const auto lines = lines_of(q);
  const auto n = numbers_in(q);
  const auto today = std::find_if(tongue.weekdays.begin(), tongue.weekdays.end(),
                                  [&](const std::string& day) { return has(q, day); });
  if (lines.size() == 1 && today != tongue.weekdays.end() && n.size() == 1) {
    // An example of the form may name Monday; what is asked about stands first.
    auto first = today;
    for (auto day = tongue.weekdays.begin(); day != tongue.weekdays.end(); ++day)
      if (q.find(*day) < q.find(*first)) first = day;
    return tongue.weekdays[static_cast<size_t>((first - tongue.weekdays.begin() + n[0]) % 7)];
  }
  if (lines.size() == 9) {  // a heading, six cities, a blank line, the question: the largest
    std::string best;
    int64_t most = 0;
    for (size_t i = 1; i <= 6; ++i) {
      const int64_t count = numbers_in(lines[i]).front();
      const size_t colon = std::min(lines[i].find(":"), lines[i].find("："));
      if (count > most) most = count, best = lines[i].substr(0, colon);
    }
    return best;
  }
  if (lines.size() == 8) {  // six people, a blank line, the question
    // Of the person whose name or city the question repeats, the answer is something else.
    std::vector<std::string> asked;
    size_t most = 0;
    for (size_t i = 0; i < 6; ++i) {
      std::vector<std::string> fields;
      std::string rest = lines[i];
      for (size_t f = 0; f < 4; ++f) {
        const auto field = between(rest, tongue.person[f], tongue.person[f + 1]);
        if (!field) return "no person: " + lines[i];
        fields.push_back(*field);
        rest = rest.substr(rest.find(*field, tongue.person[f].size()) + field->size());
      }
      for (size_t f = 0; f < 2; ++f)
        if (has(lines[7], fields[f]) && fields[f].size() > most) {
          most = fields[f].size();
          asked = fields;
          asked.erase(asked.begin() + static_cast<std::ptrdiff_t>(f));
        }
    }
    return std::find(asked.begin(), asked.end(), answer) != asked.end() ? answer
                                                                        : "not of the person asked about";
  }
  if (has(q, "45") && n.size() == 2) {  // a number to be spelled, and one as an example of the form
    for (const int64_t number : n)
      if (number != 45 && value_of(name, answer) == number) return answer;
    return std::nullopt;
  }
  if (n.size() >= 2 && std::to_string(n[0] * n[1]) == answer) return answer;
  if (std::all_of(answer.begin(), answer.end(),
                  [](unsigned char c) { return std::isdigit(c); })) {  // spelled in the question
    for (size_t begin = 0; begin < q.size(); ++begin)
      for (size_t size = 2; begin + size <= q.size() && size < 120; ++size)
        if (value_of(name, q.substr(begin, size)) == std::stoll(answer)) return answer;
    return std::nullopt;
  }
  if (n.size() == 1) {  // a place in a list
    const bool wide = has(q, "：");
    std::string list = q.substr(wide ? q.find("：") + std::string("：").size() : q.find(": ") + 2);
    const std::string comma = has(list, "、") ? "、" : has(list, "، ") ? "، " : ", ";
    return parts_of(list, comma).at(static_cast<size_t>(n[0] - 1));
  }
  return std::nullopt;
}

}  // namespace carat::suite_answers
