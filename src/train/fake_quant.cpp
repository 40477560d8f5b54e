// Fake quantization and projection, through the exporter's own codecs, row by row.
#include "train/fake_quant.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <regex>

#include "quant/block.h"
#include "quant/codec.h"
#include "quant/grid.h"
#include "quant/quantize.h"
#include "tensor/float_formats.h"

namespace carat::train {
namespace {

constexpr int kMostRounds = 8;

using Regexes = std::vector<std::pair<std::regex, TensorType>>;

Result<Regexes> compile(const TypeOverrides& overrides) {
  Regexes regexes;
  for (const auto& [pattern, type] : overrides) {
    try {
      regexes.emplace_back(std::regex(pattern, std::regex::ECMAScript), type);
    } catch (const std::regex_error& error) {
      return fail("tensor type override '{}': not a regular expression: {}", pattern, error.what());
    }
  }
  return regexes;
}

// The nearest F16 number of at most `bits` significant bits.
float round_to_bits(float x, int bits) {
  int exponent = 0;
  const float mantissa = std::frexp(x, &exponent);
  const float most = std::ldexp(1.0f - std::ldexp(1.0f, -bits), 16);  // rounding up may leave F16's range
  return std::clamp(std::ldexp(std::nearbyint(std::ldexp(mantissa, bits)), exponent - bits), -most, most);
}

// One row's blocks, reused from row to row.
struct RowCoder {
  const Codec& codec;
  const GridFormat* grid;
  int64_t n;
  std::vector<std::byte> blocks;

  RowCoder(TensorType type, int64_t n_)
      : codec(codec_of(type)),
        grid(find_grid(type)),
        n(n_),
        blocks(static_cast<size_t>(row_bytes(type, n_))) {}

  void round_trip(const float* row, float* out) {
    codec.encode(row, n, nullptr, blocks.data());
    if (grid != nullptr && grid->bf16_scale_bits > 0) coarsen_scales(row);
    codec.decode(blocks.data(), n, out);
  }

 private:
  // Where BF16 can hold every value of a block, let it: then the 16-bit master and its quantized file are the same
  // numbers, whoever converts it (docs/decisions/0018-scales-that-bf16-holds.md).
  void coarsen_scales(const float* row) {
    const TypeInfo& info = type_info(codec.type);
    const auto length = static_cast<int64_t>(info.block_length);
    std::byte* block = blocks.data();
    for (int64_t at = 0; at < n; at += length, block += info.block_bytes) {
      auto* scale = reinterpret_cast<uint8_t*>(block) + grid->scale_at;
      const float fine = load_f16(scale), coarse = round_to_bits(fine, grid->bf16_scale_bits);
      if (coarse == fine || !std::isfinite(fine)) continue;
      store_f16(scale, coarse);
      BlockGrid values;
      values.read(*grid, block);
      uint8_t codes[kMaxGridBlock];
      for (int i = 0; i < static_cast<int>(length); ++i)
        codes[i] = static_cast<uint8_t>(values.nearest(i, row[at + i]));
      grid->set_codes(codes, block);
    }
  }
};

// Rounds to the lattice and to BF16 until the codes stay; false if they never do.
bool settle(RowCoder& coder, float* row) {
  std::vector<std::byte> before;
  for (int round = 0; round < kMostRounds; ++round) {
    coder.round_trip(row, row);
    for (int64_t i = 0; i < coder.n; ++i) row[i] = bf16_to_f32(f32_to_bf16(row[i]));
    if (coder.blocks == before) return true;
    before = coder.blocks;
  }
  return false;
}

}  // namespace

Result<TypePlan> plan_types(const Parameters& parameters, TensorType type, const TypeOverrides& overrides) {
  const Regexes regexes = TRY(compile(overrides));
  TypePlan plan(parameters.list.size());
  for (size_t i = 0; i < plan.size(); ++i) {
    const Parameter& p = parameters.list[i];
    const Tensor tensor{p.name, TensorType::F32, p.shape};
    if (!p.is_matrix() || !is_quantizable(tensor)) continue;
    const auto match = std::find_if(regexes.begin(), regexes.end(),
                                    [&](const auto& o) { return std::regex_search(p.name, o.first); });
    const TensorType wanted = match == regexes.end() ? type : match->second;
    const TensorType fitting = fitting_type(wanted, p.n_columns());
    if (!can_encode(fitting))
      return fail("{}: there is no encoder for the type {}", p.name, type_name(fitting));
    plan[i] = fitting;
  }
  return plan;
}

void fake_quantize(const Parameters& parameters, const TypePlan& plan, std::span<float> used,
                   ThreadPool& pool) {
  for (size_t i = 0; i < plan.size(); ++i) {
    const Parameter& p = parameters.list[i];
    const float* from = parameters.of(p).data();
    float* to = used.data() + p.offset;
    if (!plan[i]) {
      std::memcpy(to, from, static_cast<size_t>(p.size) * sizeof(float));
      continue;
    }
    pool.parallel_for(p.n_rows(), 8, [&](int64_t begin, int64_t end, int) {
      RowCoder coder(*plan[i], p.n_columns());
      for (int64_t row = begin; row < end; ++row)
        coder.round_trip(from + row * p.n_columns(), to + row * p.n_columns());
    });
  }
}

Projection project(Parameters& parameters, const TypePlan& plan, ThreadPool& pool) {
  Projection projection;
  for (size_t i = 0; i < plan.size(); ++i) {
    if (!plan[i]) continue;
    const Parameter& p = parameters.list[i];
    std::atomic<int64_t> n_unsettled{0};
    pool.parallel_for(p.n_rows(), 8, [&](int64_t begin, int64_t end, int) {
      RowCoder coder(*plan[i], p.n_columns());
      for (int64_t row = begin; row < end; ++row)
        if (!settle(coder, parameters.of(p).data() + row * p.n_columns())) ++n_unsettled;
    });
    projection.n_rows += p.n_rows();
    projection.n_unsettled_rows += n_unsettled;
  }
  return projection;
}

}  // namespace carat::train
