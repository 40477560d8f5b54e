// Merge: judgements of the same files and suite from several machines become one, with each machine's speeds.
#pragma once

#include <vector>

#include "eval/eval_report.h"

namespace carat {

// A judgement joins the first one (those of most rows go first) that has the same suite and context and holds all of
// its rows: file content, KV type and precision. What joins none stays a judgement of its own. Quality is that of
// the judgement that was joined: it does not depend on the machine but for the order of additions, and
// Elsewhere says by how much.
std::vector<EvalReport> merge(std::vector<EvalReport> reports);

}  // namespace carat
