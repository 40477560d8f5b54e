// TQ1_0: 256 ternary weights, five to a byte; 1.69 bits a weight.
//
//   byte  0        48      52       54
//         | qs[48] | qh[4] | d: F16 |
//
//   A byte B holds trits t0 … t4 as a fraction of 256:
//     B = ceil(256 / 243 * (81 t0 + 27 t1 + 9 t2 + 3 t3 + t4)),
//   so that the leading trit is what 3 * B carries beyond eight bits. In qh t4 is 0.
//   qs[m],      m = 0 … 31: trit n is element 32n + m         (n = 0 … 4)
//   qs[32 + m], m = 0 … 15: trit n is element 160 + 16n + m   (n = 0 … 4)
//   qh[m],      m = 0 … 3:  trit n is element 240 + 4n + m    (n = 0 … 3)
//   x[i] = d * (trit - 1)
#pragma once

#include <cstddef>
#include <cstdint>

namespace carat {

struct BlockTQ1_0 {
  uint8_t qs[48];
  uint8_t qh[4];
  uint8_t d[2];
};
static_assert(sizeof(BlockTQ1_0) == 54);

void decode_tq1_0(const std::byte* blocks, int64_t n, float* out);
void encode_tq1_0(const float* row, int64_t n, const float* importance, std::byte* blocks);

}  // namespace carat
