// Recipe: which tensors a quantization touches, and which type each of them gets. The rules are
// llama-quantize's, so that a file made here can be compared with a published one of the same name.
//
// Where the two differ:
//   - Without a mix in its name a type is pure here ("Q4_0": everything eligible is Q4_0); llama-quantize's Q4_0,
//     IQ4_XS and the like also raise the embedding tables to Q6_K unless --pure is given. Here that is
//     QuantizeOptions::embedding_type. The mixes of Q2_K, Q3_K and the IQ types, and all that an importance matrix
//     changes, are missing.
//   - To F32, F16 or BF16, matrices that recipes keep (per_layer_model_proj, routers) are widened too if they have
//     fewer bits; llama-quantize leaves them. Overrides hold for these types as well; there they are ignored.
//   - Where a row fits no block, F16 is taken (NVFP4: IQ4_NL before that) for every type, also an embedding's; there
//     some types, and all of --token-embedding-type, are an error.
//   - An override's pattern is case-sensitive and must match some tensor; there it is lower-cased and may match none.
//   - Requantizing a file of block types is always refused (no --allow-requantize); going back to floats is not.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "tensor/tensor.h"
#include "tensor/type.h"

namespace carat {

// How the types of a file vary around its main type.
enum class Mix {
  Pure,    // one type for everything eligible, embeddings included
  Small,   // Q4_K_S, Q5_K_S
  Medium,  // Q4_K_M, Q5_K_M
};

struct Recipe {
  TensorType type = TensorType::Q4_0;
  Mix mix = Mix::Pure;
};

// "Q6_K": that type, pure. "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M": llama-quantize's mixes, without an
// importance matrix. Any case. Missing: the mixes of Q2_K, Q3_K and the IQ types; and llama-quantize's
// "Q4_0", "IQ4_XS" and the like also raise the embedding tables to Q6_K, which here is said with
// QuantizeOptions::embedding_type.
Result<Recipe> parse_recipe(std::string_view name);

// The value of general.quantization_version in files with tensors in blocks.
inline constexpr uint32_t kQuantizationVersion = 2;

// The value of general.file_type; nullopt: the format has no number for such a file.
std::optional<uint32_t> file_type_of(const Recipe& recipe);

// True if a recipe may change this tensor: two or more dimensions and not a norm, router or scale
// (the rule of llama-quantize).
bool is_quantizable(const Tensor& tensor);

// `type`, or what to use instead when the row length does not fit its block. Where
// llama-quantize gives up, F16 (NVFP4: IQ4_NL, of the same size, before that).
TensorType fitting_type(TensorType type, int64_t n_columns);

// What the rules of a mix look at, beside the tensor.
struct MixContext {
  int64_t n_layers = 0;
  int64_t n_experts = 0;
  bool tied = false;     // no output.weight: the embedding tables count as the output
  int64_t n_attn_v = 0;  // attn_v tensors in the file
};

// The types of one file under a mix. Ask in the order of layers: some rules count.
class Mixer {
 public:
  Mixer(const Recipe& recipe, const MixContext& context) : recipe_(recipe), context_(context) {}
  TensorType next(const Tensor& tensor);  // before fitting_type()

 private:
  TensorType for_output(const Tensor& tensor) const;
  TensorType for_attn_v();
  TensorType for_ffn_down(const Tensor& tensor);
  // Beside eight experts attention is so small that its matrices are not worth shrinking.
  bool has_few_experts() const { return context_.n_experts == 8; }

  Recipe recipe_;
  MixContext context_;
  int64_t i_attn_v_ = 0, i_ffn_down_ = 0;
};

bool is_embedding_table(std::string_view name);  // token_embd and per_layer_token_embd
// N of "blk.N.…"; nullopt: the tensor belongs to no layer.
std::optional<int64_t> layer_of(std::string_view name);

}  // namespace carat
