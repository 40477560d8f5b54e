// The pieces of each format, as its unpacker in generic/ reads them, and the copying.
#include "kernels/cpu/packed_rows.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/check.h"
#include "kernels/cpu/kernel_table.h"

namespace carat {
namespace {

struct BlockPieces {
  TensorType type;
  uint8_t n_bytes[16];  // of each piece; 0 behind the last
};

constexpr BlockPieces kPieces[] = {
    {TensorType::Q4_0, {2, 16}},
    {TensorType::Q4_1, {4, 16}},
    {TensorType::Q5_0, {2, 4, 16}},
    {TensorType::Q5_1, {4, 4, 16}},
    {TensorType::Q8_0, {2, 16, 16}},
    {TensorType::IQ4_NL, {2, 16}},
    {TensorType::MXFP4, {1, 16}},
    {TensorType::NVFP4, {4, 16, 16}},
    {TensorType::Q2_K, {16, 16, 16, 16, 16, 4}},
    {TensorType::Q3_K, {16, 16, 16, 16, 16, 16, 4, 4, 4, 2}},
    {TensorType::Q4_K, {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {TensorType::Q5_K, {16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {TensorType::Q6_K, {16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 2}},
    {TensorType::IQ4_XS, {4, 4, 16, 16, 16, 16, 16, 16, 16, 16}},
};
static_assert(std::size(kPieces) == kInt8FormatCount);

const BlockPieces* pieces_of(TensorType type) {
  const auto* const found = std::ranges::find(kPieces, type, &BlockPieces::type);
  return found == std::end(kPieces) ? nullptr : found;
}

// One piece of sixteen rows: units of at most four bytes, the rows' first ones first.
template <int kUnit>
void pack_piece(const std::byte* piece, size_t stride, int n_units, std::byte* out) {
  for (int unit = 0; unit < n_units; ++unit)
    for (int row = 0; row < kPanelRows; ++row, out += kUnit)
      std::memcpy(out, piece + static_cast<size_t>(row) * stride + unit * kUnit, kUnit);
}

}  // namespace

bool has_packed_rows(const Tensor& weight) {
  return pieces_of(weight.type) != nullptr && weight.shape[1] % kPanelRows == 0;
}

void pack_rows(const Tensor& weight, int64_t first, int64_t end, std::byte* out) {
  CHECK(has_packed_rows(weight));
  const BlockPieces& pieces = *pieces_of(weight.type);
  const size_t stride = weight.row_bytes(), block_bytes = type_info(weight.type).block_bytes;
  CHECK(std::accumulate(std::begin(pieces.n_bytes), std::end(pieces.n_bytes), size_t{0}) == block_bytes);
  out += static_cast<size_t>(first * kPanelRows) * stride;
  for (int64_t panel = first; panel < end; ++panel) {
    const std::byte* rows = weight.row(panel * kPanelRows);
    for (size_t at = 0; at < stride;)
      for (const uint8_t n_bytes : pieces.n_bytes) {
        if (n_bytes == 1) pack_piece<1>(rows + at, stride, 1, out);
        if (n_bytes == 2) pack_piece<2>(rows + at, stride, 1, out);
        if (n_bytes >= 4) pack_piece<4>(rows + at, stride, n_bytes / 4, out);
        at += n_bytes, out += kPanelRows * n_bytes;
      }
  }
}

}  // namespace carat
