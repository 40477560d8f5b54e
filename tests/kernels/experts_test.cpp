// Routing and the mixture of experts against plain sums in double.
#include <numeric>

#include "support.h"

namespace carat::kernels_test {
namespace {

using enum TensorType;

class Experts : public PerIsa {};
CARAT_FOR_EACH_ISA(Experts);

TEST_P(Experts, RouteTakesTheBestAndRenormalises) {
  auto cpu = backend(2);
  const int64_t n_rows = 50, n_experts = 37, n_used = 5;
  const std::vector<float> scores = gaussian(static_cast<size_t>(n_rows * n_experts), 3, 2);
  std::vector<int32_t> experts(static_cast<size_t>(n_rows * n_used));
  std::vector<float> gates(experts.size());
  cpu->route(scores.data(), n_rows, n_experts, n_used, experts.data(), gates.data());
  for (int64_t r = 0; r < n_rows; ++r) {
    const float* row = scores.data() + r * n_experts;
    std::vector<int32_t> order(static_cast<size_t>(n_experts));
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return row[a] > row[b]; });
    double total = 0;
    for (int64_t j = 0; j < n_used; ++j) total += std::exp(double{row[order[static_cast<size_t>(j)]]});
    for (int64_t j = 0; j < n_used; ++j) {
      const size_t at = static_cast<size_t>(r * n_used + j);
      EXPECT_EQ(experts[at], order[static_cast<size_t>(j)]);
      const double want = std::exp(double{row[experts[at]]}) / total;
      EXPECT_NEAR(gates[at], want, 6e-6 * want);
    }
  }
}

TEST_P(Experts, RouteBreaksTiesByIndex) {
  auto cpu = backend();
  const std::vector<float> scores = {1, 3, 3, 0, 3, 1};
  std::vector<int32_t> experts(4);
  std::vector<float> gates(4);
  cpu->route(scores.data(), 1, 6, 4, experts.data(), gates.data());
  EXPECT_EQ(experts, (std::vector<int32_t>{1, 2, 4, 0}));
  EXPECT_EQ(gates[0], gates[1]);
  EXPECT_EQ(gates[1], gates[2]);
  const std::vector<float> bad = {NAN, NAN, NAN};
  cpu->route(bad.data(), 1, 3, 2, experts.data(), gates.data());
  EXPECT_EQ(experts[0], 0);
  EXPECT_EQ(experts[1], 1);
}

struct Mixture {
  Weight gate_up, gate, up, down;
  std::vector<float> scale;
  ExpertWeights fused, apart;
};

Mixture make_mixture(TensorType first, TensorType second, int64_t dim, int64_t n_ff, int64_t n_experts) {
  Mixture m;
  m.gate_up = make_weight(first, dim, 2 * n_ff, 1, n_experts);
  m.down = make_weight(second, n_ff, dim, 2, n_experts);
  m.scale = gaussian(static_cast<size_t>(n_experts), 3);
  // The same weights as two stacks.
  const size_t half = static_cast<size_t>(n_ff) * row_bytes(first, dim);
  for (Weight* part : {&m.gate, &m.up}) {
    const size_t offset = part == &m.gate ? 0 : half;
    for (size_t e = 0; e < static_cast<size_t>(n_experts); ++e) {
      const auto from = m.gate_up.bytes.begin() + static_cast<ptrdiff_t>(2 * half * e + offset);
      part->bytes.insert(part->bytes.end(), from, from + static_cast<ptrdiff_t>(half));
    }
    part->tensor = {"", first, {dim, n_ff, n_experts, 1}, part->bytes.data()};
  }
  m.fused = {m.gate_up.tensor, {}, {}, m.down.tensor, m.scale.data(), n_ff};
  m.apart = {{}, m.gate.tensor, m.up.tensor, m.down.tensor, m.scale.data(), n_ff};
  return m;
}

std::vector<float> run(CpuBackend& cpu, const ExpertWeights& w, const std::vector<float>& x, int64_t n_used,
                       const std::vector<int32_t>& experts, const std::vector<float>& gates) {
  const int64_t dim = w.down.shape[1];
  std::vector<float> out(x.size(), NAN);
  cpu.experts(w, x.data(), static_cast<int64_t>(x.size()) / dim, n_used, experts.data(), gates.data(),
              out.data());
  return out;
}

void choose(int64_t n_rows, int64_t n_used, int64_t n_experts, std::vector<int32_t>& experts,
            std::vector<float>& gates) {
  Random random(9);
  for (int64_t r = 0; r < n_rows; ++r) {
    std::vector<int32_t> all(static_cast<size_t>(n_experts));
    std::iota(all.begin(), all.end(), 0);
    random.shuffle(all);
    experts.insert(experts.end(), all.begin(), all.begin() + n_used);
    for (int64_t j = 0; j < n_used; ++j) gates.push_back(static_cast<float>(random.uniform()));
  }
}

TEST_P(Experts, ExactMixtureMatchesPlainSums) {
  auto cpu = backend(1, Precision::exact);
  const int64_t dim = 64, n_ff = 32, n_experts = 6, n_used = 3, n_rows = 7;
  const Mixture m = make_mixture(F32, F16, dim, n_ff, n_experts);
  const std::vector<float> x = gaussian(static_cast<size_t>(n_rows * dim), 4, 3);
  std::vector<int32_t> experts;
  std::vector<float> gates;
  choose(n_rows, n_used, n_experts, experts, gates);
  const std::vector<float> out = run(*cpu, m.fused, x, n_used, experts, gates);
  for (int64_t r = 0; r < n_rows; ++r) {
    std::vector<double> want(static_cast<size_t>(dim)), magnitude(want.size());
    for (int64_t j = 0; j < n_used; ++j) {
      const int64_t e = experts[static_cast<size_t>(r * n_used + j)];
      const double gate =
          double{gates[static_cast<size_t>(r * n_used + j)]} * m.scale[static_cast<size_t>(e)];
      for (int64_t f = 0; f < n_ff; ++f) {
        double g = 0, u = 0;
        for (int64_t i = 0; i < dim; ++i) {
          g += double{m.gate_up.row(e * 2 * n_ff + f)[i]} * x[static_cast<size_t>(r * dim + i)];
          u += double{m.gate_up.row(e * 2 * n_ff + n_ff + f)[i]} * x[static_cast<size_t>(r * dim + i)];
        }
        const double hidden = g / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g))) * u;
        for (int64_t i = 0; i < dim; ++i) {
          const double term = gate * hidden * m.down.row(e * dim + i)[f];
          want[static_cast<size_t>(i)] += term;
          magnitude[static_cast<size_t>(i)] += std::fabs(term);
        }
      }
    }
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_NEAR(out[static_cast<size_t>(r * dim) + i], want[i], 1e-5 * magnitude[i]);
  }
}

// Gate, up and down in types that want their activations in different forms: fast stays near exact, and a row alone has its bits.
TEST_P(Experts, TypesMayBeMixed) {
  const int64_t dim = 96, n_ff = 64, n_experts = 5, n_used = 2, n_rows = 9;
  auto fast = backend(2), exact = backend(1, Precision::exact);
  const std::vector<float> x = gaussian(static_cast<size_t>(n_rows * dim), 4);
  std::vector<int32_t> experts;
  std::vector<float> gates;
  choose(n_rows, n_used, n_experts, experts, gates);
  const TensorType types[][3] = {{BF16, BF16, BF16}, {BF16, Q8_0, F16}, {Q8_0, BF16, BF16}, {F32, BF16, Q8_0}, {BF16, F16, BF16}};
  for (const auto& [gate, up, down] : types) {
    const Weight g = make_weight(gate, dim, n_ff, 1, n_experts), u = make_weight(up, dim, n_ff, 2, n_experts),
                 d = make_weight(down, n_ff, dim, 3, n_experts);
    const ExpertWeights weights{{}, g.tensor, u.tensor, d.tensor, nullptr, n_ff};
    const std::vector<float> out = run(*fast, weights, x, n_used, experts, gates);
    const std::vector<float> want = run(*exact, weights, x, n_used, experts, gates);
    double error = 0, size = 0;
    for (size_t i = 0; i < out.size(); ++i) error += std::pow(out[i] - want[i], 2), size += std::pow(want[i], 2);
    EXPECT_LT(std::sqrt(error / size), 0.03) << type_name(gate) << type_name(up) << type_name(down);
    const std::vector<float> last(x.end() - dim, x.end());
    const std::vector<float> alone = run(*fast, weights, last, n_used, {experts.end() - n_used, experts.end()},
                                         {gates.end() - n_used, gates.end()});
    EXPECT_TRUE(same_bits(alone.data(), out.data() + (n_rows - 1) * dim, static_cast<size_t>(dim)));
  }
}

TEST_P(Experts, FusedAndSeparateGatesAgreeAndBatchesDoNotMatter) {
  for (const Precision precision : {Precision::fast, Precision::exact}) {
    auto one = backend(1, precision), three = backend(3, precision);
    for (const auto& [first, second] : {std::pair{Q8_0, Q4_0}, {Q4_0, F16}, {BF16, Q8_0}, {F16, BF16}, {IQ2_XXS, TQ1_0}}) {
      const bool long_blocks = type_info(first).block_length == 256;
      const int64_t dim = long_blocks ? 256 : 96, n_ff = long_blocks ? 256 : 64, n_experts = 9, n_used = 4, n_rows = 33;
      const Mixture m = make_mixture(first, second, dim, n_ff, n_experts);
      const std::vector<float> x = gaussian(static_cast<size_t>(n_rows * dim), 4);
      std::vector<int32_t> experts;
      std::vector<float> gates;
      choose(n_rows, n_used, n_experts, experts, gates);
      const std::vector<float> out = run(*one, m.fused, x, n_used, experts, gates);
      EXPECT_TRUE(same_bits(out, run(*three, m.fused, x, n_used, experts, gates)));
      EXPECT_TRUE(same_bits(out, run(*three, m.apart, x, n_used, experts, gates)));
      for (int64_t r = 0; r < n_rows; ++r) {
        const std::vector<float> row(x.begin() + r * dim, x.begin() + (r + 1) * dim);
        const auto alone = run(*three, m.fused, row, n_used,
                               {experts.begin() + r * n_used, experts.begin() + (r + 1) * n_used},
                               {gates.begin() + r * n_used, gates.begin() + (r + 1) * n_used});
        EXPECT_TRUE(same_bits(alone.data(), out.data() + r * dim, static_cast<size_t>(dim)));
      }
    }
  }
}

TEST_P(Experts, RepackedStacksGiveTheSameBits) {
  auto cpu = backend(2);
  for (const auto& [first, second] : {std::pair{Q4_0, Q8_0}, {Q4_K, F16}, {NVFP4, Q6_K}}) {
    const int64_t dim = 256, n_ff = 256, n_experts = 5, n_used = 2;
    const Mixture m = make_mixture(first, second, dim, n_ff, n_experts);
    ExpertWeights fused = m.fused, apart = m.apart;
    std::vector<Repacked> repacked;
    for (Tensor* stack : {&fused.gate_up, &fused.down, &apart.gate, &apart.up}) {
      *stack = repacked.emplace_back(*cpu, *stack).tensor;
      EXPECT_EQ(repacked.back().buffer != nullptr, stack->type != F16);
    }
    for (const int64_t n_rows : {1, 3, 40}) {
      const std::vector<float> x = gaussian(static_cast<size_t>(n_rows * dim), 4);
      std::vector<int32_t> experts;
      std::vector<float> gates;
      choose(n_rows, n_used, n_experts, experts, gates);
      const std::vector<float> want = run(*cpu, m.fused, x, n_used, experts, gates);
      EXPECT_TRUE(same_bits(run(*cpu, fused, x, n_used, experts, gates), want)) << type_name(first);
      EXPECT_TRUE(same_bits(run(*cpu, apart, x, n_used, experts, gates), want)) << type_name(first);
    }
  }
}

TEST_P(Experts, WithoutOutputScaleGatesStandAlone) {
  auto cpu = backend();
  Mixture m = make_mixture(F32, F32, 32, 32, 2);
  const std::vector<float> x = gaussian(32, 4);
  m.fused.output_scale = nullptr;
  const auto single = run(*cpu, m.fused, x, 1, {1}, {1.0f}), half = run(*cpu, m.fused, x, 1, {1}, {0.5f});
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(half[i], single[i] * 0.5f);
}

}  // namespace
}  // namespace carat::kernels_test
