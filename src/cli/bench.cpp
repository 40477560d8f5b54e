// carat bench: prompt and decode speed of a file on this machine, beside what the memory could deliver.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "base/random.h"
#include "base/stats.h"
#include "cli/command.h"
#include "cli/common.h"
#include "engine/cost.h"
#include "model/forward.h"

namespace carat::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string file;
  int n_prompt = 512, n_decode = 128, depth = 0, repetitions = 3;
  bool json = false, no_cut = false;
  std::string head = "full";
  EngineFlags engine;
};

struct Measurement {
  std::string test;
  double tokens_per_second = 0;
  double bytes_per_second = 0;      // of weights
  bool bound_by_memory = false;     // then there is a roof to compare with
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Token> random_tokens(int64_t n, int64_t n_vocab) {
  Random random(1);
  std::vector<Token> tokens(static_cast<size_t>(n));
  for (Token& token : tokens) token = static_cast<Token>(random.below(n_vocab));
  return tokens;
}

class Bench {
 public:
  static Result<Bench> create(std::shared_ptr<const Model> model, Backend& backend, KvType kv,
                              const Flags& flags) {
    const int64_t n_positions = flags.depth + std::max(flags.n_prompt, flags.n_decode);
    if (n_positions > model->config.context_length)
      return fail("bench: {} tokens (--depth and the longer of -p and -n), but the context of {} has {}", n_positions,
                  model->file.path, model->config.context_length);
    Forward forward =
        TRY(Forward::create(model, backend, {.max_rows = kRowsPerPass,
                                             .prefill_cut = !flags.no_cut,
                                             .screen_head = flags.head == "screened"}));
    KvCache cache = TRY(KvCache::create(
        model->config, {.n_positions = std::max<int64_t>(n_positions, 1), .max_batch = kRowsPerPass, .type = kv}, backend));
    return Bench(std::move(model), flags, std::move(forward), std::move(cache));
  }

  const Forward& forward() const { return forward_; }

  Result<Measurement> prompt() {
    const auto tokens = random_tokens(flags_.n_prompt, model_->config.n_vocab);
    const double rate = TRY(median_rate(flags_.n_prompt, [&]() -> Result<void> {
      forward_.logits(TRY(feed(tokens)), 1, logits_.data());
      return {};
    }));
    const uint64_t n_bytes = prefill_bytes(*model_, flags_.n_prompt, kRowsPerPass, !flags_.no_cut);
    return Measurement{fmt::format("pp{}", flags_.n_prompt), rate,
                       rate / flags_.n_prompt * static_cast<double>(n_bytes)};
  }

  Result<Measurement> decode() {
    const auto tokens = random_tokens(flags_.n_decode, model_->config.n_vocab);
    const double rate = TRY(median_rate(flags_.n_decode, [&]() -> Result<void> {
      for (const Token& token : tokens) {
        const auto hidden = TRY(feed({&token, 1}));
        flags_.head == "screened" ? void(forward_.best(hidden, 1)) : forward_.logits(hidden, 1, logits_.data());
      }
      return {};
    }));
    const uint64_t n_bytes = decode_bytes(*model_);
    return Measurement{fmt::format("tg{}", flags_.n_decode), rate, rate * static_cast<double>(n_bytes),
                       n_bytes > largest_cache_bytes()};
  }

 private:
  static constexpr int64_t kRowsPerPass = 512;

  Bench(std::shared_ptr<const Model> model, const Flags& flags, Forward forward, KvCache cache)
      : model_(std::move(model)), flags_(flags), forward_(std::move(forward)), cache_(std::move(cache)),
        logits_(static_cast<size_t>(model_->config.n_vocab)) {}

  // Prefill that Ctrl-C can end between passes. -> the last position's hidden state.
  Result<std::span<const float>> feed(std::span<const Token> tokens) {
    for (;;) {
      if (interrupted()) return fail("interrupted");
      const size_t n = std::min(tokens.size(), static_cast<size_t>(kRowsPerPass));
      const bool is_last = n == tokens.size();
      const Chunk chunk{&cache_, tokens.first(n)};
      const auto hidden = forward_.run({&chunk, 1}, is_last ? Rows::last : Rows::none);
      if (is_last) return hidden;
      tokens = tokens.subspan(n);
    }
  }

  // Median tokens/s over the repetitions, each at the asked depth; one more run first warms caches and pages.
  template <class Body>
  Result<double> median_rate(int n, const Body& body) {
    std::vector<double> rates;
    for (int i = 0; i <= flags_.repetitions; ++i) {
      cache_.clear();
      if (flags_.depth > 0) TRY(feed(random_tokens(flags_.depth, model_->config.n_vocab)));
      const auto start = std::chrono::steady_clock::now();
      TRY(body());
      if (i > 0) rates.push_back(n / seconds_since(start));
    }
    return median(rates);
  }

  std::shared_ptr<const Model> model_;
  const Flags& flags_;
  Forward forward_;
  KvCache cache_;
  std::vector<float> logits_;
};

Result<int> bench(const Flags& flags) {
  const auto model = TRY(open_model(TRY(local_file(flags.file))));
  const auto backend = TRY(make_cpu_backend(flags.engine.cpu_options()));
  Bench runner = TRY(Bench::create(model, *backend, TRY(flags.engine.kv_type()), flags));
  std::vector<Measurement> results;
  if (flags.n_prompt > 0) results.push_back(TRY(runner.prompt()));
  if (flags.n_decode > 0) results.push_back(TRY(runner.decode()));
  ThreadPool pool(flags.engine.thread_count());
  const double bandwidth = measure_read_bandwidth(pool);

  Json json = Json::array();
  if (!flags.json)
    print_line(fmt::format("{} ({}, {:.2f} GB), {}, memory reads {:.1f} GB/s\n\n  {:<10} {:>12} {:>10} {:>16}",
                           model->config.name, model->type_summary(), static_cast<double>(model->weight_bytes()) / 1e9,
                           backend->name(), bandwidth / 1e9, "test", "tokens/s", "GB/s", "of memory roof"));
  for (const Measurement& m : results) {
    const double share = m.bytes_per_second / bandwidth;
    Json entry{{"test", m.test}, {"tok_s", m.tokens_per_second}, {"gb_s", m.bytes_per_second / 1e9}, {"roof_share", nullptr}};
    if (m.bound_by_memory) entry["roof_share"] = share;
    if (!flags.json)
      print_line(fmt::format("  {:<10} {:>12.2f} {:>10.2f} {:>16}", m.test, m.tokens_per_second,
                             m.bytes_per_second / 1e9, m.bound_by_memory ? fmt::format("{:.0f} %", 100 * share) : "-"));
    json.push_back(entry);
  }
  if (!flags.json && flags.head == "screened") print_line("\n" + describe_screen(runner.forward()));
  if (flags.json) print_line(json.dump());
  return 0;
}

}  // namespace

Run add_bench(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.footer(
      "GB/s: weight bytes read per pass × passes per second. The roof is what memory delivers when all threads read:\n"
      "a bound for decoding, unless the weights fit into the CPU's cache (then, and for prompts, which are bound by\n"
      "arithmetic, there is none: \"-\", in JSON \"roof_share\": null). Bytes are those of the full head, screened or not.");
  app.add_option("file", flags->file, "GGUF file")->required();
  app.add_option("-p", flags->n_prompt, "prompt tokens (default 512; 0: skip)")->check(CLI::Range(0, 1 << 20));
  app.add_option("-n", flags->n_decode, "decoded tokens (default 128; 0: skip)")->check(CLI::Range(0, 1 << 20));
  app.add_option("-d,--depth", flags->depth, "tokens already in the cache (default 0)")->check(CLI::Range(0, 1 << 20));
  app.add_option("-r", flags->repetitions, "repetitions, of which the median (default 3)")->check(CLI::Range(1, 1000));
  app.add_flag("--no-prefill-cut", flags->no_cut, "compute rows that no wanted logit needs");
  app.add_flag("--json", flags->json, "JSON");
  add_head_flag(app, flags->head);
  flags->engine.add_to(app);
  return [flags] { return bench(*flags); };
}

}  // namespace carat::cli
