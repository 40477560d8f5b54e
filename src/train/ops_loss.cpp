// Head, cross-entropy and distillation over pieces of rows.
#include "train/ops_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "train/blas.h"
#include "train/vector_loops.h"

namespace carat::train {
namespace {

// Rows per piece: enough for an efficient product, few enough to stay in cache at Gemma's vocabulary.
int64_t piece_rows(int64_t n_vocab) { return std::clamp<int64_t>((int64_t{1} << 17) / n_vocab, 8, 256); }

double log_sum_exp(const float* z, int64_t n) {
  const VectorLoops& loops = vector_loops();
  const float shift = loops.maximum(z, n);
  return static_cast<double>(shift) + std::log(static_cast<double>(loops.sum_exp(z, n, shift)));
}

bool is_argmax(const float* z, int64_t n, Token target) {
  const float highest = vector_loops().maximum(z, n);
  return z[target] == highest && std::find(z, z + target, highest) == z + target;
}

// Logits of suppressed tokens inside the loss: probability 0, yet differences of two of them are 0 and not
// NaN.
constexpr float kNever = -1e30f;

void make_logits(const Head& head, int64_t first, int64_t n, float suppressed, float* logits) {
  multiply_nt(n, head.n_vocab, head.dim, 1, head.hidden + first * head.dim, head.dim, head.table, head.dim, 0,
              logits, head.n_vocab);
  if (head.soft_cap > 0) vector_loops().soft_cap(logits, n * head.n_vocab, head.soft_cap);
  for (int64_t r = 0; r < n; ++r)
    for (const int32_t id : head.suppressed) logits[r * head.n_vocab + id] = suppressed;
}

// One token: adds to the sums; turns z into the gradient of weight * loss before the cap.
struct TokenLoss {
  const Head& head;
  const LossTargets& targets;
  LossSums& sums;

  void run(size_t i, float* z, const float* parent, uint8_t* right) const {
    const VectorLoops& loops = vector_loops();
    const int64_t n = head.n_vocab;
    const float weight = targets.weights[i];
    const Token target = targets.targets[i];
    const double log_sum = log_sum_exp(z, n);
    const double cross_entropy = log_sum - static_cast<double>(z[target]);
    const bool is_answer = weight >= 1;
    *right = is_answer && is_argmax(z, n, target) ? 1 : 0;

    const auto distill = static_cast<float>(parent == nullptr ? 0.0 : targets.distill);
    const double parent_log_sum = parent == nullptr ? 0 : log_sum_exp(parent, n);
    const float bent = head.soft_cap > 0 ? z[target] / head.soft_cap : 0;
    const float divergence =
        loops.loss_gradient(z, n, static_cast<float>(log_sum), parent, static_cast<float>(parent_log_sum),
                            distill, weight, head.soft_cap);
    z[target] -= weight * (1 - distill) * (1 - bent * bent);
    for (const int32_t id : head.suppressed) z[id] = 0;

    const double w = static_cast<double>(weight), d = static_cast<double>(distill);
    sums.weight += w;
    sums.cross_entropy += w * cross_entropy;
    sums.divergence += w * static_cast<double>(divergence);
    sums.loss += w * (d * static_cast<double>(divergence) + (1 - d) * cross_entropy);
    sums.n_tokens += 1;
    if (!is_answer) return;
    sums.answer_loss += cross_entropy;
    sums.n_answer_tokens += 1;
    sums.n_answer_tokens_right += *right;
  }
};

}  // namespace

void LossSums::add(const LossSums& other) {
  weight += other.weight;
  loss += other.loss;
  cross_entropy += other.cross_entropy;
  divergence += other.divergence;
  answer_loss += other.answer_loss;
  n_tokens += other.n_tokens;
  n_answer_tokens += other.n_answer_tokens;
  n_answer_tokens_right += other.n_answer_tokens_right;
  n_answers += other.n_answers;
  n_answers_right += other.n_answers_right;
}

size_t loss_scratch(int64_t n_vocab, bool with_parent) {
  return static_cast<size_t>(piece_rows(n_vocab) * n_vocab * (with_parent ? 2 : 1));
}

void head_logits(const Head& head, int64_t first, int64_t n, float* logits) {
  make_logits(head, first, n, -std::numeric_limits<float>::infinity(), logits);
}

LossSums head_loss(const Head& student, const Head* parent, const LossTargets& targets, float* dhidden,
                   float* dtable, std::span<uint8_t> right, float* scratch) {
  CHECK(parent == nullptr || parent->n_vocab == student.n_vocab);
  const auto n = static_cast<int64_t>(targets.targets.size());
  const int64_t n_vocab = student.n_vocab, rows = piece_rows(n_vocab);
  float* z = scratch;
  float* parent_z = scratch + rows * n_vocab;
  LossSums sums;
  for (int64_t first = 0; first < n; first += rows) {
    const int64_t count = std::min(rows, n - first);
    make_logits(student, first, count, kNever, z);
    if (parent != nullptr) make_logits(*parent, first, count, kNever, parent_z);
    for (int64_t r = 0; r < count; ++r) {
      const auto i = static_cast<size_t>(first + r);
      right[i] = 0;
      if (targets.weights[i] > 0)
        TokenLoss{student, targets, sums}.run(
            i, z + r * n_vocab, parent == nullptr ? nullptr : parent_z + r * n_vocab, &right[i]);
      else
        std::fill_n(z + r * n_vocab, n_vocab, 0.0f);
    }
    if (dhidden == nullptr) continue;
    multiply_nn(count, student.dim, n_vocab, 1, z, n_vocab, student.table, student.dim, 0,
                dhidden + first * student.dim, student.dim);
    multiply_tn(n_vocab, student.dim, count, 1, z, n_vocab, student.hidden + first * student.dim, student.dim,
                1, dtable, student.dim);
  }
  return sums;
}

void count_answers(std::span<const float> weights, std::span<const uint8_t> right, int64_t length,
                   LossSums& sums) {
  const auto n = static_cast<int64_t>(weights.size());
  for (int64_t i = 0; i < n; ++i) {
    const bool begins =
        weights[static_cast<size_t>(i)] >= 1 && (i % length == 0 || weights[static_cast<size_t>(i - 1)] < 1);
    if (!begins) continue;
    bool all_right = true;
    for (int64_t j = i; j < n && (j == i || j % length != 0) && weights[static_cast<size_t>(j)] >= 1; ++j)
      all_right = all_right && right[static_cast<size_t>(j)] != 0;
    ++sums.n_answers;
    sums.n_answers_right += all_right ? 1 : 0;
  }
}

}  // namespace carat::train
