// A short bench through Forward.
#include "eval/speed.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/memory.h"
#include "base/progress.h"
#include "base/random.h"
#include "model/forward.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Result<Speed> measure(const std::shared_ptr<const Model>& model, KvType kv, int n_threads) {
  constexpr int kMaxRepetitions = 100;
  constexpr double kEnoughSeconds = 0.4, kSlowSeconds = 2;
  model->file.release_pages();
  release_freed_memory();
  const uint64_t resident_before = resident_bytes();
  const auto backend = TRY(make_cpu_backend({.n_threads = n_threads, .precision = Precision::fast}));
  const int64_t n_prompt = std::clamp<int64_t>(model->config.context_length / 2, 1, 128);
  const int64_t n_decode = std::clamp<int64_t>(model->config.context_length - n_prompt, 0, 16);  // 0: a context of 1
  Forward forward = TRY(Forward::create(model, *backend, {.max_rows = n_prompt}));
  KvCache cache = TRY(KvCache::create(model->config, {n_prompt + n_decode, n_prompt, kv}, *backend));
  Random random(1);
  std::vector<Token> prompt(static_cast<size_t>(n_prompt));
  for (Token& token : prompt) token = static_cast<Token>(random.below(model->config.n_vocab));
  std::vector<float> logits(static_cast<size_t>(model->config.n_vocab));

  Speed speed;
  const auto start = Clock::now();
  for (int i = 0; i < kMaxRepetitions; ++i) {
    cache.clear();
    const auto prefill_start = Clock::now();
    forward.logits(prefill(forward, cache, prompt), 1, logits.data());
    speed.prefill_tok_s =
        std::max(speed.prefill_tok_s, static_cast<double>(n_prompt) / seconds_since(prefill_start));
    const auto decode_start = Clock::now();
    for (int64_t t = 0; t < n_decode; ++t) {
      const Chunk chunk{&cache, {&prompt[static_cast<size_t>(t % n_prompt)], 1}};
      forward.logits(forward.run({&chunk, 1}, Rows::last), 1, logits.data());
    }
    if (n_decode > 0)
      speed.decode_tok_s =
          std::max(speed.decode_tok_s, static_cast<double>(n_decode) / seconds_since(decode_start));
    const double spent = seconds_since(start);
    if (interrupted()) return fail("interrupted");
    if (spent > kSlowSeconds || (i >= 2 && spent > kEnoughSeconds)) break;
  }
  const uint64_t resident = resident_bytes();
  speed.resident_bytes = resident > resident_before ? resident - resident_before : 0;
  return speed;
}

}  // namespace

Result<Speed> measure_speed(const std::shared_ptr<const Model>& model, KvType kv, int n_threads) {
  constexpr uint64_t kCachedBytes = uint64_t{64} << 20;
  Speed speed = TRY(measure(model, kv, n_threads));
  if (n_threads == 1 || model->weight_bytes() > kCachedBytes) return speed;
  const Speed alone = TRY(measure(model, kv, 1));
  speed.prefill_tok_s = std::max(speed.prefill_tok_s, alone.prefill_tok_s);
  speed.decode_tok_s = std::max(speed.decode_tok_s, alone.decode_tok_s);
  return speed;
}

}  // namespace carat
