// What the kernel tests share: backends of every ISA that this machine has, random operands, and bit
// comparison.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/cpu/cpu_backend.h"
#include "quant/codec.h"
#include "tensor/float_formats.h"

namespace carat::kernels_test {

constexpr double kEpsilon = FLT_EPSILON;  // distance of neighbouring floats; rounding errs by half of it

inline std::vector<const Isa*> supported_isas() {
  std::vector<const Isa*> found;
  for (const Isa& isa : isas())
    if (isa.supported()) found.push_back(&isa);
  return found;
}

inline std::string isa_test_name(const testing::TestParamInfo<const Isa*>& info) {
  return std::string(info.param->name);
}

inline std::vector<const Isa*> all_isas() {
  std::vector<const Isa*> all;
  for (const Isa& isa : isas()) all.push_back(&isa);
  return all;
}

// A test that runs once for each ISA; on a machine without it, it says that it was skipped.
class PerIsa : public testing::TestWithParam<const Isa*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) GTEST_SKIP() << "this machine has no " << GetParam()->name;
  }
  std::unique_ptr<CpuBackend> backend(int n_threads = 1, Precision precision = Precision::fast) const {
    return std::make_unique<CpuBackend>(*GetParam(), CpuOptions{n_threads, precision});
  }
};

#define CARAT_FOR_EACH_ISA(suite) \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, testing::ValuesIn(all_isas()), isa_test_name)

inline std::vector<float> gaussian(size_t n, uint64_t seed, double scale = 1) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(random.normal() * scale);
  return values;
}

// A weight with its bytes and the values that they decode to.
struct Weight {
  Tensor tensor;
  std::vector<std::byte> bytes;
  std::vector<float> values;  // [n_rows, k]

  const float* row(int64_t r) const { return values.data() + r * tensor.n_columns(); }
};

// One row of blocks of the values, or of random codes where there is no encoder.
inline void make_row(const Codec& codec, const float* values, int64_t k, Random& codes, std::byte* blocks) {
  if (codec.encode != nullptr) return codec.encode(values, k, nullptr, blocks);
  const TypeInfo& info = type_info(codec.type);
  for (int64_t b = 0; b < k / info.block_length; ++b, blocks += info.block_bytes) {
    for (size_t i = 0; i < info.block_bytes; ++i) blocks[i] = static_cast<std::byte>(codes.bits());
    codec.set_scale(0.001f, blocks);
  }
}

inline Weight make_weight(TensorType type, int64_t k, int64_t n_rows, uint64_t seed, int64_t n_matrices = 1) {
  Weight w;
  const size_t n_all = static_cast<size_t>(n_rows * n_matrices), n_values = n_all * static_cast<size_t>(k);
  const std::vector<float> source = gaussian(n_values, seed, 0.05);
  const Codec& codec = codec_of(type);
  const size_t stride = row_bytes(type, k);
  w.bytes.resize(stride * n_all);
  Random codes(seed);
  for (size_t r = 0; r < n_all; ++r)
    make_row(codec, source.data() + r * static_cast<size_t>(k), k, codes, w.bytes.data() + r * stride);
  w.values.resize(n_values);
  codec.decode(w.bytes.data(), static_cast<int64_t>(n_values), w.values.data());
  w.tensor = {"weight", type, {k, n_rows, n_matrices, 1}, w.bytes.data()};
  return w;
}

// A weight of which nothing but the packed rows is left: its file rows are nonsense. Where it cannot be repacked, without a
// buffer and as it was.
struct Repacked {
  std::unique_ptr<Buffer> buffer;
  std::vector<std::byte> nonsense;
  Tensor tensor;

  Repacked(Backend& backend, const Tensor& weight) : buffer(backend.repack(weight)), tensor(weight) {
    if (buffer == nullptr) return;
    nonsense.resize(weight.n_bytes(), std::byte{0x5a});
    tensor.data = nonsense.data();
    tensor.packed = static_cast<const std::byte*>(buffer->data());
  }
};

// The types of `wanted` that have a codec.
inline std::vector<TensorType> with_codec(std::vector<TensorType> wanted) {
  std::erase_if(wanted, [](TensorType t) { return find_codec(t) == nullptr; });
  return wanted;
}

// What matmul makes of activations in fast precision, written plainly: 8 bits per 32 values.
inline std::vector<double> rounded_to_int8(const float* x, int64_t k) {
  std::vector<double> out(static_cast<size_t>(k));
  for (int64_t begin = 0; begin < k; begin += 32) {
    float largest = 0;
    for (int64_t i = begin; i < begin + 32; ++i) largest = std::max(largest, std::fabs(x[i]));
    const float inverse = largest > 0 ? 127.0f / largest : 0.0f, scale = largest / 127.0f;
    for (int64_t i = begin; i < begin + 32; ++i)
      out[static_cast<size_t>(i)] =
          static_cast<double>(scale) * static_cast<double>(std::nearbyint(x[i] * inverse));
  }
  return out;
}

inline bool same_bits(const float* a, const float* b, size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
}
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && same_bits(a.data(), b.data(), a.size());
}

}  // namespace carat::kernels_test
