// Means, percentiles and wins.
#include "eval/divergence_figures.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace carat {

Divergence divergence_figures(const LockstepScores& scores, size_t pair, int reference,
                              const Sample& sample) {
  const PairScores& p = scores.pairs[pair];
  std::vector<double> kld(p.token_kld.begin(), p.token_kld.end());
  std::sort(kld.begin(), kld.end());
  Divergence d;
  d.reference = reference;
  d.kld_mean = sample.per_token(p.kld);
  d.kld_median = sorted_percentile(kld, 0.5);
  d.kld_p99 = sorted_percentile(kld, 0.99);
  d.kld_p999 = sorted_percentile(kld, 0.999);
  for (const double share : kld_shares())
    if (share * static_cast<double>(kld.size()) >= 1) d.kld_reached.push_back(sorted_percentile(kld, 1 - share));
  d.top1 = sample.per_token(p.same_top);
  d.answer_kld = sample.per_answer_token(p.answer_kld);
  d.answer_top1 = sample.per_answer_token(p.answer_same_top);
  d.rms_dp = std::sqrt(std::accumulate(p.squared_delta_p.begin(), p.squared_delta_p.end(), 0.0) /
                       static_cast<double>(kld.size()));
  d.n_prompts = scores.n_items();
  return d;
}

void count_wins(std::vector<RankedRow> rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const RankedRow& a, const RankedRow& b) {
    return a.divergence->kld_mean.estimate < b.divergence->kld_mean.estimate;
  });
  for (size_t i = 0; i + 1 < rows.size(); ++i) {
    Divergence& d = *rows[i].divergence;
    const std::vector<double>&mine = *rows[i].kld, &other = *rows[i + 1].kld;
    d.wins_over = rows[i + 1].row;
    d.n_equal = 0;
    for (size_t k = 0; k < mine.size(); ++k) {
      d.wins += mine[k] < other[k];
      d.n_equal += mine[k] == other[k];
    }
    d.n_prompts = static_cast<int64_t>(mine.size()) - d.n_equal;
  }
}

}  // namespace carat
