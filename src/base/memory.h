// Aligned scratch memory, and what the process occupies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace carat {

inline constexpr size_t kCacheLine = 64;

// Fixed-size, zeroed array of trivially copyable T on a 64-byte boundary, with a cache line of slack behind its
// end. Kernels rely on both; engines size their buffers once, when a session opens. Pages of a large array become
// resident when they are first touched, and go back to the system with it. Throws std::bad_alloc where the system
// has no memory.
template <class T>
class AlignedArray {
  static_assert(std::is_trivially_copyable_v<T>);

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
    size_t n_bytes = 0;
    void operator()(T* pointer) const;
  };
  std::unique_ptr<T[], Free> data_;
  size_t size_ = 0;
};

// count * size, and room for the slack; CHECKs that this does not wrap.
size_t checked_bytes(size_t count, size_t size);
// The memory of an array, from checked_bytes(); freed with the same number.
void* aligned_zeroed(size_t n_bytes);
void aligned_free(void* pointer, size_t n_bytes);

template <class T>
AlignedArray<T>::AlignedArray(size_t count)
    : data_(static_cast<T*>(aligned_zeroed(checked_bytes(count, sizeof(T)))), Free{checked_bytes(count, sizeof(T))}),
      size_(count) {}

template <class T>
void AlignedArray<T>::Free::operator()(T* pointer) const {
  aligned_free(pointer, n_bytes);
}

// Gives freed memory back to the system, so that the resident set is what is in use.
void release_freed_memory();

// Resident set of this process in bytes, now and at its peak; 0 where the system does not tell.
uint64_t resident_bytes();
uint64_t peak_resident_bytes();
// Of the resident set, what no file holds: it cannot be dropped and read again.
uint64_t anonymous_bytes();

}  // namespace carat
