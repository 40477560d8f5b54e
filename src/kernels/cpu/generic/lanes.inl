// Walking over rows sixteen lanes at a time, the tail included, and fetching the next ones meanwhile.
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

// Fetches the n_rows rows that are needed next while others are worked on: at each of n_turns turns an equal
// share, in the order of memory, which memory likes best. Asking for what lies beyond an array is no access.
class Ahead {
 public:
  Ahead(const void* rows, int64_t stride, int64_t n_rows, int64_t row_bytes, int64_t n_turns)
      : row_(static_cast<const uint8_t*>(rows)),
        stride_(stride),
        n_rows_(n_rows),
        n_lines_((row_bytes + kLine - 1) / kLine) {
    if (n_rows <= 0) return;
    if (stride == row_bytes) n_lines_ *= n_rows, n_rows_ = 1;
    share_ = (n_lines_ * n_rows_ + n_turns - 1) / n_turns;
  }
  void fetch() {
    for (int64_t left = share_; left > 0 && n_rows_ > 0;) {
      const int64_t n = left < n_lines_ - line_ ? left : n_lines_ - line_;
      for (int64_t i = 0; i < n; ++i) prefetch(row_ + (line_ + i) * kLine);
      left -= n;
      line_ += n;
      if (line_ == n_lines_) line_ = 0, row_ += stride_, --n_rows_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const uint8_t* row_;
  int64_t stride_, n_rows_, n_lines_, share_ = 0, line_ = 0;
};

}  // namespace
}  // namespace carat
