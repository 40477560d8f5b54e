// Sizes and hands out the caches of one sequence.
#include "model/kv_cache.h"

#include <algorithm>

namespace carat {
namespace {

constexpr int64_t kCellGranule = 32;  // cells come in whole groups, which kernels may rely on for their tiles

int64_t round_up(int64_t n) { return (n + kCellGranule - 1) / kCellGranule * kCellGranule; }

// A full layer keeps every position. A sliding one needs the window of the first row of a batch and the batch
// itself.
int64_t cells_of(const LayerConfig& layer, const KvCache::Shape& shape) {
  const int64_t all = round_up(shape.n_positions);
  return layer.sliding ? std::min(all, round_up(layer.window + shape.max_batch)) : all;
}

size_t bytes_of(const LayerConfig& layer, const KvCache::Shape& shape) {
  return row_bytes(shape.type, layer.kv_size()) * static_cast<size_t>(cells_of(layer, shape));
}

}  // namespace

Result<void> KvCache::check(const Config& config, const Shape& shape) {
  if (shape.n_positions < 1 || shape.n_positions > INT32_MAX)
    return fail("cache of {} positions, expected 1..{}", shape.n_positions, INT32_MAX);
  if (shape.max_batch < 1 || shape.max_batch > INT32_MAX)
    return fail("batches of {} positions, expected 1..{}", shape.max_batch, INT32_MAX);
  const int64_t block_length = type_info(shape.type).block_length;
  for (int i = 0; i < config.n_layers(); ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    if (config.owns_kv(i) && layer.head_dim % block_length != 0)
      return fail("cache type {} has blocks of {} values, but layer {} has heads of {}",
                  type_name(shape.type), block_length, i, layer.head_dim);
  }
  return {};
}

KvCache::KvCache(const Config& config, const Shape& shape, Backend& backend) : shape_(shape) {
  CHECK(check(config, shape).has_value());
  shape_.max_batch = std::min(shape.max_batch, shape.n_positions);
  for (int i = 0; i < config.n_layers(); ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    if (!config.owns_kv(i)) {
      views_.push_back(views_[static_cast<size_t>(layer.kv_source)]);
      continue;
    }
    KvView view;
    view.type = shape_.type;
    view.n_cells = cells_of(layer, shape_);
    for (std::byte** half : {&view.k, &view.v}) {
      buffers_.push_back(backend.allocate(bytes_of(layer, shape_)));
      *half = static_cast<std::byte*>(buffers_.back()->data());
    }
    views_.push_back(view);
    // A batch may start anywhere: its first row's window and the whole batch must not meet in a ring.
    if (view.n_cells < shape_.n_positions) n_back_ = std::min(n_back_, view.n_cells - layer.window + 1);
  }
}

size_t KvCache::n_bytes() const {
  size_t n = 0;
  for (const auto& buffer : buffers_) n += buffer->size();
  return n;
}

void KvCache::clear() { n_used_ = n_written_ = 0; }

void KvCache::advance(int64_t n) {
  CHECK(n >= 0 && n_used_ + n <= shape_.n_positions);
  n_used_ += n;
  n_written_ = std::max(n_written_, n_used_);
}

bool KvCache::can_truncate(int64_t n) const {
  return n >= 0 && n <= n_used_ && (n == 0 || n_written_ - n <= n_back_);
}

void KvCache::truncate(int64_t n) {
  CHECK(can_truncate(n));
  n_used_ = n;
  if (n == 0) n_written_ = 0;
}

KvView KvCache::view(int layer) const { return views_[static_cast<size_t>(layer)]; }

size_t KvCache::bytes_needed(const Config& config, const Shape& shape) {
  Shape clamped = shape;
  clamped.max_batch = std::min(shape.max_batch, shape.n_positions);
  size_t n = 0;
  for (int i = 0; i < config.n_layers(); ++i)
    if (config.owns_kv(i)) n += 2 * bytes_of(config.layers[static_cast<size_t>(i)], clamped);
  return n;
}

}  // namespace carat
