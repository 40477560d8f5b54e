// Writes keys and values into a cache's cells, in the cache's types.
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
    each_row(segment.n_rows, row_size * 2, [&](int64_t i) {
      const int64_t cell = (segment.position + i) % kv.n_cells, row = segment.first_row + i;
      if (kv.k != nullptr) encode(kernels_, kv.k_type, k + row * row_size, row_size, kv.k + cell * k_stride);
      encode(kernels_, kv.v_type, v + row * row_size, row_size, kv.v + cell * v_stride);
    });
  }
}

}  // namespace carat
