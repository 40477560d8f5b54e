// Cells of a cache as floats, for the types that no dot product reads directly, and keys out of values. A
// decoded value is (q - offset) * d with one rounding, bit for bit the codec's: a quantized cache computes
// exactly like an F32 cache that holds what it decodes to.
namespace carat {
namespace {

// A type says its block and its bytes, and turns a block into vectors of sixteen. Only rows of numbers may
// end inside a vector.
struct F32Cells {
  static constexpr int64_t kBlock = 16, kBytes = 64;
  static void decode(const uint8_t* p, Floats* out) { out[0] = load(reinterpret_cast<const float*>(p)); }
  static Floats decode_part(const uint8_t* p, int64_t n) {
    return load_part(reinterpret_cast<const float*>(p), n);
  }
};

struct F16Cells {
  static constexpr int64_t kBlock = 16, kBytes = 32;
  static void decode(const uint8_t* p, Floats* out) {
    out[0] = load_f16(reinterpret_cast<const uint16_t*>(p));
  }
  static Floats decode_part(const uint8_t* p, int64_t n) {
    return load_f16_part(reinterpret_cast<const uint16_t*>(p), n);
  }
};

struct Bf16Cells {
  static constexpr int64_t kBlock = 16, kBytes = 32;
  static void decode(const uint8_t* p, Floats* out) {
    out[0] = load_bf16(reinterpret_cast<const uint16_t*>(p));
  }
  static Floats decode_part(const uint8_t* p, int64_t n) {
    return load_bf16_part(reinterpret_cast<const uint16_t*>(p), n);
  }
};

// One block of 32: d as f16 first. Layouts: the codecs' headers in quant/.
struct Q8_0Cells {
  static constexpr int64_t kBlock = 32, kBytes = 34;
  static void decode(const uint8_t* p, Floats* out) {
    const Floats d = set1_f16(p);
    out[0] = mul(to_floats(load_s8(p + 2)), d);
    out[1] = mul(to_floats(load_s8(p + 18)), d);
  }
};

struct Q4_0Cells {
  static constexpr int64_t kBlock = 32, kBytes = 18;
  static void decode(const uint8_t* p, Floats* out) {
    const Floats d = set1_f16(p);
    const Ints codes = load_u8(p + 2);
    out[0] = mul(to_floats(sub(bit_and(codes, set1_int(15)), set1_int(8))), d);
    out[1] = mul(to_floats(sub(shift_right<4>(codes), set1_int(8))), d);
  }
};

constexpr int32_t kBitOfLane[16] = {1,      1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
                                    1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};

struct Q5_0Cells {
  static constexpr int64_t kBlock = 32, kBytes = 22;
  // Lane i: 0 where bit i is set, else -16: the fifth bit and the offset in one.
  static Ints fifth(Ints bits) {
    return sub(zero_if_equal(bit_and(bits, load_ints(kBitOfLane)), set1_int(0), set1_int(16)), set1_int(16));
  }
  static void decode(const uint8_t* p, Floats* out) {
    const Floats d = set1_f16(p);
    int32_t high;
    memcpy(&high, p + 2, 4);
    const Ints codes = load_u8(p + 6), bits = set1_int(high);
    out[0] = mul(to_floats(add(bit_and(codes, set1_int(15)), fifth(bits))), d);
    out[1] = mul(to_floats(add(shift_right<4>(codes), fifth(shift_right<16>(bits)))), d);
  }
};

template <class Cells, bool has_norm>
inline void decode_row(const uint8_t* p, int64_t k, const float* norm, float* out) {
  constexpr int64_t kVectors = Cells::kBlock / 16;
  int64_t i = 0;
  for (; i + Cells::kBlock <= k; i += Cells::kBlock, p += Cells::kBytes) {
    Floats v[kVectors];
    Cells::decode(p, v);
    for (int64_t j = 0; j < kVectors; ++j)
      store(out + i + 16 * j, has_norm ? mul(v[j], load(norm + i + 16 * j)) : v[j]);
  }
  if constexpr (Cells::kBlock == 16)
    if (i < k) {
      const Floats v = Cells::decode_part(p, k - i);
      store_part(out + i, has_norm ? mul(v, load_part(norm + i, k - i)) : v, k - i);
    }
}

// While these rows are decoded, as many behind them are fetched: they are asked for next.
template <class Cells>
void decode_cells(const CellRows& c) {
  const int64_t row_bytes = c.k / Cells::kBlock * Cells::kBytes;
  for (int64_t r = 0; r < c.n_rows; ++r) {
    const uint8_t* p = static_cast<const uint8_t*>(c.cells) + r * c.stride;
    for (int64_t i = 0; i < row_bytes; i += 64) prefetch(p + c.n_rows * c.stride + i);
    if (c.norm == nullptr)
      decode_row<Cells, false>(p, c.k, nullptr, c.out + r * c.out_stride);
    else
      decode_row<Cells, true>(p, c.k, c.norm, c.out + r * c.out_stride);
  }
}

// The same operations in the same order as rotate(): with decode_cells' norm, a key that is rebuilt from the
// F32 value has the bits of the key that would have been stored.
void turn_rows(const TurnRows& t) {
  const int64_t half = t.half;
  for (int64_t r = 0; r < t.n_rows; ++r) {
    float* x = t.x + r * 2 * half;
    const float* cosine = t.angles + r * 2 * t.n_turning;
    const float* sine = cosine + t.n_turning;
    each_sixteen(t.n_turning, [&](int64_t i, int64_t n) {
      const Floats a = load_n(x + i, n), b = load_n(x + half + i, n);
      const Floats c = load_n(cosine + i, n), s = load_n(sine + i, n);
      store_n(x + i, fnma(b, s, mul(a, c)), n);
      store_n(x + half + i, fma(a, s, mul(b, c)), n);
    });
  }
}

}  // namespace
}  // namespace carat
