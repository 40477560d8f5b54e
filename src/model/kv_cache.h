// KvCache: the keys and values of one sequence, one ring per sliding layer, one flat array per full layer,
// nothing for layers that read another's. A full layer whose values are its raw keys keeps one vector for both where
// both have the same type (docs/decisions/0007).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "model/config.h"
#include "model/kv_type.h"

namespace carat {

// One layer's keys and values of one sequence.
struct LayerCells {
  KvView view;
  std::unique_ptr<Buffer> keys, values;  // keys: nullptr where they follow from the values
};

class KvCache {
 public:
  struct Shape {
    int64_t n_positions;  // longest sequence
    int64_t max_batch;    // most rows written by one forward call: rings hold window + max_batch cells
    KvType type = TensorType::F16;
    bool one_vector = true;  // off: keys are kept beside the values even where they follow from them
  };
  // Whether cells of this shape and type can be made: the types can be encoded, heads are whole blocks of them, the
  // model's context is long enough.
  static Result<void> check_shape(const Config& config, const Shape& shape);
  // The same, and the machine has the memory for all layers.
  static Result<void> check(const Config& config, const Shape& shape);
  // Errors: check()'s.
  static Result<KvCache> create(const Config& config, const Shape& shape, Backend& backend);

  int64_t n_used() const { return n_used_; }  // positions 0 … n_used-1 are filled
  int64_t n_positions() const { return shape_.n_positions; }
  int64_t max_batch() const { return shape_.max_batch; }
  size_t n_bytes() const;  // of cells; resident are those that were written

  void clear();
  void advance(int64_t n);
  // Forgets positions >= n: for drafts that were refused and for prompts that share a prefix. A ring
  // remembers only max_batch positions beyond its window, counted from the furthest position ever written
  // since clear().
  bool can_truncate(int64_t n) const;
  void truncate(int64_t n);

  // The cells that layer `layer` reads (its kv_source's).
  KvView view(int layer) const;
  // Whether the cells are those that this config asks for.
  bool fits(const Config& config) const;

  // Bytes that a cache of this shape takes, without making one; INT64_MAX if they are more. A row that is no whole
  // number of the type's blocks counts as if it were padded. The angles from which a backend rebuilds keys
  // (angle_bytes) are not the cache's, but counted: no cache works without them.
  static int64_t bytes_needed(const Config& config, const Shape& shape);
  static int64_t angle_bytes(const Config& config, const Shape& shape);

 private:
  KvCache(const Config& config, const Shape& shape, Backend& backend);

  Shape shape_;
  int64_t n_used_ = 0;
  int64_t n_written_ = 0;       // the most that n_used_ was since clear()
  int64_t n_back_ = INT64_MAX;  // how far behind n_written_ every ring is whole
  std::vector<LayerCells> cells_;  // of the layers that own any
  std::vector<KvView> views_;      // per layer
  std::vector<int64_t> kv_sizes_;  // per layer: values in K or V of one position
};

// The cells of one layer that owns any, for a sequence of this (checked) shape; empty. And their bytes.
LayerCells make_cells(const LayerConfig& layer, const KvCache::Shape& shape, Backend& backend);
int64_t cells_bytes(const LayerConfig& layer, const KvCache::Shape& shape);

}  // namespace carat
