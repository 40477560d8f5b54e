// A made-up family of files with made-up scores: shaped like real ones, so that tables and pictures can be
// tested without models. Damage is planted: what the judge says about it can be checked.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "eval/assemble.h"

namespace carat::made_up {

struct FileSpec {
  std::string name;
  Family family;
  TensorType type;
  std::string types;
  int parent;
  int seed;
  double memory_mb;
  double damage;  // nats on answer tokens against the original parent, before sharing among categories
};

inline std::vector<FileSpec> files() {
  using enum Family;
  return {{"lab-s-f32", original, TensorType::F32, "F32", -1, 0, 2.0, 0},
          {"lab-s-q8_0", original, TensorType::Q8_0, "Q8_0", 0, 0, 0.60, 0.0002},
          {"lab-s-q5_1", original, TensorType::Q5_1, "Q5_1", 0, 0, 0.45, 0.009},
          {"lab-s-q4_0", original, TensorType::Q4_0, "Q4_0", 0, 0, 0.35, 0.06},
          {"lab-s-nvfp4", original, TensorType::NVFP4, "NVFP4", 0, 0, 0.35, 0.09},
          {"lab-s-qat-master", qat, TensorType::F32, "F32", -1, 1, 2.0, -0.015},
          {"lab-s-qat-q4_0", qat, TensorType::Q4_0, "Q4_0", 5, 1, 0.35, -0.014},
          {"lab-s-control-f32", control, TensorType::F32, "F32", -1, 1, 2.0, -0.02},
          {"lab-s-control-q4_0", control, TensorType::Q4_0, "Q4_0", 7, 1, 0.35, 0.04}};
}

inline std::vector<ReportRow> rows(const std::vector<TensorType>& kv_types, bool noise_floor) {
  std::vector<ReportRow> result;
  for (const TensorType kv : kv_types)
    for (size_t f = 0; f < files().size(); ++f) {
      const FileSpec spec = files()[f];
      ReportRow row;
      row.name = spec.name;
      row.path = "models/" + spec.name + ".gguf";
      row.family = spec.family;
      row.seed = spec.seed;
      row.file = static_cast<int>(f);
      row.is_parent = spec.parent < 0;
      row.parent = spec.parent >= 0 ? spec.parent : (kv != kv_types.front() ? row.file : -1);
      row.kv = kv;
      row.types = spec.types;
      row.main_type = spec.type;
      row.bytes = static_cast<uint64_t>(spec.memory_mb * 1e6);
      row.bits_per_weight = 32 * spec.memory_mb / 2;
      row.memory_bytes = row.bytes + (kv == TensorType::F16 ? 200000 : 110000);
      row.fingerprint = "0123456789abcde" + std::to_string(f);
      row.resident_bytes = row.bytes - 50000;
      row.prefill_tok_s = 60000 - 9000 * spec.memory_mb;
      row.decode_tok_s = 4000 - 1000 * spec.memory_mb;
      result.push_back(row);
    }
  if (noise_floor) {
    ReportRow row = result[1];
    row.precision = Precision::fast;
    row.prefill_tok_s = row.decode_tok_s = 0;
    result.push_back(row);
  }
  return result;
}

inline Suite suite(int n_items) {
  const char* names[] = {"story", "arith", "list", "tool", "code"};
  Suite result;
  result.name = "made-up";
  for (int i = 0; i < n_items; ++i) {
    SuiteItem item;
    item.category = names[i % 5];
    item.tokens.assign(30, 5);
    item.tokens[0] = 2;
    item.tokens[3] = i;
    item.answers = {{10, 13}, {20, 22}};
    item.entropy = 20;
    result.items.push_back(item);
  }
  return result;
}

// Rows share each item's difficulty, so that pairs are nearer to each other than items are.
inline LockstepScores scores(const Plan& plan, const Suite& s, uint64_t seed) {
  LockstepScores out;
  out.first_answer = {0};
  out.first_token = {0};
  for (const SuiteItem& item : s.items) {
    out.n_tokens.push_back(static_cast<double>(item.n_scored()));
    out.n_answer_tokens.push_back(5);
    out.n_answers.push_back(2);
    out.is_exact.insert(out.is_exact.end(), 2, 1);
    out.first_answer.push_back(out.first_answer.back() + 2);
    out.first_token.push_back(out.first_token.back() + item.n_scored());
  }
  Random random(seed);
  std::vector<double> difficulty;
  for (int64_t a = 0; a < out.first_answer.back(); ++a) difficulty.push_back(random.uniform());
  out.models.resize(plan.rows.size());
  for (size_t r = 0; r < plan.rows.size(); ++r) {
    const ReportRow& row = plan.rows[r];
    const FileSpec spec = files()[static_cast<size_t>(row.file)];
    const double kv_cost = row.kv == TensorType::F16 ? 0 : row.family == Family::qat ? 0.001 : 0.03;
    const double damage = spec.damage + kv_cost + (row.precision == Precision::fast ? 0.0001 : 0);
    ModelScores& m = out.models[r];
    for (size_t i = 0; i < s.items.size(); ++i) {
      const double noise = 0.05 * std::fabs(damage) * random.normal();
      m.answer_nll.push_back(5 * (0.3 + 0.2 * difficulty[2 * i] + damage + noise));
      m.nll.push_back(20 + 29 * 0.2 * difficulty[2 * i] + m.answer_nll.back());
      for (size_t a = 0; a < 2; ++a) {
        const double jitter = std::sqrt(std::fabs(damage)) * 0.05 * random.normal();
        m.correct.push_back(difficulty[2 * i + a] + 0.5 * damage + jitter < 0.8);
      }
    }
    m.token_nll.assign(static_cast<size_t>(out.first_token.back()), 1.0f);
  }
  for (const ReferencePair& pair : plan.pairs) {
    const ReportRow &a = plan.rows[static_cast<size_t>(pair.model)],
                    &b = plan.rows[static_cast<size_t>(pair.reference)];
    const double distance =
        std::fabs(files()[static_cast<size_t>(a.file)].damage - files()[static_cast<size_t>(b.file)].damage) +
        (a.kv == b.kv              ? 0
         : a.family == Family::qat ? 0.001
                                   : 0.03) +
        0.0001;
    PairScores p;
    for (size_t i = 0; i < s.items.size(); ++i) {
      const double kld = distance * std::exp(0.3 * random.normal());
      p.kld.push_back(29 * kld);
      p.answer_kld.push_back(5 * kld);
      p.squared_delta_p.push_back(29 * kld / 10);
      p.same_top.push_back(29 - (random.uniform() < 20 * distance));
      p.answer_same_top.push_back(5);
      for (int t = 0; t < 29; ++t) p.token_kld.push_back(static_cast<float>(kld * random.uniform() * 2));
    }
    out.pairs.push_back(p);
  }
  return out;
}

// A judgement of these scores, whose plan and suite may have been changed by hand.
inline EvalReport judged(const Plan& plan, const Suite& s, const LockstepScores& of, AssembleOptions options = {}) {
  options.n_resamples = 200;
  if (options.n_ctx == 0) options.n_ctx = 4096;
  return assemble(plan, s, of, options);
}

// `two_kv`: every file with an F16 and with a Q8_0 cache, and the noise-floor row.
inline EvalReport report(bool two_kv = true, int n_items = 1500, uint64_t seed = 1) {
  const std::vector<TensorType> kv =
      two_kv ? std::vector{TensorType::F16, TensorType::Q8_0} : std::vector{TensorType::F16};
  const Plan plan = make_plan(rows(kv, two_kv));
  const Suite s = suite(n_items);
  EvalReport result = assemble(plan, s, scores(plan, s, seed),
                               {.n_resamples = 800, .budget = Budget{1000000, 0, 4096}, .n_ctx = 4096});
  result.command = "carat compare --kv f16,q8_0 --budget ram=1M,ctx=4k";
  result.machine = "A made-up CPU, 2 CPUs, 8.0 GiB memory";
  result.n_threads = 2;
  result.seconds = 12.5;
  result.warnings = {{"one-seed", "the QAT files come from one training run"}};
  return result;
}

}  // namespace carat::made_up
