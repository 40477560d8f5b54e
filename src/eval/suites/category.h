// Category: how the built-in suite makes the questions of one kind of work. Everything is written for this
// project or made by a seeded generator: nothing here is a benchmark that models have read, and answers of
// generated questions are computed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/question.h"
#include "eval/suites/draw.h"

namespace carat::suites {

// A question with one right answer. Its text says how the answer is to be written.
struct Task {
  std::string question;
  std::vector<std::string> lines;
};

using WriteTask = Task (*)(Draw&);
// For kinds that are more than one message.
using WriteQuestion = Question (*)(Draw&);

// A question with many good answers, of which this is one, written for this suite.
struct Prose {
  std::string_view question, answer;
};

struct Category {
  std::string_view name;
  std::vector<WriteTask> tasks;          // asked behind an example of the same kind, answered right
  std::vector<WriteQuestion> questions;  // asked as they are
  std::span<const Prose> prose;          // each asked once
};

Category chat();
Category code();
Category maths();
Category tools();
Category science();
Category recall();
std::vector<Category> languages();  // Chinese, Japanese, Korean, Arabic, Hindi, Russian

inline std::string joined(const std::vector<std::string>& list, std::string_view separator) {
  std::string text;
  for (const std::string& part : list) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

}  // namespace carat::suites
