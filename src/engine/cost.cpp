// Counting over the weights' shapes.
#include "engine/cost.h"

#include <algorithm>
#include <cmath>

namespace carat {
namespace {

// Calls visit(weight, share) for the matrices of a layer that a row goes through, all of it or, for experts,
// n_experts of them.
template <class Visit>
void each_matrix(const Config& config, const LayerWeights& w, bool kv_only, double n_experts,
                 const Visit& visit) {
  const auto present = [&](const Tensor& tensor, double share) {
    if (tensor) visit(tensor, share);
  };
  for (const Tensor* t : {&w.k, &w.v}) present(*t, 1);
  if (kv_only) return;
  for (const Tensor* t :
       {&w.q, &w.o, &w.gate, &w.up, &w.down, &w.per_layer_gate, &w.per_layer_proj, &w.router})
    present(*t, 1);
  if (config.n_experts == 0) return;
  for (const Tensor* t : {&w.expert_gate_up, &w.expert_gate, &w.expert_up, &w.expert_down})
    present(*t, n_experts / static_cast<double>(config.n_experts));
}

// How many experts so many rows choose together: each row leaves one alone with probability 1 - used / all.
double chosen_experts(const Config& config, int64_t n_rows) {
  const auto all = static_cast<double>(config.n_experts);
  if (all == 0) return 0;
  const double left_alone = 1 - static_cast<double>(config.n_experts_used) / all;
  return all * (1 - std::pow(left_alone, static_cast<double>(n_rows)));
}

double row_bytes(const Tensor& table) { return table ? static_cast<double>(table.row_bytes()) : 0; }
double bytes_of(const Tensor& tensor) { return tensor ? static_cast<double>(tensor.n_bytes()) : 0; }

// Rows of one pass, and how many of them go beyond the last layer that writes keys and values.
struct Pass {
  int64_t position, n_rows, n_wanted;
  bool cut;

  bool ends_at(const Config& config, int layer) const { return cut && layer == config.last_kv_layer(); }
  int64_t rows_in(const Config& config, int layer) const {
    return cut && layer > config.last_kv_layer() ? n_wanted : n_rows;
  }
};

double pass_weight_bytes(const Config& config, const Weights& w, const Pass& pass) {
  const auto n = static_cast<double>(pass.n_rows);
  double total = n * (row_bytes(w.token_embedding) + row_bytes(w.per_layer_embedding)) +
                 bytes_of(w.per_layer_model_proj);
  if (pass.n_wanted > 0) total += bytes_of(w.output);
  for (int i = 0; i < config.n_layers(); ++i) {
    const int64_t n_rows = pass.ends_at(config, i) ? pass.n_wanted : pass.rows_in(config, i);
    const bool kv_only = n_rows == 0;
    if (kv_only && !pass.ends_at(config, i)) break;
    each_matrix(config, w.layers[static_cast<size_t>(i)], kv_only, chosen_experts(config, n_rows),
                [&](const Tensor& t, double share) { total += share * bytes_of(t); });
  }
  return total;
}

double cell_bytes(const LayerConfig& layer, TensorType type) {
  const TypeInfo& info = type_info(type);
  return static_cast<double>(layer.kv_size()) * static_cast<double>(info.block_bytes) /
         static_cast<double>(info.block_length);
}

// Keys that n queries see together, the last of them at `last`.
int64_t n_keys(const LayerConfig& layer, int64_t last, int64_t n = 1) {
  return layer.window > 0 ? std::min(last + 1, layer.window + n - 1) : last + 1;
}

// The products of one kind that one layer's attention does for n queries, the last of them at `last`: dot
// products with keys and sums of values.
void count_attention(const LayerConfig& layer, const KvView& kv, int64_t last, int64_t n, Precision precision,
                     Cost& cost) {
  int64_t seen = 0;
  for (int64_t i = 0; i < n; ++i) seen += n_keys(layer, last - i);
  const double products = static_cast<double>(seen * layer.q_size());
  const TensorType key_type = kv.k != nullptr ? kv.k_type : kv.v_type;
  const bool by_integers = arithmetic_of(key_type, precision) == Arithmetic::int8;
  const Arithmetic keys = by_integers ? Arithmetic::int8 : Arithmetic::f32, values = Arithmetic::f32;
  cost.multiply_adds[static_cast<size_t>(keys)] += products;
  cost.multiply_adds[static_cast<size_t>(values)] += products;
}

void count_pass(const Config& config, const Weights& weights, const KvCache& cache, Precision precision,
                const Pass& pass, Cost& cost) {
  const int64_t last = pass.position + pass.n_rows - 1;
  const auto multiply = [&](const Tensor& weight, double n_rows) {
    if (weight)
      cost.multiply_adds[static_cast<size_t>(arithmetic_of(weight.type, precision))] +=
          n_rows * static_cast<double>(weight.n_elements());
  };
  cost.weight_bytes += pass_weight_bytes(config, weights, pass);
  multiply(weights.per_layer_model_proj, static_cast<double>(pass.n_rows));
  multiply(weights.output, static_cast<double>(pass.n_wanted));
  for (int i = 0; i < config.n_layers(); ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    const LayerWeights& w = weights.layers[static_cast<size_t>(i)];
    // At the cut all rows write keys and values, and the wanted ones alone go on.
    const int64_t whole = pass.ends_at(config, i) ? pass.n_wanted : pass.rows_in(config, i);
    const int64_t kv_only = pass.ends_at(config, i) ? pass.n_rows - pass.n_wanted : 0;
    const auto used = static_cast<double>(config.n_experts_used);
    each_matrix(config, w, false, used,
                [&](const Tensor& t, double share) { multiply(t, share * static_cast<double>(whole)); });
    each_matrix(config, w, true, used,
                [&](const Tensor& t, double) { multiply(t, static_cast<double>(kv_only)); });
    if (whole == 0) continue;
    const KvView kv = cache.view(i);
    cost.kv_bytes += static_cast<double>(n_keys(layer, last, whole)) *
                     ((kv.k != nullptr ? cell_bytes(layer, kv.k_type) : 0) + cell_bytes(layer, kv.v_type));
    count_attention(layer, kv, last, whole, precision, cost);
  }
}

}  // namespace

uint64_t decode_bytes(const Model& model) {
  return static_cast<uint64_t>(pass_weight_bytes(model.config, model.weights,
                                                 {.position = 0, .n_rows = 1, .n_wanted = 1, .cut = true}));
}

double Cost::n_multiply_adds() const {
  double total = 0;
  for (const double n : multiply_adds) total += n;
  return total;
}

Cost cost_of(const Config& config, const Weights& weights, const KvCache& cache, Precision precision,
             const Work& work) {
  Cost cost;
  for (int64_t begin = 0; begin < work.n_rows; begin += work.rows_per_pass) {
    const int64_t n = std::min(work.rows_per_pass, work.n_rows - begin);
    const bool is_last = begin + n == work.n_rows;
    const int64_t n_wanted = work.all_logits ? n : is_last ? 1 : 0;
    count_pass(config, weights, cache, precision,
               {work.position + begin, n, n_wanted, work.cut && n_wanted < n}, cost);
  }
  return cost;
}

Bound bound_of(const Cost& cost, const Roof& roof, bool from_memory) {
  Bound bound;
  double most = 0;
  for (const Arithmetic arithmetic : kArithmetics) {
    const double seconds = cost.multiply_adds[static_cast<size_t>(arithmetic)] / roof.rate(arithmetic);
    bound.seconds += seconds;
    if (seconds > most) most = seconds, bound.arithmetic = arithmetic;
  }
  const double reading = from_memory ? cost.n_bytes() / roof.read_bytes : 0;
  bound.by_memory = reading > bound.seconds;
  bound.seconds = std::max(bound.seconds, reading);
  return bound;
}

}  // namespace carat
