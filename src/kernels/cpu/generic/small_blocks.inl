// Unpackers of the types with blocks of 32 or 64 values: sixteen rows of one block into a panel.
//
// A format says its block, its bytes, the length of the sub-blocks that share a scale, and
// value = scale * (q - kOffset) - min with q <= kMaxQ. Layouts: the codecs' headers in quant/.
namespace carat {
namespace {

inline Bytes low_nibbles(Bytes v) { return bit_and(v, set1_byte(15)); }
inline Bytes high_nibbles(Bytes v) { return shift_right<4>(v); }
inline Floats f16_high_lanes(Ints v) { return f16_lanes(shift_right<16>(v)); }

// 16 bytes per row: low nibbles are values 0 … 15, high ones 16 … 31.
inline void unpack_nibbles(const uint8_t* p, int64_t stride, Bytes* q) {
  Bytes v[4];
  transpose16(p, stride, v);
  for (int c = 0; c < 4; ++c) q[c] = low_nibbles(v[c]), q[4 + c] = high_nibbles(v[c]);
}
inline void store_bytes(uint8_t* out, const Bytes* q, int n) {
  for (int c = 0; c < n; ++c) store(out + 64 * c, q[c]);
}
// Adds bit i of each row's 32-bit word as bit 4 of value i.
template <int c = 0>
inline void add_fifth_bits(Bytes* q, Ints bits) {
  if constexpr (c < 8) {
    q[c] = bit_or(q[c], bit_bytes<c>(bits, 16));
    add_fifth_bits<c + 1>(q, bits);
  }
}
inline void look_up(Bytes* q, const uint8_t* table) {
  for (int c = 0; c < 8; ++c) q[c] = lookup(table, q[c]);
}

// What the thirty-two values of a block unpack to, group by group of four in order: into a panel, or for one token right
// into its products. Formats with a `Block` of this kind have both.
template <class Format>
inline void unpack_block(const uint8_t* p, int64_t stride, const Panel& panel) {
  typename Format::Block block(p, stride);
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g) store(panel.q + 64 * g, block.group(g));
  store(panel.scale, block.scale());
}

// Sixteen bytes of nibbles per row, from `at` on; the scale is a half at the block's beginning.
struct NibbleBlock {
  const uint8_t* p;
  int64_t stride;
  Bytes v[4];
  NibbleBlock(const uint8_t* block, int64_t row_stride, int at) : p(block), stride(row_stride) {
    transpose16(p + at, stride, v);
  }
  Bytes group(int g) const { return g < 4 ? low_nibbles(v[g]) : high_nibbles(v[g - 4]); }
  Floats scale() const { return gather_f16(p, stride); }
};

struct Q4_0 {
  static constexpr int kBlock = 32, kBytes = 18, kSub = 32, kOffset = 8, kMaxQ = 15;
  static constexpr bool kHasMin = false;
  struct Block : NibbleBlock {
    Block(const uint8_t* p, int64_t stride) : NibbleBlock(p, stride, 2) {}
  };
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) { unpack_block<Q4_0>(p, stride, panel); }
};

struct Q4_1 {
  static constexpr int kBlock = 32, kBytes = 20, kSub = 32, kOffset = 0, kMaxQ = 15;
  static constexpr bool kHasMin = true;
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    Bytes q[8];
    unpack_nibbles(p + 4, stride, q);
    store_bytes(panel.q, q, 8);
    const Ints d_and_m = gather4(p, stride);
    store(panel.scale, f16_lanes(d_and_m));
    store(panel.min, sub(zero(), f16_high_lanes(d_and_m)));
  }
};

struct Q5_0 {
  static constexpr int kBlock = 32, kBytes = 22, kSub = 32, kOffset = 16, kMaxQ = 31;
  static constexpr bool kHasMin = false;
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    Bytes q[8];
    unpack_nibbles(p + 6, stride, q);
    add_fifth_bits(q, gather4(p + 2, stride));
    store_bytes(panel.q, q, 8);
    store(panel.scale, f16_lanes(gather4(p, stride)));
  }
};

struct Q5_1 {
  static constexpr int kBlock = 32, kBytes = 24, kSub = 32, kOffset = 0, kMaxQ = 31;
  static constexpr bool kHasMin = true;
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    Bytes q[8];
    unpack_nibbles(p + 8, stride, q);
    add_fifth_bits(q, gather4(p + 4, stride));
    store_bytes(panel.q, q, 8);
    const Ints d_and_m = gather4(p, stride);
    store(panel.scale, f16_lanes(d_and_m));
    store(panel.min, sub(zero(), f16_high_lanes(d_and_m)));
  }
};

struct Q8_0 {
  static constexpr int kBlock = 32, kBytes = 34, kSub = 32, kOffset = 128, kMaxQ = 255;
  static constexpr bool kHasMin = false;
  struct Block {
    const uint8_t* p;
    int64_t stride;
    Bytes v[4];
    Block(const uint8_t* block, int64_t row_stride) : p(block), stride(row_stride) {}
    Bytes group(int g) {  // called in order
      if (g % 4 == 0) transpose16(p + 2 + 4 * g, stride, v);
      return bit_xor(v[g % 4], set1_byte(128));
    }
    Floats scale() const { return gather_f16(p, stride); }
  };
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) { unpack_block<Q8_0>(p, stride, panel); }
};

// The sixteen values of IQ4_NL, from -127 to 113, plus 127.
constexpr uint8_t kIq4Table[16] = {0, 23, 44, 62, 78, 92, 105, 117, 128, 140, 152, 165, 180, 196, 216, 240};

struct IQ4_NL {
  static constexpr int kBlock = 32, kBytes = 18, kSub = 32, kOffset = 127, kMaxQ = 240;
  static constexpr bool kHasMin = false;
  struct Block : NibbleBlock {
    Block(const uint8_t* p, int64_t stride) : NibbleBlock(p, stride, 2) {}
    Bytes group(int g) const { return lookup(kIq4Table, NibbleBlock::group(g)); }
  };
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) { unpack_block<IQ4_NL>(p, stride, panel); }
};

// Twice the sixteen values of E2M1, from -12 to 12, plus 12.
constexpr uint8_t kE2m1Table[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

struct MXFP4 {
  static constexpr int kBlock = 32, kBytes = 17, kSub = 32, kOffset = 12, kMaxQ = 24;
  static constexpr bool kHasMin = false;
  struct Block : NibbleBlock {
    Block(const uint8_t* p, int64_t stride) : NibbleBlock(p, stride, 1) {}
    Bytes group(int g) const { return lookup(kE2m1Table, NibbleBlock::group(g)); }
    // Half of E8M0, 2^(e-128): an exponent of e - 1, and the two subnormals below.
    Floats scale() const {
      const Ints e = bit_and(gather4(p, stride), set1_int(255));
      const Ints normal = shift_left<23>(max(sub(e, set1_int(1)), set1_int(0)));
      const Ints below =
          zero_if_equal(min(e, set1_int(2)), set1_int(2), mul(add(e, set1_int(1)), set1_int(0x200000)));
      return bits_to_floats(add(normal, below));
    }
  };
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) { unpack_block<MXFP4>(p, stride, panel); }
};

struct NVFP4 {
  static constexpr int kBlock = 64, kBytes = 36, kSub = 16, kOffset = 12, kMaxQ = 24;
  static constexpr bool kHasMin = false;
  // Half of an unsigned E4M3 number: mantissa times power of two; the NaN code counts as 0.
  static Floats half_e4m3(Ints code) {
    const Ints exponent = bit_and(shift_right<3>(code), set1_int(15));
    const Ints implied = shift_left<3>(min(exponent, set1_int(1)));
    Ints mantissa = add(bit_and(code, set1_int(7)), implied);
    mantissa = zero_if_equal(code, set1_int(0x7f), mantissa);
    const Ints power = shift_left<23>(add(max(exponent, set1_int(1)), set1_int(116)));
    return mul(to_floats(mantissa), bits_to_floats(power));
  }
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    Ints codes = gather4(p, stride);
    for (int s = 0; s < 4; ++s) {
      store(panel.scale + 16 * s, half_e4m3(bit_and(codes, set1_int(255))));
      codes = shift_right<8>(codes);
    }
    for (int pair = 0; pair < 2; ++pair) {  // of sub-blocks; each has 8 bytes: low nibbles, then high ones
      Bytes q[8];
      unpack_nibbles(p + 4 + 16 * pair, stride, q);
      look_up(q, kE2m1Table);
      const Bytes in_order[8] = {q[0], q[1], q[4], q[5], q[2], q[3], q[6], q[7]};
      store_bytes(panel.q + 8 * 64 * pair, in_order, 8);
    }
  }
};

}  // namespace
}  // namespace carat
