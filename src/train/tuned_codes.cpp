// See the header. Blocks are independent of each other; a thread works on one at a time.
#include "train/tuned_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "quant/block.h"
#include "quant/codec.h"

namespace carat::train {
namespace {

constexpr int64_t kBlocksAtOnce = 64;
// A number further beyond its grid's end than this would only take longer to come back.
constexpr float kMargin = 0.45f;

int64_t matrix_size(const Shape& shape) { return shape[0] * shape[1]; }

}  // namespace

// One block's grid, and its codes.
class TunedCodes::Block {
 public:
  Block(const GridFormat& format, const std::byte* block, size_t n_bytes) {
    std::byte scratch[kMaxGridBlock * 2];
    std::memcpy(scratch, block, n_bytes);
    grid_.read(format, scratch);
  }

  bool moves(int64_t i) const { return grid_.step(static_cast<int>(i)) != 0; }
  float step(int64_t i) const { return grid_.step(static_cast<int>(i)); }
  float origin(int64_t i) const { return grid_.origin(static_cast<int>(i)); }
  float number(int64_t i, float value) const { return (value - origin(i)) / step(i); }
  int code(int64_t i, float number) const {
    return grid_.nearest(static_cast<int>(i), origin(i) + number * step(i));
  }
  float value(int64_t i, int code) const { return grid_.value(static_cast<int>(i), code); }

 private:
  BlockGrid grid_;
};

TunedCodes::TunedCodes(const Tensor& quantized, const float* original, float pull, ThreadPool& pool)
    : type_(quantized.type),
      format_(*find_grid(quantized.type)),
      shape_(quantized.shape),
      length_(static_cast<int64_t>(type_info(quantized.type).block_length)),
      n_blocks_(quantized.n_elements() / length_),
      block_bytes_(type_info(quantized.type).block_bytes),
      blocks_(quantized.data, quantized.data + quantized.n_bytes()),
      numbers_(static_cast<size_t>(quantized.n_elements())),
      moment1_(numbers_.size()),
      moment2_(numbers_.size()),
      n_scales_((format_.scale_at >= 0) + (format_.minimum_at >= 0)) {
  CHECK(block_bytes_ <= 2 * kMaxGridBlock && length_ <= kMaxGridBlock);
  if (quantized.scale != nullptr) factors_.assign(quantized.scale, quantized.scale + shape_[2] * shape_[3]);
  for (auto* array : {&scale_start_, &log_factor_, &scale_gradient_, &scale_moment1_, &scale_moment2_})
    array->resize(static_cast<size_t>(n_blocks_ * n_scales_));
  AlignedArray<float> values(numbers_.size());
  decode(values.data(), pool);
  pool.parallel_for(n_blocks_, kBlocksAtOnce, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) {
      const float factor =
          factors_.empty() ? 1.0f : factors_[static_cast<size_t>(b * length_ / matrix_size(shape_))];
      const Block block(format_, blocks_.data() + static_cast<size_t>(b) * block_bytes_, block_bytes_);
      for (int64_t i = 0; i < length_; ++i) {
        const auto at = static_cast<size_t>(b * length_ + i);
        if (!block.moves(i)) continue;
        const float number = block.number(i, values[at] / factor);
        const float wanted = block.number(i, original[at] / factor);
        numbers_[at] = std::clamp(wanted, number - pull, number + pull);
      }
      const uint8_t* bytes =
          reinterpret_cast<const uint8_t*>(blocks_.data()) + static_cast<size_t>(b) * block_bytes_;
      size_t s = static_cast<size_t>(b * n_scales_);
      for (const int where : {format_.scale_at, format_.minimum_at})
        if (where >= 0) scale_start_[s++] = load_f16(bytes + where);
    }
  });
}

void TunedCodes::decode(float* values, ThreadPool& pool) const {
  Tensor tensor{"", type_, shape_, blocks_.data(), factors_.empty() ? nullptr : factors_.data()};
  decode_tensor(tensor, values, pool);
}

void TunedCodes::step(const AdamStep& codes, const AdamStep& scales, const float* gradient,
                      ThreadPool& pool) {
  pool.parallel_for(n_blocks_, kBlocksAtOnce, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) move_block(b, codes, gradient + b * length_);
  });
  vector_loops().adam(scales, 1.0f, scale_gradient_.data(), n_blocks_ * n_scales_, log_factor_.data(),
                      scale_moment1_.data(), scale_moment2_.data());
  pool.parallel_for(n_blocks_, kBlocksAtOnce, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b) write_block(b);
  });
}

// Both gradients are those of the values as they are, before anything moves.
void TunedCodes::move_block(int64_t b, const AdamStep& codes, const float* gradient) {
  const float factor =
      factors_.empty() ? 1.0f : factors_[static_cast<size_t>(b * length_ / matrix_size(shape_))];
  const Block block(format_, blocks_.data() + static_cast<size_t>(b) * block_bytes_, block_bytes_);
  float* numbers = numbers_.data() + b * length_;
  float of_numbers[kMaxGridBlock];
  double of_scale = 0, of_minimum = 0;
  for (int64_t i = 0; i < length_; ++i) {
    const float g = gradient[i] * factor, value = block.value(i, block.code(i, numbers[i]));
    of_numbers[i] = g * block.step(i);
    const float minimum = format_.minimum_at >= 0 ? block.origin(i) : 0.0f;
    of_scale += static_cast<double>(g) * (value - minimum);
    of_minimum += static_cast<double>(g) * minimum;
  }
  vector_loops().adam(codes, 1.0f, of_numbers, length_, numbers, moment1_.data() + b * length_,
                      moment2_.data() + b * length_);
  const float top = static_cast<float>(format_.n_codes - 1) + kMargin;
  for (int64_t i = 0; i < length_; ++i) numbers[i] = std::clamp(numbers[i], -kMargin, top);
  auto s = static_cast<size_t>(b * n_scales_);
  if (format_.scale_at >= 0) scale_gradient_[s++] = static_cast<float>(of_scale);
  if (format_.minimum_at >= 0) scale_gradient_[s++] = static_cast<float>(of_minimum);
}

void TunedCodes::write_block(int64_t b) {
  std::byte* bytes = blocks_.data() + static_cast<size_t>(b) * block_bytes_;
  auto s = static_cast<size_t>(b * n_scales_);
  for (const int where : {format_.scale_at, format_.minimum_at}) {
    if (where < 0) continue;
    store_f16(reinterpret_cast<uint8_t*>(bytes) + where, scale_start_[s] * std::exp(log_factor_[s]));
    ++s;
  }
  const Block block(format_, bytes, block_bytes_);
  uint8_t codes[kMaxGridBlock];
  for (int64_t i = 0; i < length_; ++i)
    codes[i] = static_cast<uint8_t>(block.code(i, numbers_[static_cast<size_t>(b * length_ + i)]));
  format_.set_codes(codes, bytes);
}

}  // namespace carat::train
