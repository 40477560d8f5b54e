// carat quantize: the same model in other tensor types.
#include "quant/quantize.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/common.h"
#include "report/terminal.h"
#include "quant/codec.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string in, out, type, embedding_type;
  std::vector<std::string> overrides;
  int n_threads = 0;
};

Result<TensorType> codec_type(std::string_view name, std::string_view flag) {
  const auto type = parse_type_name(name);
  if (type && find_codec(*type) != nullptr) return *type;
  std::string known;
  for (const Codec& codec : codecs()) known += fmt::format("{}{}", known.empty() ? "" : ", ", type_name(codec.type));
  return fail("{}: '{}' is not a type that carat writes; expected one of {}", flag, name, known);
}

Result<int> run_quantize(const Flags& flags) {
  QuantizeOptions options;
  const Recipe recipe = TRY(parse_recipe(flags.type));
  options.type = recipe.type;
  options.mix = recipe.mix;
  options.n_threads = flags.n_threads > 0 ? flags.n_threads : default_thread_count();
  if (!flags.embedding_type.empty())
    options.embedding_type = TRY(codec_type(flags.embedding_type, "--token-embedding-type"));
  for (const std::string& rule : flags.overrides) {
    const size_t equals = rule.rfind('=');
    if (equals == std::string::npos) return fail("--tensor-type: '{}': expected REGEX=TYPE", rule);
    options.overrides.emplace_back(rule.substr(0, equals),
                                   TRY(codec_type(std::string_view(rule).substr(equals + 1), "--tensor-type")));
  }
  const auto file = TRY(gguf::open(flags.in));
  ProgressBar bar;
  const auto summary = TRY(quantize(file, flags.out, options, bar.callback()));
  print_line(fmt::format("{}: {:.2f} MB -> {:.2f} MB, {:.3f} bits per weight", flags.out,
                         static_cast<double>(summary.bytes_in) / 1e6, static_cast<double>(summary.bytes_out) / 1e6,
                         summary.bits_per_weight));
  return 0;
}

}  // namespace

Run add_quantize(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("in", flags->in, "GGUF file, F32, F16 or BF16")->required();
  app.add_option("out", flags->out, "file to write")->required();
  app.add_option("type", flags->type, "type of every matrix and table (Q4_0, Q6_K, NVFP4, BF16, …) or a mix (Q4_K_M, …)")->required();
  app.add_option("--tensor-type", flags->overrides, "REGEX=TYPE for tensors whose name matches; first match wins");
  app.add_option("--token-embedding-type", flags->embedding_type, "type of both embedding tables");
  app.add_option("-t,--threads", flags->n_threads, "threads (default: all CPUs)")->check(CLI::Range(1, 1024));
  return [flags] { return run_quantize(*flags); };
}

}  // namespace carat::cli
