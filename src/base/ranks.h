// Ranks: the processes of one `mpirun -n K carat …` that share a job. Without mpirun, or in a build without MPI
// (CARAT_MPI=ON), there is one, and everything here is free.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace carat {

class Ranks {
 public:
  // Those of this process. The first call joins them; main() leaves with finish().
  static Ranks& job();

  int index() const { return index_; }  // 0 … n - 1; 0 speaks for all
  int n() const { return n_; }
  bool is_first() const { return index_ == 0; }

  // What each rank gives, in order, at every rank. All ranks call it the same number of times.
  Result<std::vector<std::string>> exchange(const std::string& mine) const;
  // Rank 0's number, at every rank: for decisions on which all must agree.
  Result<double> agree(double mine) const;

  // The last thing a process does: waits for the others where it succeeded, and ends them all where it did not.
  void finish(int exit_code);

 private:
  Ranks();
  int index_ = 0, n_ = 1;
};

}  // namespace carat
