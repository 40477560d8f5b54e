// carat synth: seeded random weights in a published shape, so that speed and correctness can be measured without
// anybody's weights.
#include "model/synth.h"

#include <fmt/format.h>

#include <optional>

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
  bool ordered_head = false;
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

void set_window(Config& config, int64_t window) {
  for (LayerConfig& layer : config.layers)
    if (layer.sliding && window > 0) layer.window = window;
}

// "e2b-assistant" -> "e2b"
std::optional<std::string> target_of(std::string_view like) {
  constexpr std::string_view ending = "-assistant";
  if (!like.ends_with(ending)) return std::nullopt;
  return std::string(like.substr(0, like.size() - ending.size()));
}

Result<int> run_synth(const Flags& flags) {
  TRY(check_outputs({flags.out}, {}));
  SynthShape shape = flags.shape;
  const std::optional<std::string> target = target_of(shape.like);
  if (target) shape.like = *target;
  if (flags.ordered_head && !target) return fail("--ordered-head: only assistants have one, e.g. --like e2b-assistant");
  SynthWeights weights;
  weights.matrix_type = TRY(parse_type(flags.type, "--type"));
  weights.embedding_type =
      flags.embedding_type.empty() ? weights.matrix_type : TRY(parse_type(flags.embedding_type, "--embedding-type"));
  weights.seed = flags.seed;
  ProgressBar bar;
  if (target) {
    AssistantConfig config = TRY(synth_assistant_config(shape, flags.ordered_head));
    if (flags.ordered_head && config.n_centroids == 0)
      return fail("--ordered-head: the assistant of {} has none, only those of e2b and e4b do", shape.like);
    set_window(config.network, flags.window);
    TRY(synthesize(config, weights, flags.out, assistant_dialects().front(), bar.callback()));
    return 0;
  }
  Config config = TRY(synth_config(shape));
  set_window(config, flags.window);
  TRY(synthesize(config, weights, flags.out, bar.callback()));
  return 0;
}

}  // namespace

Run add_synth(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("out", flags->out, "file to write")->required();
  app.add_option("--like", flags->shape.like, fmt::format("{} (default e2b), or the drafter of one: e2b-assistant", fmt::join(published_sizes(), ", ")));
  app.add_flag("--ordered-head", flags->ordered_head, "an assistant's head of centroids, as E2B and E4B have it");
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
