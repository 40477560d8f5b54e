// Session: one conversation with one model: a backend, a cache, and text that grows token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "engine/sampler.h"
#include "kernels/backend.h"
#include "model/forward.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace carat {

struct SessionOptions {
  int64_t n_positions = 4096;  // longest text in tokens; at most the model's context length is used
  int64_t max_batch = 512;     // prompt tokens per pass
  KvType kv_type = TensorType::F16;
  bool screen_head = false;  // see ForwardOptions: the same tokens sooner, for more memory
  bool repack = false;       // Forward::repack(): likewise
  Progress progress;         // of repacking
};

enum class StopReason { end_of_generation, limit, context_full, callback, interrupted };
std::string_view name_of(StopReason reason);  // "end of generation", …

struct GenerateOptions {
  int64_t max_tokens = 512;
  bool stop_at_end = true;  // false: end-of-generation tokens are tokens like others
  SamplerOptions sampler;
};

struct Generation {
  std::vector<Token> tokens;  // without the prompt; the end-of-generation token is the last, if there was one
  StopReason stopped = StopReason::limit;
  int64_t n_prompt = 0;  // tokens of the prompt that were computed
  int64_t n_reused = 0;  // tokens of the prompt that the cache still held
  double prompt_seconds = 0, decode_seconds = 0;
  uint64_t bytes_per_token = 0;  // weights read to decode one token

  // 0 where nothing was measured. The first token comes out of the prompt's pass.
  double prompt_tokens_per_second() const;
  double decode_tokens_per_second() const;
  double decode_bytes_per_second() const {
    return decode_tokens_per_second() * static_cast<double>(bytes_per_token);
  }
};

// Called with each generated token; false stops.
using OnToken = std::function<bool(Token)>;

class Session {
 public:
  // Errors: a cache type that does not fit the model's heads; more memory than the machine has.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model,
                                                 std::unique_ptr<Backend> backend,
                                                 const SessionOptions& options);

  const Model& model() const { return *model_; }
  const Backend& backend() const { return *backend_; }
  const Forward& forward() const { return forward_; }
  int64_t n_positions() const { return cache_.n_positions(); }

  // Continues `prompt`, the whole text so far. What the cache holds of its beginning is not computed again.
  // interrupted() ends it with what there is. Errors, before anything is computed: an empty or too long
  // prompt, sampler options out of range. And: a model whose logits are not numbers.
  Result<Generation> generate(std::span<const Token> prompt, const GenerateOptions& options,
                              const OnToken& on_token = nullptr);

 private:
  Session(std::shared_ptr<const Model> model, std::unique_ptr<Backend> backend, Forward forward,
          KvCache cache);

  int64_t reuse(std::span<const Token> prompt);
  bool compute(std::span<const Token> tokens, const Sampler& sampler);
  Result<Token> choose(Sampler& sampler) const;
  Result<void> continue_text(const GenerateOptions& options, Sampler& sampler, const OnToken& on_token,
                             Generation& generation);

  std::shared_ptr<const Model> model_;
  std::unique_ptr<Backend> backend_;
  Forward forward_;
  KvCache cache_;
  std::vector<Token> cached_;  // the tokens whose keys and values the cache holds
  // What the sampler asks for after the last of them: the likeliest tokens, in forward_'s memory, or all logits.
  std::span<const ScoredRow> best_;
  std::vector<float> logits_;
};

}  // namespace carat
