// Unpackers of the types with blocks of 32 or 64 values: sixteen rows of one block into a panel.
//
// A format says its block, its bytes, the length of the sub-blocks that share a scale, and
// value = scale * (q - kOffset) - min with q <= kMaxQ. Layouts: the codecs' headers in quant/.
//
// They read through a `Rows`, which knows how sixteen rows lie in memory: FileRows or PackedRows (int8_dots.inl).
//
// Few tokens may go another way, without a panel: a format has a `Block` that hands out its values in order, or, for one
// token, dot_block(), which makes the sub-blocks' products in any order, and unpack_scales(). ask(i) asks for share i of
// what is read later and is called once for every 64 values; end(s, sum, sums) takes the ByteSum of sub-block s and what
// its end() wants. Or, for two to kRunTokens tokens of packed rows, codes() and unpack_scales(): dot_packed_blocks().
namespace carat {
namespace {

inline Bytes low_nibbles(Bytes v) { return bit_and(v, set1_byte(15)); }
inline Bytes high_nibbles(Bytes v) { return shift_right<4>(v); }
inline Floats f16_high_lanes(Ints v) { return f16_lanes(shift_right<16>(v)); }

// 16 bytes per row, from `at` on: low nibbles are values 0 … 15, high ones 16 … 31.
template <class Rows>
inline void unpack_nibbles(const Rows& rows, int at, Bytes* q) {
  Bytes v[4];
  rows.sixteen(at, v);
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

// What the thirty-two values of a block unpack to, group by group of four in order: into a panel, or for few tokens right
// into their products. Formats with a `Block` of this kind have both.
template <class Format, class Rows>
inline void unpack_block(const Rows& rows, const Panel& panel) {
  typename Format::template Block<Rows> block(rows);
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g) store(panel.q + 64 * g, block.group(g));
  store(panel.scale, block.scale());
}

// Sixteen bytes of nibbles per row, from `at` on; the scale is a half at the block's beginning.
template <class Rows, int kAt>
struct NibbleBlock {
  Rows rows;
  Bytes v[4];
  explicit NibbleBlock(const Rows& the_rows) : rows(the_rows) { rows.sixteen(kAt, v); }
  Bytes group(int g) const { return g < 4 ? low_nibbles(v[g]) : high_nibbles(v[g - 4]); }
  Floats scale() const { return rows.half(0); }
};

struct Q4_0 {
  static constexpr int kBlock = 32, kBytes = 18, kSub = 32, kOffset = 8, kMaxQ = 15;
  static constexpr bool kHasMin = false;
  template <class Rows>
  using Block = NibbleBlock<Rows, 2>;
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_block<Q4_0>(rows, panel);
  }
};

struct Q4_1 {
  static constexpr int kBlock = 32, kBytes = 20, kSub = 32, kOffset = 0, kMaxQ = 15;
  static constexpr bool kHasMin = true;
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    Bytes q[8];
    unpack_nibbles(rows, 4, q);
    store_bytes(panel.q, q, 8);
    const Ints d_and_m = rows.four(0);
    store(panel.scale, f16_lanes(d_and_m));
    store(panel.min, sub(zero(), f16_high_lanes(d_and_m)));
  }
};

struct Q5_0 {
  static constexpr int kBlock = 32, kBytes = 22, kSub = 32, kOffset = 16, kMaxQ = 31;
  static constexpr bool kHasMin = false;
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    Bytes q[8];
    unpack_nibbles(rows, 6, q);
    add_fifth_bits(q, rows.four(2));
    store_bytes(panel.q, q, 8);
    store(panel.scale, rows.half(0));
  }
};

struct Q5_1 {
  static constexpr int kBlock = 32, kBytes = 24, kSub = 32, kOffset = 0, kMaxQ = 31;
  static constexpr bool kHasMin = true;
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    Bytes q[8];
    unpack_nibbles(rows, 8, q);
    add_fifth_bits(q, rows.four(4));
    store_bytes(panel.q, q, 8);
    const Ints d_and_m = rows.four(0);
    store(panel.scale, f16_lanes(d_and_m));
    store(panel.min, sub(zero(), f16_high_lanes(d_and_m)));
  }
};

struct Q8_0 {
  static constexpr int kBlock = 32, kBytes = 34, kSub = 32, kOffset = 128, kMaxQ = 255;
  static constexpr bool kHasMin = false;
  template <class Rows>
  struct Block {
    Rows rows;
    Bytes v[4];
    explicit Block(const Rows& the_rows) : rows(the_rows) {}
    Bytes group(int g) {  // called in order
      if (g % 4 == 0) rows.sixteen(2 + 4 * g, v);
      return bit_xor(v[g % 4], set1_byte(128));
    }
    Floats scale() const { return rows.half(0); }
  };
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_block<Q8_0>(rows, panel);
  }
};

// The sixteen values of IQ4_NL, from -127 to 113, plus 127.
constexpr uint8_t kIq4Table[16] = {0, 23, 44, 62, 78, 92, 105, 117, 128, 140, 152, 165, 180, 196, 216, 240};
// As an EntrySum wants them: where it says so, without the 127.
constexpr uint8_t kIq4Signed[16] = {129, 152, 173, 191, 207, 221, 234, 246, 1, 13, 25, 38, 53, 69, 89, 113};
inline Bytes iq4_entries(Bytes codes) { return lookup(kSignedEntries ? kIq4Signed : kIq4Table, codes); }

struct IQ4_NL {
  static constexpr int kBlock = 32, kBytes = 18, kSub = 32, kOffset = 127, kMaxQ = 240;
  static constexpr bool kHasMin = false;
  template <class Rows>
  struct Block : NibbleBlock<Rows, 2> {
    using NibbleBlock<Rows, 2>::NibbleBlock;
    Bytes group(int g) const { return lookup(kIq4Table, NibbleBlock<Rows, 2>::group(g)); }
  };
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_block<IQ4_NL>(rows, panel);
  }
};

// Twice the sixteen values of E2M1, from -12 to 12, plus 12.
constexpr uint8_t kE2m1Table[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

struct MXFP4 {
  static constexpr int kBlock = 32, kBytes = 17, kSub = 32, kOffset = 12, kMaxQ = 24;
  static constexpr bool kHasMin = false;
  template <class Rows>
  struct Block : NibbleBlock<Rows, 1> {
    using NibbleBlock<Rows, 1>::NibbleBlock;
    Bytes group(int g) const { return lookup(kE2m1Table, NibbleBlock<Rows, 1>::group(g)); }
    // Half of E8M0, 2^(e-128): an exponent of e - 1, and the two subnormals below.
    Floats scale() const {
      const Ints e = shift_left<15>(this->rows.byte(0));
      const Ints normal = sub(shift_left<8>(e), set1_int(1 << 23));
      const Ints below = min(add(shift_left<6>(e), set1_int(0x200000)), set1_int(0x400000));
      return bits_to_floats(max(normal, below));
    }
  };
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_block<MXFP4>(rows, panel);
  }
};

struct NVFP4 {
  static constexpr int kBlock = 64, kBytes = 36, kSub = 16, kOffset = 12, kMaxQ = 24;
  static constexpr bool kHasMin = false;
  // Half of an unsigned E4M3 number, byte `byte` of each lane; the NaN code counts as 0. As a float's topmost bits of exponent
  // and mantissa it is t, up to a power of two, and a subnormal number (m / 8 where t is 1 + m / 8) is the smaller
  // of both lines.
  template <int byte>
  static Floats half_e4m3(Ints codes) {
    const Ints moved = byte == 3 ? shift_right<4>(codes) : shift_left<byte == 0 ? 20 : byte == 1 ? 12 : 4>(codes);
    const Floats t = bits_to_floats(add(bit_and(moved, set1_int(0x7f << 20)), set1_int(119 << 23)));
    const Floats number = min(t, fma(t, set1(2), set1(-0x1p-7f)));
    const Ints code = bit_and(moved, set1_int(0xff << 20));
    return bits_to_floats(zero_if_equal(code, set1_int(0x7f << 20), floats_to_bits(number)));
  }
  template <class Rows>
  static void unpack_scales(const Rows& rows, const Panel& panel) {
    const Ints codes = rows.four(0);
    store(panel.scale, half_e4m3<0>(codes));
    store(panel.scale + 16, half_e4m3<1>(codes));
    store(panel.scale + 32, half_e4m3<2>(codes));
    store(panel.scale + 48, half_e4m3<3>(codes));
  }
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_scales(rows, panel);
    for (int pair = 0; pair < 2; ++pair) {  // of sub-blocks; each has 8 bytes: low nibbles, then high ones
      Bytes q[8];
      unpack_nibbles(rows, 4 + 16 * pair, q);
      look_up(q, kE2m1Table);
      const Bytes in_order[8] = {q[0], q[1], q[4], q[5], q[2], q[3], q[6], q[7]};
      store_bytes(panel.q + 8 * 64 * pair, in_order, 8);
    }
  }
  static constexpr int kRuns = 2, kRunTokens = 4;
  template <int run, class Rows>
  CARAT_ALWAYS_INLINE static Bytes codes(const Rows& rows, int, int g) {
    const Bytes v = as_bytes(rows.four(4 + 16 * run + 8 * (g / 4) + 4 * (g % 2)));
    return lookup(kE2m1Table, g % 4 < 2 ? low_nibbles(v) : high_nibbles(v));
  }
  template <class Rows, class Ask, class End>
  static void dot_block(const Rows& rows, const int8_t* q, const Int8Block* of_x, Ask ask, End end) {
    ask(0);
    for (int pair = 0; pair < 2; ++pair, q += 32) {
      Bytes v[4];
      rows.sixteen(4 + 16 * pair, v);
      for (int s = 0; s < 2; ++s) {
        const int16_t* sums = of_x[pair].sums[s];
        ByteSum<kMaxQ, kOffset, 4> sum;
        sum.begin(sums);
        for (int c = 0; c < 2; ++c) {
          sum.add(lookup(kE2m1Table, low_nibbles(v[2 * s + c])), q + 16 * s + 4 * c);
          sum.add(lookup(kE2m1Table, high_nibbles(v[2 * s + c])), q + 16 * s + 8 + 4 * c);
        }
        end(2 * pair + s, sum, sums);
      }
    }
  }
};

}  // namespace
}  // namespace carat
