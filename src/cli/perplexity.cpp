// carat perplexity: perplexity of a text by llama.cpp's chunk method, and the divergence from a parent in lockstep.
#include "eval/perplexity.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/command.h"
#include "cli/common.h"

namespace carat::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string file, text, parent;
  int64_t n_ctx = 512, max_chunks = 0;
  bool json = false;
  EngineFlags engine;
};

Json to_json(const Spread& spread) { return {{"value", spread.value}, {"error", spread.error}}; }

Json to_json(const PerplexityReport& report) {
  Json json{{"chunks", report.n_chunks}, {"tokens", report.n_tokens}, {"ppl", to_json(report.perplexity)}};
  if (report.reference_perplexity) json["ppl_parent"] = to_json(*report.reference_perplexity);
  if (const auto& d = report.divergence) {
    json["kld_mean"] = to_json(d->kld);
    json["kld_median"] = d->kld_median;
    json["kld_p99"] = d->kld_p99;
    json["kld_p999"] = d->kld_p999;
    json["kld_max"] = d->kld_max;
    json["top1"] = to_json(d->top1);
    json["rms_dp"] = to_json(d->rms_dp);
    json["ln_ppl_ratio"] = to_json(d->log_ratio);
  }
  return json;
}

void print_table(const PerplexityReport& report) {
  const auto line = [](std::string_view name, double value, double error, std::string_view unit) {
    print_line(fmt::format("  {:<24} {:>12.6f} ± {:<10.6f} {}", name, value, error, unit));
  };
  print_line(fmt::format("{} chunks, {} scored tokens", report.n_chunks, report.n_tokens));
  line("perplexity", report.perplexity.value, report.perplexity.error, "");
  if (report.reference_perplexity)
    line("perplexity of the parent", report.reference_perplexity->value, report.reference_perplexity->error, "");
  if (const auto& d = report.divergence) {
    line("ln(PPL / PPL parent)", d->log_ratio.value, d->log_ratio.error, "");
    line("KL divergence, mean", d->kld.value, d->kld.error, "nat");
    print_line(fmt::format("  {:<24} {:>12.6f}   median, {:.6f} 99 %, {:.6f} 99.9 %, {:.6f} max", "",
                           d->kld_median, d->kld_p99, d->kld_p999, d->kld_max));
    line("same top token", 100 * d->top1.value, 100 * d->top1.error, "%");
    line("RMS change of p", 100 * d->rms_dp.value, 100 * d->rms_dp.error, "%");
  }
}

Result<int> run_perplexity(const Flags& flags) {
  const auto model = TRY(open_model(flags.file));
  std::shared_ptr<const Model> parent;
  if (!flags.parent.empty()) parent = TRY(open_model(flags.parent));
  const std::string text = TRY(read_file(flags.text));
  const auto tokens = model->tokenizer.encode(text, {.parse_special = true});
  const auto report = TRY(perplexity(model, parent, tokens,
                                     {.n_ctx = flags.n_ctx,
                                      .max_chunks = flags.max_chunks,
                                      .kv = TRY(flags.engine.kv_type()),
                                      .precision = flags.engine.exact ? Precision::exact : Precision::fast,
                                      .n_threads = flags.engine.thread_count(),
                                      .progress = nullptr}));
  if (flags.json)
    print_line(to_json(report).dump());
  else
    print_table(report);
  return 0;
}

}  // namespace

Run add_perplexity(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file")->required();
  app.add_option("-f,--text", flags->text, "text file")->required();
  app.add_option("--parent", flags->parent, "also the divergence from this file, evaluated in lockstep");
  app.add_option("-c,--ctx", flags->n_ctx, "tokens per chunk (default 512)")->check(CLI::Range(4, 1 << 20));
  app.add_option("--chunks", flags->max_chunks, "at most so many chunks (default: all)")->check(CLI::Range(1, 1 << 24));
  app.add_flag("--json", flags->json, "JSON");
  flags->engine.add_to(app);
  return [flags] { return run_perplexity(*flags); };
}

}  // namespace carat::cli
