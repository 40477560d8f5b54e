// Any bytes as a weight's blocks, multiplied by the kernels of every ISA that this machine has, in both precisions: all come to
// the sum that the decoded values have, a row's bits depend neither on the other tokens nor on repacking, and ISAs with
// vectors agree to the bit. Weights and activations lie in heap memory of exactly their size (the sanitizer watches).
#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cpu/cpu_backend.h"
#include "quant/codec.h"

namespace {

using carat::Codec;
using carat::CpuBackend;
using carat::Precision;
using carat::Tensor;
using carat::TensorType;

constexpr int64_t kMaxRows = 34, kMaxTokens = 9, kMaxColumns = 768;

// The input's bytes one after another, from the beginning again behind the end.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  uint8_t next() { return size_ == 0 ? 0 : data_[at_++ % size_]; }
  int64_t below(int64_t n) { return next() % n; }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

struct Case {
  Tensor weight;
  std::vector<std::byte> blocks;
  std::vector<float> values;  // [n_rows, k], decoded
  std::vector<float> x;       // [n_tokens, k]
  int64_t n_tokens;
  bool is_sane;  // blocks stand for values of ordinary size, so that sums can be judged
};

// Rows that an encoder makes of small numbers with a scale for each 32 of them, or under small scales, or any blocks.
void make_rows(const Codec& codec, int64_t n_rows, int64_t k, Bytes& bytes, Case& made) {
  const carat::TypeInfo& info = carat::type_info(codec.type);
  const size_t row_size = carat::row_bytes(codec.type, k);
  made.blocks.resize(static_cast<size_t>(n_rows) * row_size);
  if (made.is_sane && codec.encode != nullptr) {
    std::vector<float> row(static_cast<size_t>(k));
    for (int64_t r = 0; r < n_rows; ++r) {
      float scale = 1;
      for (int64_t i = 0; i < k; ++i) {
        if (i % 32 == 0) scale = std::ldexp(1.0f, static_cast<int>(bytes.below(16)) - 12);
        row[static_cast<size_t>(i)] = scale * static_cast<int8_t>(bytes.next());
      }
      codec.encode(row.data(), k, nullptr, made.blocks.data() + static_cast<size_t>(r) * row_size);
    }
  } else {
    for (std::byte& byte : made.blocks) byte = std::byte{bytes.next()};
    if (made.is_sane)
      for (size_t at = 0; at < made.blocks.size(); at += info.block_bytes)
        codec.set_scale(0.001f * static_cast<float>(1 + bytes.next()), made.blocks.data() + at);
  }
  made.values.resize(static_cast<size_t>(n_rows * k));
  codec.decode(made.blocks.data(), n_rows * k, made.values.data());
  made.weight = {"", codec.type, {k, n_rows, 1, 1}, made.blocks.data()};
}

// Whole numbers up to 127, one of them as large in each 32, times a power of two: 8 bits hold them, and bf16 does.
void make_activations(int64_t n_tokens, int64_t k, Bytes& bytes, Case& made) {
  made.n_tokens = n_tokens;
  made.x.resize(static_cast<size_t>(n_tokens * k));
  for (int64_t t = 0; t < n_tokens; ++t) {
    const float scale = std::ldexp(1.0f, static_cast<int>(bytes.below(16)) - 8);
    for (int64_t i = 0; i < k; ++i)
      made.x[static_cast<size_t>(t * k + i)] =
          scale * (i % 32 == 5 ? 127.0f : static_cast<float>(std::max(-127, int{static_cast<int8_t>(bytes.next())})));
  }
}

std::vector<float> multiply(CpuBackend& cpu, const Tensor& weight, const float* x, int64_t n_tokens) {
  const std::vector<float> exact_size(x, x + n_tokens * weight.n_columns());
  std::vector<float> out(static_cast<size_t>(n_tokens * weight.n_rows()));
  const carat::Product product{&weight, out.data(), weight.n_rows()};
  cpu.matmul({&product, 1}, exact_size.data(), n_tokens);
  return out;
}

void expect_same(const float* a, const float* b, size_t n) {
  for (size_t i = 0; i < n; ++i)
    CHECK(std::bit_cast<uint32_t>(a[i]) == std::bit_cast<uint32_t>(b[i]) || (std::isnan(a[i]) && std::isnan(b[i])));
}

// Within as many roundings as the kernels do at most, of terms up to three times the largest value (an offset, a minimum).
void expect_sums(const Case& c, const std::vector<float>& out) {
  const int64_t k = c.weight.n_columns(), n_rows = c.weight.n_rows();
  const double steps = std::min<double>(static_cast<double>(k), 512) / 2 + static_cast<double>(k) / 16 + 12;
  for (int64_t t = 0; t < c.n_tokens; ++t)
    for (int64_t r = 0; r < n_rows; ++r) {
      double sum = 0, largest = 0, size_of_x = 0;
      for (int64_t i = 0; i < k; ++i) {
        const double w = c.values[static_cast<size_t>(r * k + i)], x = c.x[static_cast<size_t>(t * k + i)];
        sum += w * x, largest = std::max(largest, std::fabs(w)), size_of_x += std::fabs(x);
      }
      const double error = out[static_cast<size_t>(t * n_rows + r)] - sum;
      CHECK(std::fabs(error) <= steps * FLT_EPSILON * 3 * largest * size_of_x + 1e-35);
    }
}

struct Kernels {
  const carat::Isa* isa;
  Precision precision;
  std::unique_ptr<CpuBackend> cpu;
};

const std::vector<Kernels>& all_kernels() {
  static const std::vector<Kernels> all = [] {
    std::vector<Kernels> made;
    for (const Precision precision : {Precision::fast, Precision::exact})
      for (const carat::Isa& isa : carat::isas())
        if (isa.supported())
          made.push_back({&isa, precision, std::make_unique<CpuBackend>(isa, carat::CpuOptions{1, precision})});
    return made;
  }();
  return all;
}

// Vectors of any length sum up in one order. Where bf16 is multiplied as it is, fast precision has another.
bool has_the_common_order(const Kernels& kernels, TensorType type) {
  if (kernels.isa->name == "scalar") return false;
  const auto i = static_cast<size_t>(kernels.isa - carat::isas().data());
  return type != TensorType::BF16 || kernels.precision == Precision::exact ||
         carat::resolve_kernels(carat::isas(), i).products_bf16_pairs == nullptr;
}

void check(const Case& c, int64_t token) {
  const int64_t k = c.weight.n_columns();
  const auto n_rows = static_cast<size_t>(c.weight.n_rows());
  std::vector<float> common[2];  // by precision
  for (const Kernels& kernels : all_kernels()) {
    const std::vector<float> out = multiply(*kernels.cpu, c.weight, c.x.data(), c.n_tokens);
    if (c.is_sane) expect_sums(c, out);

    const std::vector<float> alone = multiply(*kernels.cpu, c.weight, c.x.data() + token * k, 1);
    expect_same(alone.data(), out.data() + static_cast<size_t>(token) * n_rows, n_rows);

    if (const auto packed = kernels.cpu->repack(c.weight)) {
      Tensor repacked = c.weight;
      repacked.packed = static_cast<const std::byte*>(packed->data());
      expect_same(multiply(*kernels.cpu, repacked, c.x.data(), c.n_tokens).data(), out.data(), out.size());
    }
    if (!has_the_common_order(kernels, c.weight.type)) continue;
    std::vector<float>& first = common[kernels.precision == Precision::fast ? 0 : 1];
    if (first.empty()) first = out;
    expect_same(first.data(), out.data(), out.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  const auto all = carat::codecs();
  const Codec& codec = all[static_cast<size_t>(bytes.below(static_cast<int64_t>(all.size())))];
  const auto block = static_cast<int64_t>(carat::type_info(codec.type).block_length);
  // Blocks of one value (floats) may be any number of columns, odd ones too.
  const int64_t n_blocks = block == 1 ? 1 + bytes.next() * 3 : 1 + bytes.below(std::min<int64_t>(kMaxColumns / block, 9));
  const int64_t n_rows = 1 + bytes.below(kMaxRows), n_tokens = 1 + bytes.below(kMaxTokens);
  Case made;
  made.is_sane = bytes.below(2) == 1;
  const int64_t token = bytes.below(n_tokens);
  make_activations(n_tokens, n_blocks * block, bytes, made);
  make_rows(codec, n_rows, n_blocks * block, bytes, made);
  check(made, token);
  return 0;
}
