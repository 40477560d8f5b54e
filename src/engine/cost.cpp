// Counting over the weights' shapes, and the read-bandwidth probe.
#include "engine/cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <vector>

#include "base/memory.h"

namespace carat {
namespace {

uint64_t n_bytes(const Tensor& tensor) { return tensor ? tensor.n_bytes() : 0; }
uint64_t n_weights(const Tensor& tensor) { return tensor ? static_cast<uint64_t>(tensor.n_elements()) : 0; }

// Sums `measure` over the matrices of a layer that every row goes through; of the experts, n_experts count.
template <class Measure>
uint64_t layer_total(const Config& config, const LayerWeights& w, bool kv_only, double n_experts, Measure measure) {
  uint64_t total = measure(w.k) + measure(w.v);
  if (kv_only) return total;
  for (const Tensor* t : {&w.q, &w.o, &w.gate, &w.up, &w.down, &w.per_layer_gate, &w.per_layer_proj, &w.router})
    total += measure(*t);
  if (config.n_experts > 0) {
    uint64_t experts = 0;
    for (const Tensor* t : {&w.expert_gate_up, &w.expert_gate, &w.expert_up, &w.expert_down}) experts += measure(*t);
    total += static_cast<uint64_t>(static_cast<double>(experts / static_cast<uint64_t>(config.n_experts)) * n_experts);
  }
  return total;
}

}  // namespace

uint64_t decode_bytes(const Model& model) {
  const Weights& w = model.weights;
  uint64_t total = n_bytes(w.output) + n_bytes(w.per_layer_model_proj);
  if (w.token_embedding) total += w.token_embedding.row_bytes();
  if (w.per_layer_embedding) total += w.per_layer_embedding.row_bytes();
  const auto n_used = static_cast<double>(model.config.n_experts_used);
  for (const LayerWeights& layer : w.layers) total += layer_total(model.config, layer, false, n_used, n_bytes);
  return total;
}

uint64_t prefill_bytes(const Model& model, int64_t n_rows, int64_t rows_per_pass, bool cut) {
  const Config& config = model.config;
  const Weights& w = model.weights;
  uint64_t total = n_bytes(w.output);
  if (w.token_embedding) total += static_cast<uint64_t>(n_rows) * w.token_embedding.row_bytes();
  if (w.per_layer_embedding) total += static_cast<uint64_t>(n_rows) * w.per_layer_embedding.row_bytes();
  for (int64_t begin = 0; begin < n_rows; begin += rows_per_pass) {
    const int64_t n = std::min(rows_per_pass, n_rows - begin);
    const bool ends_early = cut && begin + n < n_rows;
    // Each row leaves an expert alone with probability 1 - used / all.
    const double all = static_cast<double>(config.n_experts);
    const double chosen =
        all == 0 ? 0 : all * (1 - std::pow(1 - static_cast<double>(config.n_experts_used) / all, static_cast<double>(n)));
    total += n_bytes(w.per_layer_model_proj);
    for (int i = 0; i < config.n_layers(); ++i) {
      if (ends_early && i > config.last_kv_layer()) break;
      const bool kv_only = ends_early && i == config.last_kv_layer();
      total += layer_total(config, w.layers[static_cast<size_t>(i)], kv_only, chosen, n_bytes);
    }
  }
  return total;
}

uint64_t row_multiply_adds(const Model& model, bool last_rows_only) {
  const Config& config = model.config;
  const int last = config.last_kv_layer();
  uint64_t total = n_weights(model.weights.per_layer_model_proj);
  for (int i = 0; i < config.n_layers(); ++i) {
    if (last_rows_only && i > last) break;
    total += layer_total(config, model.weights.layers[static_cast<size_t>(i)], last_rows_only && i == last,
                         static_cast<double>(config.n_experts_used), n_weights);
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

uint64_t largest_cache_bytes() {
  uint64_t largest = 0;
  for (int index = 0;; ++index) {
    std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index));
    uint64_t kibi = 0;
    if (!(file >> kibi)) return largest;  // "32768K"
    largest = std::max(largest, kibi << 10);
  }
}

}  // namespace carat
