// The mixture of experts: slots (row, choice) are sorted by expert, so that each expert's weights are
// unpacked once for all of its rows; every slot's result is kept apart and a row's are added best first, so
// that bits do not depend on which rows share a call.
#include <algorithm>

#include "kernels/cpu/cpu_backend.h"

namespace carat {

namespace {

void sort_by_expert(const int32_t* experts, int64_t n_slots, int64_t n_experts, ExpertSlots& s) {
  s.begin.assign(static_cast<size_t>(n_experts) + 1, 0);
  for (int64_t i = 0; i < n_slots; ++i) {
    CHECK(experts[i] >= 0 && experts[i] < n_experts);
    ++s.begin[static_cast<size_t>(experts[i]) + 1];
  }
  for (size_t e = 0; e < static_cast<size_t>(n_experts); ++e) s.begin[e + 1] += s.begin[e];
  s.sorted.resize(static_cast<size_t>(n_slots));
  s.place_of.resize(static_cast<size_t>(n_slots));
  s.next.assign(s.begin.begin(), s.begin.end() - 1);
  for (int64_t i = 0; i < n_slots; ++i) {
    const int64_t place = s.next[static_cast<size_t>(experts[i])]++;
    s.sorted[static_cast<size_t>(place)] = i;
    s.place_of[static_cast<size_t>(i)] = place;
  }
}

}  // namespace

// One job for each expert of `stack` that has rows. x [n_slots, …] and out [n_slots, out_stride] in sorted order; of x,
// what no weight wants may be missing: floats then have a stride of 0.
void CpuBackend::add_expert_jobs(const Tensor& stack, const Activations& x, float* out, int64_t out_stride) {
  for (size_t e = 0; e + 1 < slots_.begin.size(); ++e) {
    const int64_t first = slots_.begin[e], n = slots_.begin[e + 1] - first;
    if (n == 0) continue;
    jobs_.push_back({stack.slice(static_cast<int64_t>(e)), x.from(first), n, out + first * out_stride, out_stride});
  }
}

// Rounded rows, each copied to the places of its slots: a row is rounded once, not for each of its experts.
Int8Rows CpuBackend::round_rows_of_slots(const float* x, int64_t n_rows, int64_t n_used, int64_t k) {
  Int8Rows rounded = round_rows(x, n_rows, k);
  if (n_rows == 1) {
    rounded.q_stride = rounded.block_stride = 0;
    return rounded;
  }
  const int64_t n_slots = n_rows * n_used;
  const Int8Rows copies = lay_out_int8_rows(n_slots, k, slot_scratch_.get<std::byte>(int8_rows_bytes(n_slots, k)));
  each_row(n_slots, k / 2, [&](int64_t place) {
    const int64_t row = slots_.sorted[static_cast<size_t>(place)] / n_used;
    std::copy_n(rounded.q + row * rounded.q_stride, k, copies.q + place * copies.q_stride);
    std::copy_n(rounded.blocks + row * rounded.block_stride, k / 32, copies.blocks + place * copies.block_stride);
  });
  return copies;
}

void CpuBackend::experts(const ExpertWeights& weights, const float* x, int64_t n_rows, int64_t n_used,
                         const int32_t* experts, const float* gates, float* out) {
  const InUse in_use(in_use_);
  if (n_rows == 0) return;
  const int64_t dim = weights.down.shape[1], n_ff = weights.n_ff, n_slots = n_rows * n_used;
  const Tensor& first = weights.gate_up ? weights.gate_up : weights.gate;
  CHECK(first.shape[0] == dim && weights.down.shape[0] == n_ff);
  sort_by_expert(experts, n_slots, weights.down.shape[2], slots_);

  const bool int8 = wants_int8(first) || (!weights.gate_up && wants_int8(weights.up));
  const bool bf16 = wants_bf16(first) || (!weights.gate_up && wants_bf16(weights.up));
  const bool floats = !wants_int8(first) || (!weights.gate_up && !wants_int8(weights.up));
  float* hidden = expert_scratch_.get<float>(static_cast<size_t>(n_slots * ((floats ? 2 : 1) * dim + 3 * n_ff)));
  float* product = hidden + n_slots * 2 * n_ff;  // [n_slots, n_ff]; hidden is [n_slots, 2 n_ff], gate then up
  float* result = product + n_slots * n_ff;      // [n_slots, dim]
  float* copies = result + n_slots * dim;        // [n_slots, dim], of x
  if (floats)
    each_row(n_slots, dim, [&](int64_t place) {
      std::copy_n(x + slots_.sorted[static_cast<size_t>(place)] / n_used * dim, dim, copies + place * dim);
    });

  jobs_.clear();
  Activations rows{floats ? copies : x, floats ? dim : 0};
  if (int8) rows.int8 = round_rows_of_slots(x, n_rows, n_used, dim);
  if (bf16) rows.bf16 = round_rows_to_bf16(copies, n_slots, dim);
  add_expert_jobs(first, rows, hidden, 2 * n_ff);
  if (!weights.gate_up) add_expert_jobs(weights.up, rows, hidden + n_ff, 2 * n_ff);
  run_jobs(dim);

  each_row(n_slots, 8 * n_ff, [&](int64_t place) {
    const float* gate = hidden + place * 2 * n_ff;
    kernels_.geglu(gate, gate + n_ff, n_ff, product + place * n_ff);
  });
  jobs_.clear();
  Activations products{product, n_ff};
  if (wants_int8(weights.down)) products.int8 = round_rows(product, n_slots, n_ff);
  if (wants_bf16(weights.down)) products.bf16 = round_rows_to_bf16(product, n_slots, n_ff);
  add_expert_jobs(weights.down, products, result, dim);
  run_jobs(n_ff);

  each_row(n_rows, n_used * dim, [&](int64_t row) {
    for (int64_t j = 0; j < n_used; ++j) {
      const int64_t slot = row * n_used + j, place = slots_.place_of[static_cast<size_t>(slot)];
      const float scale = weights.output_scale == nullptr ? 1.0f : weights.output_scale[experts[slot]];
      kernels_.accumulate(result + place * dim, dim, gates[slot] * scale, j == 0, out + row * dim);
    }
  });
}

}  // namespace carat
