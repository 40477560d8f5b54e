// Walking over rows sixteen lanes at a time, the tail included.
namespace carat {
namespace {

// Calls body(offset, n) for each sixteen lanes of n values; the last call may have n < 16.
template <class Body>
inline void each_sixteen(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) body(i, int64_t{16});
  if (i < n) body(i, n - i);
}
inline Floats load_n(const float* p, int64_t n) { return n == 16 ? load(p) : load_part(p, n); }
inline void store_n(float* p, Floats v, int64_t n) { n == 16 ? store(p, v) : store_part(p, v, n); }

}  // namespace
}  // namespace carat
