// carat perplexity: perplexity of a text by llama.cpp's chunk method, and the divergence from a parent in lockstep.
#include "eval/perplexity.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/file.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/outputs.h"
#include "eval/divergence_file.h"
#include "report/eval_text.h"
#include "report/json.h"
#include "report/plan_text.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string file, text, parent, base, write_base, memory;
  int64_t n_ctx = 512, max_chunks = 0;
  bool json = false;
  EngineFlags engine;
};

void print_plan(const LockstepPlan& plan) {
  if (plan.streams()) std::fprintf(stderr, "%s", render_text(plan).c_str());
}

Result<PerplexityReport> measure(const Flags& flags, const PerplexityOptions& options) {
  const auto model = TRY(open_model(TRY(local_file(flags.file))));
  if (!flags.base.empty()) return diverge_from_base(model, TRY(open_divergence_base(flags.base)), options);
  std::shared_ptr<const Model> parent;
  if (!flags.parent.empty()) parent = TRY(open_model(TRY(local_file(flags.parent))));
  const std::string text = TRY(read_file(flags.text));
  const auto tokens = model->tokenizer.encode(text, {.parse_special = true});
  if (flags.write_base.empty()) return perplexity(model, parent, tokens, options);
  TRY(check_outputs_beside({flags.write_base}, model->file));
  return write_divergence_base(model, tokens, options, flags.write_base);
}

Result<int> run_perplexity(const Flags& flags, const CLI::App& app) {
  if (!flags.base.empty())
    TRY(refuse(app, {"--text", "--ctx", "--parent", "--write-base"},
               "--base has its own text, cut into chunks already"));
  if (flags.base.empty() && flags.text.empty()) return fail("perplexity: expected a text (-f FILE) or --base FILE");
  if (!flags.write_base.empty()) TRY(refuse(app, {"--parent"}, "--write-base writes the distributions of one file"));
  TRY(check_outputs({flags.write_base}, {flags.file, flags.text}));
  ProgressBar bar;
  const auto report =
      TRY(measure(flags, {.n_ctx = flags.n_ctx,
                          .max_chunks = flags.max_chunks,
                          .kv = TRY(flags.engine.kv_type()),
                          .precision = flags.engine.exact ? Precision::exact : Precision::fast,
                          .n_threads = flags.engine.thread_count(),
                          .progress = bar.callback(),
                          .memory_bytes = flags.memory.empty() ? 0 : TRY(parse_memory(flags.memory)),
                          .on_plan = print_plan}));
  print_line(flags.json ? to_json(report) : render_text(report));
  return 0;
}

}  // namespace

Run add_perplexity(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file")->required();
  app.add_option("-f,--text", flags->text, "text file");
  app.add_option("--parent", flags->parent, "also the divergence from this file, evaluated in lockstep");
  app.add_option("--base", flags->base,
                 "the divergence from the distributions in this file, over its text: a base file of llama.cpp's\n"
                 "perplexity tool (--kl-divergence-base), or one of --write-base");
  app.add_option("--write-base", flags->write_base,
                 "write the distributions as such a file: 2 bytes per entry of the vocabulary and scored token");
  app.add_option("-c,--ctx", flags->n_ctx, "tokens per chunk (default 512)")->check(CLI::Range(4, 1 << 20));
  app.add_option("--chunks", flags->max_chunks, "at most so many chunks (default: all)")->check(CLI::Range(1, 1 << 24));
  app.add_option("--memory", flags->memory, "memory to use, e.g. 8G (default: what is free)");
  app.add_flag("--json", flags->json, "JSON");
  flags->engine.add_to(app);
  return [flags, &app] { return run_perplexity(*flags, app); };
}

}  // namespace carat::cli
