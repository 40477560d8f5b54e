// Aligned scratch memory, and what the process occupies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace carat {

inline constexpr size_t kCacheLine = 64;

// Fixed-size, zeroed array of trivially copyable T on a 64-byte boundary. Kernels rely on the alignment; engines
// size their buffers once, when a session opens.
template <class T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(size_t count);

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_.get()[i]; }
  const T& operator[](size_t i) const { return data_.get()[i]; }
  std::span<T> span() { return {data(), size_}; }
  std::span<const T> span() const { return {data(), size_}; }
  operator std::span<T>() { return span(); }
  operator std::span<const T>() const { return span(); }

 private:
  struct Free {
    void operator()(T* pointer) const;
  };
  std::unique_ptr<T[], Free> data_;
  size_t size_ = 0;
};

void* aligned_zeroed(size_t bytes);
void aligned_free(void* pointer);

template <class T>
AlignedArray<T>::AlignedArray(size_t count)
    : data_(static_cast<T*>(aligned_zeroed(count * sizeof(T)))), size_(count) {}

template <class T>
void AlignedArray<T>::Free::operator()(T* pointer) const {
  aligned_free(pointer);
}

// Gives freed memory back to the system, so that the resident set is what is in use.
void release_freed_memory();

// Resident set of this process in bytes, now and at its peak; 0 where the system does not tell.
uint64_t resident_bytes();
uint64_t peak_resident_bytes();

}  // namespace carat
