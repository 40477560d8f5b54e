// Grids of blocks, and rounding that makes up for its errors.
#include "quant/compensation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "quant/codec.h"
#include "quant/grid.h"

namespace carat {
namespace {

using enum TensorType;

std::vector<float> noise(int64_t n, uint64_t seed, double spread = 0.05) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(spread * random.normal());
  return values;
}

std::vector<TensorType> grid_types() {
  std::vector<TensorType> types;
  for (const Codec& codec : codecs())
    if (find_grid(codec.type) != nullptr) types.push_back(codec.type);
  return types;
}

TEST(Grid, EveryEncoderOfBlocksHasOne) {
  for (const Codec& codec : codecs())
    EXPECT_EQ(find_grid(codec.type) != nullptr,
              codec.encode != nullptr && type_info(codec.type).block_length > 1)
        << type_name(codec.type);
}

// Any codes, written into a block whose scales an encoder chose, decode to the grid's values.
TEST(Grid, ValuesAreWhatTheCodecDecodes) {
  for (const TensorType type : grid_types()) {
    SCOPED_TRACE(type_name(type));
    const GridFormat& format = *find_grid(type);
    const auto n = static_cast<int64_t>(type_info(type).block_length);
    Random random(2);
    for (int trial = 0; trial < 20; ++trial) {
      std::vector<std::byte> block(type_info(type).block_bytes);
      codec_of(type).encode(noise(n, 100 + static_cast<uint64_t>(trial)).data(), n, nullptr, block.data());
      BlockGrid grid;
      grid.read(format, block.data());
      std::vector<uint8_t> codes(static_cast<size_t>(n));
      for (uint8_t& code : codes) code = static_cast<uint8_t>(random.below(format.n_codes));
      format.set_codes(codes.data(), block.data());
      std::vector<float> decoded(codes.size());
      codec_of(type).decode(block.data(), n, decoded.data());
      for (int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(i);
        EXPECT_NEAR(grid.value(static_cast<int>(i), codes[at]), decoded[at], 1e-6);
        // Codes of the same value (signed zeros of FP4, blocks without a scale) may stand for each other.
        const int nearest = grid.nearest(static_cast<int>(i), decoded[at]);
        EXPECT_NEAR(grid.value(static_cast<int>(i), nearest), decoded[at], 1e-6);
      }
    }
  }
}

TEST(Grid, NearestIsNearest) {
  for (const TensorType type : grid_types()) {
    const GridFormat& format = *find_grid(type);
    const auto n = static_cast<int64_t>(type_info(type).block_length);
    std::vector<std::byte> block(type_info(type).block_bytes);
    codec_of(type).encode(noise(n, 7).data(), n, nullptr, block.data());
    BlockGrid grid;
    grid.read(format, block.data());
    const std::vector<float> wanted = noise(n, 8, 0.08);
    for (int i = 0; i < n; ++i) {
      const float x = wanted[static_cast<size_t>(i)], found = grid.value(i, grid.nearest(i, x));
      for (int c = 0; c < format.n_codes; ++c)
        EXPECT_LE(std::fabs(found - x), std::fabs(grid.value(i, c) - x) + 1e-6f) << type_name(type);
    }
  }
}

// Second moments of inputs that depend on each other: a few directions and some noise.
std::vector<float> correlated_moments(int64_t n, uint64_t seed) {
  constexpr int kDirections = 12;
  const std::vector<float> mix = noise(n * kDirections, seed, 1.0);
  std::vector<float> h(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = i == j ? 1.0 : 0.0;
      for (int d = 0; d < kDirections; ++d)
        sum += static_cast<double>(mix[static_cast<size_t>(i * kDirections + d)]) *
               mix[static_cast<size_t>(j * kDirections + d)];
      h[static_cast<size_t>(i * n + j)] = static_cast<float>(sum);
    }
  return h;
}

double output_error(const std::vector<float>& w, const std::vector<float>& q, const std::vector<float>& h,
                    int64_t n) {
  double total = 0;
  for (size_t row = 0; row < w.size(); row += static_cast<size_t>(n))
    for (size_t i = 0; i < static_cast<size_t>(n); ++i)
      for (size_t j = 0; j < static_cast<size_t>(n); ++j)
        total += (static_cast<double>(w[row + i]) - q[row + i]) * h[i * static_cast<size_t>(n) + j] *
                 (static_cast<double>(w[row + j]) - q[row + j]);
  return total;
}

struct Rounded {
  std::vector<std::byte> blocks;
  std::vector<float> values;
  RoundingError error;
};

Rounded rounded(TensorType type, const std::vector<float>& w, const std::vector<float>& h, int64_t n,
                int n_threads = 2) {
  ThreadPool pool(n_threads);
  const int64_t n_rows = static_cast<int64_t>(w.size()) / n;
  const MomentFactor factor =
      MomentFactor::create(h, n, static_cast<int64_t>(type_info(type).block_length), 1e-9).take();
  Rounded result;
  result.blocks.resize(row_bytes(type, n) * static_cast<uint64_t>(n_rows));
  result.error = encode_compensated(type, w.data(), n_rows, factor, result.blocks.data(), pool);
  result.values.resize(w.size());
  for (int64_t r = 0; r < n_rows; ++r)
    codec_of(type).decode(result.blocks.data() + static_cast<uint64_t>(r) * row_bytes(type, n), n,
                          result.values.data() + r * n);
  return result;
}

constexpr int64_t kColumns = 512;  // two of the longest blocks

TEST(Compensation, OutputErrorsShrinkForEveryGrid) {
  const std::vector<float> h = correlated_moments(kColumns, 1), w = noise(kColumns * 2, 2);
  for (const TensorType type : grid_types()) {
    SCOPED_TRACE(type_name(type));
    const Rounded result = rounded(type, w, h, kColumns);
    EXPECT_NEAR(result.error.compensated, output_error(w, result.values, h, kColumns),
                0.02 * result.error.compensated);
    EXPECT_LT(result.error.compensated, 0.5 * result.error.plain);
  }
}

// Where inputs do not depend on each other nothing can be made up for; what is left is the choice of scales.
TEST(Compensation, IndependentInputsAreNoWorse) {
  std::vector<float> h(static_cast<size_t>(kColumns * kColumns));
  for (int64_t i = 0; i < kColumns; ++i)
    h[static_cast<size_t>(i * kColumns + i)] = static_cast<float>(1 + i % 7);
  const std::vector<float> w = noise(kColumns * 2, 3);
  for (const TensorType type : grid_types()) {
    const RoundingError error = rounded(type, w, h, kColumns).error;
    EXPECT_LE(error.compensated, error.plain * 1.001) << type_name(type);
  }
}

// No single code can be moved so that the outputs come nearer: a change d of value i changes the error E H
// E^T by d^2 H_ii - 2 d (E H)_i.
TEST(Compensation, EndsInALocalOptimum) {
  const int64_t n = 256;
  const std::vector<float> h = correlated_moments(n, 4), w = noise(n, 5);
  for (const TensorType type : {Q4_0, Q3_K, Q4_K, NVFP4, IQ4_NL}) {
    const Rounded result = rounded(type, w, h, n);
    const double least = output_error(w, result.values, h, n);
    const auto length = static_cast<int64_t>(type_info(type).block_length);
    int n_better = 0;
    for (int64_t i = 0; i < n; ++i) {
      double gradient = 0;
      for (int64_t j = 0; j < n; ++j)
        gradient += (static_cast<double>(w[static_cast<size_t>(j)]) - result.values[static_cast<size_t>(j)]) *
                    h[static_cast<size_t>(j * n + i)];
      std::vector<std::byte> block(type_info(type).block_bytes);
      std::copy_n(result.blocks.begin() + i / length * static_cast<int64_t>(block.size()), block.size(),
                  block.begin());
      BlockGrid grid;
      grid.read(*find_grid(type), block.data());
      for (int c = 0; c < find_grid(type)->n_codes; ++c) {
        const double change =
            grid.value(static_cast<int>(i % length), c) - result.values[static_cast<size_t>(i)];
        n_better += change * (change * h[static_cast<size_t>(i * n + i)] - 2 * gradient) < -1e-4 * least;
      }
    }
    EXPECT_LE(n_better, 2) << type_name(type);  // sweeps end after a few
  }
}

TEST(Compensation, NeitherThreadsNorOtherRowsMatter) {
  const std::vector<float> h = correlated_moments(kColumns, 6), w = noise(kColumns * 5, 7);
  const Rounded one = rounded(Q4_K, w, h, kColumns, 1), three = rounded(Q4_K, w, h, kColumns, 3);
  EXPECT_EQ(one.blocks, three.blocks);
  const std::vector<float> last(w.end() - kColumns, w.end());
  const Rounded alone = rounded(Q4_K, last, h, kColumns);
  EXPECT_TRUE(std::equal(alone.blocks.begin(), alone.blocks.end(),
                         one.blocks.end() - static_cast<ptrdiff_t>(alone.blocks.size())));
}

TEST(Compensation, StrangeMoments) {
  const std::vector<float> w = noise(64, 8);
  std::vector<float> h(64 * 64);
  EXPECT_TRUE(std::isfinite(rounded(Q4_0, w, h, 64).error.compensated));  // nothing ever came
  h[0] = 1;                                                               // one column only
  EXPECT_TRUE(std::isfinite(rounded(Q4_0, w, h, 64).error.compensated));
  h[5 * 64 + 5] = NAN;
  EXPECT_FALSE(MomentFactor::create(h, 64, 32, 0.01));
}

}  // namespace
}  // namespace carat
