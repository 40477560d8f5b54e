// Writes keys and values into a cache's cells, in the cache's types.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/cpu_backend.h"
#include "quant/codec.h"

namespace carat {
namespace {

void encode(const KernelTable& kernels, TensorType type, const float* row, int64_t n, std::byte* cell) {
  switch (type) {
    case TensorType::F32:
      std::memcpy(cell, row, static_cast<size_t>(n) * sizeof(float));
      return;
    case TensorType::F16:
      return kernels.to_f16(row, n, reinterpret_cast<uint16_t*>(cell));
    case TensorType::BF16:
      return kernels.to_bf16(row, n, reinterpret_cast<uint16_t*>(cell));
    default:
      return codec_of(type).encode(row, n, nullptr, cell);
  }
}

}  // namespace

void CpuBackend::store_kv(std::span<const Segment> segments, const float* k, const float* v,
                          int64_t row_size) {
  const InUse in_use(in_use_);
  for (const Segment& segment : segments) {
    const KvView& kv = segment.kv;
    const int64_t k_stride = static_cast<int64_t>(row_bytes(kv.k_type, row_size)),
                  v_stride = static_cast<int64_t>(row_bytes(kv.v_type, row_size));
    CHECK(segment.n_rows <= kv.n_cells);
    CHECK(!kv.mixed || row_size % kMixed == 0);
    each_row(segment.n_rows, row_size * 2, [&](int64_t i, int thread) {
      const int64_t cell = (segment.position + i) % kv.n_cells, row = (segment.first_row + i) * row_size;
      const auto put = [&](const float* values, TensorType type, bool mixed, std::byte* to) {
        if (mixed) {
          float* copy = scratch_[static_cast<size_t>(thread)].get<float>(static_cast<size_t>(row_size));
          std::copy_n(values, row_size, copy);
          kernels_.mix(copy, row_size);
          values = copy;
        }
        encode(kernels_, type, values, row_size, to);
      };
      if (kv.k != nullptr) put(k + row, kv.k_type, kv.k_is_mixed(), kv.k + cell * k_stride);
      put(v + row, kv.v_type, kv.v_is_mixed(), kv.v + cell * v_stride);
    });
  }
}

}  // namespace carat
