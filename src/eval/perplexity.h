// Perplexity of a long text by llama.cpp's chunk method, so that figures can be compared with published ones:
// chunks of n_ctx tokens, each begun with BOS, the second half of each scored. With a second model also the
// divergence from it, by the same tokens.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "eval/lockstep.h"

namespace carat {

struct PerplexityOptions {
  int64_t n_ctx = 512;
  int64_t max_chunks = 0;  // 0: all
  KvType kv = TensorType::F16;
  Precision precision = Precision::exact;
  int n_threads = 1;
  Progress progress{};
  int64_t memory_bytes = 0;                             // as LockstepRequest's
  std::function<void(const LockstepPlan&)> on_plan{};  // likewise
};

struct Spread {
  // error: one standard error. Tokens of a chunk are not independent witnesses (they share a text), so it is that of
  // the chunks' means, which is larger than one over tokens; NaN of a single chunk, which shows no spread.
  double value = 0, error = 0;
};

struct DivergenceSummary {
  Spread kld;  // nats
  double kld_median = 0, kld_p99 = 0, kld_p999 = 0, kld_max = 0;
  Spread top1;       // share of tokens with the same argmax
  Spread rms_dp;     // root mean square of p(token) - p_reference(token)
  Spread log_ratio;  // mean ln(PPL / PPL of the reference)
};

struct PerplexityReport {
  int64_t n_chunks = 0, n_tokens = 0;  // scored tokens
  Spread perplexity;
  std::optional<Spread> reference_perplexity;
  std::optional<DivergenceSummary> divergence;
};

// The text as items: n_ctx tokens each, the first replaced by BOS, scored from the middle.
// Errors: fewer than 2 * n_ctx tokens.
Result<Suite> chunk_suite(std::span<const Token> tokens, int64_t n_ctx, int64_t max_chunks, Token bos);

// The same of tokens that are already whole chunks, at least one.
Suite chunks_of(std::span<const Token> tokens, int64_t n_ctx, int64_t max_chunks, Token bos);

// Model 0's figures, and where there is a pair also its reference's and the divergence (pair 0).
PerplexityReport summarize_perplexity(const LockstepScores& scores, std::optional<ReferencePair> pair);

// Divergence figures over tokens of pair `pair`.
DivergenceSummary summarize_divergence(const LockstepScores& scores, const ReferencePair& pair, size_t index);

// `reference` may be null. Errors: also those of run_lockstep.
Result<PerplexityReport> perplexity(std::shared_ptr<const Model> model,
                                    std::shared_ptr<const Model> reference, std::span<const Token> tokens,
                                    const PerplexityOptions& options);

}  // namespace carat
