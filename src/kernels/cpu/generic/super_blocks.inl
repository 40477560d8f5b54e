// Unpackers of the types with super-blocks of 256 values, whose sub-blocks' scales are small integers
// themselves. What a format's constants mean stands in small_blocks.inl.
namespace carat {
namespace {

// Four bytes per row, one after another: out[i] = d * (byte i - offset).
inline void store_scales(float* out, Floats d, Ints bytes, int32_t offset = 0) {
  for (int i = 0; i < 4; ++i) {
    store(out + 16 * i, mul(d, to_floats(sub(bit_and(bytes, set1_int(255)), set1_int(offset)))));
    bytes = shift_right<8>(bytes);
  }
}

// Value `value` of a super-block in the panel.
inline uint8_t* place(const Panel& panel, int value) { return panel.q + 16 * value; }

struct Q2_K {
  static constexpr int kBlock = 256, kBytes = 84, kSub = 16, kOffset = 0, kMaxQ = 3;
  static constexpr bool kHasMin = true;
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    const Ints both = gather4(p + 80, stride);
    const Floats d = f16_lanes(both), dmin = f16_high_lanes(both);
    Bytes v[4];
    transpose16(p, stride, v);
    for (int c = 0; c < 4; ++c) {
      store_scales(panel.scale + 64 * c, d, as_ints(low_nibbles(v[c])));
      store_scales(panel.min + 64 * c, dmin, as_ints(high_nibbles(v[c])));
    }
    for (int i = 0; i < 4; ++i) {  // 16 bytes hold sixteen values of four sub-blocks 32 apart
      transpose16(p + 16 + 16 * i, stride, v);
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
  static constexpr bool kHasMin = false;
  static void unpack_scales(const uint8_t* p, int64_t stride, const Panel& panel) {
    // The last 16 bytes of the block are two of the quants, twelve of scales and d.
    Bytes v[4];
    transpose16(p + 94, stride, v);
    const auto joined = [&](int i) {
      return bit_or(shift_right<16>(as_ints(v[i])), shift_left<16>(as_ints(v[i + 1])));
    };
    const Ints low = joined(0), middle = joined(1), mask = set1_int(0x0f0f0f0f);
    Ints high = joined(2);
    const Floats d = f16_high_lanes(as_ints(v[3]));
    const Ints fours[4] = {bit_and(low, mask), bit_and(middle, mask), bit_and(shift_right<4>(low), mask),
                           bit_and(shift_right<4>(middle), mask)};
    for (int g = 0; g < 4; ++g) {
      const Ints twos = shift_left<4>(bit_and(high, set1_int(0x03030303)));
      store_scales(panel.scale + 64 * g, d, bit_or(fours[g], twos), 32);
      high = shift_right<2>(high);
    }
  }
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    unpack_scales(p, stride, panel);
    for (int s = 0; s < 2; ++s) {  // the halves of 32 values
      Bytes high[4], v[4];
      transpose16(p + 16 * s, stride, high);
      for (int h = 0; h < 2; ++h) {
        transpose16(p + 32 + 32 * h + 16 * s, stride, v);
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
inline void unpack_six_bit_scales(const uint8_t* p, int64_t stride, const Panel& panel) {
  Bytes v[4];
  transpose16(p, stride, v);
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
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    unpack_six_bit_scales(p, stride, panel);
    for (int i = 0; i < 8; ++i) {  // 16 bytes hold sixteen values of two sub-blocks
      Bytes q[8];
      unpack_nibbles(p + 16 + 16 * i, stride, q);
      store_bytes(place(panel, i / 2 * 64 + i % 2 * 16), q, 4);
      store_bytes(place(panel, i / 2 * 64 + i % 2 * 16 + 32), q + 4, 4);
    }
  }
};

struct Q5_K {
  static constexpr int kBlock = 256, kBytes = 176, kSub = 32, kOffset = 0, kMaxQ = 31;
  static constexpr bool kHasMin = true;
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    unpack_six_bit_scales(p, stride, panel);
    for (int s = 0; s < 2; ++s) {  // the halves of 32 values
      Bytes high[4], q[8];
      transpose16(p + 16 + 16 * s, stride, high);
      for (int i = 0; i < 4; ++i) {
        unpack_nibbles(p + 48 + 32 * i + 16 * s, stride, q);
        for (int c = 0; c < 8; ++c) {
          q[c] = bit_or(q[c], shift_left<4>(bit_and(high[c % 4], set1_byte(1))));
          high[c % 4] = shift_right<1>(high[c % 4]);
        }
        store_bytes(place(panel, 64 * i + 16 * s), q, 4);
        store_bytes(place(panel, 64 * i + 16 * s + 32), q + 4, 4);
      }
    }
  }
};

struct Q6_K {
  static constexpr int kBlock = 256, kBytes = 210, kSub = 16, kOffset = 32, kMaxQ = 63;
  static constexpr bool kHasMin = false;
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    const Floats d = f16_high_lanes(gather4(p + 206, stride));
    Bytes v[4], first[4], second[4];
    transpose16(p + 192, stride, v);
    for (int c = 0; c < 4; ++c)  // signed bytes
      store_scales(panel.scale + 64 * c, d, as_ints(bit_xor(v[c], set1_byte(128))), 128);
    const auto with_high = [&](Bytes low, int c) {
      const Bytes q = bit_or(low, shift_left<4>(bit_and(v[c], set1_byte(3))));
      v[c] = shift_right<2>(v[c]);
      return q;
    };
    for (int i = 0; i < 4; ++i) {
      const int h = i / 2, s = i % 2, value = 128 * h + 16 * s;
      transpose16(p + 64 * h + 16 * s, stride, first);
      transpose16(p + 64 * h + 32 + 16 * s, stride, second);
      transpose16(p + 128 + 32 * h + 16 * s, stride, v);
      for (int c = 0; c < 4; ++c) {
        store(place(panel, value + 4 * c), with_high(low_nibbles(first[c]), c));
        store(place(panel, value + 32 + 4 * c), with_high(low_nibbles(second[c]), c));
        store(place(panel, value + 64 + 4 * c), with_high(high_nibbles(first[c]), c));
        store(place(panel, value + 96 + 4 * c), with_high(high_nibbles(second[c]), c));
      }
    }
  }
};

struct IQ4_XS {
  static constexpr int kBlock = 256, kBytes = 136, kSub = 32, kOffset = 127, kMaxQ = 240;
  static constexpr bool kHasMin = false;
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    const Ints head = gather4(p, stride);
    const Floats d = f16_lanes(head);
    Ints low = gather4(p + 4, stride), high = shift_right<16>(head);
    for (int b = 0; b < 8; ++b) {
      const Ints two = shift_left<4>(bit_and(high, set1_int(3)));
      const Ints six = sub(bit_or(bit_and(low, set1_int(15)), two), set1_int(32));
      store(panel.scale + 16 * b, mul(d, to_floats(six)));
      low = shift_right<4>(low), high = shift_right<2>(high);
      Bytes q[8];
      unpack_nibbles(p + 8 + 16 * b, stride, q);
      look_up(q, kIq4Table);
      store_bytes(place(panel, 32 * b), q, 8);
    }
  }
};

}  // namespace
}  // namespace carat
