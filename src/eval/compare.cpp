// The order of a judgement: plan, guard, run in lockstep, measure speed, assemble.
#include "eval/compare.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>

#include "base/machine.h"
#include "eval/assemble.h"
#include "eval/divergence_figures.h"
#include "eval/file_facts.h"
#include "eval/guard_weights.h"
#include "eval/guards.h"
#include "eval/lockstep.h"
#include "eval/look_times.h"
#include "eval/question.h"
#include "eval/sample.h"
#include "eval/speed.h"
#include "eval/tensor_errors.h"

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

LockstepRequest lockstep_request(const CompareRequest& request, const Plan& plan, const Suite& suite) {
  LockstepRequest lockstep;
  lockstep.suite = &suite;
  for (const ReportRow& row : plan.rows)
    lockstep.models.push_back(
        {request.files[static_cast<size_t>(row.file)].model, row.kv, row.precision, row.fingerprint});
  lockstep.pairs = plan.pairs;
  lockstep.n_threads = request.n_threads;
  lockstep.progress = request.progress;
  lockstep.memory_bytes = request.memory_bytes;
  lockstep.share = request.ranks->index();
  lockstep.n_shares = request.ranks->n();
  lockstep.saved_path = request.saved_path;
  if (!lockstep.saved_path.empty() && lockstep.share > 0) lockstep.saved_path += fmt::format(".{}", lockstep.share + 1);
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

std::vector<TensorErrors> errors_of_files(const CompareRequest& request, const EvalReport& report) {
  std::vector<TensorErrors> all;
  for (size_t r = 0; r < report.rows.size(); ++r) {
    const ReportRow& row = report.rows[r];
    const bool is_first = row.kv == report.rows.front().kv && row.precision == report.rows.front().precision;
    if (!is_first || row.parent < 0 || !row.divergence) continue;
    const int parent = report.rows[static_cast<size_t>(row.parent)].file;
    if (parent == row.file) continue;
    all.push_back(tensor_errors(*request.files[static_cast<size_t>(row.file)].model,
                                *request.files[static_cast<size_t>(parent)].model));
    all.back().row = static_cast<int>(r);
  }
  return all;
}

// Yardstick B along the parents' own words: each parent writes, and its files are measured on that.
Result<void> judge_on_policy(const CompareRequest& request, const Plan& plan, const Suite& suite, EvalReport& report) {
  std::map<int, std::vector<int>> children;
  for (size_t r = 0; r < plan.rows.size(); ++r)
    if (const int pair = plan.own_parent_pair[r]; pair >= 0)
      children[plan.pairs[static_cast<size_t>(pair)].reference].push_back(static_cast<int>(r));
  for (const auto& [parent, rows] : children) {
    LockstepRequest lockstep = lockstep_request(request, plan, suite);
    const std::vector<ModelUnderTest> all = std::move(lockstep.models);
    const auto model = [&](int row) { return all[static_cast<size_t>(row)]; };
    const Suite text = TRY(continue_prompts(model(parent), suite, request.on_policy, request.n_threads, request.progress));
    lockstep.suite = &text;
    lockstep.models = {model(parent)};
    lockstep.pairs.clear();
    for (const int row : rows) {
      lockstep.models.push_back(model(row));
      lockstep.pairs.push_back({static_cast<int>(lockstep.models.size()) - 1, 0});
    }
    if (!lockstep.saved_path.empty()) lockstep.saved_path += fmt::format(".on-policy-{}", parent);
    const LockstepScores scores = TRY(join_shares(lockstep, TRY(run_lockstep(lockstep)), *request.ranks));
    std::vector<size_t> items(text.items.size());
    std::iota(items.begin(), items.end(), size_t{0});
    const Sample sample(scores, std::move(items), request.n_resamples, request.seed, request.n_threads);
    std::map<KvType, std::vector<RankedRow>> ranked;
    for (size_t i = 0; i < rows.size(); ++i) {
      ReportRow& row = report.rows[static_cast<size_t>(rows[i])];
      row.on_policy = divergence_figures(scores, i, parent, sample);
      if (!row.is_parent) ranked[row.kv].push_back({rows[i], &*row.on_policy, &scores.pairs[i].kld});
    }
    for (auto& [kv, of_kv] : ranked) count_wins(std::move(of_kv));
    report.on_policy_texts.push_back(
        {parent, static_cast<int64_t>(text.items.size()), text.n_scored_tokens(), fmt::format("{:016x}", text.hash())});
  }
  return {};
}

// A fingerprint of what looks depend on besides their scores and limits, so that none are taken up that were others'.
std::string name_of_judgement(const CompareRequest& request, const Plan& plan) {
  std::string all = fmt::format("{}, {} {} {} {}", request.source->name(), request.margins.accuracy, request.margins.nll,
                                request.n_resamples, request.seed);
  for (const ReportRow& row : plan.rows)
    all += fmt::format(", {} {} {}", row.fingerprint, type_name(row.kv), static_cast<int>(row.precision));
  return fingerprint(std::as_bytes(std::span(all)));
}

// What is judged in the end: everything at once, or as much as it took. With a saved path, the times of looks are kept
// there, and beside it the scores of each.
Result<SequentialRun> score(const CompareRequest& request, const Plan& plan, const AssembleOptions& options,
                            LookTimes::Clock::time_point start) {
  int n_looks = 0;
  std::optional<LookTimes> times;
  const auto run = [&](const Suite& suite) -> Result<LockstepScores> {
    LockstepRequest lockstep = lockstep_request(request, plan, suite);
    if (request.source != nullptr && !lockstep.saved_path.empty())
      lockstep.saved_path += fmt::format(".look-{}", ++n_looks);
    auto scores = run_lockstep(lockstep);
    if (!scores && times) TRY(times->leave());
    return join_shares(lockstep, TRY(std::move(scores)), *request.ranks);
  };
  if (request.source == nullptr) {
    LockstepScores scores = TRY(run(*request.suite));
    return SequentialRun{*request.suite, std::move(scores), options.alpha, {}};
  }
  times = TRY(LookTimes::open(request.ranks->is_first() ? request.saved_path : "", name_of_judgement(request, plan),
                              request.sequential, options.alpha, start));
  const auto judge = [&](const Suite& suite, const LockstepScores& scores, double alpha) {
    AssembleOptions look = options;
    look.alpha = alpha;
    return assemble(plan, suite, scores, look);
  };
  // All ranks go on, or none.
  const auto agreed = [&](int64_t n) -> Result<double> { return request.ranks->agree(TRY(times->next(n))); };
  return run_until_decided(request.sequential, options.alpha, *request.source, run, judge, agreed);
}

}  // namespace

Result<EvalReport> compare(const CompareRequest& request) {
  CHECK((request.suite != nullptr) != (request.source != nullptr));
  const auto start = LookTimes::Clock::now();
  TRY(check_files(request));
  const int64_t n_ctx = context_of(request);

  Plan plan = make_plan(plan_rows(request, n_ctx));
  const int reference = plan.rows[static_cast<size_t>(plan.reference)].file;
  const Config& config = request.files[static_cast<size_t>(reference)].model->config;
  AssembleOptions options{.n_resamples = request.n_resamples,
                          .seed = request.seed,
                          .n_threads = request.n_threads,
                          .margins = request.margins,
                          .budget = request.budget,
                          .n_ctx = n_ctx,
                          .n_vocab = config.n_vocab};
  const SequentialRun run = TRY(score(request, plan, options, start));
  if (request.measure_speed && request.ranks->is_first()) TRY(measure_speeds(request, plan.rows));
  options.alpha = run.alpha;
  EvalReport report = assemble(plan, run.suite, run.scores, options);
  report.looks = run.looks;
  if (request.on_policy.n_texts > 0) TRY(judge_on_policy(request, plan, run.suite, report));
  report.template_hash = template_hash(request.files.front().model->config);
  report.tensor_errors = errors_of_files(request, report);
  report.warnings = guard_request(request, run.suite, plan);
  for (Warning& w : guard_weights(request, report)) report.warnings.push_back(std::move(w));
  for (Warning& w : guard_results(report)) report.warnings.push_back(std::move(w));
  report.command = request.command;
  report.title = request.title;
  report.machine = describe_machine();
  report.n_threads = request.n_threads;
  report.seconds = std::chrono::duration<double>(LookTimes::Clock::now() - start).count();
  return report;
}

}  // namespace carat
