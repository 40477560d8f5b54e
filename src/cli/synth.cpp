// carat synth: seeded random weights in a published shape, so that speed and correctness can be measured without
// anybody's weights.
#include "model/synth.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/outputs.h"
#include "model/architecture.h"
#include "quant/codec.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string out, type = "Q4_0", embedding_type;
  SynthShape shape;
  int64_t window = 0;
  uint64_t seed = 1;
};

// Any type that runs: what carat cannot encode, synth makes of random blocks.
Result<TensorType> parse_type(std::string_view name, std::string_view flag) {
  const auto type = parse_type_name(name);
  if (type && find_codec(*type) != nullptr) return *type;
  std::string known;
  for (const Codec& codec : codecs()) known += fmt::format("{}{}", known.empty() ? "" : ", ", type_name(codec.type));
  return fail("{}: '{}' is not a type that carat computes with; expected one of {}", flag, name, known);
}

Result<int> run_synth(const Flags& flags) {
  TRY(check_outputs({flags.out}, {}));
  Config config = TRY(synth_config(flags.shape));
  if (flags.window > 0)
    for (LayerConfig& layer : config.layers)
      if (layer.sliding) layer.window = flags.window;
  SynthWeights weights;
  weights.matrix_type = TRY(parse_type(flags.type, "--type"));
  weights.embedding_type =
      flags.embedding_type.empty() ? weights.matrix_type : TRY(parse_type(flags.embedding_type, "--embedding-type"));
  weights.seed = flags.seed;
  ProgressBar bar;
  TRY(synthesize(config, weights, flags.out, bar.callback()));
  return 0;
}

}  // namespace

Run add_synth(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("out", flags->out, "file to write")->required();
  app.add_option("--like", flags->shape.like, fmt::format("{} (default e2b)", fmt::join(published_sizes(), ", ")));
  app.add_option("--type", flags->type, "type of the matrices (default Q4_0)");
  app.add_option("--embedding-type", flags->embedding_type, "type of the embedding tables (default: as --type)");
  app.add_option("--layers", flags->shape.n_layers, "layers (default: as published)")->check(CLI::Range(1, 512));
  app.add_option("--width-divisor", flags->shape.width_divisor, "divides every width (default 1)")
      ->check(CLI::Range(1, 64));
  app.add_option("--vocab", flags->shape.n_vocab, "vocabulary (default: as published)")->check(CLI::Range(512, 1 << 20));
  app.add_option("--experts", flags->shape.n_experts, "experts (default: as published)")->check(CLI::Range(1, 1024));
  app.add_option("--window", flags->window, "sliding window (default: as published)")->check(CLI::Range(1, 1 << 20));
  app.add_option("--seed", flags->seed, "seed (default 1)");
  return [flags] { return run_synth(*flags); };
}

}  // namespace carat::cli
