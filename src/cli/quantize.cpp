// carat quantize: the same model in other tensor types.
#include "quant/quantize.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "cli/calibration.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/outputs.h"
#include "cli/quantize_target.h"
#include "cli/quantize_tune.h"
#include "eval/compensate.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string in, out, type, embedding_type, imatrix, lattice = "auto", kv = "f16";
  std::string target_size;
  double target_kld = 0;
  std::vector<std::string> overrides, calibrate;
  int64_t max_chunks = 0;
  int n_threads = 0;
  TuneFlags tuning;
  bool gptq = false, tune = false, json = false;
};

// What texts decided before anything is written.
struct Calibrated {
  std::vector<CompensatedTensor> tensors;
  std::optional<Decision> decision;
  std::optional<Tuned> tuned;
};

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

// A line per type that was not to be had.
void print_fallbacks(const QuantizeSummary& summary) {
  for (const Fallback& fallback : summary.fallbacks)
    print_line(fmt::format(
        "{} tensor{} ({:.1f} % of the weights) {} {} instead of {}: rows that are no multiple of {}",
        fallback.n_tensors, fallback.n_tensors == 1 ? "" : "s",
        percent(static_cast<double>(fallback.n_weights), static_cast<double>(summary.n_elements)),
        fallback.n_tensors == 1 ? "is" : "are", type_name(fallback.got), type_name(fallback.wanted),
        type_info(fallback.wanted).block_length));
}

void print_lattices(const QuantizeSummary& summary) {
  if (summary.n_lattice_tensors == 0) return;
  const auto n = static_cast<double>(summary.lattice.n_blocks);
  print_line(
      fmt::format("{} tensor{} on a 4-bit lattice: the codes of {:.2f} % of their {} blocks are kept, "
                  "{:.2f} % are exact",
                  summary.n_lattice_tensors, summary.n_lattice_tensors == 1 ? " lies" : "s lie",
                  percent(static_cast<double>(summary.lattice.n_on_lattice), n), summary.lattice.n_blocks,
                  percent(static_cast<double>(summary.lattice.n_exact), n)));
}

RoundingError total_error(const std::vector<CompensatedTensor>& tensors) {
  RoundingError total;
  for (const CompensatedTensor& tensor : tensors)
    total.plain += tensor.error.plain, total.compensated += tensor.error.compensated;
  return total;
}

void print_compensated(const std::vector<CompensatedTensor>& tensors) {
  if (tensors.empty()) return;
  const RoundingError error = total_error(tensors);
  print_line(
      fmt::format("{} tensors rounded with error compensation: {:.1f} % of the squared output error that the "
                  "weighted search leaves",
                  tensors.size(), percent(error.compensated, error.plain)));
}

// Means over layers.
train::LayerError mean_error(const train::LayerTuneResult& tuned) {
  train::LayerError sum;
  for (const train::LayerError& error : tuned.layers) sum.before += error.before, sum.after += error.after;
  const auto n = static_cast<double>(std::max<size_t>(1, tuned.layers.size()));
  return {sum.before / n, sum.after / n};
}

size_t n_tuned(const Tuned& tuned) {
  std::set<std::string_view> names;
  if (tuned.layers)
    for (const train::TunedTensor& tensor : tuned.layers->tensors) names.insert(tensor.name);
  if (tuned.whole)
    for (const train::TunedTensor& tensor : tuned.whole->tensors) names.insert(tensor.name);
  return names.size();
}

void print_tuned(const Tuned& tuned) {
  if (tuned.layers) {
    const auto& layers = tuned.layers->layers;
    const auto n = std::ranges::count_if(layers, [](const train::LayerError& e) { return e.after < e.before; });
    const train::LayerError error = mean_error(*tuned.layers);
    print_line(fmt::format("{} of {} layers tuned: squared error of what they make of text kept back {:.3g} -> {:.3g} of its size",
                           n, layers.size(), error.before, error.after));
  }
  if (!tuned.notice.empty()) print_line(fmt::format("notice: not tuned end to end: {}", tuned.notice));
  if (!tuned.whole) return;
  const std::string change =
      fmt::format("divergence on text kept back {:.3g} -> {:.3g} nats", tuned.whole->before, tuned.whole->after);
  if (tuned.whole->tensors.empty())
    print_line(fmt::format("notice: tuning end to end did not help and is not used: {}", change));
  else
    print_line(fmt::format("{} tensors tuned end to end: {}", tuned.whole->tensors.size(), change));
}

// "types: 20 Q4_K, 13 Q5_K, 8 Q6_K"
void print_decision(const Decision& decision) {
  std::map<TensorType, int> counts;
  for (const auto& [name, type] : decision.types) ++counts[type];
  std::string line;
  for (const auto& [type, n] : counts)
    line += fmt::format("{}{} {}", line.empty() ? "" : ", ", n, type_name(type));
  print_line(
      fmt::format("types by sensitivity: {}; expected divergence {:.3g} nats", line, decision.expected));
}

void print_summary(const QuantizeSummary& summary, const Calibrated& calibrated, const Flags& flags) {
  print_line(fmt::format("{}: {:.2f} MB -> {:.2f} MB, {:.3f} bits per weight", flags.out,
                         static_cast<double>(summary.bytes_in) / 1e6,
                         static_cast<double>(summary.bytes_out) / 1e6, summary.bits_per_weight));
  if (!flags.imatrix.empty())
    print_line(fmt::format("importance for {} of {} quantized tensors", summary.n_tensors_with_importance,
                           summary.n_tensors_in_blocks));
  print_compensated(calibrated.tensors);
  if (calibrated.decision) print_decision(*calibrated.decision);
  if (calibrated.tuned) print_tuned(*calibrated.tuned);
  print_lattices(summary);
  print_fallbacks(summary);
  if (summary.n_tensors_as_wanted == 0)
    print_line(fmt::format("notice: not one tensor could be written as {}", flags.type));
}

void print_json(const QuantizeSummary& summary, const Calibrated& calibrated, const Flags& flags) {
  nlohmann::ordered_json j;
  j["file"] = flags.out;
  j["bytes_in"] = summary.bytes_in;
  j["bytes_out"] = summary.bytes_out;
  j["bits_per_weight"] = summary.bits_per_weight;
  j["n_tensors_as_wanted"] = summary.n_tensors_as_wanted;
  j["n_tensors_in_blocks"] = summary.n_tensors_in_blocks;
  j["n_tensors_with_importance"] = summary.n_tensors_with_importance;
  j["n_lattice_tensors"] = summary.n_lattice_tensors;
  j["n_lattice_blocks"] = summary.lattice.n_blocks;
  j["n_lattice_blocks_kept"] = summary.lattice.n_on_lattice;
  j["n_lattice_blocks_exact"] = summary.lattice.n_exact;
  j["n_compensated"] = calibrated.tensors.size();
  j["plain_error"] = total_error(calibrated.tensors).plain;
  j["compensated_error"] = total_error(calibrated.tensors).compensated;
  if (calibrated.tuned) j["n_tuned"] = n_tuned(*calibrated.tuned);
  if (calibrated.tuned && calibrated.tuned->layers) {
    auto& layers = j["layers"] = nlohmann::ordered_json::array();
    for (const train::LayerError& error : calibrated.tuned->layers->layers)
      layers.push_back({{"error_before", error.before}, {"error_after", error.after}});
  }
  if (calibrated.tuned && calibrated.tuned->whole) {
    j["kld_before_tuning"] = calibrated.tuned->whole->before;
    j["kld_after_tuning"] = calibrated.tuned->whole->after;
  }
  if (calibrated.decision) {
    j["expected_kld"] = calibrated.decision->expected;
    for (const auto& [name, type] : calibrated.decision->types) j["types"][name] = type_name(type);
  }
  auto& fallbacks = j["fallbacks"] = nlohmann::ordered_json::array();
  for (const Fallback& f : summary.fallbacks)
    fallbacks.push_back({{"wanted", type_name(f.wanted)},
                         {"got", type_name(f.got)},
                         {"n_tensors", f.n_tensors},
                         {"n_weights", f.n_weights}});
  print_line(j.dump());
}

Result<QuantizeOptions> options_of(const Flags& flags) {
  QuantizeOptions options;
  const Recipe recipe = TRY(parse_recipe(flags.type));
  options.type = recipe.type;
  options.mix = recipe.mix;
  options.n_threads = flags.n_threads > 0 ? flags.n_threads : default_thread_count();
  if (!flags.embedding_type.empty())
    options.embedding_type = TRY(parse_written_type(flags.embedding_type, "--token-embedding-type"));
  for (const std::string& rule : flags.overrides) options.overrides.push_back(TRY(parse_type_rule(rule)));
  options.keep_lattices = flags.lattice == "auto";
  return options;
}

bool has_target(const Flags& flags) { return !flags.target_size.empty() || flags.target_kld > 0; }

// Types for the target, then tensors rounded by the texts. The result must outlive the options.
Result<Calibrated> calibrate(const gguf::File& file, const Flags& flags, QuantizeOptions& options,
                             const Progress& progress) {
  Calibrated result;
  if (!flags.gptq && !flags.tune && !has_target(flags)) return result;
  Target target;
  if (!flags.target_size.empty()) target.bytes = TRY(parse_size(flags.target_size, "--target-size"));
  if (flags.target_kld > 0) target.divergence = flags.target_kld;
  target.kv = TRY(parse_kv_type(flags.kv));
  const auto model = TRY(make_model(file));
  const auto texts = TRY(calibration_texts(*model, flags.calibrate));
  TuneRequest tuning;
  if (flags.tune)
    tuning = TRY(tune_request(*model, flags.calibrate, flags.tuning, options.n_threads, progress));
  if (has_target(flags)) result.decision = TRY(decide_types(model, texts, target, options, progress));
  if (!flags.gptq && !flags.tune) return result;
  CompensateOptions compensation;
  compensation.keep_lattices = options.keep_lattices;
  compensation.calibration = {
      .max_chunks = flags.max_chunks, .kv = target.kv, .n_threads = options.n_threads, .progress = progress};
  result.tensors = TRY(compensate(model, TRY(plan_types(file, options)), texts, compensation));
  use(result.tensors, options);
  if (!flags.tune) return result;
  result.tuned = TRY(quantize_and_tune(*model, options, tuning));
  use(*result.tuned, options);
  return result;
}

Result<int> run_quantize(const CLI::App& app, const Flags& flags) {
  const bool compensates = flags.gptq || flags.tune;
  if (!compensates) TRY(refuse(app, {"--chunks"}, "is for --gptq"));
  if (!compensates && !has_target(flags))
    TRY(refuse(app, {"--calibrate", "--kv"}, "is for --gptq, --tune and targets"));
  if (!flags.tune) TRY(refuse(app, {"--tune-tokens", "--tune-by"}, "is for --tune"));
  QuantizeOptions options = TRY(options_of(flags));
  TRY(check_outputs({flags.out}, {flags.in, flags.imatrix}));
  ImportanceMatrix importance;
  if (!flags.imatrix.empty()) {
    importance = TRY(read_importance(flags.imatrix));
    options.importance = &importance;
  }
  const auto file = TRY(gguf::open(TRY(local_file(flags.in))));
  TRY(check_outputs_beside({flags.out}, file));
  ProgressBar bar;
  const Calibrated calibrated = TRY(calibrate(file, flags, options, bar.callback()));
  const auto summary = TRY(quantize(file, flags.out, options, bar.callback()));
  if (flags.json)
    print_json(summary, calibrated, flags);
  else
    print_summary(summary, calibrated, flags);
  return summary.n_tensors_as_wanted > 0 ? 0 : 1;  // a file whose name would lie
}

}  // namespace

Run add_quantize(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("in", flags->in, "GGUF file, F32, F16 or BF16")->required();
  app.add_option("out", flags->out, "file to write")->required();
  app.add_option("type", flags->type,
                 "type of every matrix and table (Q4_0, Q6_K, NVFP4, BF16, …) or a mix (Q4_K_M, …)")
      ->required();
  one_each(app.add_option("--tensor-type", flags->overrides,
                          "REGEX=TYPE for tensors whose name matches; may be repeated, first match wins"));
  app.add_option("--token-embedding-type", flags->embedding_type, "type of both embedding tables");
  app.add_option("--imatrix", flags->imatrix,
                 "importance matrix of the file, from carat imatrix or llama.cpp's tool: weighted searches");
  app.add_option("--lattice", flags->lattice,
                 "auto (default): tensors that lie on a 4-bit lattice (QAT) keep their codes in Q4_0; off")
      ->check(CLI::IsMember({"auto", "off"}));
  app.add_flag("--gptq", flags->gptq,
               "error-compensating rounding: what a weight loses is made up for by the others, as a text's "
               "second moments tell");
  app.add_flag("--tune", flags->tune,
               "the same, and then codes, scales and gains are refined by gradients: layer by layer, and then end to "
               "end, until the whole model's probabilities come nearer to the original's");
  app.add_option("--tune-by", flags->tuning.by,
                 "both (default; end to end where memory holds 56 bytes a weight), layers (56 bytes a weight of the "
                 "largest layer), whole")
      ->check(CLI::IsMember({"both", "layers", "whole"}));
  app.add_option("--tune-tokens", flags->tuning.n_tokens, "tokens to tune on (default 1 million end to end)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  app.add_option("--calibrate", flags->calibrate,
                 "texts for --gptq and targets (default for a model of the lab language: text of it)");
  app.add_option("--kv", flags->kv,
                 "cache that the file will be used with (f16, q8_0, q8_0/q4_0, …; default f16): the texts go "
                 "through one");
  app.add_option("--chunks", flags->max_chunks,
                 "at most so many pieces of 512 tokens of these texts (default: all)")
      ->check(CLI::Range(1, 1 << 24));
  auto* size = app.add_option(
      "--target-size", flags->target_size,
      "size of the file (5.0G, 512M: powers of 1024): each tensor gets a type by its measured sensitivity; "
      "`type` is what they are probed with");
  app.add_option("--target-kld", flags->target_kld,
                 "the same for a divergence on the calibration text, in nats")
      ->check(number_between(1e-9, 100))
      ->excludes(size);
  app.add_flag("--json", flags->json, "JSON");
  app.add_option("-t,--threads", flags->n_threads, "threads (default: one per fast core)")
      ->check(CLI::Range(1, 1024));
  return [flags, &app] { return run_quantize(app, *flags); };
}

}  // namespace carat::cli
