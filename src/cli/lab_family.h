// The lab's family as the commands see it: recipes as `carat train` lines, test items as a suite, shipped files.
#pragma once

#include <string>

#include "base/result.h"
#include "eval/suite.h"
#include "lab/family.h"
#include "model/model.h"

namespace carat::cli {

// The command line that repeats a run, to be called in the repository's root.
std::string train_command(const lab::TrainingRun& run);

// The lab's test set under a tokenizer of the family.
Suite lab_suite(const Tokenizer& tokenizer, uint64_t seed, int n_per_kind);

// An error unless the model's vocabulary is the lab's, so that the lab's test set means something to it.
Result<void> check_speaks_lab(const Model& model);

// The folder of the shipped models: $CARAT_MODELS, or models/ beside the program's build or working folder.
Result<std::string> find_models_folder();

}  // namespace carat::cli
