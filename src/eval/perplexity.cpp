// The chunk method of perplexity.h, by way of lockstep.
#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/stats.h"

namespace carat {
namespace {

double sum_of(std::span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

// One standard error of a mean over tokens from the chunks' sums; all chunks have as many tokens.
double clustered_error(std::span<const double> sums, std::span<const double> n_tokens) {
  if (sums.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> means(sums.begin(), sums.end());
  for (size_t i = 0; i < means.size(); ++i) means[i] /= n_tokens[i];
  return standard_error(means);
}

Spread perplexity_of(const ModelScores& model, const LockstepScores& scores) {
  const double value = std::exp(sum_of(model.nll) / sum_of(scores.n_tokens));
  return {value, value * clustered_error(model.nll, scores.n_tokens)};
}

}  // namespace

Result<Suite> chunk_suite(std::span<const Token> tokens, int64_t n_ctx, int64_t max_chunks, Token bos) {
  if (n_ctx < 4) return fail("a context of {} tokens is too short: expected at least 4", n_ctx);
  const int64_t n = static_cast<int64_t>(tokens.size());
  if (n / 2 < n_ctx)
    return fail("the text has {} tokens: expected at least {} for a context of {}", n, 2 * n_ctx, n_ctx);
  return chunks_of(tokens, n_ctx, max_chunks, bos);
}

Suite chunks_of(std::span<const Token> tokens, int64_t n_ctx, int64_t max_chunks, Token bos) {
  int64_t n_chunks = static_cast<int64_t>(tokens.size()) / n_ctx;
  if (max_chunks > 0) n_chunks = std::min(n_chunks, max_chunks);
  Suite suite;
  suite.name = "text";
  for (int64_t c = 0; c < n_chunks; ++c) {
    SuiteItem item;
    item.category = "text";
    const auto chunk = tokens.subspan(static_cast<size_t>(c * n_ctx), static_cast<size_t>(n_ctx));
    item.tokens.assign(chunk.begin(), chunk.end());
    if (bos >= 0) item.tokens.front() = bos;
    item.first_scored = static_cast<int>(n_ctx / 2) + 1;
    suite.items.push_back(std::move(item));
  }
  return suite;
}

DivergenceSummary summarize_divergence(const LockstepScores& scores, const ReferencePair& pair,
                                       size_t index) {
  const PairScores& p = scores.pairs[index];
  const ModelScores& model = scores.models[static_cast<size_t>(pair.model)];
  const ModelScores& reference = scores.models[static_cast<size_t>(pair.reference)];
  const double n = sum_of(scores.n_tokens);
  const std::vector<double> kld(p.token_kld.begin(), p.token_kld.end());
  DivergenceSummary summary;
  const auto error = [&](std::span<const double> sums) { return clustered_error(sums, scores.n_tokens); };
  summary.kld = {sum_of(p.kld) / n, error(p.kld)};
  summary.kld_median = median(kld);
  summary.kld_p99 = percentile(kld, 0.99);
  summary.kld_p999 = percentile(kld, 0.999);
  summary.kld_max = kld.empty() ? 0 : *std::max_element(kld.begin(), kld.end());
  summary.top1 = {sum_of(p.same_top) / n, error(p.same_top)};
  const double rms = std::sqrt(sum_of(p.squared_delta_p) / n);
  summary.rms_dp = {rms, rms > 0 ? 0.5 / rms * error(p.squared_delta_p) : 0};
  // The error of a mean of paired differences: the same as combining both errors with their covariance.
  std::vector<double> differences(model.nll);
  for (size_t i = 0; i < differences.size(); ++i) differences[i] -= reference.nll[i];
  summary.log_ratio = {sum_of(differences) / n, error(differences)};
  return summary;
}

Result<PerplexityReport> perplexity(std::shared_ptr<const Model> model,
                                    std::shared_ptr<const Model> reference, std::span<const Token> tokens,
                                    const PerplexityOptions& options) {
  const Suite suite = TRY(chunk_suite(tokens, options.n_ctx, options.max_chunks, model->tokenizer.bos()));
  LockstepRequest request;
  request.suite = &suite;
  request.models.push_back({model, options.kv, options.precision});
  if (reference) {
    request.models.push_back({reference, options.kv, options.precision});
    request.pairs.push_back({0, 1});
  }
  request.n_threads = options.n_threads;
  request.progress = options.progress;
  request.memory_bytes = options.memory_bytes;
  request.on_plan = options.on_plan;
  const LockstepScores scores = TRY(run_lockstep(request));
  return summarize_perplexity(scores, reference ? std::optional(request.pairs[0]) : std::nullopt);
}

PerplexityReport summarize_perplexity(const LockstepScores& scores, std::optional<ReferencePair> pair) {
  PerplexityReport report;
  report.n_chunks = scores.n_items();
  report.n_tokens = scores.first_token.back();
  report.perplexity = perplexity_of(scores.models[0], scores);
  if (pair) {
    report.reference_perplexity = perplexity_of(scores.models[static_cast<size_t>(pair->reference)], scores);
    report.divergence = summarize_divergence(scores, *pair, 0);
  }
  return report;
}

}  // namespace carat
