// carat imatrix: the importance of a model's input columns over some texts, as a file that quantizers read.
#include <fmt/format.h>

#include "cli/calibration.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/outputs.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string file, out, format = "gguf", kv = "f16";
  std::vector<std::string> texts;
  int64_t n_ctx = 512, max_chunks = 0;
  int n_threads = 0;
  bool head = false;
};

// Experts that no token chose get the weight of all columns alike: worth a line.
void print_summary(const ImportanceMatrix& importance, const std::string& out) {
  int64_t n_matrices = 0, n_missed = 0;
  for (const auto& [name, entry] : importance.entries) {
    n_matrices += entry.n_matrices();
    for (const float count : entry.counts) n_missed += count == 0;
  }
  print_line(fmt::format("{}: {} tensors from {} pieces of {} tokens", out, importance.entries.size(),
                         importance.n_chunks, importance.chunk_length));
  if (n_missed > 0)
    print_line(fmt::format("notice: {} of {} matrices were not reached by any token", n_missed, n_matrices));
}

Result<int> run_imatrix(const Flags& flags) {
  std::vector<std::string> inputs = flags.texts;
  inputs.push_back(flags.file);
  TRY(check_outputs({flags.out}, inputs));
  const auto model = TRY(open_model(TRY(local_file(flags.file))));
  TRY(check_outputs_beside({flags.out}, model->file));
  const auto texts = TRY(calibration_texts(*model, flags.texts));
  ProgressBar bar;
  const ImportanceMatrix importance =
      TRY(collect_importance(model, texts,
                             {.n_ctx = flags.n_ctx,
                              .max_chunks = flags.max_chunks,
                              .kv = TRY(parse_kv_type(flags.kv)),
                              .n_threads = flags.n_threads > 0 ? flags.n_threads : default_thread_count(),
                              .progress = bar.callback()},
                             flags.head));
  TRY(write_importance(importance, flags.out,
                       flags.format == "dat" ? ImportanceFormat::Legacy : ImportanceFormat::Gguf));
  print_summary(importance, flags.out);
  return 0;
}

}  // namespace

Run add_imatrix(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file, best of 16 bits")->required();
  app.add_option("texts", flags->texts, "text files (default for a model of the lab language: text of it)");
  app.add_option("-o,--out", flags->out, "file to write")->required();
  app.add_option("--output-format", flags->format, "gguf (default) or dat, the older one")
      ->check(CLI::IsMember({"gguf", "dat"}));
  app.add_flag("--process-output", flags->head, "also the inputs of the output head");
  app.add_option("-c,--ctx", flags->n_ctx, "tokens of a piece (default 512, at most the model's context)")
      ->check(CLI::Range(2, 1 << 20));
  app.add_option("--chunks", flags->max_chunks, "at most so many pieces (default: all)")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--kv", flags->kv, "cache that the texts go through (default f16)");
  app.add_option("-t,--threads", flags->n_threads, "threads (default: one per fast core)")
      ->check(CLI::Range(1, 1024));
  return [flags] { return run_imatrix(*flags); };
}

}  // namespace carat::cli
