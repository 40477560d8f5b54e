// The head and the loss in one pass over pieces of rows: logits, soft cap, cross-entropy, divergence from a
// parent, and the gradient, without ever holding all logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/tokenizer.h"

namespace carat::train {

// The head of one network over the final hidden states of n rows.
struct Head {
  const float* hidden = nullptr;  // [n, dim], after the final norm
  const float* table = nullptr;   // [n_vocab, dim]
  int64_t dim = 0, n_vocab = 0;
  float soft_cap = 0;                     // 0: none
  std::span<const int32_t> suppressed{};  // probability 0
};

struct LossTargets {
  std::span<const Token> targets;  // [n]
  std::span<const float> weights;  // [n]; 0: not counted; 1 and more: part of an answer
  double distill = 0;              // share of KL(parent || student) in the loss, the rest is cross-entropy
};

// Sums over tokens. Losses are in nats.
struct LossSums {
  double weight = 0;
  double loss = 0, cross_entropy = 0, divergence = 0;  // weighted
  double answer_loss = 0;                              // cross-entropy of the answers' tokens, unweighted
  int64_t n_tokens = 0, n_answer_tokens = 0, n_answer_tokens_right = 0;
  int64_t n_answers = 0, n_answers_right = 0;  // runs of answer tokens, right when every token is

  void add(const LossSums& other);
};

// Rows of logits worked on at a time, and floats of scratch for them.
size_t loss_scratch(int64_t n_vocab, bool with_parent);

// Sums of weight * loss. dhidden [n, dim] = and dtable += its gradient (nullptr: not wanted, both or none).
// right[i] = 1 where the target is the argmax (answers only, 0 elsewhere).
LossSums head_loss(const Head& student, const Head* parent, const LossTargets& targets, float* dhidden,
                   float* dtable, std::span<uint8_t> right, float* scratch);

// Counts the answers (runs of weight >= 1) of rows of `length`, given head_loss's `right`.
void count_answers(std::span<const float> weights, std::span<const uint8_t> right, int64_t length,
                   LossSums& sums);

// logits [n, n_vocab] as the head gives them: capped, suppressed at -infinity.
void head_logits(const Head& head, int64_t first, int64_t n, float* logits);

}  // namespace carat::train
