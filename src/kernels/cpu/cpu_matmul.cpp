// Matrix products: which kernel a weight type takes, and how rows are dealt to threads. Two families: float
// (F32, F16, BF16, and every other type after decoding), and integer for quantized types in fast precision. There BF16 is
// multiplied as it is, too, where the CPU can.
#include <algorithm>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/packed_rows.h"
#include "quant/codec.h"

namespace carat {

int int8_format(TensorType type) {
  constexpr TensorType kTypes[] = {
#define CARAT_FORMAT(name) TensorType::name,
      CARAT_INT8_FORMATS(CARAT_FORMAT)
#undef CARAT_FORMAT
  };
  for (int i = 0; i < kInt8FormatCount; ++i)
    if (kTypes[i] == type) return i;
  return -1;
}

bool CpuBackend::wants_int8(const Tensor& weight) const {
  return precision_ == Precision::fast && int8_format(weight.type) >= 0;
}

bool CpuBackend::wants_bf16(const Tensor& weight) const {
  return precision_ == Precision::fast && weight.type == TensorType::BF16 && weight.n_columns() % 2 == 0 &&
         kernels_.products_bf16_pairs != nullptr;
}

size_t CpuBackend::repacked_bytes(const Tensor& weight) const {
  return wants_int8(weight) && has_packed_rows(weight) ? weight.n_bytes() : 0;
}

std::unique_ptr<Buffer> CpuBackend::repack(const Tensor& weight) {
  const InUse in_use(in_use_);
  const size_t n_bytes = repacked_bytes(weight);
  if (n_bytes == 0) return nullptr;
  auto packed = allocate(n_bytes);
  share(weight.n_rows() / kPanelRows, [&](int64_t begin, int64_t end, int) {
    pack_rows(weight, begin, end, static_cast<std::byte*>(packed->data()));
  });
  return packed;
}

namespace {

// Strides are odd multiples of a cache line or a block, so that the same place of several rows lies in different sets.
Int8Rows int8_strides(int64_t k) {
  Int8Rows rows{};
  rows.q_stride = 64 * ((k + 63) / 64 | 1);
  rows.block_stride = k / 32 | 1;
  return rows;
}

}  // namespace

size_t int8_rows_bytes(int64_t n_rows, int64_t k) {
  const Int8Rows rows = int8_strides(k);
  return static_cast<size_t>(n_rows) * (static_cast<size_t>(rows.q_stride) +
                                        static_cast<size_t>(rows.block_stride) * sizeof(Int8Block));
}

Int8Rows lay_out_int8_rows(int64_t n_rows, int64_t k, std::byte* memory) {
  CHECK(k % 32 == 0);
  Int8Rows rows = int8_strides(k);
  rows.q = reinterpret_cast<int8_t*>(memory);
  rows.blocks = reinterpret_cast<Int8Block*>(memory + n_rows * rows.q_stride);
  return rows;
}

Int8Rows CpuBackend::round_rows(const float* x, int64_t n_rows, int64_t k) {
  const Int8Rows rows =
      lay_out_int8_rows(n_rows, k, int8_scratch_.get<std::byte>(int8_rows_bytes(n_rows, k)));
  each_row(n_rows, 2 * k, [&](int64_t row) { kernels_.quantize_row(x + row * k, k, rows, row); });
  return rows;
}

Bf16Rows CpuBackend::round_rows_to_bf16(const float* x, int64_t n_rows, int64_t k) {
  const int64_t stride = 32 * ((k + 31) / 32 | 1);  // an odd number of cache lines, as above
  const Bf16Rows rows{bf16_scratch_.get<uint16_t>(static_cast<size_t>(n_rows * stride)), stride};
  each_row(n_rows, k, [&](int64_t row) { kernels_.to_bf16(x + row * k, k, rows.values + row * stride); });
  return rows;
}

// Rows [first_row, first_row + n_rows) of one product.
void CpuBackend::run_rows(const MatmulJob& job, int64_t first_row, int64_t n_rows, Scratch& scratch) {
  dot_rows(job, first_row, n_rows, scratch);
  const float factor = job.weight.factor();
  if (factor == 1) return;
  for (int64_t token = 0; token < job.n_tokens; ++token) {
    float* out = job.out + token * job.out_stride + first_row;
    for (int64_t i = 0; i < n_rows; ++i) out[i] *= factor;
  }
}

// The same without the weight's scale.
void CpuBackend::dot_rows(const MatmulJob& job, int64_t first_row, int64_t n_rows, Scratch& scratch) {
  const Tensor& weight = job.weight;
  const int64_t k = weight.n_columns(), stride = static_cast<int64_t>(weight.row_bytes());
  float* out = job.out + first_row;
  if (wants_int8(weight)) {
    std::byte* memory = scratch.get<std::byte>(int8_scratch_bytes(stride, job.n_tokens));
    const bool packed = weight.packed != nullptr;
    CHECK(!packed || first_row % kPanelRows == 0);
    const std::byte* rows = packed ? weight.packed + first_row * stride : weight.row(first_row);
    kernels_.int8_dots[int8_format(weight.type)]({.weights = reinterpret_cast<const uint8_t*>(rows),
                                                  .row_bytes = stride,
                                                  .n_rows = n_rows,
                                                  .k = k,
                                                  .x = job.x.int8,
                                                  .n_tokens = job.n_tokens,
                                                  .out = out,
                                                  .out_stride = job.out_stride,
                                                  .scratch = memory,
                                                  .packed = packed});
    return;
  }
  FloatDots dots{weight.row(first_row), stride, n_rows, job.x.floats, job.x.stride, job.n_tokens, k, out, job.out_stride,
                 weight.n_rows() - first_row - n_rows};
  if (wants_bf16(weight)) {
    CHECK(job.x.bf16.values != nullptr);
    dots.x = reinterpret_cast<const float*>(job.x.bf16.values);
    dots.x_stride = job.x.bf16.stride / 2, dots.k = k / 2;
    return kernels_.products_bf16_pairs(dots);
  }
  switch (weight.type) {
    case TensorType::F32:
      return kernels_.products_f32(dots);
    case TensorType::F16:
      return kernels_.products_f16(dots);
    case TensorType::BF16:
      return kernels_.products_bf16(dots);
    default:
      break;
  }
  const Codec& codec = codec_of(weight.type);
  const int64_t decoded_stride = k + 16;  // of k alone, rows' beginnings may collide in the first-level cache
  float* decoded = scratch.get<float>(static_cast<size_t>(kPanelRows * decoded_stride));
  dots.weights = decoded;
  dots.weight_stride = decoded_stride * static_cast<int64_t>(sizeof(float));
  dots.n_next = 0;
  for (int64_t row = 0; row < n_rows; row += kPanelRows) {
    dots.n_rows = std::min(kPanelRows, n_rows - row);
    dots.out = out + row;
    for (int64_t r = 0; r < dots.n_rows; ++r)
      codec.decode(weight.row(first_row + row + r), k, decoded + r * decoded_stride);
    kernels_.products_f32(dots);
  }
}

// All of jobs_ in one parallel section; its units are panels of rows.
void CpuBackend::run_jobs(int64_t k) {
  const std::vector<MatmulJob>& jobs = jobs_;
  std::vector<int64_t>& end = panel_ends_;  // of each job's panels in the whole
  end.resize(jobs.size());
  int64_t n_panels = 0;
  for (size_t j = 0; j < jobs.size(); ++j) {
    CHECK(jobs[j].weight.n_columns() == k && jobs[j].out_stride >= jobs[j].weight.n_rows());
    end[j] = n_panels += (jobs[j].weight.n_rows() + kPanelRows - 1) / kPanelRows;
  }
  // Few tokens are bound by memory. Packed panels are one stream, whoever reads on; what file rows ask for ahead is a whole
  // panel, and lost if another thread takes that. Experts have different numbers of rows: where one has many, half of the
  // panels may be nearly all of the work.
  const bool few = std::ranges::all_of(jobs, [](const MatmulJob& job) { return job.n_tokens <= kFewTokens; });
  const bool packed = std::ranges::all_of(jobs, [](const MatmulJob& job) { return job.weight.packed != nullptr; });
  share(n_panels, [&](int64_t panel, int64_t panel_end, int thread) {
    size_t j = static_cast<size_t>(std::upper_bound(end.begin(), end.end(), panel) - end.begin());
    for (; panel < panel_end; ++j) {
      const int64_t job_begin = j == 0 ? 0 : end[j - 1], piece_end = std::min(panel_end, end[j]);
      const int64_t row = (panel - job_begin) * kPanelRows;
      const int64_t row_end = std::min((piece_end - job_begin) * kPanelRows, jobs[j].weight.n_rows());
      if (row < row_end) run_rows(jobs[j], row, row_end - row, scratch_[static_cast<size_t>(thread)]);
      panel = piece_end;
    }
  }, !few ? Dealing::equal : packed ? Dealing::large_first : Dealing::one_each);
}

void CpuBackend::matmul(std::span<const Product> products, const float* x, int64_t n_tokens) {
  const InUse in_use(in_use_);
  if (products.empty() || n_tokens == 0) return;
  const int64_t k = products[0].weight->n_columns();
  Activations input{x, k};
  if (std::ranges::any_of(products, [&](const Product& p) { return wants_int8(*p.weight); }))
    input.int8 = round_rows(x, n_tokens, k);
  if (std::ranges::any_of(products, [&](const Product& p) { return wants_bf16(*p.weight); }))
    input.bf16 = round_rows_to_bf16(x, n_tokens, k);
  jobs_.clear();
  for (const Product& p : products) jobs_.push_back({*p.weight, input, n_tokens, p.out, p.out_stride});
  run_jobs(k);
}

}  // namespace carat
