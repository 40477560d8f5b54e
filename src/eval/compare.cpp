// The order of a judgement: plan, guard, run in lockstep, measure speed, assemble.
#include "eval/compare.h"

#include <algorithm>
#include <chrono>

#include "base/machine.h"
#include "eval/assemble.h"
#include "eval/file_facts.h"
#include "eval/guards.h"
#include "eval/lockstep.h"
#include "eval/speed.h"

namespace carat {
namespace {

constexpr int64_t kUsualContext = 4096;

Result<void> check_files(const CompareRequest& request) {
  const int n_files = static_cast<int>(request.files.size());
  if (n_files == 0) return fail("nothing to compare: no files");
  if (request.kv_types.empty()) return fail("nothing to compare: no KV cache type");
  for (const CompareFile& file : request.files) {
    CHECK(file.model != nullptr);
    if (file.parent >= n_files ||
        (file.parent >= 0 && &request.files[static_cast<size_t>(file.parent)] == &file))
      return fail("{}: its parent is not among the files", file.model->file.path);
  }
  return {};
}

// The context that memory is planned for: the one that was asked for, even if a file does not reach it; otherwise
// a usual one that all files reach.
int64_t context_of(const CompareRequest& request) {
  if (request.budget && request.budget->n_ctx > 0) return request.budget->n_ctx;
  int64_t n_ctx = kUsualContext;
  for (const CompareFile& file : request.files) n_ctx = std::min(n_ctx, file.model->config.context_length);
  return n_ctx;
}

LockstepRequest lockstep_request(const CompareRequest& request, const Plan& plan) {
  LockstepRequest lockstep;
  lockstep.suite = request.suite;
  for (const ReportRow& row : plan.rows)
    lockstep.models.push_back(
        {request.files[static_cast<size_t>(row.file)].model, row.kv, row.precision, row.fingerprint});
  lockstep.pairs = plan.pairs;
  lockstep.n_threads = request.n_threads;
  lockstep.progress = request.progress;
  lockstep.memory_bytes = request.memory_bytes;
  lockstep.saved_path = request.saved_path;
  lockstep.on_plan = request.on_plan;
  return lockstep;
}

// A file that memory cannot hold would be read from disk for every token: nobody runs it so.
bool fits_memory(const CompareRequest& request, const ReportRow& row) {
  const int64_t memory = request.memory_bytes > 0 ? request.memory_bytes : available_memory_bytes();
  return static_cast<int64_t>(row.bytes) <= memory;
}

Result<void> measure_speeds(const CompareRequest& request, std::vector<ReportRow>& rows) {
  for (size_t r = 0; r < rows.size(); ++r) {
    ReportRow& row = rows[r];
    if (row.precision != rows.front().precision || !fits_memory(request, row)) continue;
    const Speed speed =
        TRY(measure_speed(request.files[static_cast<size_t>(row.file)].model, row.kv, request.n_threads));
    row.prefill_tok_s = speed.prefill_tok_s;
    row.decode_tok_s = speed.decode_tok_s;
    row.resident_bytes = speed.resident_bytes;
    if (request.progress) request.progress(r + 1, rows.size(), "measuring speed");
  }
  return {};
}

}  // namespace

Result<EvalReport> compare(const CompareRequest& request) {
  CHECK(request.suite != nullptr);
  const auto start = std::chrono::steady_clock::now();
  TRY(check_files(request));
  const int64_t n_ctx = context_of(request);

  Plan plan = make_plan(plan_rows(request, n_ctx));
  const int reference = plan.rows[static_cast<size_t>(plan.reference)].file;
  const int64_t n_vocab = request.files[static_cast<size_t>(reference)].model->config.n_vocab;
  const LockstepScores scores = TRY(run_lockstep(lockstep_request(request, plan)));
  if (request.measure_speed) TRY(measure_speeds(request, plan.rows));
  EvalReport report = assemble(plan, *request.suite, scores,
                               {.n_resamples = request.n_resamples,
                                .seed = request.seed,
                                .n_threads = request.n_threads,
                                .margins = request.margins,
                                .budget = request.budget,
                                .n_ctx = n_ctx,
                                .n_vocab = n_vocab});
  report.warnings = guard_request(request, plan);
  for (Warning& w : guard_results(report)) report.warnings.push_back(std::move(w));
  report.command = request.command;
  report.title = request.title;
  report.machine = describe_machine();
  report.n_threads = request.n_threads;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace carat
