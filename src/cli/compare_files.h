// The files of a judgement: the user's own, with what was said about them, or the lab family's.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "eval/compare.h"
#include "lab/family.h"

namespace carat::cli {

// What the command line says about files, unchecked.
struct NamedFiles {
  std::vector<std::string> files;
  std::vector<std::string> parents;        // "FILE=PARENT"
  std::vector<std::string> qat, controls;  // of files and parents
};

// Parents that are not among the files join them, and come from where their children come from: the parent of a QAT
// file is the QAT master. Training seeds are read from the files.
Result<std::vector<CompareFile>> open_user_files(const NamedFiles& named);

// The files that open_user_files() reads.
std::vector<std::string> input_paths(const NamedFiles& named);

// Models of a comma list, or (empty list) those whose parent is in the folder. Errors: a name that is none, a model
// that is not there, nothing there at all.
Result<std::vector<lab::FamilyModel>> choose_lab_models(std::string_view list, const std::string& folder);

// One model's runs as they are shipped, beside what is quantized from them now (into files without a name).
Result<std::vector<CompareFile>> open_lab_files(const lab::FamilyModel& family, const std::string& folder,
                                                int n_threads);

}  // namespace carat::cli
