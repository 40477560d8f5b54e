// What the judge promises, counted over many simulated judgements: coverage of every interval, false calls
// where there is no difference, and the power to find a planted gap of 2 points, with a fixed number of items
// and step by step. For docs/RESULTS.md: bench_eval_judge [RUNS].
#include <fmt/format.h>

#include <cstdlib>

#include "../../tests/eval/simulated.h"

namespace {

using namespace carat;

void print_coverage(int n_runs) {
  fmt::print("| interval (says 95 %) | covers the truth, % of {} runs |\n|---|---|\n", n_runs);
  uint64_t seed = 1000;
  for (const auto& c : simulated::coverage_cases())
    fmt::print("| {} | {:.1f} |\n", c.name, 100 * simulated::coverage(c, n_runs, ++seed));
}

struct Tally {
  double false_calls = 0, found = 0, n_items = 0;
};

Tally run(int n_runs, double gap, int64_t n_items, bool step, uint64_t seed) {
  Random random(seed);
  Tally tally;
  for (int i = 0; i < n_runs; ++i) {
    const simulated::Outcome o = simulated::judge_once(random, 5, gap, n_items, step, 500);
    tally.false_calls += 100.0 * o.false_call / n_runs;
    tally.found += 100.0 * o.found / n_runs;
    tally.n_items += static_cast<double>(o.n_items) / n_runs;
  }
  return tally;
}

// Items with which a gap of 2 points is found in 80 %, at the level that a family of five files (ten tests)
// leaves to its first.
int64_t items_for_two_points(double alpha) {
  Random random(9);
  LockstepScores scores;
  simulated::add_items(scores, random, 20000, {{.lost = 0, .won = 0}, {.lost = 0.04, .won = 0.02}});
  const Sample sample(scores, simulated::all_items(scores), 200, 5, 1);
  return items_needed(sample.difference(Sample::Quantity::right, 1, 0), 0.02, 1 - alpha / 10);
}

}  // namespace

int main(int argc, char** argv) {
  const int n_runs = argc > 1 ? std::atoi(argv[1]) : 1000;
  print_coverage(n_runs);
  const int64_t fixed = items_for_two_points(0.05),
                stepped = (items_for_two_points(0.75 * 0.05) + 15) / 16 * 16;
  fmt::print(
      "\n| {} judgements of five files | items allowed | a false call, % | the gap found, % | items used "
      "|\n|---|---|---|---|---|\n",
      n_runs);
  const auto line = [&](const char* name, double gap, int64_t n_items, bool step, uint64_t seed) {
    const Tally t = run(n_runs, gap, n_items, step, seed);
    fmt::print("| {} | {} | {:.1f} | {} | {:.0f} |\n", name, n_items, t.false_calls,
               gap > 0 ? fmt::format("{:.1f}", t.found) : "-", t.n_items);
    std::fflush(stdout);
  };
  line("no difference, all at once", 0, fixed, false, 1);
  line("no difference, until decided", 0, stepped, true, 2);
  line("2 points, all at once", 0.02, fixed, false, 3);
  line("2 points, until decided", 0.02, stepped, true, 4);
  line("5 points, until decided", 0.05, stepped, true, 5);
}
