// Sizes and hands out the caches of one sequence.
#include "model/kv_cache.h"

#include <algorithm>

#include "model/memory_budget.h"
#include "quant/codec.h"

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

int64_t cell_bytes(const LayerConfig& layer, TensorType type) {
  const TypeInfo& info = type_info(type);
  return (layer.kv_size() + info.block_length - 1) / info.block_length * info.block_bytes;
}

int64_t bytes_of(const LayerConfig& layer, const KvCache::Shape& shape) {
  return saturating_multiply(cell_bytes(layer, shape.type), cells_of(layer, shape));
}

// No batch is longer than the sequence.
KvCache::Shape clamped(KvCache::Shape shape) {
  shape.max_batch = std::min(shape.max_batch, shape.n_positions);
  return shape;
}

}  // namespace

Result<void> KvCache::check(const Config& config, const Shape& shape) {
  if (shape.n_positions < 1) return fail("a cache of {} positions, expected at least 1", shape.n_positions);
  if (shape.n_positions > config.context_length)
    return fail("a cache of {} positions, but the model's context has only {}", shape.n_positions,
                config.context_length);
  if (shape.max_batch < 1 || shape.max_batch > INT32_MAX)
    return fail("batches of {} positions, expected 1..{}", shape.max_batch, INT32_MAX);
  if (!can_encode(shape.type))
    return fail("cache type {}: expected one that Carat can encode", type_name(shape.type));
  const int64_t block_length = type_info(shape.type).block_length;
  for (int i = 0; i < config.n_layers(); ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    if (config.owns_kv(i) && layer.head_dim % block_length != 0)
      return fail("cache type {} has blocks of {} values, but layer {} has heads of {}",
                  type_name(shape.type), block_length, i, layer.head_dim);
  }
  return check_memory(bytes_needed(config, shape), fmt::format("a cache of {} positions", shape.n_positions));
}

Result<KvCache> KvCache::create(const Config& config, const Shape& shape, Backend& backend) {
  TRY(check(config, shape));
  return KvCache(config, clamped(shape), backend);
}

KvCache::KvCache(const Config& config, const Shape& shape, Backend& backend) : shape_(shape) {
  for (int i = 0; i < config.n_layers(); ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    cell_bytes_.push_back(cell_bytes(layer, shape_.type));
    if (!config.owns_kv(i)) {
      views_.push_back(views_[static_cast<size_t>(layer.kv_source)]);
      continue;
    }
    KvView view;
    view.type = shape_.type;
    view.n_cells = cells_of(layer, shape_);
    for (std::byte** half : {&view.k, &view.v}) {
      buffers_.push_back(backend.allocate(static_cast<size_t>(bytes_of(layer, shape_))));
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

bool KvCache::fits(const Config& config) const {
  if (views_.size() != config.layers.size()) return false;
  for (size_t i = 0; i < views_.size(); ++i) {
    const LayerConfig& layer = config.layers[i];
    const KvView& source = views_[static_cast<size_t>(layer.kv_source)];
    if (cell_bytes_[i] != cell_bytes(layer, shape_.type) || views_[i].n_cells != cells_of(layer, shape_) ||
        views_[i].k != source.k)
      return false;
  }
  return true;
}

int64_t KvCache::bytes_needed(const Config& config, const Shape& shape) {
  int64_t n = 0;
  for (int i = 0; i < config.n_layers(); ++i)
    if (config.owns_kv(i))
      n = saturating_add(
          n, saturating_multiply(2, bytes_of(config.layers[static_cast<size_t>(i)], clamped(shape))));
  return n;
}

}  // namespace carat
