// carat bench: how fast a file runs on this machine, each result beside the least time that the machine's
// memory or arithmetic allows.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/progress.h"
#include "base/random.h"
#include "base/stats.h"
#include "cli/command.h"
#include "cli/common.h"
#include "engine/cost.h"
#include "model/forward.h"
#include "report/roof_table.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kRowsPerPass = 512;
constexpr int64_t kRowsPerHead = 64;  // logits of all rows of a pass would be half a gigabyte

struct Flags {
  std::string file;
  int n_prompt = 512, n_decode = 128, n_verify = 0, depth = 0, repetitions = 3;
  bool json = false, no_cut = false, all_logits = false, roof = false, repack = false;
  std::string head = "full";
  EngineFlags engine;
};

struct Measurement {
  std::string test;
  int64_t n_tokens = 0;
  double seconds = 0;                 // for all of them, the median
  Cost cost;                          // of all of them
  double pass_bytes = 0;              // that the fastest memory has to deliver anew in each pass
  std::optional<double> row_seconds;  // one row alone, for a batch that is compared with it

  double tokens_per_second() const { return static_cast<double>(n_tokens) / seconds; }
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
    const int64_t n_positions = flags.depth + std::max({flags.n_prompt, flags.n_decode, flags.n_verify});
    if (n_positions > model->config.context_length)
      return fail(
          "bench: {} tokens (--depth and the longest of -p, -n and --verify), but the context of {} has {}",
          n_positions, model->file.path, model->config.context_length);
    Forward forward =
        TRY(Forward::create(model, backend, {.max_rows = kRowsPerPass,
                                             .prefill_cut = !flags.no_cut,
                                             .screen_head = flags.head == "screened"}));
    KvCache cache = TRY(KvCache::create(
        model->config,
        {.n_positions = std::max<int64_t>(n_positions, 1), .max_batch = kRowsPerPass, .type = kv}, backend));
    if (flags.repack) {
      ProgressBar bar;
      TRY(forward.repack(bar.callback()));
    }
    return Bench(std::move(model), flags, std::move(forward), std::move(cache));
  }

  const Forward& forward() const { return forward_; }

  // A prompt of which the last row's logits are wanted, or those of all rows.
  Result<Measurement> prompt(bool all_logits) {
    const auto tokens = random_tokens(flags_.n_prompt, model_->config.n_vocab);
    const double seconds = TRY(
        median_seconds([&]() -> Result<void> { return feed(tokens, all_logits ? Rows::all : Rows::last); }));
    return measured(fmt::format("pp{}{}", flags_.n_prompt, all_logits ? " all" : ""), seconds,
                    {.n_rows = flags_.n_prompt, .rows_per_pass = kRowsPerPass, .all_logits = all_logits});
  }

  Result<Measurement> decode() {
    const auto tokens = random_tokens(flags_.n_decode, model_->config.n_vocab);
    const double seconds = TRY(median_seconds([&]() -> Result<void> {
      for (const Token& token : tokens) TRY(decode_one(token));
      return {};
    }));
    return measured(fmt::format("tg{}", flags_.n_decode), seconds,
                    {.n_rows = flags_.n_decode, .rows_per_pass = 1, .all_logits = true});
  }

  // A batch whose logits are all wanted, as speculative decoding verifies drafts, in turn with single rows.
  Result<Measurement> verify() {
    const auto tokens = random_tokens(flags_.n_verify, model_->config.n_vocab);
    std::vector<double> batches, rows;
    for (int i = 0; i <= 5 * flags_.repetitions; ++i) {
      const double row = TRY(seconds_at_depth([&] { return feed({tokens.data(), 1}, Rows::all); }));
      const double batch = TRY(seconds_at_depth([&] { return feed(tokens, Rows::all); }));
      if (i > 0) rows.push_back(row), batches.push_back(batch);
    }
    auto result = measured(fmt::format("verify{}", flags_.n_verify), median(batches),
                           {.n_rows = flags_.n_verify, .rows_per_pass = flags_.n_verify, .all_logits = true});
    result.row_seconds = median(rows);
    return result;
  }

 private:
  Bench(std::shared_ptr<const Model> model, const Flags& flags, Forward forward, KvCache cache)
      : model_(std::move(model)), flags_(flags), forward_(std::move(forward)), cache_(std::move(cache)) {}

  Measurement measured(std::string test, double seconds, Work work) const {
    work.position = flags_.depth;
    work.cut = !flags_.no_cut;
    const Cost cost = cost_of(model_->config, model_->weights, cache_, forward_.backend().precision(), work);
    const auto n_passes = static_cast<double>((work.n_rows + work.rows_per_pass - 1) / work.rows_per_pass);
    return {std::move(test), work.n_rows, seconds, cost, cost.n_bytes() / n_passes, std::nullopt};
  }

  // Runs the tokens and forms the logits of those rows, in pieces that Ctrl-C can end between.
  Result<void> feed(std::span<const Token> tokens, Rows wanted) {
    while (!tokens.empty()) {
      if (interrupted()) return fail("interrupted");
      const size_t n = std::min(tokens.size(), static_cast<size_t>(kRowsPerPass));
      const Chunk chunk{&cache_, tokens.first(n)};
      tokens = tokens.subspan(n);
      logits_of(forward_.run({&chunk, 1}, wanted == Rows::last && !tokens.empty() ? Rows::none : wanted));
    }
    return {};
  }

  // One decoded token, its logits or, with the screened head, the likeliest token alone.
  Result<void> decode_one(const Token& token) {
    if (flags_.head != "screened") return feed({&token, 1}, Rows::last);
    if (interrupted()) return fail("interrupted");
    const Chunk chunk{&cache_, {&token, 1}};
    forward_.best(forward_.run({&chunk, 1}, Rows::last), 1);
    return {};
  }

  void logits_of(std::span<const float> hidden) {
    const int64_t dim = model_->config.dim;
    for (int64_t n_left = static_cast<int64_t>(hidden.size()) / dim; n_left > 0;) {
      const int64_t n = std::min(n_left, kRowsPerHead);
      logits_.resize(std::max(logits_.size(), static_cast<size_t>(n * model_->config.n_vocab)));
      forward_.logits(hidden.first(static_cast<size_t>(n * dim)), n, logits_.data());
      hidden = hidden.subspan(static_cast<size_t>(n * dim));
      n_left -= n;
    }
  }

  // Of body after --depth tokens; they are computed only where the cache no longer holds them.
  template <class Body>
  Result<double> seconds_at_depth(const Body& body) {
    if (filled_ && cache_.can_truncate(flags_.depth)) {
      cache_.truncate(flags_.depth);
    } else {
      cache_.clear();
      TRY(feed(random_tokens(flags_.depth, model_->config.n_vocab), Rows::none));
      filled_ = true;
    }
    const auto start = std::chrono::steady_clock::now();
    TRY(body());
    return seconds_since(start);
  }

  // Median over the repetitions; one more run first warms caches and pages.
  template <class Body>
  Result<double> median_seconds(const Body& body) {
    std::vector<double> seconds;
    for (int i = 0; i <= flags_.repetitions; ++i) {
      const double one = TRY(seconds_at_depth(body));
      if (i > 0) seconds.push_back(one);
    }
    return median(seconds);
  }

  std::shared_ptr<const Model> model_;
  const Flags& flags_;
  Forward forward_;
  KvCache cache_;
  bool filled_ = false;
  std::vector<float> logits_;
};

Result<std::vector<Measurement>> run_tests(Bench& bench, const Flags& flags) {
  std::vector<Measurement> results;
  if (flags.n_prompt > 0) results.push_back(TRY(bench.prompt(false)));
  if (flags.n_prompt > 0 && flags.all_logits) results.push_back(TRY(bench.prompt(true)));
  if (flags.n_decode > 0) results.push_back(TRY(bench.decode()));
  if (flags.n_verify > 0) results.push_back(TRY(bench.verify()));
  return results;
}

Bound bound_of(const Measurement& m, const Roof& roof) {
  return carat::bound_of(m.cost, roof, m.pass_bytes > static_cast<double>(largest_cache_bytes()));
}

Json to_json(const Measurement& m, const Roof& roof) {
  const Bound bound = bound_of(m, roof);
  Json json{{"test", m.test},
            {"tok_s", m.tokens_per_second()},
            {"gb_s", m.cost.n_bytes() / m.seconds / 1e9},
            {"roof_share", bound.seconds / m.seconds},
            {"roof", bound.name()},
            {"gmac_s", m.cost.n_multiply_adds() / m.seconds / 1e9}};
  if (m.row_seconds) {
    json["batch_ms"] = 1e3 * m.seconds;
    json["row_ms"] = 1e3 * *m.row_seconds;
    json["batch_per_row"] = m.seconds / *m.row_seconds;
  }
  return json;
}

Json to_json(const Roof& roof) {
  return {{"threads", roof.n_threads},
          {"read_gb_s", roof.read_bytes / 1e9},
          {"int8_gmac_s", roof.rate(Arithmetic::int8) / 1e9},
          {"bf16_gmac_s", roof.rate(Arithmetic::bf16) / 1e9},
          {"f32_gmac_s", roof.rate(Arithmetic::f32) / 1e9}};
}

void print_results(std::span<const Measurement> results, const Roof& roof) {
  TextTable table;
  table.add_column("test", Align::left);
  for (const char* title : {"tokens/s", "GB/s", "Gmac/s", "of roof"}) table.add_column(title, Align::right);
  table.add_column("roof", Align::left);
  for (const Measurement& m : results) {
    const Bound bound = bound_of(m, roof);
    table.add_row({m.test, fmt::format("{:.2f}", m.tokens_per_second()),
                   fmt::format("{:.2f}", m.cost.n_bytes() / m.seconds / 1e9),
                   fmt::format("{:.1f}", m.cost.n_multiply_adds() / m.seconds / 1e9),
                   fmt::format("{:.0f} %", 100 * bound.seconds / m.seconds), std::string(bound.name())});
  }
  print_text(table.render(stdout_style()));
  for (const Measurement& m : results)
    if (m.row_seconds)
      print_line(fmt::format("\n  a batch of {} takes {:.1f} ms, one row {:.1f} ms: {:.2f} times as long",
                             m.n_tokens, 1e3 * m.seconds, 1e3 * *m.row_seconds, m.seconds / *m.row_seconds));
}

Result<int> bench_file(const Flags& flags) {
  const auto model = TRY(open_model(TRY(local_file(flags.file))));
  const auto backend = TRY(make_cpu_backend(flags.engine.cpu_options()));
  Bench runner = TRY(Bench::create(model, *backend, TRY(flags.engine.kv_type()), flags));
  const auto results = TRY(run_tests(runner, flags));
  ThreadPool pool(flags.engine.thread_count());
  const Roof roof = TRY(measure_roof(pool));
  if (flags.json) {
    Json json = Json::array();
    for (const Measurement& m : results) json.push_back(to_json(m, roof));
    print_line(json.dump());
    return 0;
  }
  print_line(
      fmt::format("{} ({}, {:.2f} GB), {}\nroof: memory reads {:.1f} GB/s; Gmac/s: int8 {:.0f}, bf16 {:.0f}, "
                  "f32 {:.0f}\n",
                  model->config.name, model->type_summary(), static_cast<double>(model->weight_bytes()) / 1e9,
                  backend->name(), roof.read_bytes / 1e9, roof.rate(Arithmetic::int8) / 1e9,
                  roof.rate(Arithmetic::bf16) / 1e9, roof.rate(Arithmetic::f32) / 1e9));
  print_results(results, roof);
  if (flags.repack) print_line("\n" + describe_repacked(runner.forward()));
  if (flags.head == "screened") print_line("\n" + describe_screen(runner.forward()));
  return 0;
}

// The roofs alone, for one thread and more.
Result<int> bench_roof(const Flags& flags) {
  std::vector<Roof> roofs;
  for (int n = 1; n <= flags.engine.thread_count(); ++n) {
    if (interrupted()) return fail("interrupted");
    ThreadPool pool(n);
    roofs.push_back(TRY(measure_roof(pool)));
  }
  Json json = Json::array();
  for (const Roof& roof : roofs) json.push_back(to_json(roof));
  flags.json ? print_line(json.dump()) : print_text(roof_table(roofs, stdout_style()));
  return 0;
}

}  // namespace

Run add_bench(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.footer(
      "GB/s: bytes of weights, and of the keys and values that are read, per pass × passes per second. "
      "Gmac/s: 1e9\n"
      "multiply-adds of matrices and attention per second. Of roof: the least time that this machine needs, "
      "divided by the\n"
      "measured. That is the longer of reading the bytes at the rate at which all threads read memory "
      "(weights that fit\n"
      "into the CPU's cache are not read), and of the multiply-adds, each at the rate of its type from "
      "registers: int8\n"
      "for quantized weights with kernels, bf16, f32 for all other floats, decoded weights and attention. "
      "Where the CPU\n"
      "has no VNNI, int8 is the rate of its 16-bit sums of 4-bit codes; where it has no bf16 products, bf16 "
      "is f32's. Bytes are those of the full head, screened or not.");
  auto* file = app.add_option("file", flags->file, "GGUF file");
  app.add_option("-p", flags->n_prompt, "prompt tokens (default 512; 0: skip)")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("-n", flags->n_decode, "decoded tokens (default 128; 0: skip)")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--verify", flags->n_verify,
                 "rows of one batch whose logits are all wanted, as speculative decoding verifies")
      ->check(CLI::Range(2, static_cast<int>(kRowsPerPass)));
  app.add_option("-d,--depth", flags->depth, "tokens already in the cache (default 0)")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("-r", flags->repetitions, "repetitions, of which the median (default 3)")
      ->check(CLI::Range(1, 1000));
  app.add_flag("--no-prefill-cut", flags->no_cut, "compute rows that no wanted logit needs");
  app.add_flag("--all-logits", flags->all_logits, "the prompt once more with the logits of all its rows");
  app.add_flag("--roof", flags->roof,
               "without a file: what this machine can do at best, for one thread and more");
  app.add_flag("--json", flags->json, "JSON");
  add_head_flag(app, flags->head);
  add_repack_flag(app, flags->repack);
  flags->engine.add_to(app);
  return [flags, file, &app]() -> Result<int> {
    if (!flags->roof && file->count() == 0) return fail("file is required, or --roof");
    if (!flags->roof) return bench_file(*flags);
    TRY(refuse(
        app,
        {"file", "-p", "-n", "--verify", "-d", "-r", "--no-prefill-cut", "--all-logits", "--exact", "--kv", "--head",
         "--repack"},
        "--roof measures the machine alone"));
    return bench_roof(*flags);
  };
}

}  // namespace carat::cli
