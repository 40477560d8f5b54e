// TileReduction: forms the logits of all models for a few positions at a time, and reduces them to scores while they
// are all at hand. The logits of one tile are all that ever exist.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "eval/divergence.h"
#include "eval/layer_major.h"
#include "eval/scores.h"
#include "eval/suite.h"
#include "model/forward.h"

namespace carat {

// The logits of a tile, for those who want more of them than scores. Valid during the call.
struct LogitTile {
  std::span<const ScoredPosition> rows;
  std::function<std::span<const float>(size_t model, size_t row)> logits;  // [n_vocab]
  std::function<const RowSummary&(size_t model, size_t row)> summary;
  ThreadPool* pool;  // idle
};
using TileObserver = std::function<Result<void>(const LogitTile&)>;

struct TileLane {
  Forward* forward;
  std::vector<float>* hidden;  // [n_scored, dim]
};

class TileReduction {
 public:
  // lanes[i] is model i of the pairs.
  TileReduction(const Suite& suite, std::vector<TileLane> lanes, std::span<const ReferencePair> pairs,
                int64_t tile_rows, ThreadPool& pool);

  static int64_t bytes_needed(std::span<const int64_t> n_vocab, std::span<const ReferencePair> pairs, int64_t tile_rows);

  struct Hooks {
    TileObserver observe;
    std::function<void(size_t lane)> begin_head, done_head;  // around the use of a lane's head
    std::function<void(int64_t n_rows)> done_tile;
  };
  // Adds all `rows`, whose hidden states the lanes hold, to the scores of their items, in order. Errors: logits that are
  // not finite where the expected token is, the observer's, interruption.
  Result<void> run(std::span<const ScoredPosition> rows, LockstepScores& scores, const Hooks& hooks);

  // Seconds that a whole tile takes, tried out on hidden states of zeros, which the lanes then hold.
  double try_out();

 private:
  struct Lane {
    TileLane is;
    bool is_reference = false;
    std::vector<float> logits;          // [tile, n_vocab]
    std::vector<float> probability;     // [tile, n_vocab] of a reference
    std::vector<RowSummary> summaries;  // [tile]

    const Model& model() const { return is.forward->model(); }
    std::span<const float> row(size_t r) const { return slice(logits, r); }
    std::span<const float> probability_row(size_t r) const { return slice(probability, r); }
    std::span<const float> slice(const std::vector<float>& values, size_t r) const {
      const auto n = static_cast<size_t>(model().config.n_vocab);
      return std::span(values).subspan(r * n, n);
    }
  };
  // What is known of one scored position under one model.
  struct TokenScore {
    double log_probability;
    Token top;
  };

  void form_logits(size_t first, size_t n_rows, const Hooks& hooks);
  void reduce(size_t n_rows);
  Result<void> observe(std::span<const ScoredPosition> tile, const TileObserver& observer);
  Result<void> add(const ScoredPosition& position, size_t r, LockstepScores& scores);

  const Suite& suite_;
  std::vector<Lane> lanes_;
  std::span<const ReferencePair> pairs_;
  size_t tile_rows_;
  ThreadPool& pool_;
  std::vector<double> pair_kld_;    // [n_pairs, tile]
  std::vector<TokenScore> tokens_;  // [n_models] of the row being added
};

}  // namespace carat
