// Products of integer blocks with 8-bit activations. Sixteen weight rows at a time are unpacked into a panel
// of unsigned bytes, [k/4][16 rows][4], which every token of the call uses; lanes are rows. Integer sums are
// exact and blocks are added in order of k, so a result depends on its row and its token alone.
namespace carat {
namespace {

constexpr int64_t kChunk = 1024;  // values of k unpacked at once: a panel that stays in the first-level cache

// Rounds one row of k values (a multiple of 32). A NaN or infinity makes the scale of its block NaN.
void quantize_row(const float* x, int64_t k, const Int8Rows& rows, int64_t row) {
  int8_t* q = rows.q + row * rows.q_stride;
  float* scale = rows.scale + row * rows.scale_stride;
  int16_t* sums = rows.sums + row * 2 * rows.scale_stride;
  float* scaled16 = rows.scaled16 + row * 2 * rows.scale_stride;
  float* scaled32 = rows.scaled32 + row * rows.scale_stride;
  for (int64_t block = 0; block < k / 32; ++block) {
    const Floats a = load(x + 32 * block), b = load(x + 32 * block + 16);
    const float largest = max_lane(max(abs(a), abs(b)));
    const float finite = sum(add(mul(a, zero()), mul(b, zero())));  // 0, or NaN
    const float inverse = largest > 1e-30f ? 127.0f / largest : 0.0f;
    const Ints first = round_to_ints(mul(a, set1(inverse))), second = round_to_ints(mul(b, set1(inverse)));
    store_s8(q + 32 * block, first);
    store_s8(q + 32 * block + 16, second);
    const float d = largest / 127.0f + finite;
    const int32_t sum_a = sum(first), sum_b = sum(second);
    scale[block] = d;
    sums[2 * block] = static_cast<int16_t>(sum_a);
    sums[2 * block + 1] = static_cast<int16_t>(sum_b);
    scaled16[2 * block] = d * static_cast<float>(sum_a);
    scaled16[2 * block + 1] = d * static_cast<float>(sum_b);
    scaled32[block] = d * static_cast<float>(sum_a + sum_b);
  }
}

// Where a format unpacks to. value = scale * (q - offset) - min, scale and min per sub-block and row.
struct Panel {
  uint8_t* q;    // [k/4][16][4]
  float* scale;  // [k/sub][16]
  float* min;    // [k/sub][16]; formats with kHasMin only
};

// Adds n_sub sub-blocks, from value k0 of the rows on, to acc of kTokens tokens.
template <class Format, int kTokens>
inline void dot_panel(const Panel& panel, int64_t n_sub, const Int8Rows& x, int64_t token, int64_t k0,
                      float* acc) {
  constexpr int kSub = Format::kSub;
  constexpr int16_t kOffset = Format::kOffset - (Format::kMaxQ > 127 ? kWideBias : 0);
  Floats total[kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) total[t] = load(acc + 16 * t);
  for (int64_t s = 0; s < n_sub; ++s) {
    const int64_t k = k0 + s * kSub;
    ByteDots<Format::kMaxQ, kSub / 4> dot[kTokens];
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      const int16_t* sums = x.sums + (token + t) * 2 * x.scale_stride + k / 32 * 2;
      if constexpr (kOffset == 0)
        dot[t].start(set1_int(0));
      else if constexpr (kSub == 32)
        dot[t].start(dot2(sums, -kOffset, -kOffset));
      else
        dot[t].start(s % 2 == 0 ? dot2(sums, -kOffset, 0) : dot2(sums, 0, -kOffset));
    }
#pragma GCC unroll 8
    for (int g = 0; g < kSub / 4; ++g) {
      const Bytes w = load_bytes(panel.q + (s * (kSub / 4) + g) * 64);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) dot[t].add(g, w, x.q + (token + t) * x.q_stride + k + 4 * g);
    }
    const Floats scale = load(panel.scale + 16 * s);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      const Floats factor = mul(scale, set1(x.scale[(token + t) * x.scale_stride + k / 32]));
      total[t] = fma(factor, to_floats(dot[t].total()), total[t]);
    }
    if constexpr (Format::kHasMin) {
      const Floats min = load(panel.min + 16 * s);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; ++t) {
        const float part = kSub == 32 ? x.scaled32[(token + t) * x.scale_stride + k / 32]
                                      : x.scaled16[(token + t) * 2 * x.scale_stride + k / 16];
        total[t] = fnma(min, set1(part), total[t]);
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) store(acc + 16 * t, total[t]);
}

template <class Format>
inline void dot_panel_all(const Panel& panel, int64_t n_sub, const Int8Dots& d, int64_t k0, float* acc) {
  int64_t t = 0;
  for (; t + kTileInt8 <= d.n_tokens; t += kTileInt8)
    dot_panel<Format, kTileInt8>(panel, n_sub, d.x, t, k0, acc + 16 * t);
  if constexpr (kTileInt8 > 4)
    if (t + 4 <= d.n_tokens) dot_panel<Format, 4>(panel, n_sub, d.x, t, k0, acc + 16 * t), t += 4;
  if constexpr (kTileInt8 > 2)
    if (t + 2 <= d.n_tokens) dot_panel<Format, 2>(panel, n_sub, d.x, t, k0, acc + 16 * t), t += 2;
  if (t < d.n_tokens) dot_panel<Format, 1>(panel, n_sub, d.x, t, k0, acc + 16 * t);
}

// The parts of a call's scratch memory.
struct Int8Scratch {
  Panel panel;
  float* acc;     // [n_tokens, 16]
  uint8_t* rows;  // copies of a last, incomplete panel's rows
};

inline Int8Scratch divide_scratch(const Int8Dots& d) {
  uint8_t* p = static_cast<uint8_t*>(d.scratch);
  Int8Scratch s;
  s.panel.q = p;
  p += kChunk * 16;
  s.panel.scale = reinterpret_cast<float*>(p);
  s.panel.min = s.panel.scale + kChunk / 16 * 16;
  s.acc = s.panel.min + kChunk / 16 * 16;
  s.rows = reinterpret_cast<uint8_t*>(s.acc + d.n_tokens * 16);
  return s;
}

// One panel: rows at `weights`, row_bytes apart, all sixteen readable. `next` is what will be read after it.
template <class Format>
inline void panel_dots(const Int8Dots& d, const uint8_t* weights, const uint8_t* next, const Int8Scratch& s) {
  for (int64_t i = 0; i < d.n_tokens; ++i) store(s.acc + 16 * i, zero());
  for (int64_t k0 = 0; k0 < d.k; k0 += kChunk) {
    const int64_t n = d.k - k0 < kChunk ? d.k - k0 : kChunk;
    for (int64_t k = 0; k < n; k += Format::kBlock) {
      const int64_t offset = (k0 + k) / Format::kBlock * Format::kBytes;
      const Panel at{s.panel.q + 16 * k, s.panel.scale + 16 * (k / Format::kSub),
                     s.panel.min + 16 * (k / Format::kSub)};
      // This panel's 16 blocks are consumed while as many bytes of the next one are on their way.
      for (int64_t i = 0; i < 16 * Format::kBytes; i += 64) prefetch(next + 16 * offset + i);
      Format::unpack(weights + offset, d.row_bytes, at);
    }
    dot_panel_all<Format>(s.panel, n / Format::kSub, d, k0, s.acc);
  }
}

template <class Format>
void int8_dots(const Int8Dots& d) {
  static_assert(kChunk % Format::kBlock == 0 && Format::kBlock % Format::kSub == 0);
  const Int8Scratch s = divide_scratch(d);
  for (int64_t row = 0; row < d.n_rows; row += 16) {
    const int64_t n = d.n_rows - row < 16 ? d.n_rows - row : 16;
    const uint8_t* weights = d.weights + row * d.row_bytes;
    const uint8_t* next = row + 32 <= d.n_rows ? weights + 16 * d.row_bytes : weights;
    if (n < 16) {
      // Rows may lie apart (one head of a cache's cells): what is between them is not theirs to read.
      const size_t used = static_cast<size_t>(d.k / Format::kBlock * Format::kBytes);
      for (int64_t r = 0; r < n; ++r) memcpy(s.rows + r * d.row_bytes, weights + r * d.row_bytes, used);
      for (int64_t r = n; r < 16; ++r) memset(s.rows + r * d.row_bytes, 0, used);
      weights = next = s.rows;
    }
    panel_dots<Format>(d, weights, next, s);
    for (int64_t t = 0; t < d.n_tokens; ++t) store_n(d.out + t * d.out_stride + row, load(s.acc + 16 * t), n);
  }
}

}  // namespace
}  // namespace carat
