// See the header. Probes run in lockstep with the model itself, several at a time.
#include "eval/allocate.h"

#include <algorithm>
#include <cmath>
#include <queue>

#include "eval/lockstep.h"
#include "quant/codec.h"

namespace carat {
namespace {

using enum TensorType;

constexpr size_t kProbesAtOnce = 8;
constexpr int64_t kSampledRows = 256;  // of each matrix, for the errors of a type
// What a type may be worth in a mix; types that are larger and worse than others drop out for each tensor.
constexpr TensorType kCandidates[] = {Q2_K, Q3_K, IQ4_XS, IQ4_NL, Q4_0, Q4_K, Q5_0, Q5_K, Q5_1, Q6_K, Q8_0};

bool fits(TensorType type, const Tensor& tensor) {
  return tensor.n_columns() % type_info(type).block_length == 0;
}

uint64_t bytes_in(TensorType type, const Tensor& tensor) {
  return row_bytes(type, tensor.n_columns()) * static_cast<uint64_t>(tensor.n_rows());
}

std::vector<float> means_of(const Tensor& tensor, const ImportanceMatrix* importance) {
  if (importance == nullptr) return {};
  const auto entry = importance->entries.find(tensor.name);
  if (entry == importance->entries.end() || !entry->second.fits(tensor)) return {};
  return entry->second.means();
}

// Squared errors of a type, weighted with the inputs' squares, over some rows of each matrix.
double squared_error(const Tensor& tensor, TensorType type, const std::vector<float>& means) {
  const int64_t n = tensor.n_columns(), step = std::max<int64_t>(1, tensor.shape[1] / kSampledRows);
  std::vector<float> row(static_cast<size_t>(n)), decoded(row.size());
  std::vector<std::byte> blocks(row_bytes(type, n));
  double sum = 0;
  for (int64_t m = 0; m < tensor.shape[2] * tensor.shape[3]; ++m) {
    const float* weight = means.empty() ? nullptr : means.data() + m * n;
    for (int64_t r = 0; r < tensor.shape[1]; r += step) {
      codec_of(tensor.type).decode(tensor.row(m * tensor.shape[1] + r), n, row.data());
      codec_of(type).encode(row.data(), n, weight, blocks.data());
      codec_of(type).decode(blocks.data(), n, decoded.data());
      for (int64_t i = 0; i < n; ++i) {
        const double error =
            static_cast<double>(row[static_cast<size_t>(i)]) - decoded[static_cast<size_t>(i)];
        sum += error * error * (weight == nullptr ? 1.0 : static_cast<double>(weight[i]));
      }
    }
  }
  return sum;
}

// The model with one tensor in another type; `blocks` outlives it.
Result<std::shared_ptr<const Model>> with_tensor(const Model& model, size_t index, TensorType type,
                                                 const std::byte* blocks) {
  gguf::File file = model.file;
  file.tensors[index].type = type;
  file.tensors[index].data = blocks;
  return make_model(std::move(file));
}

std::vector<std::byte> encoded(const Tensor& tensor, TensorType type, const std::vector<float>& means,
                               ThreadPool& pool) {
  const int64_t n = tensor.n_columns(), n_rows = tensor.shape[1];
  std::vector<std::byte> blocks(bytes_in(type, tensor));
  std::vector<float> w(static_cast<size_t>(n * n_rows));
  for (int64_t m = 0; m < tensor.shape[2] * tensor.shape[3]; ++m) {
    decode_tensor(tensor.slice(m), w.data(), pool);
    encode_tensor(type, w.data(), n, n_rows, means.empty() ? nullptr : means.data() + m * n,
                  blocks.data() + row_bytes(type, n) * static_cast<uint64_t>(m * n_rows), pool);
  }
  return blocks;
}

Suite suite_of(const CalibrationChunks& chunks) {
  Suite suite;
  suite.name = "calibration";
  for (const auto& chunk : chunks.chunks) {
    SuiteItem item;
    item.category = "text";
    item.tokens = chunk;
    suite.items.push_back(std::move(item));
  }
  return suite;
}

// Mean divergences of the models, with a cache of type `kv`, from the reference.
Result<std::vector<double>> divergences(const std::vector<std::shared_ptr<const Model>>& models,
                                        KvType kv, const ModelUnderTest& reference, const Suite& suite,
                                        int n_threads, const Progress& progress) {
  LockstepRequest request;
  request.suite = &suite;
  request.models.push_back(reference);
  for (const auto& model : models) {
    request.pairs.push_back({static_cast<int>(request.models.size()), 0});
    request.models.push_back({model, kv});
  }
  request.n_threads = n_threads;
  request.progress = progress;
  const LockstepScores scores = TRY(run_lockstep(request));
  std::vector<double> means;
  for (const PairScores& pair : scores.pairs) {
    double sum = 0;
    for (const double kld : pair.kld) sum += kld;
    means.push_back(sum / static_cast<double>(suite.n_scored_tokens()));
  }
  return means;
}

// Choices on the lower convex hull: each step up costs more per nat than the one before it.
std::vector<TypeChoice> hull_of(std::vector<TypeChoice> choices) {
  std::ranges::sort(choices, [](const TypeChoice& a, const TypeChoice& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.divergence < b.divergence;
  });
  std::vector<TypeChoice> hull;
  const auto slope = [](const TypeChoice& a, const TypeChoice& b) {
    return (a.divergence - b.divergence) / static_cast<double>(b.bytes - a.bytes);
  };
  for (const TypeChoice& choice : choices) {
    if (!hull.empty() && (choice.bytes == hull.back().bytes || choice.divergence >= hull.back().divergence))
      continue;
    while (hull.size() >= 2 && slope(hull[hull.size() - 2], hull.back()) <= slope(hull.back(), choice))
      hull.pop_back();
    hull.push_back(choice);
  }
  return hull;
}

// Steps up, those that gain most per byte first, as long as `take` says so.
template <class Take>
Allocation climb(std::span<const TensorChoices> tensors, Take take) {
  Allocation allocation;
  allocation.chosen.assign(tensors.size(), 0);
  for (const TensorChoices& tensor : tensors) {
    allocation.bytes += tensor.choices.front().bytes;
    allocation.divergence += tensor.choices.front().divergence;
  }
  struct Step {
    double gain_per_byte;
    size_t tensor;
    bool operator<(const Step& other) const {
      return gain_per_byte != other.gain_per_byte ? gain_per_byte < other.gain_per_byte
                                                  : tensor > other.tensor;
    }
  };
  std::priority_queue<Step> steps;
  const auto push = [&](size_t t) {
    const auto& choices = tensors[t].choices;
    const size_t at = allocation.chosen[t];
    if (at + 1 == choices.size()) return;
    steps.push({(choices[at].divergence - choices[at + 1].divergence) /
                    static_cast<double>(choices[at + 1].bytes - choices[at].bytes),
                t});
  };
  for (size_t t = 0; t < tensors.size(); ++t) push(t);
  while (!steps.empty()) {
    const size_t t = steps.top().tensor;
    steps.pop();
    const TypeChoice &now = tensors[t].choices[allocation.chosen[t]],
                     &next = tensors[t].choices[allocation.chosen[t] + 1];
    if (!take(allocation, next.bytes - now.bytes)) continue;
    allocation.bytes += next.bytes - now.bytes;
    allocation.divergence += next.divergence - now.divergence;
    ++allocation.chosen[t];
    push(t);
  }
  return allocation;
}

struct Probe {
  size_t index;  // of File::tensors
  TensorType type;
  std::vector<float> means;
  double divergence = 0;
};

TensorChoices choices_of(const Tensor& tensor, const Probe& probe) {
  const double per_error =
      std::max(probe.divergence, 1e-12) / std::max(squared_error(tensor, probe.type, probe.means), 1e-30);
  std::vector<TypeChoice> choices = {{tensor.type, tensor.n_bytes(), 0}};
  for (const TensorType type : kCandidates)
    if (fits(type, tensor))
      choices.push_back({type, bytes_in(type, tensor), per_error * squared_error(tensor, type, probe.means)});
  return {std::string(tensor.name), hull_of(std::move(choices))};
}

std::vector<Probe> plan_probes(const gguf::File& file, std::span<const std::string> fixed,
                               const SensitivityOptions& options) {
  std::vector<Probe> probes;
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    const Tensor& tensor = file.tensors[i];
    if (!is_quantizable(tensor) || !is_float(tensor.type) || tensor.n_columns() % 32 != 0) continue;
    if (std::ranges::find(fixed, tensor.name) != fixed.end()) continue;
    probes.push_back(
        {i, fitting_type(options.probe, tensor.n_columns()), means_of(tensor, options.importance)});
  }
  return probes;
}

}  // namespace

Result<std::vector<TensorChoices>> measure_sensitivity(std::shared_ptr<const Model> model,
                                                       std::span<const std::string> fixed,
                                                       std::span<const CalibrationText> texts,
                                                       const SensitivityOptions& options) {
  const Suite suite = suite_of(TRY(cut_into_chunks(*model, texts, options.calibration)));
  std::vector<Probe> probes = plan_probes(model->file, fixed, options);
  ThreadPool pool(options.calibration.n_threads);
  const KvType kv = options.calibration.kv;
  for (size_t begin = 0; begin < probes.size(); begin += kProbesAtOnce) {
    const auto some = std::span(probes).subspan(begin, std::min(kProbesAtOnce, probes.size() - begin));
    std::vector<std::vector<std::byte>> blocks;
    std::vector<std::shared_ptr<const Model>> models;
    for (const Probe& probe : some) {
      blocks.push_back(encoded(model->file.tensors[probe.index], probe.type, probe.means, pool));
      models.push_back(TRY(with_tensor(*model, probe.index, probe.type, blocks.back().data())));
    }
    const Progress progress = [&](uint64_t done, uint64_t total, std::string_view) {
      if (options.calibration.progress)
        options.calibration.progress(begin * total + done * some.size(), probes.size() * total, "probing");
    };
    const auto measured = TRY(divergences(models, kv, {model, kv}, suite, options.calibration.n_threads, progress));
    for (size_t i = 0; i < some.size(); ++i) some[i].divergence = measured[i];
  }
  std::vector<TensorChoices> choices;
  for (const Probe& probe : probes) {
    if (interrupted()) return fail("interrupted");
    choices.push_back(choices_of(model->file.tensors[probe.index], probe));
  }
  return choices;
}

Allocation allocate_bytes(std::span<const TensorChoices> tensors, uint64_t max_bytes) {
  return climb(tensors,
               [&](const Allocation& so_far, uint64_t more) { return so_far.bytes + more <= max_bytes; });
}

Allocation allocate_divergence(std::span<const TensorChoices> tensors, double max_divergence) {
  return climb(tensors,
               [&](const Allocation& so_far, uint64_t) { return so_far.divergence > max_divergence; });
}

Result<double> mean_divergence(std::shared_ptr<const Model> model, std::shared_ptr<const Model> reference,
                               std::span<const CalibrationText> texts, const CalibrationOptions& options) {
  const Suite suite = suite_of(TRY(cut_into_chunks(*reference, texts, options)));
  return TRY(divergences({model}, options.kv, {reference}, suite, options.n_threads, options.progress)).front();
}

}  // namespace carat
