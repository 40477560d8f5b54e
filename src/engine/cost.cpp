// Counting over the weights' shapes, and the read-bandwidth probe.
#include "engine/cost.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/memory.h"

namespace carat {
namespace {

uint64_t n_bytes(const Tensor& tensor) { return tensor ? tensor.n_bytes() : 0; }
uint64_t n_weights(const Tensor& tensor) { return tensor ? static_cast<uint64_t>(tensor.n_elements()) : 0; }

// Sums `measure` over the matrices of a layer that every row goes through; experts count their used share.
template <class Measure>
uint64_t layer_total(const Config& config, const LayerWeights& w, bool kv_only, Measure measure) {
  uint64_t total = measure(w.k) + measure(w.v);
  if (kv_only) return total;
  for (const Tensor* t : {&w.q, &w.o, &w.gate, &w.up, &w.down, &w.per_layer_gate, &w.per_layer_proj, &w.router})
    total += measure(*t);
  if (config.n_experts > 0) {
    uint64_t experts = 0;
    for (const Tensor* t : {&w.expert_gate_up, &w.expert_gate, &w.expert_up, &w.expert_down}) experts += measure(*t);
    total += experts / static_cast<uint64_t>(config.n_experts) * static_cast<uint64_t>(config.n_experts_used);
  }
  return total;
}

}  // namespace

uint64_t decode_bytes(const Model& model) {
  const Weights& w = model.weights;
  uint64_t total = n_bytes(w.output) + n_bytes(w.per_layer_model_proj);
  if (w.token_embedding) total += w.token_embedding.row_bytes();
  if (w.per_layer_embedding) total += w.per_layer_embedding.row_bytes();
  for (const LayerWeights& layer : w.layers) total += layer_total(model.config, layer, false, n_bytes);
  return total;
}

uint64_t row_multiply_adds(const Model& model, bool last_rows_only) {
  const Config& config = model.config;
  const int last = config.last_kv_layer();
  uint64_t total = n_weights(model.weights.per_layer_model_proj);
  for (int i = 0; i < config.n_layers(); ++i) {
    if (last_rows_only && i > last) break;
    total += layer_total(config, model.weights.layers[static_cast<size_t>(i)], last_rows_only && i == last, n_weights);
  }
  return total;
}

double measure_read_bandwidth(ThreadPool& pool) {
  constexpr size_t kBytes = size_t{256} << 20;
  constexpr size_t kWords = kBytes / sizeof(uint64_t);
  AlignedArray<uint64_t> buffer(kWords);
  std::fill_n(buffer.data(), kWords, uint64_t{1});  // untouched memory is one page of zeros, read from cache
  std::vector<uint64_t> sums(static_cast<size_t>(pool.size()) * 8);  // a cache line per thread
  double best = 0;
  for (int pass = 0; pass < 6; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(static_cast<int64_t>(kWords), 4096, [&](int64_t begin, int64_t end, int thread) {
      uint64_t lanes[32] = {};  // independent sums: wide loads, no dependency between them
      for (int64_t i = begin; i + 32 <= end; i += 32)
        for (int lane = 0; lane < 32; ++lane) lanes[lane] += buffer[static_cast<size_t>(i + lane)];
      for (const uint64_t sum : lanes) sums[static_cast<size_t>(thread) * 8] += sum;
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(kBytes) / seconds.count());
  }
  volatile uint64_t sink = sums[0];  // the sums are used
  (void)sink;
  return best;
}

}  // namespace carat
