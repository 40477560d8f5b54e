// Token stream: the hidden states of rows of text on their way through a model, one layer at a time, with
// what later layers need of earlier ones. Only a layer's weights are decoded at a time.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "model/model.h"
#include "train/network.h"

namespace carat::train {

// Rows of equal length, and which tokens they are made of: what depends on a token alone is kept once for
// each.
struct StreamRows {
  int64_t n_rows = 0, length = 0;
  std::vector<Token> tokens;      // [n_rows * length], numbers of `vocabulary`
  std::vector<Token> vocabulary;  // tokens of the model, each once

  int64_t n_tokens() const { return n_rows * length; }
};
// tokens [n_rows * length] of the model.
StreamRows make_stream_rows(std::vector<Token> tokens, int64_t length);

class TokenStream {
 public:
  // At the entry of the first layer. `rows` and `model` outlive it. Errors: tables that cannot be decoded.
  static Result<TokenStream> create(const Model& model, const StreamRows& rows, ThreadPool& pool);

  // Makes ready for a layer: of its per-layer inputs. Layers come in order.
  Result<void> enter(int layer, ThreadPool& pool);
  // Puts rows [first, first + n) of the entered layer's input where Network::forward_layer(…, 0, …) expects
  // them.
  void fill(int64_t first, int64_t n, Activations& activations) const;
  // What forward_layer left, back into the stream: the hidden states are then those behind the layer.
  void take(int64_t first, int64_t n, const Activations& activations);

  const float* hidden(int64_t row) const { return hidden_.data() + row * rows_->length * config_->dim; }

  // Floats that a stream keeps for each token of its rows, besides what it keeps for each token of the
  // vocabulary.
  static int64_t floats_per_token(const Config& config);

 private:
  struct KeyValues {
    AlignedArray<float> k, v;
  };

  const Model* model_;
  const Config* config_;
  const StreamRows* rows_;
  int layer_ = -1;
  AlignedArray<float> hidden_;           // [n_tokens, dim]
  AlignedArray<float> embeddings_;       // [vocabulary, dim], scaled; only where per-layer inputs need them
  AlignedArray<float> per_layer_;        // [vocabulary, per_layer_dim] of the entered layer
  std::map<int, KeyValues> key_values_;  // of layers that later ones read
};

}  // namespace carat::train
