// Lanes of rows through the network, forward and backward.
#include "train/batch_gradient.h"

#include <algorithm>
#include <cmath>

namespace carat::train {
namespace {

constexpr int64_t kPassTokens = 256;

}  // namespace

int64_t rows_per_pass(int64_t row_length) { return std::max<int64_t>(1, kPassTokens / row_length); }

struct BatchGradient::Worker {
  Worker(const Config& config, const Parameters* parent, int64_t n_rows, int64_t length)
      : activations(config, n_rows, length, true),
        loss_memory(loss_scratch(config.n_vocab, parent != nullptr)),
        right(static_cast<size_t>(n_rows * length)) {
    if (parent != nullptr) parent_activations.emplace(parent->config, n_rows, length, false);
  }

  Activations activations;
  std::optional<Activations> parent_activations;
  AlignedArray<float> loss_memory;
  std::vector<uint8_t> right;
  std::vector<Token> tokens, targets;
  std::vector<float> weights;
};

BatchGradient::BatchGradient(const Parameters& parameters, const Parameters* parent, const RowSource& source,
                             const Options& options, ThreadPool& pool)
    : source_(source),
      options_(options),
      pool_(pool),
      network_(parameters, options.row_length),
      parent_(parent) {
  if (parent != nullptr) parent_network_ = std::make_unique<Network>(*parent, options.row_length);
  workers_.resize(static_cast<size_t>(pool.size()));
  for (auto& worker : workers_)
    worker = std::make_unique<Worker>(parameters.config, parent, rows_per_pass(options.row_length),
                                      options.row_length);
  lanes_.resize(kLanes);
}

BatchGradient::~BatchGradient() = default;

int64_t BatchGradient::n_floats_per_thread(const Config& config, bool has_parent, int64_t row_length) {
  const int64_t n_rows = rows_per_pass(row_length);
  int64_t n = Activations::n_floats(config, n_rows, row_length, true) +
              static_cast<int64_t>(loss_scratch(config.n_vocab, has_parent));
  if (has_parent) n += Activations::n_floats(config, n_rows, row_length, false);
  return n;
}

Result<LossSums> BatchGradient::run(const float* weights, const BatchPlan& plan, bool with_gradient) {
  const int64_t n_lanes = std::min(kLanes, plan.n_rows);
  std::vector<LossSums> sums(static_cast<size_t>(n_lanes));
  std::vector<std::string> errors(static_cast<size_t>(n_lanes));
  for (size_t i = 0; with_gradient && i < sums.size(); ++i)
    if (lanes_[i].size() == 0) lanes_[i] = AlignedArray<float>(network_.arena_size());
  pool_.parallel_for(n_lanes, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t lane = begin; lane < end; ++lane) {
      const auto i = static_cast<size_t>(lane);
      float* gradient = nullptr;
      if (with_gradient) {
        gradient = lanes_[i].data();
        std::fill_n(gradient, lanes_[i].size(), 0.0f);
      }
      const int64_t first = plan.n_rows * lane / n_lanes, last = plan.n_rows * (lane + 1) / n_lanes;
      auto result =
          run_lane(*workers_[static_cast<size_t>(thread)], weights, plan, first, last - first, gradient);
      if (result.has_value())
        sums[i] = *result;
      else
        errors[i] = result.error().message;
    }
  });
  LossSums total;
  lane_pointers_.clear();
  for (size_t i = 0; i < sums.size(); ++i) {
    if (!errors[i].empty()) return fail("{}", errors[i]);
    total.add(sums[i]);
    if (with_gradient) lane_pointers_.push_back(lanes_[i].data());
  }
  return total;
}

Result<LossSums> BatchGradient::run_lane(Worker& worker, const float* weights, const BatchPlan& plan,
                                         int64_t first_row, int64_t n_rows, float* gradient) {
  LossSums sums;
  const int64_t most = rows_per_pass(options_.row_length);
  for (int64_t row = 0; row < n_rows; row += most)
    sums.add(TRY(run_rows(worker, weights, plan, first_row + row, std::min(most, n_rows - row), gradient)));
  return sums;
}

Result<LossSums> BatchGradient::run_rows(Worker& worker, const float* weights, const BatchPlan& plan,
                                         int64_t first_row, int64_t n_rows, float* gradient) {
  const int64_t length = options_.row_length;
  worker.tokens.clear();
  worker.targets.clear();
  worker.weights.clear();
  for (int64_t i = 0; i < n_rows; ++i) {
    const Row row = TRY(draw_row(source_, plan, first_row + i, options_, network_.config().n_vocab));
    worker.tokens.insert(worker.tokens.end(), row.tokens.begin(), row.tokens.end() - 1);
    worker.targets.insert(worker.targets.end(), row.tokens.begin() + 1, row.tokens.end());
    worker.weights.insert(worker.weights.end(), row.weights.begin(), row.weights.end());
  }
  const TokenRows rows{n_rows, length, worker.tokens};
  network_.forward(weights, rows, worker.activations);
  const Head student = network_.head(weights, worker.activations);
  Head parent;
  if (parent_ != nullptr) {
    parent_network_->forward(parent_->values.data(), rows, *worker.parent_activations);
    parent = parent_network_->head(parent_->values.data(), *worker.parent_activations);
  }
  const LossTargets targets{worker.targets, worker.weights, parent_ == nullptr ? 0 : options_.distill_weight};
  LossSums sums = head_loss(student, parent_ == nullptr ? nullptr : &parent, targets,
                            gradient == nullptr ? nullptr : worker.activations.dh,
                            gradient == nullptr ? nullptr : network_.head_table(gradient), worker.right,
                            worker.loss_memory.data());
  count_answers(worker.weights, worker.right, length, sums);
  if (gradient != nullptr) network_.backward(weights, rows, worker.activations, gradient);
  return sums;
}

Result<Row> draw_row(const RowSource& source, const BatchPlan& plan, int64_t i, const Options& options,
                     int64_t n_vocab) {
  Random random(mix64(plan.seed ^ mix64(static_cast<uint64_t>(i))));
  Row row = source(random, plan.progress);
  const auto length = static_cast<size_t>(options.row_length);
  if (row.tokens.size() != length + 1 || row.weights.size() != length)
    return fail("row source: expected {} tokens and {} weights, got {} and {}", length + 1, length,
                row.tokens.size(), row.weights.size());
  for (const Token token : row.tokens)
    if (token < 0 || token >= n_vocab)
      return fail("row source: token {} is outside the vocabulary of {}", token, n_vocab);
  for (const float weight : row.weights)
    if (!(weight >= 0) || !std::isfinite(weight))
      return fail("row source: loss weight {} is not a finite number from 0 on", weight);
  return row;
}

}  // namespace carat::train
