// A finding: one thing that somebody who runs this file should know.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace carat {

enum class Severity {
  defect,  // something is broken; carat audit ends with 1
  note,    // worth knowing, nothing to repair
};

struct Finding {
  Severity severity;
  std::string id;      // for scripts: "token-type", "not-finite" …
  std::string what;    // one line: what was found
  std::string advice;  // what it means and what to do about it; may be empty
};

using Findings = std::vector<Finding>;

inline void add_defect(Findings& findings, std::string id, std::string what, std::string advice) {
  findings.push_back({Severity::defect, std::move(id), std::move(what), std::move(advice)});
}
inline void add_note(Findings& findings, std::string id, std::string what, std::string advice = {}) {
  findings.push_back({Severity::note, std::move(id), std::move(what), std::move(advice)});
}

}  // namespace carat
