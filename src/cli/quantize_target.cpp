// See the header.
#include "cli/quantize_target.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace carat::cli {
namespace {

constexpr int kTries = 5;
// Keys that quantize() adds, and the padding of tensors that change their size.
constexpr uint64_t kReserve = 4096;

// Bytes of the file that no choice changes: header, norms, tensors whose type is set by a rule.
Result<uint64_t> other_bytes(const gguf::File& file, const std::vector<TensorChoices>& tensors,
                             const QuantizeOptions& options) {
  uint64_t in_tensors = 0, fixed = 0;
  const auto types = TRY(plan_types(file, options));
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    const Tensor& tensor = file.tensors[i];
    in_tensors += tensor.n_bytes();
    const bool chosen =
        std::ranges::any_of(tensors, [&](const TensorChoices& t) { return t.name == tensor.name; });
    if (!chosen) fixed += row_bytes(types[i], tensor.n_columns()) * static_cast<uint64_t>(tensor.n_rows());
  }
  const uint64_t header = file.n_bytes > in_tensors ? file.n_bytes - in_tensors : 0;
  return header + fixed + kReserve + 32 * file.tensors.size();
}

// Tensors whose type the user set.
Result<std::vector<std::string>> set_by_rules(const gguf::File& file, const QuantizeOptions& options) {
  std::vector<std::string> names;
  const auto manual = TRY(match_rules(file.tensors, options.overrides));
  for (size_t i = 0; i < file.tensors.size(); ++i)
    if (manual[i] || (options.embedding_type && is_embedding_table(file.tensors[i].name)))
      names.emplace_back(file.tensors[i].name);
  return names;
}

Decision assign(const std::vector<TensorChoices>& tensors, const Allocation& allocation,
                QuantizeOptions& options) {
  Decision decision{allocation.divergence, {}};
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorType type = tensors[i].choices[allocation.chosen[i]].type;
    options.assigned.insert_or_assign(tensors[i].name, type);
    decision.types.emplace_back(tensors[i].name, type);
  }
  return decision;
}

// What the options make of the model, measured.
Result<double> measured(const std::shared_ptr<const Model>& model, const std::vector<CalibrationText>& texts,
                        const QuantizeOptions& options, const CalibrationOptions& calibration) {
  OutputFile out = TRY(OutputFile::create_temporary("the file to measure"));
  TRY(quantize(model->file, out, options));
  const auto candidate = TRY(make_model(TRY(gguf::open(TRY(out.map())))));
  return mean_divergence(candidate, model, texts, calibration);
}

Result<Decision> reach_divergence(const std::shared_ptr<const Model>& model,
                                  const std::vector<CalibrationText>& texts,
                                  const std::vector<TensorChoices>& tensors, double target,
                                  QuantizeOptions& options, const CalibrationOptions& calibration) {
  double wanted = target;  // of the sum of expectations
  std::optional<Decision> within;
  uint64_t fewest = UINT64_MAX;
  for (int i = 0; i < kTries; ++i) {
    const Allocation allocation = allocate_divergence(tensors, wanted);
    const Decision decision = assign(tensors, allocation, options);
    const double found = TRY(measured(model, texts, options, calibration));
    if (found <= target && allocation.bytes < fewest) within = decision, fewest = allocation.bytes;
    if (found <= target && found > 0.93 * target) break;
    wanted *= std::clamp(0.97 * target / std::max(found, 1e-12), 0.25, 4.0);
  }
  if (!within)
    return fail("{}: no mix of types was found whose divergence is {} nats or less", model->file.path,
                target);
  for (const auto& [name, type] : within->types) options.assigned.insert_or_assign(name, type);
  return *within;
}

}  // namespace

Result<uint64_t> parse_size(const std::string& text, std::string_view flag) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, text.data() + text.size());
  double factor = 0;
  for (const auto& [name, bytes] : {std::pair("", 1.0), {"K", 0x1p10}, {"M", 0x1p20}, {"G", 0x1p30}})
    if (unit == name || (*name != 0 && (unit == std::string(name) + "B" || unit == std::string(name) + "iB")))
      factor = bytes;
  const double size = number * factor;
  if (error != std::errc() || !(size >= 1) || size > 0x1p50)
    return fail("{}: '{}' is no size, expected one like 5.0G or 512M", flag, text);
  return static_cast<uint64_t>(size);
}

Result<Decision> decide_types(std::shared_ptr<const Model> model, const std::vector<CalibrationText>& texts,
                              const Target& target, QuantizeOptions& options, const Progress& progress) {
  const CalibrationOptions calibration{
      .max_chunks = target.n_chunks, .kv = target.kv, .n_threads = options.n_threads, .progress = progress};
  const auto fixed = TRY(set_by_rules(model->file, options));
  const auto tensors =
      TRY(measure_sensitivity(model, fixed, texts, {calibration, options.type, options.importance}));
  if (tensors.empty()) return fail("{}: no tensor's type is left to choose", model->file.path);
  if (target.divergence)
    return reach_divergence(model, texts, tensors, *target.divergence, options, calibration);
  const uint64_t others = TRY(other_bytes(model->file, tensors, options));
  const uint64_t room = *target.bytes > others ? *target.bytes - others : 0;
  const Allocation allocation = allocate_bytes(tensors, room);
  if (allocation.bytes > room)
    return fail("{}: {} bytes are too few: expected at least {}", model->file.path, *target.bytes,
                allocation.bytes + others);
  return assign(tensors, allocation, options);
}

}  // namespace carat::cli
