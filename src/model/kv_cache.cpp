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

// One position's keys or values.
int64_t cell_bytes(const LayerConfig& layer, TensorType type) {
  const TypeInfo& info = type_info(type);
  return (layer.kv_size() + info.block_length - 1) / info.block_length * info.block_bytes;
}

bool has_keys(const LayerConfig& layer, const KvCache::Shape& shape) {
  return !(shape.one_vector && layer.k_is_v && !layer.sliding && shape.type.k == shape.type.v);
}

int64_t key_bytes(const LayerConfig& layer, const KvCache::Shape& shape) {
  return has_keys(layer, shape) ? saturating_multiply(cell_bytes(layer, shape.type.k), cells_of(layer, shape)) : 0;
}

int64_t value_bytes(const LayerConfig& layer, const KvCache::Shape& shape) {
  return saturating_multiply(cell_bytes(layer, shape.type.v), cells_of(layer, shape));
}

// No batch is longer than the sequence.
KvCache::Shape clamped(KvCache::Shape shape) {
  shape.max_batch = std::min(shape.max_batch, shape.n_positions);
  return shape;
}

}  // namespace

Result<void> KvCache::check_shape(const Config& config, const Shape& shape) {
  if (shape.n_positions < 1) return fail("a cache of {} positions, expected at least 1", shape.n_positions);
  if (shape.n_positions > config.context_length)
    return fail("a cache of {} positions, but the model's context has only {}", shape.n_positions,
                config.context_length);
  if (shape.max_batch < 1 || shape.max_batch > INT32_MAX)
    return fail("batches of {} positions, expected 1..{}", shape.max_batch, INT32_MAX);
  for (const TensorType type : {shape.type.k, shape.type.v}) {
    if (!can_encode(type))
      return fail("cache type {}: expected one that Carat can encode", type_name(type));
    const int64_t block_length = type_info(type).block_length;
    for (int i = 0; i < config.n_layers(); ++i) {
      const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
      if (config.owns_kv(i) && layer.head_dim % block_length != 0)
        return fail("cache type {} has blocks of {} values, but layer {} has heads of {}", type_name(type),
                    block_length, i, layer.head_dim);
    }
  }
  return {};
}

Result<void> KvCache::check(const Config& config, const Shape& shape) {
  TRY(check_shape(config, shape));
  return check_memory(bytes_needed(config, shape), fmt::format("a cache of {} positions", shape.n_positions));
}

Result<KvCache> KvCache::create(const Config& config, const Shape& shape, Backend& backend) {
  TRY(check(config, shape));
  return KvCache(config, clamped(shape), backend);
}

LayerCells make_cells(const LayerConfig& layer, const KvCache::Shape& shape, Backend& backend) {
  const KvCache::Shape held = clamped(shape);
  LayerCells cells;
  cells.view.k_type = held.type.k, cells.view.v_type = held.type.v;
  cells.view.n_cells = cells_of(layer, held);
  // Where llama.cpp mixes, too: keys by 64 here, by the whole head there.
  cells.view.mixed = layer.head_dim % 64 == 0;
  if (has_keys(layer, held)) {
    cells.keys = backend.allocate(static_cast<size_t>(key_bytes(layer, held)));
    cells.view.k = static_cast<std::byte*>(cells.keys->data());
  }
  cells.values = backend.allocate(static_cast<size_t>(value_bytes(layer, held)));
  cells.view.v = static_cast<std::byte*>(cells.values->data());
  return cells;
}

int64_t cells_bytes(const LayerConfig& layer, const KvCache::Shape& shape) {
  const KvCache::Shape held = clamped(shape);
  return saturating_add(key_bytes(layer, held), value_bytes(layer, held));
}

KvCache::KvCache(const Config& config, const Shape& shape, Backend& backend) : shape_(shape) {
  for (int i = 0; i < config.n_layers(); ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    kv_sizes_.push_back(layer.kv_size());
    if (!config.owns_kv(i)) {
      views_.push_back(views_[static_cast<size_t>(layer.kv_source)]);
      continue;
    }
    cells_.push_back(make_cells(layer, shape_, backend));
    const KvView& view = cells_.back().view;
    views_.push_back(view);
    // A batch may start anywhere: its first row's window and the whole batch must not meet in a ring.
    if (view.n_cells < shape_.n_positions) n_back_ = std::min(n_back_, view.n_cells - layer.window + 1);
  }
}

size_t KvCache::n_bytes() const {
  size_t n = 0;
  for (const LayerCells& cells : cells_) n += (cells.keys ? cells.keys->size() : 0) + cells.values->size();
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
    const size_t source = static_cast<size_t>(layer.kv_source);
    if (kv_sizes_[i] != layer.kv_size() || views_[i].n_cells != cells_of(layer, shape_) ||
        views_[i].v != views_[source].v || (views_[i].k != nullptr) != has_keys(config.layers[source], shape_))
      return false;
  }
  return true;
}

int64_t KvCache::bytes_needed(const Config& config, const Shape& shape) {
  const Shape held = clamped(shape);
  int64_t n = angle_bytes(config, shape);
  for (int i = 0; i < config.n_layers(); ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    if (config.owns_kv(i)) n = saturating_add(n, cells_bytes(layer, held));
  }
  return n;
}

// One cosine and one sine for each pair that turns, which is a quarter of a full layer's in every published file; all
// such layers share them.
int64_t KvCache::angle_bytes(const Config& config, const Shape& shape) {
  int64_t n_turning = 0;
  for (int i = 0; i < config.n_layers(); ++i) {
    const LayerConfig& layer = config.layers[static_cast<size_t>(i)];
    if (config.owns_kv(i) && !has_keys(layer, shape)) n_turning = std::max(n_turning, layer.head_dim / 8);
  }
  return saturating_multiply(2 * static_cast<int64_t>(sizeof(float)) * n_turning, round_up(shape.n_positions));
}

}  // namespace carat
