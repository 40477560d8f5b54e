// Tensors are cut into pieces of whole rows, pieces go over the pool in batches, and the caller adds them up
// in order: the result does not depend on the number of threads.
#include "audit/tensor_scan.h"

#include <algorithm>
#include <array>

#include "audit/parts.h"
#include "base/progress.h"
#include "quant/codec.h"

namespace carat {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{1} << 20;
constexpr int64_t kPiecesPerThread = 8;  // of a batch

struct Piece {
  size_t tensor;
  int64_t first_row, n_rows;
};

// Decodes a row bit by bit into a buffer that needs no memory.
LatticeReport lattice_of_rows(const Tensor& tensor, int64_t first_row, int64_t n_rows) {
  constexpr int64_t kColumns = 32 * kLatticeBlock;
  const Codec& codec = codec_of(tensor.type);
  const uint64_t element_bytes = type_info(tensor.type).block_bytes;
  std::array<float, kColumns> values;
  LatticeReport report;
  for (int64_t r = first_row; r < first_row + n_rows; ++r)
    for (int64_t at = 0; at + kLatticeBlock <= tensor.n_columns(); at += kColumns) {
      const int64_t n = std::min(kColumns, (tensor.n_columns() - at) / kLatticeBlock * kLatticeBlock);
      codec.decode(tensor.row(r) + static_cast<uint64_t>(at) * element_bytes, n, values.data());
      report += lattice_share(values.data(), n, 1, tensor.type);
    }
  return report;
}

TensorScan scan_piece(const Tensor& tensor, const Piece& piece) {
  const uint64_t row_bytes = tensor.row_bytes();
  const std::span<const std::byte> bytes(tensor.row(piece.first_row),
                                         row_bytes * static_cast<uint64_t>(piece.n_rows));
  TensorScan scan;
  scan.blocks = check_blocks(tensor.type, tensor.n_columns(), bytes);
  scan.n_zero_page_bytes = count_zero_pages(bytes);
  if (has_lattice(tensor)) scan.lattice = lattice_of_rows(tensor, piece.first_row, piece.n_rows);
  if (tensor.type == TensorType::Q4_0) scan.codes = count_q4_0_codes(bytes);
  return scan;
}

std::vector<Piece> pieces_of(std::span<const Tensor> tensors) {
  std::vector<Piece> pieces;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const int64_t n_rows = tensors[t].n_rows();
    const auto rows_each = static_cast<int64_t>(
        std::max<uint64_t>(1, kPieceBytes / std::max<uint64_t>(1, tensors[t].row_bytes())));
    for (int64_t row = 0; row < n_rows; row += rows_each)
      pieces.push_back({t, row, std::min(rows_each, n_rows - row)});
  }
  return pieces;
}

}  // namespace

TensorScan& TensorScan::operator+=(const TensorScan& later) {
  blocks += later.blocks;
  n_zero_page_bytes += later.n_zero_page_bytes;
  lattice += later.lattice;
  codes += later.codes;
  return *this;
}

bool has_lattice(const Tensor& tensor) {
  if (tensor.type != TensorType::F32 && tensor.type != TensorType::F16 && tensor.type != TensorType::BF16)
    return false;
  if (tensor.n_columns() < kLatticeBlock || tensor.n_rows() < 2) return false;
  const Part part = part_of(tensor.name);
  return part != Part::norms && part != Part::other;
}

std::vector<TensorScan> scan_tensors(std::span<const Tensor> tensors, ThreadPool& pool,
                                     const std::function<void(uint64_t n_bytes)>& advanced) {
  const std::vector<Piece> pieces = pieces_of(tensors);
  std::vector<TensorScan> scans(tensors.size()), batch;
  uint64_t n_bytes = 0;
  for (size_t begin = 0; begin < pieces.size();) {
    if (interrupted()) return {};
    const auto n = std::min(pieces.size() - begin, static_cast<size_t>(kPiecesPerThread * pool.size()));
    batch.assign(n, {});
    pool.parallel_for(static_cast<int64_t>(n), 1, [&](int64_t first, int64_t last, int) {
      for (int64_t i = first; i < last; ++i) {
        const Piece& piece = pieces[begin + static_cast<size_t>(i)];
        batch[static_cast<size_t>(i)] = scan_piece(tensors[piece.tensor], piece);
      }
    });
    for (size_t i = 0; i < n; ++i) {
      const Piece& piece = pieces[begin + i];
      scans[piece.tensor] += batch[i];
      n_bytes += tensors[piece.tensor].row_bytes() * static_cast<uint64_t>(piece.n_rows);
    }
    if (advanced) advanced(n_bytes);
    begin += n;
  }
  return scans;
}

}  // namespace carat
