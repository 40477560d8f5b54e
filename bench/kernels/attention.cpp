// How fast attention reads a cache: one line per shape with what it costs a call, what it reads and
// multiplies, and a hash of the result, so that two builds can be compared for speed and bits at once. Caches
// are changed in turn until they are larger than the last-level cache, as the layers of a model would.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/backend.h"

namespace {

using namespace carat;

struct Case {
  const char* name;
  AttentionShape shape;
  int64_t n_rows, depth;  // rows of the call; positions before them
  TensorType type;
  bool one_vector = false;
  Precision precision = Precision::fast;
};

using enum TensorType;
constexpr AttentionShape kFull{8, 1, 512, 0}, kSliding{8, 1, 256, 512}, kWide{16, 1, 512, 0},
    kFullOfTwo{8, 2, 512, 0}, kSlidingOfTwo{8, 2, 256, 512}, kSlidingOfEight{16, 8, 256, 1024};

// E2B's layers, the full layers of the 12B shape, and layers of several KV heads: E4B's and the sliding ones
// of 12B.
const Case kCases[] = {
    {"decode full 512", kFull, 1, 511, F16},
    {"decode full 4k", kFull, 1, 4095, F16},
    {"decode full 32k", kFull, 1, 32767, F16},
    {"decode full 32k", kFull, 1, 32767, Q8_0},
    {"decode sliding", kSliding, 1, 4095, F16},
    {"decode sliding", kSliding, 1, 4095, Q8_0},
    {"verify full 32k", kFull, 4, 32764, F16},
    {"prompt full 512", kFull, 512, 0, F16},
    {"prompt full 4k", kFull, 512, 3584, F16},
    {"prompt full 4k", kFull, 512, 3584, Q8_0},
    {"prompt sliding", kSliding, 512, 3584, F16},
    {"decode k=v 16k", kWide, 1, 16383, F16, true},
    {"decode k=v 16k", kWide, 1, 16383, Q8_0, true},
    {"decode k=v 16k exact", kWide, 1, 16383, Q8_0, true, Precision::exact},
    {"decode k,v 16k", kWide, 1, 16383, F16},
    {"decode k,v 16k", kWide, 1, 16383, Q8_0},
    {"decode k,v 16k exact", kWide, 1, 16383, Q8_0, false, Precision::exact},
    {"heads: full 32k, 2", kFullOfTwo, 1, 32767, F16},
    {"heads: full 32k, 2", kFullOfTwo, 1, 32767, Q8_0},
    {"heads: sliding, 2", kSlidingOfTwo, 1, 4095, Q8_0},
    {"heads: sliding, 8", kSlidingOfEight, 1, 4095, F16},
    {"heads: sliding, 8", kSlidingOfEight, 1, 4095, Q8_0},
    {"heads: prompt 4k, 2", kFullOfTwo, 512, 3584, Q8_0},
    {"heads: prompt 4k, 8", kSlidingOfEight, 512, 3584, Q8_0},
};

std::vector<float> gaussian(int64_t n, uint64_t seed, double scale) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& x : values) x = static_cast<float>(scale * random.normal());
  return values;
}

struct Sequence {
  std::unique_ptr<Buffer> k, v;
  KvView view;
};

// Cells of a sequence, filled.
Sequence make_sequence(Backend& backend, const Case& c, int64_t n_cells) {
  const int64_t row_size = c.shape.n_kv_heads * c.shape.head_dim, n_positions = c.depth + c.n_rows;
  Sequence s;
  const size_t n_bytes = static_cast<size_t>(n_cells) * row_bytes(c.type, row_size);
  if (!c.one_vector) s.k = backend.allocate(n_bytes);
  s.v = backend.allocate(n_bytes);
  s.view = {s.k ? static_cast<std::byte*>(s.k->data()) : nullptr,
            static_cast<std::byte*>(s.v->data()),
            c.type,
            c.type,
            n_cells,
            type_info(c.type).block_length > 1};
  constexpr int64_t kPiece = 256;
  const std::vector<float> rows = gaussian(kPiece * row_size, 3, 1);
  for (int64_t position = std::max<int64_t>(0, n_positions - n_cells); position < n_positions;
       position += kPiece) {
    const Segment piece{0, std::min(kPiece, n_positions - position), position, s.view};
    backend.store_kv({&piece, 1}, rows.data(), rows.data(), row_size);
  }
  return s;
}

// Positions that the rows see, each once.
int64_t positions_seen(const Case& c) {
  const int64_t first = c.shape.window > 0 ? std::max<int64_t>(0, c.depth - c.shape.window + 1) : 0;
  return c.depth + c.n_rows - first;
}

// Pairs of a row and a position that it sees.
int64_t pairs_seen(const Case& c) {
  int64_t n = 0;
  for (int64_t row = 0; row < c.n_rows; ++row) {
    const int64_t all = c.depth + row + 1;
    n += c.shape.window > 0 ? std::min(all, c.shape.window) : all;
  }
  return n;
}

uint64_t hash_of(const std::vector<float>& values) {
  uint64_t hash = 0;
  for (const float& x : values) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    hash = mix64(hash ^ bits);
  }
  return hash;
}

// Seconds on a clock that stands still while the only thread waits for a processor, so that other programs
// matter less.
double seconds(int n_threads) {
  timespec t;
  ::clock_gettime(n_threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void measure(const Case& c, int n_threads, double enough) {
  auto made = make_cpu_backend({n_threads, c.precision});
  if (!made) return fmt::print(stderr, "{}\n", made.error().message);
  Backend& backend = **made;
  const int64_t row_size = c.shape.n_kv_heads * c.shape.head_dim, n_q = c.shape.n_heads * c.shape.head_dim;
  const int64_t n_cells = c.shape.window > 0 ? c.shape.window + 512 : c.depth + c.n_rows;
  const int64_t n_vectors = c.one_vector ? 1 : 2;
  const int64_t cache_bytes = n_cells * n_vectors * static_cast<int64_t>(row_bytes(c.type, row_size));
  const int64_t n_sequences = std::max<int64_t>(1, (int64_t{96} << 20) / cache_bytes);
  std::vector<Sequence> sequences;
  for (int64_t i = 0; i < n_sequences; ++i) sequences.push_back(make_sequence(backend, c, n_cells));

  std::vector<float> frequencies(static_cast<size_t>(c.shape.head_dim / 2)),
      norm = gaussian(c.shape.head_dim, 5, 1);
  for (size_t i = 0; i < frequencies.size() / 4; ++i)
    frequencies[i] = static_cast<float>(
        std::pow(1e6, -2.0 * static_cast<double>(i) / static_cast<double>(c.shape.head_dim)));
  const Rope rope{frequencies};
  const KeyRule rule{norm.data(), &rope};
  AttentionShape shape = c.shape;
  if (c.one_vector) shape.key_rule = &rule;

  const std::vector<float> q =
      gaussian(c.n_rows * n_q, 7, 2 / std::sqrt(static_cast<double>(c.shape.head_dim)));
  std::vector<float> out(q.size());
  std::vector<double> times;
  double total = 0;
  for (size_t i = 0; total < enough || times.size() < 3; ++i) {
    const Segment segment{0, c.n_rows, c.depth, sequences[i % sequences.size()].view};
    const double start = seconds(n_threads);
    backend.attention({&segment, 1}, shape, q.data(), out.data());
    const double took = seconds(n_threads) - start;
    if (i > 0) times.push_back(took), total += took;
  }
  const double fastest = *std::ranges::min_element(times);  // other programs can only add to it
  const double bytes =
      static_cast<double>(positions_seen(c) * n_vectors) * static_cast<double>(row_bytes(c.type, row_size));
  const double multiply_adds = 2.0 * static_cast<double>(pairs_seen(c) * n_q);
  fmt::print("{:<22} {:<5} {:>10.1f} us {:>7.2f} GB/s {:>7.1f} GMAC/s  {:016x}\n", c.name, type_name(c.type),
             fastest * 1e6, bytes / fastest / 1e9, multiply_adds / fastest / 1e9, hash_of(out));
}

}  // namespace

// bench_kernels_attention [THREADS [SECONDS [NAME]]]: cases whose name begins with NAME, SECONDS each.
int main(int argc, char** argv) {
  const int n_threads = argc > 1 ? std::atoi(argv[1]) : default_thread_count();
  const double enough = argc > 2 ? std::atof(argv[2]) : 1;
  const std::string prefix = argc > 3 ? argv[3] : "";
  for (const Case& c : kCases)
    if (std::string(c.name).rfind(prefix, 0) == 0) measure(c, std::max(1, n_threads), enough);
}
