// One unpacker per quantized type: sixteen rows of one block into a panel. A format says its block, its
// bytes, the length of the sub-blocks that share a scale, and value = scale * (q - kOffset) - min. kWide: q
// may exceed 127.
namespace carat {
namespace {

struct Q4_0 {  // f16 d, 16 bytes: low nibbles are values 0 … 15, high ones 16 … 31
  static constexpr int kBlock = 32, kBytes = 18, kSub = 32, kOffset = 8;
  static constexpr bool kHasMin = false, kWide = false;
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    store(panel.scale, f16_lanes(gather4(p, stride)));
    Bytes v[4];
    transpose16(p + 2, stride, v);
    for (int c = 0; c < 4; ++c) {
      store(panel.q + 64 * c, bit_and(v[c], set1_byte(15)));
      store(panel.q + 64 * (4 + c), shift_right<4>(v[c]));
    }
  }
};

struct Q8_0 {  // f16 d, 32 signed bytes
  static constexpr int kBlock = 32, kBytes = 34, kSub = 32, kOffset = 128;
  static constexpr bool kHasMin = false, kWide = true;
  static void unpack(const uint8_t* p, int64_t stride, const Panel& panel) {
    store(panel.scale, f16_lanes(gather4(p, stride)));
    for (int half = 0; half < 2; ++half) {
      Bytes v[4];
      transpose16(p + 2 + 16 * half, stride, v);
      for (int c = 0; c < 4; ++c) store(panel.q + 64 * (4 * half + c), bit_xor(v[c], set1_byte(128)));
    }
  }
};

}  // namespace
}  // namespace carat
