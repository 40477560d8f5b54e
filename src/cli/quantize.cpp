// carat quantize: the same model in other tensor types.
#include "quant/quantize.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/outputs.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string in, out, type, embedding_type;
  std::vector<std::string> overrides;
  int n_threads = 0;
};

// A line per type that was not to be had. 1 if nothing became what was asked for: such a file's name would lie.
int report_fallbacks(const QuantizeSummary& summary, const std::string& asked) {
  for (const Fallback& fallback : summary.fallbacks)
    print_line(fmt::format("{} tensor{} ({:.1f} % of the weights) {} {} instead of {}: rows that are no multiple of {}",
                           fallback.n_tensors, fallback.n_tensors == 1 ? "" : "s",
                           100 * static_cast<double>(fallback.n_weights) / static_cast<double>(summary.n_elements),
                           fallback.n_tensors == 1 ? "is" : "are", type_name(fallback.got),
                           type_name(fallback.wanted), type_info(fallback.wanted).block_length));
  if (summary.n_tensors_as_wanted > 0) return 0;
  print_line(fmt::format("notice: not one tensor could be written as {}", asked));
  return 1;
}

Result<int> run_quantize(const Flags& flags) {
  QuantizeOptions options;
  const Recipe recipe = TRY(parse_recipe(flags.type));
  options.type = recipe.type;
  options.mix = recipe.mix;
  options.n_threads = flags.n_threads > 0 ? flags.n_threads : default_thread_count();
  if (!flags.embedding_type.empty())
    options.embedding_type = TRY(parse_written_type(flags.embedding_type, "--token-embedding-type"));
  for (const std::string& rule : flags.overrides) options.overrides.push_back(TRY(parse_type_rule(rule)));
  TRY(check_outputs({flags.out}, {flags.in}));
  const auto file = TRY(gguf::open(TRY(local_file(flags.in))));
  TRY(check_outputs_beside({flags.out}, file));
  ProgressBar bar;
  const auto summary = TRY(quantize(file, flags.out, options, bar.callback()));
  print_line(fmt::format("{}: {:.2f} MB -> {:.2f} MB, {:.3f} bits per weight", flags.out,
                         static_cast<double>(summary.bytes_in) / 1e6, static_cast<double>(summary.bytes_out) / 1e6,
                         summary.bits_per_weight));
  return report_fallbacks(summary, flags.type);
}

}  // namespace

Run add_quantize(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("in", flags->in, "GGUF file, F32, F16 or BF16")->required();
  app.add_option("out", flags->out, "file to write")->required();
  app.add_option("type", flags->type, "type of every matrix and table (Q4_0, Q6_K, NVFP4, BF16, …) or a mix (Q4_K_M, …)")->required();
  one_each(app.add_option("--tensor-type", flags->overrides,
                          "REGEX=TYPE for tensors whose name matches; may be repeated, first match wins"));
  app.add_option("--token-embedding-type", flags->embedding_type, "type of both embedding tables");
  app.add_option("-t,--threads", flags->n_threads, "threads (default: one per fast core)")->check(CLI::Range(1, 1024));
  return [flags] { return run_quantize(*flags); };
}

}  // namespace carat::cli
