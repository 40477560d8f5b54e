// The codec table: one line per format that Carat computes with.
#include "quant/codec.h"

#include <cfloat>

#include "base/check.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/plain.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

namespace carat {
namespace {

constexpr float kF16 =
    65504;  // the largest half: scale times largest sub-scale times largest code gives the rest

// clang-format off
constexpr Codec kCodecs[] = {
    {TensorType::F32, FLT_MAX, decode_f32, encode_f32},
    {TensorType::F16, kF16, decode_f16, encode_f16},
    {TensorType::BF16, 0x1.fep127f, decode_bf16, encode_bf16},
    {TensorType::Q8_0, kF16 * 127, decode_q8_0, encode_q8_0},
    {TensorType::Q4_0, kF16 * 8, decode_q4_0, encode_q4_0},
    {TensorType::Q4_1, kF16 * (15 + 1), decode_q4_1, encode_q4_1},
    {TensorType::Q5_0, kF16 * 16, decode_q5_0, encode_q5_0},
    {TensorType::Q5_1, kF16 * (31 + 1), decode_q5_1, encode_q5_1},
    {TensorType::Q2_K, kF16 * 15 * 3, decode_q2_k, encode_q2_k},
    {TensorType::Q3_K, kF16 * 32 * 4, decode_q3_k, encode_q3_k},
    {TensorType::Q4_K, kF16 * 63 * 15, decode_q4_k, encode_q4_k},
    {TensorType::Q5_K, kF16 * 63 * 31, decode_q5_k, encode_q5_k},
    {TensorType::Q6_K, kF16 * 128 * 32, decode_q6_k, encode_q6_k},
    {TensorType::IQ4_NL, kF16 * 127, decode_iq4_nl, encode_iq4_nl},
    {TensorType::IQ4_XS, kF16 * 32 * 127, decode_iq4_xs, encode_iq4_xs},
    {TensorType::MXFP4, FLT_MAX, decode_mxfp4, encode_mxfp4},
    {TensorType::NVFP4, 448 * 6, decode_nvfp4, encode_nvfp4},
    {TensorType::TQ1_0, kF16, decode_tq1_0, encode_tq1_0},
    {TensorType::TQ2_0, kF16, decode_tq2_0, encode_tq2_0},
    {TensorType::Q1_0, kF16, decode_q1_0, encode_q1_0},
    {TensorType::Q2_0, kF16, decode_q2_0, encode_q2_0},
    {TensorType::IQ3_S, kF16 * 31 * 15, decode_iq3_s, nullptr, set_scale_iq3_s},
    {TensorType::IQ3_XXS, kF16 * 15.5f / 2 * 62, decode_iq3_xxs, nullptr, set_scale_iq3_xxs},
    {TensorType::IQ2_S, kF16 * 15.5f / 4 * 43, decode_iq2_s, nullptr, set_scale_iq2_s},
    {TensorType::IQ2_XS, kF16 * 15.5f / 4 * 43, decode_iq2_xs, nullptr, set_scale_iq2_xs},
    {TensorType::IQ2_XXS, kF16 * 15.5f / 4 * 43, decode_iq2_xxs, nullptr, set_scale_iq2_xxs},
    {TensorType::IQ1_M, kF16 * 15 * 1.125f, decode_iq1_m, nullptr, set_scale_iq1_m},
    {TensorType::IQ1_S, kF16 * 15 * 1.125f, decode_iq1_s, nullptr, set_scale_iq1_s},
};
// clang-format on

}  // namespace

std::span<const Codec> codecs() { return kCodecs; }

const Codec* find_codec(TensorType type) {
  for (const Codec& codec : kCodecs)
    if (codec.type == type) return &codec;
  return nullptr;
}

bool can_encode(TensorType type) {
  const Codec* codec = find_codec(type);
  return codec != nullptr && codec->encode != nullptr;
}

const Codec& codec_of(TensorType type) {
  const Codec* codec = find_codec(type);
  CHECK(codec != nullptr);
  return *codec;
}

void decode_tensor(const Tensor& tensor, float* out, ThreadPool& pool) {
  const Codec& codec = codec_of(tensor.type);
  const int64_t n_columns = tensor.n_columns();
  pool.parallel_for(tensor.n_rows(), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      codec.decode(tensor.row(i), n_columns, out + i * n_columns);
      if (tensor.scale == nullptr) continue;
      const float factor = tensor.scale[i / tensor.shape[1]];  // of the row's matrix
      for (int64_t j = 0; j < n_columns; ++j) out[i * n_columns + j] *= factor;
    }
  });
}

void encode_tensor(TensorType type, const float* values, int64_t n_columns, int64_t n_rows,
                   const float* importance, std::byte* out, ThreadPool& pool) {
  const Codec& codec = codec_of(type);
  CHECK(codec.encode != nullptr);
  const int64_t n_bytes = static_cast<int64_t>(row_bytes(type, n_columns));
  pool.parallel_for(n_rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      codec.encode(values + i * n_columns, n_columns, importance, out + i * n_bytes);
  });
}

}  // namespace carat
