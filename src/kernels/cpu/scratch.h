// Working memory of a thread or an operation, which steady work never allocates again.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/memory.h"

namespace carat {

// Memory that is enlarged when more is asked for than ever before, so that steady work allocates nothing.
class Scratch {
 public:
  template <class T>
  T* get(size_t count) {
    if (count * sizeof(T) > bytes_.size())
      bytes_ = AlignedArray<std::byte>(count * sizeof(T) + count * sizeof(T) / 4);
    return reinterpret_cast<T*>(bytes_.data());
  }

 private:
  AlignedArray<std::byte> bytes_;
};

// Hands out arrays of one piece of memory, each on a cache line of its own. With no memory it only counts.
class Carver {
 public:
  explicit Carver(std::byte* memory) : memory_(memory) {}
  template <class T>
  T* take(int64_t count) {
    T* array = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + n_bytes_);
    n_bytes_ += (static_cast<size_t>(count) * sizeof(T) + kCacheLine - 1) / kCacheLine * kCacheLine;
    return array;
  }
  size_t n_bytes() const { return n_bytes_; }

 private:
  std::byte* memory_;
  size_t n_bytes_ = 0;
};

}  // namespace carat
