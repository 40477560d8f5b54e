// See the header: passes over the texts, and the model as it stands between them.
#include "eval/compensate.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <set>

#include "eval/moments.h"
#include "gguf/layout.h"
#include "quant/codec.h"
#include "quant/grid.h"

namespace carat {
namespace {

// NVFP4's block scales have their best precision, and none of the reference encoder's gap, up to 240.
constexpr float kLargestNvfp4 = 6 * 240;

// Matrices of layers beside which llama.cpp takes a scale: not tables, matrices of per-layer inputs, or fused
// experts; and blk.N.ffn_down_exps.scale is a tensor of the network itself. The largest magnitude of such a
// matrix becomes kLargestNvfp4.
bool has_matrix_scale(const Tensor& tensor, TensorType type) {
  constexpr std::string_view kScaled[] = {".attn_q.",      ".attn_k.",      ".attn_v.",
                                          ".attn_output.", ".ffn_gate.",    ".ffn_down.",
                                          ".ffn_up.",      ".ffn_up_exps.", ".ffn_gate_exps."};
  return type == TensorType::NVFP4 && layer_of(tensor.name) && tensor.name.ends_with(".weight") &&
         std::ranges::any_of(kScaled, [&](std::string_view part) {
           return tensor.name.find(part) != std::string_view::npos;
         });
}

struct Job {
  size_t index;  // of File::tensors
  TensorType type;
};

// Jobs that share one pass.
using Pass = std::vector<Job>;

uint64_t moment_bytes(const Tensor& tensor) {
  const auto n = static_cast<uint64_t>(tensor.n_columns());
  return 4 * n * n * static_cast<uint64_t>(tensor.shape[2] * tensor.shape[3]);
}

// In the order of layers, the output head last. Weights with the same input share its moments, so this counts
// too much.
std::vector<Pass> plan_passes(const Model& model, std::span<const TensorType> types,
                              const CompensateOptions& options) {
  const gguf::File& file = model.file;
  const std::string_view head = model.weights.output.name;
  std::vector<Job> jobs;
  for (size_t i = 0; i < types.size(); ++i) {
    const Tensor& tensor = file.tensors[i];
    const bool multiplies = layer_of(tensor.name) || tensor.name == head;
    if (is_float(tensor.type) && find_grid(types[i]) != nullptr && multiplies) jobs.push_back({i, types[i]});
  }
  const auto layer = [&](const Job& job) {
    return layer_of(file.tensors[job.index].name).value_or(INT64_MAX);
  };
  std::ranges::stable_sort(jobs, {}, layer);
  std::vector<Pass> passes;
  uint64_t n_bytes = 0;
  for (const Job& job : jobs) {
    const uint64_t more = moment_bytes(file.tensors[job.index]);
    const bool new_layer = passes.empty() || layer(passes.back().back()) != layer(job);
    if (passes.empty() || n_bytes + more > options.moment_bytes || (new_layer && options.sequential)) {
      passes.emplace_back();
      n_bytes = 0;
    }
    passes.back().push_back(job);
    n_bytes += more;
  }
  return passes;
}

class Compensator {
 public:
  Compensator(std::shared_ptr<const Model> model, const CompensateOptions& options)
      : source_(std::move(model)), options_(options), pool_(options.calibration.n_threads) {}

  Result<void> run(const Pass& pass, const CalibrationChunks& chunks, const CalibrationOptions& calibration) {
    std::set<std::string, std::less<>> names;
    for (const Job& job : pass) names.emplace(tensor(job).name);
    const auto products =
        TRY(make_cpu_backend({.n_threads = calibration.n_threads, .precision = Precision::exact}));
    MomentCollector collector(*products, std::move(names));
    factored_ = nullptr;
    const auto model = TRY(current_model());
    const bool head = std::ranges::any_of(pass, [&](const Job& job) { return is_head(job); });
    TRY(observe_inputs(model, chunks, calibration, head,
                       [&](const TappedInput& input) { collector.add(input); }));
    for (const Job& job : pass) {
      if (interrupted()) return fail("interrupted");
      TRY(encode(job, collector));
    }
    return {};
  }

  std::vector<CompensatedTensor> take() {
    return {std::make_move_iterator(done_.begin()), std::make_move_iterator(done_.end())};
  }

 private:
  const Tensor& tensor(const Job& job) const { return source_->file.tensors[job.index]; }
  bool is_head(const Job& job) const { return tensor(job).name == source_->weights.output.name; }
  // Whoever is looked up row by row, too, must also be near the original itself.
  double damping(const Job& job) const {
    return is_embedding_table(tensor(job).name) ? options_.table_damping : options_.damping;
  }

  // The model with what is done so far in place.
  Result<std::shared_ptr<const Model>> current_model() {
    if (!options_.sequential || done_.empty()) return source_;
    gguf::File file = source_->file;
    for (const CompensatedTensor& ready : done_) {
      Tensor& tensor = file.tensors[file.index.at(ready.name)];
      tensor.type = ready.type;
      tensor.data = ready.blocks.data();
    }
    for (const CompensatedTensor& ready : done_) {
      if (ready.scales.empty()) continue;
      file.tensors.push_back({ready.scale_name,
                              TensorType::F32,
                              {static_cast<int64_t>(ready.scales.size()), 1, 1, 1},
                              reinterpret_cast<const std::byte*>(ready.scales.data()),
                              nullptr});
      file.index.emplace(ready.scale_name, file.tensors.size() - 1);
    }
    return make_model(std::move(file));
  }

  Result<void> encode(const Job& job, const MomentCollector& collector) {
    const Tensor& source = tensor(job);
    const int64_t n = source.n_columns(), n_rows = source.shape[1],
                  n_matrices = source.shape[2] * source.shape[3];
    bool reached = false;
    for (int64_t m = 0; m < n_matrices; ++m) reached = reached || collector.find(source.name, m) != nullptr;
    if (options_.keep_lattices && job.type == TensorType::Q4_0 && lies_on_lattice(source, pool_)) return {};
    if (!reached) return {};  // nothing in the network multiplies with it
    CompensatedTensor result{std::string(source.name), job.type, {}, {}, {}, {}};
    const uint64_t matrix_bytes = row_bytes(job.type, n) * static_cast<uint64_t>(n_rows);
    result.blocks.resize(matrix_bytes * static_cast<uint64_t>(n_matrices));
    std::vector<float> w(static_cast<size_t>(n * n_rows));
    for (int64_t m = 0; m < n_matrices; ++m) {
      decode_tensor(source.slice(m), w.data(), pool_);
      TRY(check_finite(w, source));
      if (has_matrix_scale(source, job.type)) result.scales.push_back(divide_by_scale(w));
      TRY(encode_matrix(w, n_rows, n, collector.find(source.name, m), job,
                        result.blocks.data() + static_cast<uint64_t>(m) * matrix_bytes, result.error));
    }
    if (!result.scales.empty())
      result.scale_name =
          result.name.substr(0, result.name.size() - std::string_view("weight").size()) + "scale";
    done_.push_back(std::move(result));
    return {};
  }

  Result<void> check_finite(const std::vector<float>& w, const Tensor& source) const {
    for (const float v : w)
      if (!std::isfinite(v))
        return fail("{}: tensor '{}' contains a NaN or an infinity", source_->file.path,
                    gguf::printable(source.name));
    return {};
  }

  static float divide_by_scale(std::vector<float>& w) {
    float largest = 0;
    for (const float v : w) largest = std::max(largest, std::fabs(v));
    const float scale = largest > 0 ? largest / kLargestNvfp4 : 1.0f;
    for (float& v : w) v /= scale;
    return scale;
  }

  // A matrix that no token reached is encoded as it is.
  Result<void> encode_matrix(const std::vector<float>& w, int64_t n_rows, int64_t n,
                             const InputMoments* moments, const Job& job, std::byte* blocks,
                             RoundingError& error) {
    if (moments == nullptr) {
      encode_tensor(job.type, w.data(), n, n_rows, nullptr, blocks, pool_);
      return {};
    }
    const MomentFactor& factor = *TRY(factor_of(*moments, job));
    const RoundingError more = encode_compensated(job.type, w.data(), n_rows, factor, blocks, pool_);
    error.plain += more.plain, error.compensated += more.compensated;
    return {};
  }

  // Kept for the next matrix with the same input.
  Result<const MomentFactor*> factor_of(const InputMoments& moments, const Job& job) {
    const auto block = static_cast<int64_t>(type_info(job.type).block_length);
    if (factor_ && factored_ == &moments && factor_->block_length() == block) return &*factor_;
    factor_ = TRY(MomentFactor::create(moments.mean(), moments.n, block, damping(job)));
    factored_ = &moments;
    return &*factor_;
  }

  std::shared_ptr<const Model> source_;
  const CompensateOptions& options_;
  ThreadPool pool_;
  std::deque<CompensatedTensor> done_;  // where they are, they stay: the model looks at them
  std::optional<MomentFactor> factor_;
  const InputMoments* factored_ = nullptr;
};

}  // namespace

Result<std::vector<CompensatedTensor>> compensate(std::shared_ptr<const Model> model,
                                                  std::span<const TensorType> types,
                                                  std::span<const CalibrationText> texts,
                                                  const CompensateOptions& options) {
  CHECK(types.size() == model->file.tensors.size());
  const CalibrationChunks chunks = TRY(cut_into_chunks(*model, texts, options.calibration));
  const std::vector<Pass> passes = plan_passes(*model, types, options);
  Compensator compensator(model, options);
  for (size_t i = 0; i < passes.size(); ++i) {
    CalibrationOptions calibration = options.calibration;
    if (options.calibration.progress)
      calibration.progress = [&, i](uint64_t done, uint64_t total, std::string_view) {
        options.calibration.progress(i * total + done, passes.size() * total, "calibrating");
      };
    TRY(compensator.run(passes[i], chunks, calibration));
  }
  return compensator.take();
}

void use(const std::vector<CompensatedTensor>& tensors, QuantizeOptions& options) {
  for (const CompensatedTensor& tensor : tensors) {
    options.encoded.emplace(tensor.name, tensor.blocks);
    if (!tensor.scales.empty()) options.scales.emplace(tensor.scale_name, tensor.scales);
  }
}

}  // namespace carat
