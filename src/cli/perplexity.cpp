// carat perplexity: perplexity of a text by llama.cpp's chunk method, and the divergence from a parent in lockstep.
#include "eval/perplexity.h"

#include <fmt/format.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/common.h"
#include "report/eval_text.h"
#include "report/json.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string file, text, parent;
  int64_t n_ctx = 512, max_chunks = 0;
  bool json = false;
  EngineFlags engine;
};

Result<int> run_perplexity(const Flags& flags) {
  const auto model = TRY(open_model(TRY(local_file(flags.file))));
  std::shared_ptr<const Model> parent;
  if (!flags.parent.empty()) parent = TRY(open_model(TRY(local_file(flags.parent))));
  const std::string text = TRY(read_file(flags.text));
  const auto tokens = model->tokenizer.encode(text, {.parse_special = true});
  ProgressBar bar;
  const auto report = TRY(perplexity(model, parent, tokens,
                                     {.n_ctx = flags.n_ctx,
                                      .max_chunks = flags.max_chunks,
                                      .kv = TRY(flags.engine.kv_type()),
                                      .precision = flags.engine.exact ? Precision::exact : Precision::fast,
                                      .n_threads = flags.engine.thread_count(),
                                      .progress = bar.callback()}));
  if (flags.json)
    print_line(to_json(report));
  else
    print_line(render_text(report));
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
