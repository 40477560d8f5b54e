// KvCache: the keys and values of one sequence, one ring per sliding layer, one flat array per full layer,
// nothing for layers that read another's.
#pragma once

#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "model/config.h"

namespace carat {

class KvCache {
 public:
  struct Shape {
    int64_t n_positions;  // longest sequence
    int64_t max_batch;    // most rows written by one forward call: rings hold window + max_batch cells
    TensorType type = TensorType::F16;
  };
  KvCache(const Config& config, const Shape& shape, Backend& backend);

  int64_t n_used() const { return n_used_; }  // positions 0 … n_used-1 are filled
  int64_t n_positions() const { return shape_.n_positions; }
  int64_t max_batch() const { return shape_.max_batch; }
  size_t n_bytes() const;

  void clear() { n_used_ = 0; }
  void advance(int64_t n) { n_used_ += n; }
  // Forgets positions >= n. n must not be further back than a ring remembers (max_batch).
  void truncate(int64_t n);

  // The cells that layer `layer` reads (its kv_source's).
  KvView view(int layer) const;

  // Bytes that a cache of this shape takes, without making one.
  static size_t bytes_needed(const Config& config, const Shape& shape);

 private:
  Shape shape_;
  int64_t n_used_ = 0;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::vector<KvView> views_;  // per layer
};

}  // namespace carat
