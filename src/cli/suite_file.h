// Reads a user's suite: JSON lines of questions with reference answers, put into the chat template.
#pragma once

#include <string>

#include "base/result.h"
#include "eval/suite.h"
#include "model/model.h"

namespace carat::cli {

// Each line is {"prompt": text, "answer": text, "category": text (optional)}. The answer's tokens and the <turn|> that
// closes it are scored. Errors name the line.
Result<Suite> read_suite(const std::string& path, const Model& model);

}  // namespace carat::cli
