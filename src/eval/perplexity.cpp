// The chunk method of perplexity.h, by way of lockstep.
#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/stats.h"

namespace carat {
namespace {

double sum_of(std::span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

Spread perplexity_of(const ModelScores& scores, double n) {
  const std::vector<double> nll(scores.token_nll.begin(), scores.token_nll.end());
  const double value = std::exp(sum_of(scores.nll) / n);
  return {value, value * standard_error(nll)};
}

}  // namespace

Result<Suite> chunk_suite(std::span<const Token> tokens, int64_t n_ctx, int64_t max_chunks, Token bos) {
  if (n_ctx < 4) return fail("a context of {} tokens is too short: expected at least 4", n_ctx);
  const int64_t n = static_cast<int64_t>(tokens.size());
  if (n / 2 < n_ctx)
    return fail("the text has {} tokens: expected at least {} for a context of {}", n, 2 * n_ctx, n_ctx);
  int64_t n_chunks = n / n_ctx;
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
  summary.kld = {sum_of(p.kld) / n, standard_error(kld)};
  summary.kld_median = median(kld);
  summary.kld_p99 = percentile(kld, 0.99);
  summary.kld_p999 = percentile(kld, 0.999);
  summary.kld_max = kld.empty() ? 0 : *std::max_element(kld.begin(), kld.end());
  const double top1 = sum_of(p.same_top) / n;
  summary.top1 = {top1, n > 1 ? std::sqrt(top1 * (1 - top1) / (n - 1)) : 0};
  std::vector<double> squares, differences;  // per token
  for (size_t t = 0; t < kld.size(); ++t) {
    const double delta = std::exp(-model.token_nll[t]) - std::exp(-reference.token_nll[t]);
    squares.push_back(delta * delta);
    differences.push_back(static_cast<double>(model.token_nll[t]) - reference.token_nll[t]);
  }
  const double rms = std::sqrt(sum_of(p.squared_delta_p) / n);
  summary.rms_dp = {rms, rms > 0 ? 0.5 / rms * standard_error(squares) : 0};
  // The error of a mean of paired differences: the same as combining both errors with their covariance.
  summary.log_ratio = {(sum_of(model.nll) - sum_of(reference.nll)) / n, standard_error(differences)};
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
  const LockstepScores scores = TRY(run_lockstep(request));

  PerplexityReport report;
  report.n_chunks = scores.n_items();
  report.n_tokens = suite.n_scored_tokens();
  const double n = static_cast<double>(report.n_tokens);
  report.perplexity = perplexity_of(scores.models[0], n);
  if (reference) {
    report.reference_perplexity = perplexity_of(scores.models[1], n);
    report.divergence = summarize_divergence(scores, request.pairs[0], 0);
  }
  return report;
}

}  // namespace carat
