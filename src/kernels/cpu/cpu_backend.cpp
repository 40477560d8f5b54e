// CpuBackend's operations on rows and elements; products, attention and experts have files of their own.
#include "kernels/cpu/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "quant/codec.h"

namespace carat {
namespace {

class CpuBuffer final : public Buffer {
 public:
  // Caches of long contexts are read from end to end: with small pages, that waits for page tables.
  explicit CpuBuffer(size_t bytes) : bytes_(bytes) {
    constexpr size_t kManyPages = size_t{4} << 20;
    if (bytes >= kManyPages) ::madvise(bytes_.data(), bytes, MADV_HUGEPAGE);  // a wish: it may fail
  }
  void* data() override { return bytes_.data(); }
  size_t size() const override { return bytes_.size(); }

 private:
  AlignedArray<std::byte> bytes_;
};

size_t index_of(const Isa& isa) { return static_cast<size_t>(&isa - isas().data()); }

}  // namespace

CpuBackend::CpuBackend(const Isa& isa, const CpuOptions& options)
    : kernels_(resolve_kernels(isas(), index_of(isa))),
      precision_(options.precision),
      pool_(options.n_threads),
      name_(fmt::format("cpu {}, {} {}", isa.name, options.n_threads,
                        options.n_threads == 1 ? "thread" : "threads")),
      scratch_(static_cast<size_t>(options.n_threads)) {}

Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options) {
  if (options.n_threads < 1) return fail("{} threads: expected at least 1", options.n_threads);
  const char* forced = std::getenv("CARAT_ISA");
  const Isa* isa = TRY(choose_isa(forced == nullptr ? "" : forced));
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(*isa, options));
}

std::unique_ptr<Buffer> CpuBackend::allocate(size_t bytes) { return std::make_unique<CpuBuffer>(bytes); }

void CpuBackend::copy_rows(const float* from, std::span<const int64_t> rows, int64_t dim, float* out) {
  const InUse in_use(in_use_);
  each_row(static_cast<int64_t>(rows.size()), dim, [&](int64_t i) {
    const float* row = from + rows[static_cast<size_t>(i)] * dim;
    std::copy(row, row + dim, out + i * dim);
  });
}

void CpuBackend::embed(const Tensor& table, std::span<const int32_t> tokens, float scale, float* out) {
  const InUse in_use(in_use_);
  const Codec& codec = codec_of(table.type);
  const int64_t dim = table.n_columns();
  each_row(static_cast<int64_t>(tokens.size()), dim, [&](int64_t i) {
    const int32_t token = tokens[static_cast<size_t>(i)];
    CHECK(token >= 0 && token < table.n_rows());
    codec.decode(table.row(token), dim, out + i * dim);
    kernels_.add_scale(out + i * dim, nullptr, dim, scale * table.factor());
  });
}

void CpuBackend::rms_norm(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps,
                          float* out) {
  const InUse in_use(in_use_);
  each_row(n_rows, dim, [&](int64_t r) { kernels_.rms_norm(x + r * dim, weight, dim, eps, out + r * dim); });
}

void CpuBackend::add_rms_norm(const float* x, const float* weight, int64_t n_rows, int64_t dim, float eps,
                              float* h) {
  const InUse in_use(in_use_);
  each_row(n_rows, dim,
           [&](int64_t r) { kernels_.add_rms_norm(x + r * dim, weight, dim, eps, h + r * dim); });
}

void CpuBackend::add_scale(float* x, const float* y, int64_t n, float scale) {
  const InUse in_use(in_use_);
  constexpr int64_t kPiece = 4096;
  each_row((n + kPiece - 1) / kPiece, kPiece, [&](int64_t i) {
    const int64_t begin = i * kPiece;
    kernels_.add_scale(x + begin, y == nullptr ? nullptr : y + begin, std::min(kPiece, n - begin), scale);
  });
}

void CpuBackend::soft_cap(float* x, int64_t n, float cap) {
  const InUse in_use(in_use_);
  if (cap == 0) return;
  constexpr int64_t kPiece = 4096;
  each_row((n + kPiece - 1) / kPiece, 8 * kPiece,
           [&](int64_t i) { kernels_.soft_cap(x + i * kPiece, std::min(kPiece, n - i * kPiece), cap); });
}

void CpuBackend::geglu(const float* gate, const float* up, int64_t up_stride, int64_t n_rows, int64_t n,
                       float* out) {
  const InUse in_use(in_use_);
  each_row(n_rows, 8 * n,
           [&](int64_t r) { kernels_.geglu(gate + r * n, up + r * up_stride, n, out + r * n); });
}

// Angles are products in double: at position 100000 a float has lost a hundredth of a turn.
const RopeTable& CpuBackend::rope_table(const Rope& rope, int64_t n_rows, const int32_t* positions) {
  const std::span<const int32_t> wanted(positions, static_cast<size_t>(n_rows));
  const auto same = [&](const RopeTable& t) {
    return std::ranges::equal(t.positions, wanted) &&
           std::ranges::equal(t.inverse_frequency, rope.inverse_frequency);
  };
  RopeTable* oldest = rope_tables_;
  for (RopeTable& table : rope_tables_) {
    if (table.last_use != 0 && same(table)) return table.last_use = ++rope_uses_, table;
    if (table.last_use < oldest->last_use) oldest = &table;
  }
  const size_t half = rope.inverse_frequency.size();
  oldest->last_use = ++rope_uses_;
  oldest->positions.assign(wanted.begin(), wanted.end());
  oldest->inverse_frequency.assign(rope.inverse_frequency.begin(), rope.inverse_frequency.end());
  oldest->cosine.resize(wanted.size() * half);
  oldest->sine.resize(wanted.size() * half);
  each_row(n_rows, static_cast<int64_t>(half) * 64, [&](int64_t r) {
    for (size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(positions[r]) * static_cast<double>(rope.inverse_frequency[i]);
      oldest->cosine[static_cast<size_t>(r) * half + i] = static_cast<float>(std::cos(angle));
      oldest->sine[static_cast<size_t>(r) * half + i] = static_cast<float>(std::sin(angle));
    }
  });
  return *oldest;
}

void CpuBackend::norm_rope(float* x, int64_t n_rows, int64_t n_heads, int64_t head_dim, const float* weight,
                           float eps, const Rope* rope, const int32_t* positions) {
  const InUse in_use(in_use_);
  const RopeTable* table = nullptr;
  const int64_t half = head_dim / 2;
  if (rope != nullptr) {
    CHECK(static_cast<int64_t>(rope->inverse_frequency.size()) == half && head_dim % 2 == 0);
    table = &rope_table(*rope, n_rows, positions);
  }
  each_row(n_rows, n_heads * head_dim, [&](int64_t r) {
    for (int64_t h = 0; h < n_heads; ++h) {
      float* head = x + (r * n_heads + h) * head_dim;
      kernels_.rms_norm(head, weight, head_dim, eps, head);
      if (table != nullptr)
        kernels_.rotate(head, half, table->cosine.data() + r * half, table->sine.data() + r * half);
    }
  });
}

void CpuBackend::route(const float* scores, int64_t n_rows, int64_t n_experts, int64_t n_used,
                       int32_t* experts, float* gates) {
  const InUse in_use(in_use_);
  CHECK(n_used >= 1 && n_used <= n_experts);
  each_row(n_rows, n_experts * n_used * 2, [&](int64_t r, int thread) {
    const float* row = scores + r * n_experts;
    // [n_experts] probabilities, then [n_experts] marks of the chosen ones
    float* p = scratch_[static_cast<size_t>(thread)].get<float>(2 * static_cast<size_t>(n_experts));
    char* taken = reinterpret_cast<char*>(p + n_experts);
    std::copy(row, row + n_experts, p);
    std::fill_n(taken, n_experts, char{0});
    float largest = 0, total = 0;
    kernels_.softmax(p, n_experts, &largest, &total);
    float chosen_sum = 0;
    for (int64_t j = 0; j < n_used; ++j) {
      int64_t best = -1;  // compares scores: distinct ones may share a rounded probability
      for (int64_t e = 0; e < n_experts; ++e)
        if (!taken[e] && (best < 0 || row[e] > row[best])) best = e;
      taken[best] = 1;
      experts[r * n_used + j] = static_cast<int32_t>(best);
      chosen_sum += gates[r * n_used + j] = p[best];
    }
    // The softmax's own sum cancels in the renormalisation.
    for (int64_t j = 0; j < n_used; ++j) gates[r * n_used + j] /= chosen_sum;
  });
}

}  // namespace carat
