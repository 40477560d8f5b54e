// Unpackers of the types with super-blocks of 256 values, whose sub-blocks' scales are small integers
// themselves. What a format's constants mean, and dot_block(), stand in small_blocks.inl.
namespace carat {
namespace {

// Four bytes per row, one after another: out[i] = d * byte i.
inline void store_scales(float* out, Floats d, Ints bytes) {
  for (int i = 0; i < 4; ++i) {
    store(out + 16 * i, mul(d, to_floats(bit_and(bytes, set1_int(255)))));
    bytes = shift_right<8>(bytes);
  }
}

// Four bytes per row, signed, one after another.
inline void store_byte_scales(float* out, Ints bytes) {
  store(out, byte_scales<0>(bytes));
  store(out + 16, byte_scales<1>(bytes));
  store(out + 32, byte_scales<2>(bytes));
  store(out + 48, byte_scales<3>(bytes));
}

// Value `value` of a super-block in the panel.
inline uint8_t* place(const Panel& panel, int value) { return panel.q + 16 * value; }

struct Q2_K {
  static constexpr int kBlock = 256, kBytes = 84, kSub = 16, kOffset = 0, kMaxQ = 3;
  static constexpr bool kHasMin = true;
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    const Ints both = rows.four(80);
    const Floats d = f16_lanes(both), dmin = f16_high_lanes(both);
    Bytes v[4];
    rows.sixteen(0, v);
    for (int c = 0; c < 4; ++c) {
      store_scales(panel.scale + 64 * c, d, as_ints(low_nibbles(v[c])));
      store_scales(panel.min + 64 * c, dmin, as_ints(high_nibbles(v[c])));
    }
    for (int i = 0; i < 4; ++i) {  // 16 bytes hold sixteen values of four sub-blocks 32 apart
      rows.sixteen(16 + 16 * i, v);
      for (int k = 0; k < 4; ++k)
        for (int c = 0; c < 4; ++c) {
          store(place(panel, i / 2 * 128 + 32 * k + i % 2 * 16 + 4 * c), bit_and(v[c], set1_byte(3)));
          v[c] = shift_right<2>(v[c]);
        }
    }
  }
};

struct Q3_K {
  static constexpr int kBlock = 256, kBytes = 110, kSub = 16, kOffset = 4, kMaxQ = 7;
  static constexpr bool kHasMin = false, kByteScales = true;
  template <class Rows>
  static void unpack_scales(const Rows& rows, const Panel& panel) {
    const Ints low = rows.four(96), middle = rows.four(100), mask = set1_int(0x0f0f0f0f);
    Ints high = rows.four(104);
    // Scales are six bits, minus 32: with the topmost turned over, two bits higher they are bytes of four times as much.
    store(panel.of_block, mul(rows.half(108), set1(0.25f)));
    const Ints fours[4] = {bit_and(low, mask), bit_and(middle, mask), bit_and(shift_right<4>(low), mask),
                           bit_and(shift_right<4>(middle), mask)};
    for (int g = 0; g < 4; ++g) {
      const Ints twos = shift_left<4>(bit_and(high, set1_int(0x03030303)));
      const Ints six = bit_or(fours[g], twos);
      store_byte_scales(panel.scale + 64 * g, as_ints(shift_left<2>(bit_xor(as_bytes(six), set1_byte(32)))));
      high = shift_right<2>(high);
    }
  }
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_scales(rows, panel);
    for (int s = 0; s < 2; ++s) {  // the halves of 32 values
      Bytes high[4], v[4];
      rows.sixteen(16 * s, high);
      for (int h = 0; h < 2; ++h) {
        rows.sixteen(32 + 32 * h + 16 * s, v);
        for (int k = 0; k < 4; ++k)
          for (int c = 0; c < 4; ++c) {
            const Bytes third = shift_left<2>(bit_and(high[c], set1_byte(1)));
            store(place(panel, 128 * h + 32 * k + 16 * s + 4 * c),
                  bit_or(bit_and(v[c], set1_byte(3)), third));
            v[c] = shift_right<2>(v[c]);
            high[c] = shift_right<1>(high[c]);
          }
      }
    }
  }
};

// Q4_K's and Q5_K's first 16 bytes: d, dmin and eight 6-bit scales and minima in twelve bytes.
template <class Rows>
inline void unpack_six_bit_scales(const Rows& rows, const Panel& panel) {
  Bytes v[4];
  rows.sixteen(0, v);
  const Floats d = f16_lanes(as_ints(v[0])), dmin = f16_high_lanes(as_ints(v[0]));
  const Ints scales = as_ints(v[1]), mins = as_ints(v[2]), fours = as_ints(v[3]);
  const Ints six = set1_int(0x3f3f3f3f), four = set1_int(0x0f0f0f0f), two = set1_int(0x30303030);
  store_scales(panel.scale, d, bit_and(scales, six));
  store_scales(panel.min, dmin, bit_and(mins, six));
  store_scales(panel.scale + 64, d, bit_or(bit_and(fours, four), bit_and(shift_right<2>(scales), two)));
  store_scales(panel.min + 64, dmin,
               bit_or(bit_and(shift_right<4>(fours), four), bit_and(shift_right<2>(mins), two)));
}

struct Q4_K {
  static constexpr int kBlock = 256, kBytes = 144, kSub = 32, kOffset = 0, kMaxQ = 15;
  static constexpr bool kHasMin = true;
  template <class Rows>
  static void unpack_scales(const Rows& rows, const Panel& panel) {
    unpack_six_bit_scales(rows, panel);
  }
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_scales(rows, panel);
    for (int i = 0; i < 8; ++i) {  // 16 bytes hold sixteen values of two sub-blocks
      Bytes q[8];
      unpack_nibbles(rows, 16 + 16 * i, q);
      store_bytes(place(panel, i / 2 * 64 + i % 2 * 16), q, 4);
      store_bytes(place(panel, i / 2 * 64 + i % 2 * 16 + 32), q + 4, 4);
    }
  }
  static constexpr int kRuns = 2, kRunTokens = 4;
  template <int run, class Rows>
  CARAT_ALWAYS_INLINE static Bytes codes(const Rows& rows, int step, int g) {
    const Bytes v = as_bytes(rows.four(16 + 32 * step + 4 * g));
    return run == 0 ? low_nibbles(v) : high_nibbles(v);
  }
  template <class Rows, class Ask, class End>
  static void dot_block(const Rows& rows, const int8_t* q, const Int8Block* of_x, Ask ask, End end) {
    for (int i = 0; i < 4; ++i, q += 64, of_x += 2) {
      ask(i);
      ByteSum<kMaxQ, kOffset, 8> low, high;
      low.begin(of_x[0].sums[2]), high.begin(of_x[1].sums[2]);
      for (int s = 0; s < 2; ++s) {
        Bytes v[4];
        rows.sixteen(16 + 32 * i + 16 * s, v);
        for (int c = 0; c < 4; ++c) {
          low.add(low_nibbles(v[c]), q + 16 * s + 4 * c);
          high.add(high_nibbles(v[c]), q + 32 + 16 * s + 4 * c);
        }
      }
      end(2 * i, low, of_x[0].sums[2]), end(2 * i + 1, high, of_x[1].sums[2]);
    }
  }
};

struct Q5_K {
  static constexpr int kBlock = 256, kBytes = 176, kSub = 32, kOffset = 0, kMaxQ = 31;
  static constexpr bool kHasMin = true;
  template <class Rows>
  static void unpack_scales(const Rows& rows, const Panel& panel) {
    unpack_six_bit_scales(rows, panel);
  }
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_scales(rows, panel);
    for (int s = 0; s < 2; ++s) {  // the halves of 32 values
      Bytes high[4], q[8];
      rows.sixteen(16 + 16 * s, high);
      for (int i = 0; i < 4; ++i) {
        unpack_nibbles(rows, 48 + 32 * i + 16 * s, q);
        for (int c = 0; c < 8; ++c) {
          q[c] = bit_or(q[c], shift_left<4>(bit_and(high[c % 4], set1_byte(1))));
          high[c % 4] = shift_right<1>(high[c % 4]);
        }
        store_bytes(place(panel, 64 * i + 16 * s), q, 4);
        store_bytes(place(panel, 64 * i + 16 * s + 32), q + 4, 4);
      }
    }
  }
  // Bit i of each byte as bit 4.
  template <int i>
  static Bytes fifth_bits(Bytes v) {
    const Ints moved = i < 4 ? shift_left<(4 - i) & 7>(as_ints(v)) : shift_right<(i - 4) & 7>(as_ints(v));
    return bit_and(as_bytes(moved), set1_byte(16));
  }
  static constexpr int kRuns = 8, kRunTokens = 3;
  template <int run, class Rows>
  CARAT_ALWAYS_INLINE static Bytes codes(const Rows& rows, int, int g) {
    const Bytes v = as_bytes(rows.four(48 + 32 * (run / 2) + 4 * g)), fifth = as_bytes(rows.four(16 + 4 * g));
    return bit_or(run % 2 == 0 ? low_nibbles(v) : high_nibbles(v), fifth_bits<run>(fifth));
  }
  // Sub-blocks 2 i and 2 i + 1. Bits 2 i and 2 i + 1 of `high` are their fifth.
  template <int i, class Rows, class End>
  static void dot_pair(const Rows& rows, const int8_t* q, const Int8Block* of_x, const Bytes* high, End end) {
    ByteSum<kMaxQ, kOffset, 8> first, second;
    first.begin(of_x[0].sums[2]), second.begin(of_x[1].sums[2]);
    for (int s = 0; s < 2; ++s) {
      Bytes v[4];
      rows.sixteen(48 + 32 * i + 16 * s, v);
      for (int c = 0; c < 4; ++c) {
        const Bytes fifth = high[4 * s + c];
        first.add(bit_or(low_nibbles(v[c]), fifth_bits<2 * i>(fifth)), q + 16 * s + 4 * c);
        second.add(bit_or(high_nibbles(v[c]), fifth_bits<2 * i + 1>(fifth)), q + 32 + 16 * s + 4 * c);
      }
    }
    end(2 * i, first, of_x[0].sums[2]), end(2 * i + 1, second, of_x[1].sums[2]);
  }
  template <class Rows, class Ask, class End>
  static void dot_block(const Rows& rows, const int8_t* q, const Int8Block* of_x, Ask ask, End end) {
    Bytes high[8];
    rows.sixteen(16, high);
    rows.sixteen(32, high + 4);
    ask(0), dot_pair<0>(rows, q, of_x, high, end);
    ask(1), dot_pair<1>(rows, q + 64, of_x + 2, high, end);
    ask(2), dot_pair<2>(rows, q + 128, of_x + 4, high, end);
    ask(3), dot_pair<3>(rows, q + 192, of_x + 6, high, end);
  }
};

struct Q6_K {
  static constexpr int kBlock = 256, kBytes = 210, kSub = 16, kOffset = 32, kMaxQ = 63;
  static constexpr bool kHasMin = false, kByteScales = true;
  template <class Rows>
  static void unpack_scales(const Rows& rows, const Panel& panel) {
    store(panel.of_block, rows.half(208));
    Bytes v[4];
    rows.sixteen(192, v);
    for (int c = 0; c < 4; ++c) store_byte_scales(panel.scale + 64 * c, as_ints(v[c]));
  }
  // Bits 2 i and 2 i + 1 of each byte as bits 4 and 5.
  template <int i>
  static Bytes high_bits(Bytes v) {
    const Ints moved = i < 2 ? shift_left<i == 0 ? 4 : 2>(as_ints(v)) : shift_right<i == 2 ? 0 : 2>(as_ints(v));
    return bit_and(as_bytes(moved), set1_byte(0x30));
  }
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_scales(rows, panel);
    for (int i = 0; i < 4; ++i) {  // half h, and half s of 32 values
      const int h = i / 2, s = i % 2, value = 128 * h + 16 * s;
      Bytes v[4], first[4], second[4];
      rows.sixteen(64 * h + 16 * s, first);
      rows.sixteen(64 * h + 32 + 16 * s, second);
      rows.sixteen(128 + 32 * h + 16 * s, v);
      for (int c = 0; c < 4; ++c) {
        store(place(panel, value + 4 * c), bit_or(low_nibbles(first[c]), high_bits<0>(v[c])));
        store(place(panel, value + 32 + 4 * c), bit_or(low_nibbles(second[c]), high_bits<1>(v[c])));
        store(place(panel, value + 64 + 4 * c), bit_or(high_nibbles(first[c]), high_bits<2>(v[c])));
        store(place(panel, value + 96 + 4 * c), bit_or(high_nibbles(second[c]), high_bits<3>(v[c])));
      }
    }
  }
  static constexpr int kRuns = 4, kRunTokens = 3;
  template <int run, class Rows>
  CARAT_ALWAYS_INLINE static Bytes codes(const Rows& rows, int half, int g) {
    const Bytes v = as_bytes(rows.four(64 * half + 32 * (run % 2) + 4 * g)), high = as_bytes(rows.four(128 + 32 * half + 4 * g));
    return bit_or(run < 2 ? low_nibbles(v) : high_nibbles(v), high_bits<run>(high));
  }
  template <class Rows, class Ask, class End>
  static void dot_block(const Rows& rows, const int8_t* q, const Int8Block* of_x, Ask ask, End end) {
    for (int i = 0; i < 4; ++i) {
      ask(i);
      const int h = i / 2, s = i % 2;
      const int8_t* x = q + 128 * h + 16 * s;
      const auto sums = [&](int j) { return of_x[4 * h + j].sums[s]; };
      ByteSum<kMaxQ, kOffset, 4> sum[4];
      for (int j = 0; j < 4; ++j) sum[j].begin(sums(j));
      Bytes v[4], low[4];
      rows.sixteen(128 + 32 * h + 16 * s, v);
      rows.sixteen(64 * h + 16 * s, low);
      for (int c = 0; c < 4; ++c) {
        sum[0].add(bit_or(low_nibbles(low[c]), high_bits<0>(v[c])), x + 4 * c);
        sum[2].add(bit_or(high_nibbles(low[c]), high_bits<2>(v[c])), x + 64 + 4 * c);
      }
      rows.sixteen(64 * h + 32 + 16 * s, low);
      for (int c = 0; c < 4; ++c) {
        sum[1].add(bit_or(low_nibbles(low[c]), high_bits<1>(v[c])), x + 32 + 4 * c);
        sum[3].add(bit_or(high_nibbles(low[c]), high_bits<3>(v[c])), x + 96 + 4 * c);
      }
      for (int j = 0; j < 4; ++j) end(8 * h + 2 * j + s, sum[j], sums(j));
    }
  }
};

struct IQ4_XS {
  static constexpr int kBlock = 256, kBytes = 136, kSub = 32, kOffset = 127, kMaxQ = 240;
  static constexpr bool kHasMin = false;
  template <class Rows>
  static void unpack_scales(const Rows& rows, const Panel& panel) {
    const Ints head = rows.four(0);
    const Floats d = f16_lanes(head);
    Ints low = rows.four(4), high = shift_right<16>(head);
    for (int b = 0; b < 8; ++b) {
      const Ints two = shift_left<4>(bit_and(high, set1_int(3)));
      const Ints six = sub(bit_or(bit_and(low, set1_int(15)), two), set1_int(32));
      store(panel.scale + 16 * b, mul(d, to_floats(six)));
      low = shift_right<4>(low), high = shift_right<2>(high);
    }
  }
  template <class Rows>
  static void unpack(const Rows& rows, const Panel& panel) {
    unpack_scales(rows, panel);
    for (int b = 0; b < 8; ++b) {
      Bytes q[8];
      unpack_nibbles(rows, 8 + 16 * b, q);
      look_up(q, kIq4Table);
      store_bytes(place(panel, 32 * b), q, 8);
    }
  }
  static constexpr int kRuns = 1, kRunTokens = 4;
  template <int, class Rows>
  CARAT_ALWAYS_INLINE static Bytes codes(const Rows& rows, int step, int g) {
    const Bytes v = as_bytes(rows.four(8 + 16 * step + 4 * (g % 4)));
    return lookup(kIq4Table, g < 4 ? low_nibbles(v) : high_nibbles(v));
  }
  template <class Rows, class Ask, class End>
  static void dot_block(const Rows& rows, const int8_t* q, const Int8Block* of_x, Ask ask, End end) {
    for (int b = 0; b < 8; ++b, q += 32) {
      if (b % 2 == 0) ask(b / 2);
      EntrySum<kMaxQ, kOffset, 8> sum;
      sum.begin(of_x[b].sums[2]);
      Bytes v[4];
      rows.sixteen(8 + 16 * b, v);
      for (int c = 0; c < 4; ++c) {
        sum.add(iq4_entries(low_nibbles(v[c])), q + 4 * c);
        sum.add(iq4_entries(high_nibbles(v[c])), q + 16 + 4 * c);
      }
      end(b, sum, of_x[b].sums[2]);
    }
  }
};

}  // namespace
}  // namespace carat
