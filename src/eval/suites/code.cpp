// Code: what a short Python program prints, and functions written by hand. The answers are computed here, in
// C++; a test runs the programs through Python where there is one.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "eval/suites/category.h"

namespace carat::suites {
namespace {

constexpr std::string_view kWords[] = {"lantern", "orchard", "meadow", "copper", "violet", "harbour",
                                       "pebble",  "thimble", "saddle", "walnut", "cobalt", "ribbon",
                                       "marble",  "kettle",  "anchor", "bramble"};

Task prints(const std::string& program, std::string output) {
  return {
      "What does this Python program print? Answer with the output alone.\n\n```python\n" + program + "\n```",
      {std::move(output)}};
}

std::string list_of(const std::vector<int>& values) { return fmt::format("[{}]", fmt::join(values, ", ")); }

std::vector<int> numbers(Draw& d, int n, int low, int high) {
  std::vector<int> values;
  for (int i = 0; i < n; ++i) values.push_back(d.between(low, high));
  return values;
}

Task accumulate(Draw& d) {
  const int n = d.between(7, 24), by = d.between(2, 5), shift = d.between(0, 9);
  int total = shift;
  for (int i = 1; i <= n; ++i)
    if (i % by == 0) total += i;
  return prints(
      fmt::format("total = {}\nfor i in range(1, {}):\n    if i % {} == 0:\n        total += i\nprint(total)",
                  shift, n + 1, by),
      std::to_string(total));
}

Task slices(Draw& d) {
  const std::string word(d.pick(kWords));
  const int size = static_cast<int>(word.size()), begin = d.between(0, 2),
            end = d.between(begin + 2, size - 1);
  std::string part = word.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  const std::string tail = word.substr(static_cast<size_t>(size - 2));
  const bool reverse = d.coin();
  if (reverse) std::reverse(part.begin(), part.end());
  return prints(fmt::format("word = \"{}\"\npart = word[{}:{}]{}\nprint(part + \"-\" + word[-2:])", word,
                            begin, end, reverse ? "[::-1]" : ""),
                part + "-" + tail);
}

Task counts(Draw& d) {
  const auto words = d.some(3, kWords);
  const std::string text = joined(words, " ");
  std::map<char, int> seen;
  for (const char c : text) ++seen[c];
  char asked;
  do asked = d.pick(text);
  while (asked == ' ');
  return prints(fmt::format("text = \"{}\"\ncounts = {{}}\nfor letter in text:\n    counts[letter] = "
                            "counts.get(letter, 0) + 1\n"
                            "print(counts[\"{}\"])",
                            text, asked),
                std::to_string(seen[asked]));
}

Task comprehension(Draw& d) {
  const std::vector<int> values = numbers(d, 6, 1, 12);
  const int factor = d.between(2, 4), limit = d.between(3, 9);
  std::vector<int> kept;
  for (const int v : values)
    if (v > limit) kept.push_back(v * factor);
  return prints(
      fmt::format("values = {}\nprint([v * {} for v in values if v > {}])", list_of(values), factor, limit),
      list_of(kept));
}

Task sorting(Draw& d) {
  auto words = d.some(4, kWords);
  std::string quoted;
  for (const auto& w : words) quoted += (quoted.empty() ? "\"" : ", \"") + w + "\"";
  const bool by_end = d.coin();
  std::stable_sort(words.begin(), words.end(), [&](const std::string& a, const std::string& b) {
    return by_end ? a.back() < b.back() : a.size() < b.size();
  });
  return prints(fmt::format("words = [{}]\nwords.sort(key={})\nprint(\" \".join(words))", quoted,
                            by_end ? "lambda w: w[-1]" : "len"),
                joined(words, " "));
}

Task halving(Draw& d) {
  const int start = d.between(6, 40);
  int n = start, steps = 0;
  while (n > 1) {
    n = n % 2 == 0 ? n / 2 : n + 3;
    ++steps;
    if (steps == 12) break;
  }
  return prints(fmt::format("n = {}\nsteps = 0\nwhile n > 1:\n    n = n // 2 if n % 2 == 0 else n + 3\n    "
                            "steps += 1\n    if steps == 12:\n"
                            "        break\nprint(n, steps)",
                            start),
                fmt::format("{} {}", n, steps));
}

int recursion_value(int n, int a, int b) {
  return n < 2 ? a + n : recursion_value(n - 1, a, b) + b * recursion_value(n - 2, a, b);
}

Task recursion(Draw& d) {
  const int a = d.between(0, 3), b = d.between(1, 3), n = d.between(3, 6);
  const std::string second = b == 1 ? "f(n - 2)" : fmt::format("{} * f(n - 2)", b);
  return prints(
      fmt::format("def f(n):\n    if n < 2:\n        return {} + n\n    return f(n - 1) + {}\n\nprint(f({}))",
                  a, second, n),
      std::to_string(recursion_value(n, a, b)));
}

Task pairs(Draw& d) {
  const int n = d.between(3, 7), m = d.between(4, 8), limit = d.between(5, 11);
  int count = 0;
  for (int i = 0; i < n; ++i)
    for (int j = i; j < m; ++j) count += i + j > limit;
  return prints(fmt::format("count = 0\nfor i in range({}):\n    for j in range(i, {}):\n        if i + j > "
                            "{}:\n            count += 1\n"
                            "print(count)",
                            n, m, limit),
                std::to_string(count));
}

Task unique(Draw& d) {
  const std::vector<int> a = numbers(d, 5, 1, 9), b = numbers(d, 5, 1, 9);
  const std::set<int> in_a(a.begin(), a.end()), in_b(b.begin(), b.end());
  const bool both = d.coin();
  std::vector<int> kept;
  for (const int v : in_a)
    if (in_b.contains(v) == both) kept.push_back(v);
  return prints(fmt::format("a = {}\nb = {}\nprint(sorted(set(a) {} set(b)))", list_of(a), list_of(b),
                            both ? '&' : '-'),
                list_of(kept));
}

Task stack(Draw& d) {
  std::vector<int> stack = numbers(d, 3, 1, 9);
  std::string program = "stack = " + list_of(stack);
  for (int i = 0; i < 4; ++i) {
    if (stack.size() > 1 && d.coin()) {
      const int top = stack.back();
      stack.pop_back();
      stack.back() += top;
      program += "\ntop = stack.pop()\nstack[-1] += top";
    } else {
      stack.push_back(d.between(1, 9));
      program += fmt::format("\nstack.append({})", stack.back());
    }
  }
  return prints(program + "\nprint(stack)", list_of(stack));
}

constexpr Prose kProse[] = {
    {"Write a Python function median(values) that returns the median of a non-empty list of numbers. Only "
     "the code.",
     "```python\ndef median(values):\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n    if "
     "len(ordered) % 2 == 1:\n"
     "        return ordered[middle]\n    return (ordered[middle - 1] + ordered[middle]) / 2\n```"},
    {"Write a C++ function that counts how many words a std::string_view holds; words are separated by "
     "spaces. Only the code.",
     "```cpp\nint count_words(std::string_view text) {\n  int count = 0;\n  bool in_word = false;\n  for "
     "(const char c : text) {\n"
     "    if (c == ' ') {\n      in_word = false;\n    } else if (!in_word) {\n      in_word = true;\n      "
     "++count;\n    }\n  }\n"
     "  return count;\n}\n```"},
    {"Write a SQL query that lists each customer's name and the total of their orders in 2024, highest total "
     "first. Tables: "
     "customers(id, name), orders(id, customer_id, placed_on, total). Only the query.",
     "```sql\nSELECT customers.name, SUM(orders.total) AS total\nFROM customers\nJOIN orders ON "
     "orders.customer_id = customers.id\n"
     "WHERE orders.placed_on >= '2024-01-01' AND orders.placed_on < '2025-01-01'\nGROUP BY customers.id, "
     "customers.name\n"
     "ORDER BY total DESC;\n```"},
    {"Write a shell command that prints the ten largest files below the current folder. Only the command.",
     "```bash\nfind . -type f -printf '%s %p\\n' | sort -rn | head -n 10\n```"},
    {"Why is this Python function slow for large n, and how would you repair it?\n\ndef fib(n):\n    return "
     "n if n < 2 else fib(n - 1) "
     "+ fib(n - 2)\n\nAnswer in two or three sentences.",
     "Each call makes two further calls, and the same values are computed again and again, so the time grows "
     "exponentially with n. Keep "
     "two running values in a loop, or store results that have been computed, for example with "
     "functools.cache. Then each value is computed "
     "once, and the time grows linearly."},
    {"Write a JavaScript function debounce(action, delay) that returns a function which calls action only "
     "after it has not been called for "
     "delay milliseconds. Only the code.",
     "```javascript\nfunction debounce(action, delay) {\n  let timer;\n  return (...args) => {\n    "
     "clearTimeout(timer);\n"
     "    timer = setTimeout(() => action(...args), delay);\n  };\n}\n```"},
    {"Write a Python function that reads a CSV file with the columns name and amount and returns a "
     "dictionary from each name to the sum of "
     "its amounts. Only the code.",
     "```python\nimport csv\nfrom collections import defaultdict\n\ndef totals(path):\n    sums = "
     "defaultdict(float)\n"
     "    with open(path, newline=\"\") as file:\n        for row in csv.DictReader(file):\n"
     "            sums[row[\"name\"]] += float(row[\"amount\"])\n    return dict(sums)\n```"},
    {"What is the difference between a process and a thread? Answer in three sentences.",
     "A process is a running program with its own memory, and other processes cannot touch that memory by "
     "accident. A thread is one "
     "line of execution inside a process, and all threads of a process share its memory. Threads are "
     "therefore cheaper to start and can exchange "
     "data easily, but they have to be kept from changing the same data at the same time."},
    {"Write a Rust function that returns the longest string of a slice of string slices, or None if the "
     "slice is empty. Only the code.",
     "```rust\nfn longest<'a>(words: &[&'a str]) -> Option<&'a str> {\n    "
     "words.iter().copied().max_by_key(|word| word.len())\n}\n```"},
    {"Write a regular expression that matches a date such as 2024-03-09, with month and day in their ranges, "
     "and explain it in one sentence.",
     "`^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])$` matches four digits for the year, a month from 01 to "
     "12 and a day from 01 to 31, "
     "separated by hyphens; it does not check how many days a month has."},
};

}  // namespace

Category code() {
  return {"code",
          {accumulate, slices, counts, comprehension, sorting, halving, recursion, pairs, unique, stack},
          {},
          kProse};
}

}  // namespace carat::suites
