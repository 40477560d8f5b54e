// Heads, tiles and sums behind tile_reduction.h.
#include "eval/tile_reduction.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/progress.h"

namespace carat {
namespace {

bool is_reference(std::span<const ReferencePair> pairs, size_t model) {
  return std::any_of(pairs.begin(), pairs.end(),
                     [&](const ReferencePair& p) { return p.reference == static_cast<int>(model); });
}

}  // namespace

TileReduction::TileReduction(const Suite& suite, std::vector<TileLane> lanes, std::span<const ReferencePair> pairs,
                             int64_t tile_rows, ThreadPool& pool)
    : suite_(suite), pairs_(pairs), tile_rows_(static_cast<size_t>(tile_rows)), pool_(pool) {
  for (size_t i = 0; i < lanes.size(); ++i) {
    Lane lane{lanes[i], is_reference(pairs, i), {}, {}, {}};
    const size_t n = tile_rows_ * static_cast<size_t>(lane.model().config.n_vocab);
    lane.logits.resize(n);
    lane.probability.resize(lane.is_reference ? n : 0);
    lane.summaries.resize(tile_rows_);
    lanes_.push_back(std::move(lane));
  }
  pair_kld_.resize(pairs.size() * tile_rows_);
}

int64_t TileReduction::bytes_needed(std::span<const int64_t> n_vocab, std::span<const ReferencePair> pairs,
                                    int64_t tile_rows) {
  int64_t n_values = 0;
  for (size_t i = 0; i < n_vocab.size(); ++i) n_values += n_vocab[i] * (is_reference(pairs, i) ? 2 : 1);
  return 4 * n_values * tile_rows;
}

Result<void> TileReduction::run(std::span<const ScoredPosition> rows, LockstepScores& scores, const Hooks& hooks) {
  for (size_t first = 0; first < rows.size(); first += tile_rows_) {
    if (interrupted()) return fail("interrupted");
    const auto tile = rows.subspan(first, std::min(tile_rows_, rows.size() - first));
    form_logits(first, tile.size(), hooks);
    reduce(tile.size());
    if (hooks.observe) TRY(observe(tile, hooks.observe));
    for (size_t r = 0; r < tile.size(); ++r) TRY(add(tile[r], r, scores));
    if (hooks.done_tile) hooks.done_tile(static_cast<int64_t>(tile.size()));
  }
  return {};
}

double TileReduction::try_out() {
  const auto start = std::chrono::steady_clock::now();
  for (Lane& lane : lanes_) lane.is.hidden->assign(tile_rows_ * static_cast<size_t>(lane.model().config.dim), 0.0f);
  form_logits(0, tile_rows_, {});
  reduce(tile_rows_);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void TileReduction::form_logits(size_t first, size_t n_rows, const Hooks& hooks) {
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    const size_t dim = static_cast<size_t>(lane.model().config.dim);
    if (hooks.begin_head) hooks.begin_head(i);
    lane.is.forward->logits(std::span<const float>(*lane.is.hidden).subspan(first * dim, n_rows * dim),
                            static_cast<int64_t>(n_rows), lane.logits.data());
    if (hooks.done_head) hooks.done_head(i);
  }
}

// Rows are independent: each is reduced by one thread, in one order.
void TileReduction::reduce(size_t n_rows) {
  pool_.parallel_for(static_cast<int64_t>(n_rows), 1, [&](int64_t begin, int64_t end, int) {
    for (size_t r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r) {
      for (Lane& lane : lanes_) {
        lane.summaries[r] = summarize(lane.row(r));
        if (!lane.is_reference) continue;
        const size_t n = static_cast<size_t>(lane.model().config.n_vocab);
        probabilities(lane.row(r), lane.summaries[r], std::span(lane.probability).subspan(r * n, n));
      }
      for (size_t p = 0; p < pairs_.size(); ++p) {
        const Lane& model = lanes_[static_cast<size_t>(pairs_[p].model)];
        const Lane& reference = lanes_[static_cast<size_t>(pairs_[p].reference)];
        pair_kld_[p * tile_rows_ + r] =
            kl_divergence(reference.probability_row(r), reference.row(r), reference.summaries[r], model.row(r),
                          model.summaries[r]);
      }
    }
  });
}

Result<void> TileReduction::observe(std::span<const ScoredPosition> tile, const TileObserver& observer) {
  return observer({tile, [this](size_t model, size_t r) { return lanes_[model].row(r); },
                   [this](size_t model, size_t r) -> const RowSummary& { return lanes_[model].summaries[r]; }, &pool_});
}

// Adds one scored position to the sums of its item, in order of positions.
Result<void> TileReduction::add(const ScoredPosition& at, size_t r, LockstepScores& scores) {
  const size_t item_index = static_cast<size_t>(at.item);
  const SuiteItem& item = suite_.items[item_index];
  const Token expected = item.tokens[static_cast<size_t>(at.position + 1)];
  const auto span = std::find_if(item.answers.begin(), item.answers.end(), [&](const AnswerSpan& s) {
    return s.begin <= at.position + 1 && at.position + 1 < s.end;
  });
  const bool in_answer = span != item.answers.end();
  const size_t token_index =
      static_cast<size_t>(scores.first_token[item_index] + at.position + 1 - item.first_scored);

  tokens_.clear();
  for (size_t m = 0; m < lanes_.size(); ++m) {
    const RowSummary& summary = lanes_[m].summaries[r];
    const double log_p = log_probability(lanes_[m].row(r), summary, expected);
    if (!std::isfinite(log_p))
      return fail("{}: item {} ({}): the log-probability of token {} at position {} is {}",
                  lanes_[m].model().file.path, at.item, item.category, expected, at.position + 1, log_p);
    ModelScores& model = scores.models[m];
    model.nll[item_index] -= log_p;
    model.token_nll[token_index] = static_cast<float>(-log_p);
    if (in_answer) {
      model.answer_nll[item_index] -= log_p;
      const int64_t answer = scores.first_answer[item_index] + (span - item.answers.begin());
      if (summary.top != expected) model.correct[static_cast<size_t>(answer)] = 0;
    }
    tokens_.push_back({log_p, summary.top});
  }
  for (size_t p = 0; p < pairs_.size(); ++p) {
    const TokenScore& model = tokens_[static_cast<size_t>(pairs_[p].model)];
    const TokenScore& reference = tokens_[static_cast<size_t>(pairs_[p].reference)];
    const double kld = pair_kld_[p * tile_rows_ + r];
    const double delta = std::exp(model.log_probability) - std::exp(reference.log_probability);
    PairScores& pair = scores.pairs[p];
    pair.kld[item_index] += kld;
    pair.squared_delta_p[item_index] += delta * delta;
    pair.same_top[item_index] += model.top == reference.top;
    if (in_answer) {
      pair.answer_kld[item_index] += kld;
      pair.answer_same_top[item_index] += model.top == reference.top;
    }
    pair.token_kld[token_index] = static_cast<float>(kld);
  }
  return {};
}

}  // namespace carat
