// The loop that everybody means by "running a model": prompt, sample, show, feed back.
#include "engine/generate.h"

#include <algorithm>
#include <chrono>

#include "base/progress.h"
#include "engine/cost.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double rate(int64_t n, double seconds) { return n > 0 && seconds > 0 ? static_cast<double>(n) / seconds : 0; }

KvCache::Shape shape_of(const Config& config, const SessionOptions& options) {
  const int64_t n_positions = std::min(options.n_positions, config.context_length);
  return {.n_positions = n_positions,
          .max_batch = std::min(options.max_batch, n_positions),
          .type = options.kv_type};
}

}  // namespace

std::string_view name_of(StopReason reason) {
  switch (reason) {
    case StopReason::end_of_generation:
      return "end of generation";
    case StopReason::limit:
      return "token limit";
    case StopReason::context_full:
      return "context full";
    case StopReason::callback:
      return "stopped by the caller";
    case StopReason::interrupted:
      return "interrupted";
  }
  CHECK(false && "every reason has a name");
  return {};
}

double Generation::prompt_tokens_per_second() const { return rate(n_prompt, prompt_seconds); }
double Generation::decode_tokens_per_second() const {
  return rate(static_cast<int64_t>(tokens.size()) - 1, decode_seconds);
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model,
                                                 std::unique_ptr<Backend> backend,
                                                 const SessionOptions& options) {
  const KvCache::Shape shape = shape_of(model->config, options);
  KvCache cache = TRY(KvCache::create(model->config, shape, *backend));
  Forward forward = TRY(Forward::create(model, *backend,
                                        {.max_rows = shape.max_batch, .screen_head = options.screen_head}));
  if (options.repack) TRY(forward.repack(options.progress));
  return std::unique_ptr<Session>(
      new Session(std::move(model), std::move(backend), std::move(forward), std::move(cache)));
}

Session::Session(std::shared_ptr<const Model> model, std::unique_ptr<Backend> backend, Forward forward,
                 KvCache cache)
    : model_(std::move(model)),
      backend_(std::move(backend)),
      forward_(std::move(forward)),
      cache_(std::move(cache)) {}

Result<Generation> Session::generate(std::span<const Token> prompt, const GenerateOptions& options,
                                     const OnToken& on_token) {
  if (prompt.empty()) return fail("the prompt is empty");
  if (static_cast<int64_t>(prompt.size()) > n_positions())
    return fail("the prompt has {} tokens, but only {} fit the context", prompt.size(), n_positions());
  for (const Token token : prompt)
    if (token < 0 || token >= model_->config.n_vocab) return fail("{} is not a token of this model", token);
  Sampler sampler = TRY(Sampler::create(options.sampler));

  Generation generation;
  generation.bytes_per_token = decode_bytes(*model_);
  generation.n_reused = reuse(prompt);
  const Clock::time_point start = Clock::now();
  const bool done = compute(prompt.subspan(static_cast<size_t>(generation.n_reused)), sampler);
  generation.prompt_seconds = seconds_since(start);
  generation.n_prompt = cache_.n_used() - generation.n_reused;
  generation.stopped = StopReason::interrupted;
  if (done) TRY(continue_text(options, sampler, on_token, generation));
  return generation;
}

// Forgets what differs from the prompt and returns how many of its tokens the cache holds: never all, because
// the last one's logits are needed.
int64_t Session::reuse(std::span<const Token> prompt) {
  const auto differ = std::mismatch(cached_.begin(), cached_.end(), prompt.begin(), prompt.end() - 1);
  int64_t n_common = differ.first - cached_.begin();
  if (!cache_.can_truncate(n_common)) n_common = 0;
  cache_.truncate(n_common);
  cached_.resize(static_cast<size_t>(n_common));
  return n_common;
}

// Feeds tokens and leaves what the sampler needs after the last; false if interrupted before that. Most samplers need
// the likeliest few, which are found without writing all logits.
bool Session::compute(std::span<const Token> tokens, const Sampler& sampler) {
  const int64_t n_vocab = model_->config.n_vocab, n_best = std::min(sampler.n_best(), n_vocab);
  const size_t piece = static_cast<size_t>(cache_.max_batch());
  while (!tokens.empty()) {
    const Chunk chunk{&cache_, tokens.first(std::min(piece, tokens.size()))};
    const bool last = chunk.tokens.size() == tokens.size();
    const std::span<const float> hidden = forward_.run({&chunk, 1}, last ? Rows::last : Rows::none);
    cached_.insert(cached_.end(), chunk.tokens.begin(), chunk.tokens.end());
    tokens = tokens.subspan(chunk.tokens.size());
    if (last && n_best > 0) best_ = forward_.best(hidden, n_best, sampler.suppressed());
    if (last && n_best == 0) {
      logits_.resize(static_cast<size_t>(n_vocab));
      forward_.logits(hidden, 1, logits_.data());
    }
    if (!last && interrupted()) return false;
  }
  return true;
}

Result<Token> Session::choose(Sampler& sampler) const {
  return sampler.n_best() > 0 ? sampler.sample_best(best_) : sampler.sample(logits_);
}

Result<void> Session::continue_text(const GenerateOptions& options, Sampler& sampler,
                                    const OnToken& on_token, Generation& generation) {
  const Clock::time_point start = Clock::now();
  const auto stop = [&](StopReason reason) -> Result<void> {
    generation.stopped = reason;
    generation.decode_seconds = seconds_since(start);
    return {};
  };
  while (true) {
    if (static_cast<int64_t>(generation.tokens.size()) >= options.max_tokens) return stop(StopReason::limit);
    if (interrupted()) return stop(StopReason::interrupted);
    const Token token = TRY(choose(sampler));
    generation.tokens.push_back(token);
    if (options.stop_at_end && model_->tokenizer.is_end_of_generation(token))
      return stop(StopReason::end_of_generation);
    if (on_token && !on_token(token)) return stop(StopReason::callback);
    if (static_cast<int64_t>(generation.tokens.size()) >= options.max_tokens) return stop(StopReason::limit);
    if (cache_.n_used() == n_positions()) return stop(StopReason::context_full);
    compute({&token, 1}, sampler);
  }
}

}  // namespace carat
