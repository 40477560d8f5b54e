// Products of integer blocks with 8-bit activations. Sixteen weight rows at a time are unpacked into a panel
// of unsigned bytes, [k/4][16 rows][4], which every token of the call uses; lanes are rows. Integer sums are
// exact and blocks are added in order of k, so a result depends on its row and its token alone.
namespace carat {
namespace {

// Values of k unpacked at once: a panel that stays in the first-level cache. Few tokens are bound by memory, which
// should not rest while a long piece is multiplied.
constexpr int64_t kChunk = 1024, kFewChunk = 256;

#ifndef CARAT_OWN_BYTE_SCALES
// Scales that are whole numbers, of signed byte `byte` of each lane: in the form in which scaled() takes them.
template <int byte>
inline Floats byte_scales(Ints v) {
  return to_floats(shift_right_signed<24>(shift_left<24 - 8 * byte>(v)));
}
using ScaledSum = Floats;
inline Floats to_floats(ScaledSum a) { return a; }
// A ByteSum's raw() times byte_scales(): exact, as add() of two of them is, where all stay below 2^24.
inline ScaledSum scaled(Ints raw, Floats scale) { return mul(to_floats(raw), scale); }
#endif

// Rounds one row of k values (a multiple of 32). A NaN or infinity makes the scale of its block NaN.
void quantize_row(const float* x, int64_t k, const Int8Rows& rows, int64_t row) {
  int8_t* q = rows.q + row * rows.q_stride;
  Int8Block* blocks = rows.blocks + row * rows.block_stride;
  for (int64_t block = 0; block < k / 32; ++block) {
    const Floats a = load(x + 32 * block), b = load(x + 32 * block + 16);
    const float largest = max_lane(max(abs(a), abs(b)));
    const float finite = sum(add(mul(a, zero()), mul(b, zero())));  // 0, or NaN
    const float inverse = largest > 1e-30f ? 127.0f / largest : 0.0f;
    const Ints first = round_to_ints(mul(a, set1(inverse))), second = round_to_ints(mul(b, set1(inverse)));
    store_s8(q + 32 * block, first);
    store_s8(q + 32 * block + 16, second);
    const float d = largest / 127.0f + finite;
    int16_t a_sums[2], b_sums[2];
    pair_sums(first, a_sums), pair_sums(second, b_sums);
    const int32_t sum_a = a_sums[0] + a_sums[1], sum_b = b_sums[0] + b_sums[1];
    blocks[block].scale = d;
    for (int i = 0; i < 2; ++i) {
      blocks[block].sums[0][i] = a_sums[i];
      blocks[block].sums[1][i] = b_sums[i];
      blocks[block].sums[2][i] = static_cast<int16_t>(a_sums[i] + b_sums[i]);
    }
    blocks[block].scaled32 = d * static_cast<float>(sum_a + sum_b);
    blocks[block].scaled16[0] = d * static_cast<float>(sum_a);
    blocks[block].scaled16[1] = d * static_cast<float>(sum_b);
  }
}

// end(t, ByteSum of (w - kOffset) x_t) for kTokens rows x_t = x + t * stride; w(g) is group g of four bytes of w in each of
// sixteen rows and is called once for each g, in order. sums(t): see ByteSum.
template <int kMaxQ, int kOffset, int kGroups, int kTokens, class Weights, class Sums, class End>
inline void dot_bytes(Weights w, const int8_t* x, int64_t stride, Sums sums, End end) {
  ByteSum<kMaxQ, kOffset, kGroups> sum[kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) sum[t].begin(sums(t));
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; ++g) {
    const Bytes bytes = w(g);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) sum[t].add(bytes, x + t * stride + 4 * g);
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) end(t, sum[t]);
}

// Where a format unpacks to. value = scale * (q - offset) - min, scale and min per sub-block and row; or, in formats with
// kByteScales, value = of_block * scale * (q - offset), where `scale` holds byte_scales().
struct Panel {
  uint8_t* q;       // [k/4][16][4]
  float* scale;     // [k/sub][16]
  float* min;       // [k/sub][16]; formats with kHasMin only
  float* of_block;  // [k/256][16]; with kByteScales only
};

template <class Format>
constexpr bool kByteScales = requires { Format::kByteScales; };

// Adds two sub-blocks of 16 with byte_scales() to the totals: their sums go into one float. A product of 6-bit codes is at most
// 16 * 32 * 127, that times a scale 2^23. Arguments: add_values().
template <class Format, int kTokens, class Codes>
CARAT_ALWAYS_INLINE void add_scaled_pair(Codes codes, const Panel& panel, const int8_t* q, int64_t q_stride,
                                         const Int8Block* blocks, int64_t block_stride, Floats* total) {
  static_assert(Format::kSub == 16 && Format::kMaxQ <= 63 && !Format::kHasMin);
  ScaledSum both[kTokens];
#pragma GCC unroll 2
  for (int s = 0; s < 2; ++s) {
    const Floats scale = load(panel.scale + 16 * s);
    const auto sums = [&](int t) { return blocks[t * block_stride].sums[s]; };
    dot_bytes<Format::kMaxQ, Format::kOffset, 4, kTokens>(
        [&](int g) { return codes(4 * s + g); }, q + s * 16, q_stride, sums,
        [&](int t, const auto& sum) {
          const ScaledSum part = scaled(sum.raw(), scale);
          both[t] = s == 0 ? part : add(both[t], part);
        });
  }
  const Floats of_block = load(panel.of_block);
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t)
    total[t] = fma(mul(of_block, set1(blocks[t * block_stride].scale)), to_floats(both[t]), total[t]);
}

// Adds sub-block s (of 32 / kSub) of 32 values.
template <class Format, int kTokens, class Codes>
CARAT_ALWAYS_INLINE void add_sub_block(Codes codes, const Panel& panel, int s, const int8_t* q, int64_t q_stride,
                                       const Int8Block* blocks, int64_t block_stride, Floats* total) {
  constexpr int kSub = Format::kSub;
  Ints dot[kTokens];
  const auto sums = [&](int t) { return blocks[t * block_stride].sums[kSub == 32 ? 2 : s]; };
  dot_bytes<Format::kMaxQ, Format::kOffset, kSub / 4, kTokens>(
      [&](int g) { return codes(s * kSub / 4 + g); }, q + s * kSub, q_stride, sums,
      [&](int t, const auto& sum) { dot[t] = sum.end(sums(t)); });
  const Floats scale = load(panel.scale + 16 * s);
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t)
    total[t] = fma(mul(scale, set1(blocks[t * block_stride].scale)), to_floats(dot[t]), total[t]);
  if constexpr (Format::kHasMin) {
    const Floats min = load(panel.min + 16 * s);
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      const Int8Block& block = blocks[t * block_stride];
      total[t] = fnma(min, set1(kSub == 32 ? block.scaled32 : block.scaled16[s]), total[t]);
    }
  }
}

// Adds 32 values to the totals of kTokens tokens, whose integers and blocks stand q_stride and block_stride apart. codes(g) is
// group g of four bytes of each of sixteen rows; their scales and minima are the panel's first.
template <class Format, int kTokens, class Codes>
CARAT_ALWAYS_INLINE void add_values(Codes codes, const Panel& panel, const int8_t* q, int64_t q_stride,
                                    const Int8Block* blocks, int64_t block_stride, Floats* total) {
  if constexpr (kByteScales<Format>) {
    add_scaled_pair<Format, kTokens>(codes, panel, q, q_stride, blocks, block_stride, total);
  } else {
#pragma GCC unroll 2
    for (int s = 0; s < 32 / Format::kSub; ++s)
      add_sub_block<Format, kTokens>(codes, panel, s, q, q_stride, blocks, block_stride, total);
  }
}
// On to the scales of the next 32 values.
template <class Format>
inline void next_scales(Panel& panel) {
  panel.scale += 16 * (32 / Format::kSub);
  if constexpr (Format::kHasMin) panel.min += 16 * (32 / Format::kSub);
}

// Asks for a share of what a panel's rows hold, sixteen rows' bytes of so many values: of a block, or of 64 values of a
// longer one. Share by share the panel is read in four places at once, each of them in order: the streams of four pages
// keep more of memory busy than one.
template <class Format>
constexpr int kShareValues = Format::kBlock < 64 ? Format::kBlock : 64;
template <class Format>
inline void prefetch_share(const uint8_t* panel, int64_t stride, int64_t share) {
  constexpr int n_bytes = 16 * Format::kBytes * kShareValues<Format> / Format::kBlock;
  const uint8_t* p = panel + share % 4 * 4 * stride + share / 4 * n_bytes;
#pragma GCC unroll 32
  for (int i = 0; i < n_bytes; i += 64) prefetch(p + i);
}

// Where rows lie apart, as one head of a cache's cells does, a share has a quarter of its bytes from each of
// four rows.
template <class Format>
inline bool rows_apart(const Int8Dots& d) {
  return d.row_bytes != d.k / Format::kBlock * Format::kBytes;
}
template <class Format>
inline void prefetch_share_apart(const uint8_t* panel, int64_t stride, int64_t share) {
  constexpr int n_bytes = 4 * Format::kBytes * kShareValues<Format> / Format::kBlock;
  const uint8_t* p = panel + share % 4 * 4 * stride + share / 4 * n_bytes;
  for (int row = 0; row < 4; ++row, p += stride)
#pragma GCC unroll 4
    for (int i = 0; i < n_bytes; i += 64) prefetch(p + i);
}

// Sixteen rows of a block as a file has them, row after row. What unpackers read of each row: sixteen(), four(), half() and
// byte(), `at` bytes behind the block's beginning.
struct FileRows {
  static constexpr bool kPacked = false;
  const uint8_t* p;  // the first row's block
  int64_t stride;    // bytes between rows

  template <class Format>
  static FileRows of_block(const uint8_t* panel, int64_t stride, int64_t block) {
    return {panel + block * Format::kBytes, stride};
  }
  // v[c] = [16 rows][4], bytes 4 c … 4 c + 3 of the sixteen.
  CARAT_ALWAYS_INLINE void sixteen(int at, Bytes* v) const { transpose16(p + at, stride, v); }
  CARAT_ALWAYS_INLINE Ints four(int at) const { return gather4(p + at, stride); }
  CARAT_ALWAYS_INLINE Floats half(int at) const { return gather_f16(p + at, stride); }
  CARAT_ALWAYS_INLINE Ints byte(int at) const { return bit_and(gather4(p + at, stride), set1_int(255)); }  // never one of the last three

  // Asks for a share of what is read next. While share `share` of a panel is multiplied with few tokens:
  template <class Format>
  static void ask(const uint8_t* /*panel*/, const uint8_t* next, int64_t stride, int64_t share) {
    prefetch_share<Format>(next, stride, share);
  }
  // … and while it is unpacked for many, whose products leave time for a whole panel to come.
  template <class Format>
  static void ask_for_next(const uint8_t* next, int64_t stride, int64_t share) {
    prefetch_share<Format>(next, stride, share);
  }
};
struct ApartRows : FileRows {
  template <class Format>
  static void ask(const uint8_t* /*panel*/, const uint8_t* next, int64_t stride, int64_t share) {
    prefetch_share_apart<Format>(next, stride, share);
  }
  template <class Format>
  static void ask_for_next(const uint8_t* next, int64_t stride, int64_t share) {
    prefetch_share_apart<Format>(next, stride, share);
  }
};

// Sixteen rows of a block in a packed panel (packed_rows.h): what a function reads of them lies together as registers hold it.
struct PackedRows {
  static constexpr bool kPacked = true;
  const uint8_t* p;

  template <class Format>
  static PackedRows of_block(const uint8_t* panel, int64_t, int64_t block) {
    return {panel + 16 * block * Format::kBytes};
  }
  CARAT_ALWAYS_INLINE void sixteen(int at, Bytes* v) const {
    for (int c = 0; c < 4; ++c) v[c] = load_bytes(p + 16 * at + 64 * c);
  }
  CARAT_ALWAYS_INLINE Ints four(int at) const { return as_ints(load_bytes(p + 16 * at)); }
  CARAT_ALWAYS_INLINE Floats half(int at) const { return load_f16(reinterpret_cast<const uint16_t*>(p + 16 * at)); }
  CARAT_ALWAYS_INLINE Ints byte(int at) const { return load_u8(p + 16 * at); }

  // A packed panel is one stream, and the next one its continuation. Of a super-block and of 256 values that are unpacked first, that
  // is of up to 3.4 KB, the last is read soon after the first.
  template <class Format>
  static void ask(const uint8_t* panel, const uint8_t* /*next*/, int64_t /*stride*/, int64_t share) {
    constexpr bool kShort = requires { typename Format::template Block<FileRows>; };
    constexpr int kAhead = kShort ? 2048 : 4096, n_bytes = 16 * Format::kBytes * kShareValues<Format> / Format::kBlock;
#pragma GCC unroll 32
    for (int i = 0; i < n_bytes; i += 64) prefetch(panel + share * n_bytes + kAhead + i);
  }
  template <class Format>
  static void ask_for_next(const uint8_t* next, int64_t stride, int64_t share) {
    prefetch_share<Format>(next, stride, share);  // the same bytes, whatever their order
  }
};

// Adds n values of k, from k0 of the rows on, to acc of kTokens tokens. Given the rows' kind it asks for what is read next
// meanwhile. Not inlined: its loop wants all registers.
struct NoRows {};
template <class Format, int kTokens, class Rows = NoRows>
__attribute__((noinline)) void dot_panel(Panel panel, int64_t n, const Int8Rows& x, int64_t token, int64_t k0, float* acc,
                                         const uint8_t* weights = nullptr, const uint8_t* next = nullptr,
                                         int64_t next_stride = 0) {
  const int8_t* q = x.q + token * x.q_stride + k0;
  const Int8Block* blocks = x.blocks + token * x.block_stride + k0 / 32;
  Floats total[kTokens];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) total[t] = load(acc + 16 * t);
  for (int64_t k = 0; k < n; k += 32) {
    if constexpr (requires { Rows::kPacked; })
      if (k % kShareValues<Format> == 0)
        Rows::template ask<Format>(weights, next, next_stride, (k0 + k) / kShareValues<Format>);
    add_values<Format, kTokens>([&](int g) { return load_bytes(panel.q + 64 * g); }, panel, q, x.q_stride, blocks,
                                x.block_stride, total);
    if (kByteScales<Format> && k % 256 == 224) panel.of_block += 16;
    q += 32, ++blocks;
    panel.q += 32 * 16;
    next_scales<Format>(panel);
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) store(acc + 16 * t, total[t]);
}

// Few tokens: memory should not rest while they are multiplied.
template <class Format, class Rows>
inline void dot_panel_with_few(const Panel& panel, int64_t n, const Int8Dots& d, int64_t k0, const uint8_t* weights,
                               const uint8_t* next, float* acc) {
  static_assert(kFewTokens == 4);
  if (d.n_tokens == 4) return dot_panel<Format, 4, Rows>(panel, n, d.x, 0, k0, acc, weights, next, d.row_bytes);
  if (d.n_tokens == 1) return dot_panel<Format, 1, Rows>(panel, n, d.x, 0, k0, acc, weights, next, d.row_bytes);
  dot_panel<Format, 2, Rows>(panel, n, d.x, 0, k0, acc, weights, next, d.row_bytes);
  if (d.n_tokens == 3) dot_panel<Format, 1>(panel, n, d.x, 2, k0, acc + 32);
}

template <class Format>
inline void dot_panel_with_many(const Panel& panel, int64_t n, const Int8Dots& d, int64_t k0, float* acc) {
  int64_t t = 0;
  for (; t + kTileInt8 <= d.n_tokens; t += kTileInt8)
    dot_panel<Format, kTileInt8>(panel, n, d.x, t, k0, acc + 16 * t);
  if constexpr (kTileInt8 > 4)
    if (t + 4 <= d.n_tokens) dot_panel<Format, 4>(panel, n, d.x, t, k0, acc + 16 * t), t += 4;
  if constexpr (kTileInt8 > 2)
    if (t + 2 <= d.n_tokens) dot_panel<Format, 2>(panel, n, d.x, t, k0, acc + 16 * t), t += 2;
  if (t < d.n_tokens) dot_panel<Format, 1>(panel, n, d.x, t, k0, acc + 16 * t);
}

// The parts of a call's scratch memory.
struct Int8Scratch {
  Panel panel;
  float* acc;     // [kInt8PanelsAtOnce, kInt8TokensAtOnce or the call's fewer, 16]
  uint8_t* rows;  // copies of a last, incomplete panel's rows
};

inline Int8Scratch divide_scratch(const Int8Dots& d) {
  uint8_t* p = static_cast<uint8_t*>(d.scratch);
  Int8Scratch s;
  s.panel.q = p;
  p += kChunk * 16;
  s.panel.scale = reinterpret_cast<float*>(p);
  s.panel.min = s.panel.scale + kChunk / 16 * 16;
  s.panel.of_block = s.panel.min + kChunk / 16 * 16;
  s.acc = s.panel.of_block + kChunk / 256 * 16;
  s.rows = reinterpret_cast<uint8_t*>(s.acc + int8_tokens_at_once(d.n_tokens) * kInt8PanelsAtOnce * 16);
  return s;
}

// Adds n values of k, from k0 on, of one panel to its acc. All its sixteen rows are readable. `next` is the
// panel that will be read after it, if not here then by another thread.
template <class Format, class Rows>
inline void add_chunk(const Int8Dots& d, const uint8_t* weights, const uint8_t* next, int64_t k0, int64_t n,
                      const Panel& panel, float* acc) {
  const bool many = d.n_tokens > kFewTokens;
  for (int64_t k = 0; k < n; k += Format::kBlock) {
    const int64_t block = (k0 + k) / Format::kBlock;
    const int64_t sub = k / Format::kSub;
    const Panel at{panel.q + 16 * k, panel.scale + 16 * sub, panel.min + 16 * sub, panel.of_block + k / 256 * 16};
    // Before and after a long block is unpacked: what is read meanwhile waits behind a long queue.
    constexpr int kShares = Format::kBlock / kShareValues<Format>, kBefore = kShares - kShares / 2;
    const auto ask = [&](int i) { Rows::template ask_for_next<Format>(next, d.row_bytes, block * kShares + i); };
    for (int i = 0; many && i < kBefore; ++i) ask(i);
    Format::unpack(Rows::template of_block<Format>(weights, d.row_bytes, block), at);
    for (int i = kBefore; many && i < kShares; ++i) ask(i);
  }
  if (many)
    dot_panel_with_many<Format>(panel, n, d, k0, acc);
  else
    dot_panel_with_few<Format, Rows>(panel, n, d, k0, weights, next, acc);
}

// One panel with a few tokens, for formats whose blocks need none: what is unpacked goes from registers into the products.
// The same bits. Not inlined: its loop wants all registers.
template <class Format, int kTokens, class Rows>
__attribute__((noinline)) void dot_blocks(const Int8Dots& d, const uint8_t* weights, const uint8_t* next, float* acc) {
  const int8_t* q = d.x.q;
  const Int8Block* of_x = d.x.blocks;
  const int64_t stride = d.row_bytes, n_blocks = d.k / 32, q_stride = d.x.q_stride, block_stride = d.x.block_stride;
  Floats total[kTokens];
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) total[t] = zero();
  for (int64_t b = 0; b < n_blocks; ++b, q += 32, ++of_x) {
    Rows::template ask<Format>(weights, next, stride, b);
    auto rows = Rows::template of_block<Format>(weights, stride, b);
    typename Format::template Block<decltype(rows)> block(rows);
    Ints dot[kTokens];
    const auto sums = [&](int t) { return of_x[t * block_stride].sums[2]; };
    dot_bytes<Format::kMaxQ, Format::kOffset, 8, kTokens>([&](int g) { return block.group(g); }, q, q_stride, sums,
                                                          [&](int t, const auto& sum) { dot[t] = sum.end(sums(t)); });
    const Floats scale = block.scale();
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t)
      total[t] = fma(mul(scale, set1(of_x[t * block_stride].scale)), to_floats(dot[t]), total[t]);
  }
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) store(acc + 16 * t, total[t]);
}

template <class Format, class Rows>
inline void dot_blocks_with_few(const Int8Dots& d, const uint8_t* weights, const uint8_t* next, float* acc) {
  static_assert(kFewTokens == 4);
  if (d.n_tokens == 1) return dot_blocks<Format, 1, Rows>(d, weights, next, acc);
  if (d.n_tokens == 2) return dot_blocks<Format, 2, Rows>(d, weights, next, acc);
  if (d.n_tokens == 3) return dot_blocks<Format, 3, Rows>(d, weights, next, acc);
  dot_blocks<Format, 4, Rows>(d, weights, next, acc);
}

// The same with one token for blocks of several sub-blocks: their products come in the order in which registers hold the codes, and wait
// in `dot` for their scales.
template <class Format, class Rows>
__attribute__((noinline)) void dot_sub_blocks(const Int8Dots& d, const uint8_t* weights, const uint8_t* next,
                                              const Panel& scales, float* acc) {
  constexpr int kSubs = Format::kBlock / Format::kSub, kSubsOf32 = 32 / Format::kSub, kShares = Format::kBlock / 64;
  const int8_t* q = d.x.q;
  const Int8Block* of_x = d.x.blocks;
  const int64_t stride = d.row_bytes, n_blocks = d.k / Format::kBlock;
  Floats total = zero();
  for (int64_t b = 0; b < n_blocks; ++b, q += Format::kBlock, of_x += Format::kBlock / 32) {
    const auto rows = Rows::template of_block<Format>(weights, stride, b);
    const auto ask = [&](int i) { Rows::template ask<Format>(weights, next, stride, b * kShares + i); };
    if constexpr (kByteScales<Format>) {
      // Scales lie behind the codes, where memory has not got to yet: so they come last.
      Ints raw[kSubs];
      Format::dot_block(rows, q, of_x, ask, [&](int s, const auto& sum, const int16_t*) { raw[s] = sum.raw(); });
      Format::unpack_scales(rows, scales);
      const Floats of_block = load(scales.of_block);
#pragma GCC unroll 8
      for (int i = 0; i < kSubs / 2; ++i) {
        const float* scale = scales.scale + 32 * i;
        const ScaledSum both = add(scaled(raw[2 * i], load(scale)), scaled(raw[2 * i + 1], load(scale + 16)));
        total = fma(mul(of_block, set1(of_x[i].scale)), to_floats(both), total);
      }
      continue;
    }
    Ints dot[kSubs];
    Format::dot_block(rows, q, of_x, ask,
                      [&](int s, const auto& sum, const int16_t* sums) { dot[s] = sum.end(sums); });
    Format::unpack_scales(rows, scales);
#pragma GCC unroll 16
    for (int s = 0; s < kSubs; ++s) {
      const Int8Block& block = of_x[s / kSubsOf32];
      total = fma(mul(load(scales.scale + 16 * s), set1(block.scale)), to_floats(dot[s]), total);
      if constexpr (Format::kHasMin)
        total = fnma(load(scales.min + 16 * s), set1(kSubsOf32 == 1 ? block.scaled32 : block.scaled16[s % kSubsOf32]), total);
    }
  }
  store(acc, total);
}

// Two to Format::kRunTokens tokens with blocks of several sub-blocks in packed panels, whose codes are loaded where they are wanted, in
// order: Format::codes<run>(rows, step, g) is group g of the 32 values from 32 (step * kRuns + run) on. Where making codes takes
// so many registers that more tokens have none left, a panel is faster.
template <class Format, int kTokens, int run, class Rows, class Ask>
CARAT_ALWAYS_INLINE void add_runs(const Rows& rows, int step, Ask ask, Panel& scales, const int8_t*& q, int64_t q_stride,
                                  const Int8Block*& of_x, int64_t block_stride, Floats* total) {
  if constexpr (run < Format::kRuns) {
    if ((step * Format::kRuns + run) % 2 == 0) ask((step * Format::kRuns + run) / 2);
    add_values<Format, kTokens>([&](int g) { return Format::template codes<run>(rows, step, g); }, scales, q, q_stride, of_x,
                                block_stride, total);
    q += 32, ++of_x;
    next_scales<Format>(scales);
    add_runs<Format, kTokens, run + 1>(rows, step, ask, scales, q, q_stride, of_x, block_stride, total);
  }
}
template <class Format, int kTokens, class Rows>
__attribute__((noinline)) void dot_packed_blocks(const Int8Dots& d, const uint8_t* weights, const uint8_t* next,
                                                 const Panel& unpacked, float* acc) {
  constexpr int kSteps = Format::kBlock / 32 / Format::kRuns, kShares = Format::kBlock / 64;
  const int8_t* q = d.x.q;
  const Int8Block* of_x = d.x.blocks;
  const int64_t n_blocks = d.k / Format::kBlock, q_stride = d.x.q_stride, block_stride = d.x.block_stride;
  Floats total[kTokens];
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) total[t] = zero();
  for (int64_t b = 0; b < n_blocks; ++b) {
    const auto rows = Rows::template of_block<Format>(weights, d.row_bytes, b);
    const auto ask = [&](int i) { Rows::template ask<Format>(weights, next, d.row_bytes, b * kShares + i); };
    Format::unpack_scales(rows, unpacked);
    Panel scales = unpacked;
#pragma GCC unroll 1
    for (int step = 0; step < kSteps; ++step)
      add_runs<Format, kTokens, 0>(rows, step, ask, scales, q, q_stride, of_x, block_stride, total);
  }
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) store(acc + 16 * t, total[t]);
}
template <class Format, class Rows>
inline void dot_packed_blocks_with_few(const Int8Dots& d, const uint8_t* weights, const uint8_t* next, const Panel& panel,
                                       float* acc) {
  static_assert(kFewTokens == 4);
  if (d.n_tokens == 2) return dot_packed_blocks<Format, 2, Rows>(d, weights, next, panel, acc);
  if (d.n_tokens == 3) return dot_packed_blocks<Format, 3, Rows>(d, weights, next, panel, acc);
  if constexpr (Format::kRunTokens == 4) dot_packed_blocks<Format, 4, Rows>(d, weights, next, panel, acc);
}

// Whether a format has this path, by blocks or by sub-blocks.
template <class Format>
constexpr bool kHasBlock = requires { typename Format::template Block<FileRows>; };
template <class Format>
constexpr bool kHasSubBlocks = requires(FileRows rows, const int8_t* q, const Int8Block* x) {
  Format::dot_block(rows, q, x, [](int) {}, [](int, const auto&, const int16_t*) {});
};

// How many tokens, of two and more, have one by runs.
template <class Format, class Rows>
constexpr int64_t run_tokens() {
  if constexpr (Rows::kPacked && requires { Format::kRuns; }) return Format::kRunTokens;
  return 0;
}

// Rows [first, end) of the call, at most kInt8PanelsAtOnce panels, with all tokens of `d`. Panels take turns at each piece of k: the
// tokens' pieces stay in the second-level cache meanwhile.
template <class Format, class Rows>
inline void add_panels(const Int8Dots& d, int64_t first, int64_t end, const Int8Scratch& s) {
  const int64_t n_panels = (end - first + 15) / 16, chunk = d.n_tokens <= kFewTokens ? kFewChunk : kChunk;
  const int64_t n_last = end - first - 16 * (n_panels - 1);
  const uint8_t* last = d.weights + (first + 16 * (n_panels - 1)) * d.row_bytes;
  if (n_last < 16) {
    // Rows may lie apart (one head of a cache's cells): what is between them is not theirs to read.
    const size_t used = static_cast<size_t>(d.k / Format::kBlock * Format::kBytes);
    for (int64_t r = 0; r < n_last; ++r) memcpy(s.rows + r * d.row_bytes, last + r * d.row_bytes, used);
    for (int64_t r = n_last; r < 16; ++r) memset(s.rows + r * d.row_bytes, 0, used);
    last = s.rows;
  }
  for (int64_t i = 0; i < n_panels * d.n_tokens; ++i) store(s.acc + 16 * i, zero());
  // What follows the last panel is asked for, too: it may be another thread's, and past the end it does no harm.
  const auto behind = [&](const uint8_t* weights) { return weights == s.rows ? weights : weights + 16 * d.row_bytes; };
  constexpr int64_t kRun = run_tokens<Format, Rows>();
  constexpr int64_t kNoPanel = kHasBlock<Format> ? kFewTokens : kRun > 0 ? kRun : kHasSubBlocks<Format> ? 1 : 0;
  if (n_panels == 1 && d.n_tokens <= kNoPanel) {
    if constexpr (kHasBlock<Format>) dot_blocks_with_few<Format, Rows>(d, last, behind(last), s.acc);
    if constexpr (kHasSubBlocks<Format>)
      if (d.n_tokens == 1) dot_sub_blocks<Format, Rows>(d, last, behind(last), s.panel, s.acc);
    if constexpr (kRun > 0)
      if (d.n_tokens > 1) dot_packed_blocks_with_few<Format, Rows>(d, last, behind(last), s.panel, s.acc);
    for (int64_t t = 0; t < d.n_tokens; ++t) store_n(d.out + t * d.out_stride + first, load(s.acc + 16 * t), n_last);
    return;
  }
  for (int64_t k0 = 0; k0 < d.k; k0 += chunk)
    for (int64_t p = 0; p < n_panels; ++p) {
      const uint8_t* weights = p == n_panels - 1 ? last : d.weights + (first + 16 * p) * d.row_bytes;
      add_chunk<Format, Rows>(d, weights, behind(weights), k0, d.k - k0 < chunk ? d.k - k0 : chunk, s.panel,
                        s.acc + 16 * p * d.n_tokens);
    }
  for (int64_t p = 0; p < n_panels; ++p)
    for (int64_t t = 0; t < d.n_tokens; ++t)
      store_n(d.out + t * d.out_stride + first + 16 * p, load(s.acc + 16 * (p * d.n_tokens + t)),
              p == n_panels - 1 ? n_last : 16);
}

template <class Format, class Rows>
inline void dots_of_rows(const Int8Dots& d) {
  static_assert(kChunk % kFewChunk == 0 && kFewChunk % Format::kBlock == 0 && Format::kBlock % Format::kSub == 0);
  const Int8Scratch s = divide_scratch(d);
  const int64_t rows_at_once = d.n_tokens <= kFewTokens ? 16 : 16 * kInt8PanelsAtOnce;
  for (int64_t t = 0; t < d.n_tokens; t += kInt8TokensAtOnce) {
    Int8Dots part = d;
    part.n_tokens = d.n_tokens - t < kInt8TokensAtOnce ? d.n_tokens - t : kInt8TokensAtOnce;
    part.x.q += t * d.x.q_stride;
    part.x.blocks += t * d.x.block_stride;
    part.out += t * d.out_stride;
    for (int64_t row = 0; row < d.n_rows; row += rows_at_once)
      add_panels<Format, Rows>(part, row, row + rows_at_once < d.n_rows ? row + rows_at_once : d.n_rows, s);
  }
}

template <class Format>
void int8_dots(const Int8Dots& d) {
  if (d.packed) return dots_of_rows<Format, PackedRows>(d);
  if constexpr (!kHasSubBlocks<Format>)  // which no cache's cells have
    if (rows_apart<Format>(d)) return dots_of_rows<Format, ApartRows>(d);
  dots_of_rows<Format, FileRows>(d);
}

}  // namespace
}  // namespace carat
