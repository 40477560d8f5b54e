// A screen's panels with one rounded row. The order of a panel's bytes is that of the registers, so nothing is
// transposed here: the integer products of one row cost little more than reading the panel.
namespace carat {
namespace {

constexpr int64_t kScreenBlock = 320;  // bytes of codes

// sum_i (code[r, i] - 15.5) * scale[r, i / 32] * x[i] of a panel's sixteen rows. `next` is the panel to be read after it:
// asking for the same place of it keeps memory busy, which one stream of reads does not.
inline Floats screen_panel(const uint8_t* panel, const uint8_t* next, const Int8Rows& x, int64_t n_blocks) {
  const uint8_t* codes = panel;
  const uint8_t* scales = panel + kScreenBlock * n_blocks;
  Floats total = zero();
  for (int64_t block = 0; block < n_blocks; ++block, codes += kScreenBlock) {
    for (int64_t i = 0; i < kScreenBlock; i += 64) prefetch(next + (codes - panel) + i);
    if (block % 4 == 0) prefetch(next + kScreenBlock * n_blocks + 16 * block);
    // Bit g of a byte is the lowest of its place's code in group g. Shifts of words are enough: what crosses into a
    // byte does not reach its bit 0 in time.
    Ints lowest = as_ints(load_bytes(codes + 256));
    const auto whole = [&](Bytes high) {
      const Bytes low = bit_and(as_bytes(lowest), set1_byte(1));
      lowest = shift_right<1>(lowest);
      return bit_or(as_bytes(shift_left<1>(as_ints(high))), low);
    };
    const auto group = [&](int g) {
      const Bytes v = load_bytes(codes + g / 2 * 64);
      return whole(g % 2 == 0 ? low_nibbles(v) : high_nibbles(v));
    };
    const Int8Block& of_x = x.blocks[block];
    Ints dot;
    dot_bytes<31, 0, 8, 1>(group, x.q + 32 * block, 0, [&](int) { return of_x.sums[2]; },
                           [&](int, const auto& sum) { dot = sum.end(of_x.sums[2]); });
    const float middle = 15.5f * static_cast<float>(of_x.sums[2][0] + of_x.sums[2][1]);
    const Floats factor = mul(to_floats(load_u8(scales + 16 * block)), set1(of_x.scale));
    total = fma(factor, sub(to_floats(dot), set1(middle)), total);
  }
  return total;
}

void screen_rows(const ScreenRows& s) {
  const int64_t n_blocks = s.k / 32;
  for (int64_t panel = 0; panel < s.n_panels; ++panel) {
    const uint8_t* at = s.panels + panel * s.panel_bytes;
    const uint8_t* next = panel + 1 < s.n_panels ? at + s.panel_bytes : at;
    const float* ends = reinterpret_cast<const float*>(at + s.panel_bytes) - 48;
    const Floats score = mul(screen_panel(at, next, s.x, n_blocks), load(ends));
    const Floats norm_part = fma(load(ends + 32), set1(s.norm_factor), set1(s.floor));
    store(s.score + 16 * panel, score);
    store(s.upper + 16 * panel, add(score, fma(load(ends + 16), set1(s.residual_factor), norm_part)));
  }
}

}  // namespace
}  // namespace carat
