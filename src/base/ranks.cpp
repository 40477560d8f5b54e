// The only file that knows MPI.
#include "base/ranks.h"

#include <cstdint>
#include <cstdlib>

#ifdef CARAT_MPI
#include <mpi.h>
#endif

namespace carat {

Ranks& Ranks::job() {
  static Ranks ranks;
  return ranks;
}

#ifdef CARAT_MPI

namespace {

// Set by the launchers of Open MPI, MPICH and Slurm: a program that nobody launched pays nothing for MPI.
bool is_launched() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "SLURM_STEP_NUM_TASKS"})
    if (std::getenv(name) != nullptr) return true;
  return false;
}

Result<void> check(int code, std::string_view what) {
  if (code == MPI_SUCCESS) return {};
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  return fail("mpirun: {}: {}", what, std::string_view(text, static_cast<size_t>(length)));
}

constexpr uint64_t kMostAtOnce = uint64_t{1} << 30;  // MPI counts with int

Result<void> broadcast(std::string& bytes, int from) {
  uint64_t n = bytes.size();
  TRY(check(MPI_Bcast(&n, 1, MPI_UINT64_T, from, MPI_COMM_WORLD), "broadcast of a size"));
  bytes.resize(n);
  for (uint64_t at = 0; at < n; at += kMostAtOnce) {
    const int length = static_cast<int>(std::min(kMostAtOnce, n - at));
    TRY(check(MPI_Bcast(bytes.data() + at, length, MPI_BYTE, from, MPI_COMM_WORLD), "broadcast"));
  }
  return {};
}

}  // namespace

Ranks::Ranks() {
  if (!is_launched()) return;
  MPI_Init(nullptr, nullptr);  // ends the program where it fails
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &index_);
  MPI_Comm_size(MPI_COMM_WORLD, &n_);
}

Result<std::vector<std::string>> Ranks::exchange(const std::string& mine) const {
  std::vector<std::string> all(static_cast<size_t>(n_));
  all[static_cast<size_t>(index_)] = mine;
  if (n_ > 1)
    for (int from = 0; from < n_; ++from) TRY(broadcast(all[static_cast<size_t>(from)], from));
  return all;
}

Result<double> Ranks::agree(double mine) const {
  if (n_ > 1) TRY(check(MPI_Bcast(&mine, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD), "broadcast of a number"));
  return mine;
}

void Ranks::finish(int exit_code) {
  int is_joined = 0;
  MPI_Initialized(&is_joined);
  if (is_joined == 0) return;
  if (exit_code != 0 && n_ > 1) MPI_Abort(MPI_COMM_WORLD, exit_code);
  MPI_Finalize();
}

#else

Ranks::Ranks() = default;

Result<std::vector<std::string>> Ranks::exchange(const std::string& mine) const { return std::vector{mine}; }

Result<double> Ranks::agree(double mine) const { return mine; }

void Ranks::finish(int) {}

#endif

}  // namespace carat
