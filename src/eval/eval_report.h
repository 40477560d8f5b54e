// EvalReport: a whole judgement as data. compare() fills it, the report layer draws it, JSON carries it.
// Yardsticks (docs/decisions/0003-verdicts.md): A parent against parent, B a file against its own parent, C
// files against external truth. Only C ranks files of different parents.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/statistics.h"
#include "kernels/backend.h"
#include "model/kv_type.h"
#include "tensor/type.h"

namespace carat {

enum class Family {
  original,  // the published weights and what is quantized from them
  qat,       // retrained with quantization in the loop: weights of their own
  control,   // retrained for as long without quantization: tells training from QAT
};
std::string_view to_string(Family family);

struct CategoryScore {
  std::string category;
  int64_t n_items = 0, n_answers = 0;
  Interval accuracy;    // share of right answers
  Interval answer_nll;  // nats per answer token
};

// How far a row is from another, over all scored tokens. Nats.
struct Divergence {
  int reference = -1;  // row
  Interval kld_mean;
  double kld_median = 0, kld_p99 = 0, kld_p999 = 0;
  // The whole distribution: the KLD that a share of kld_shares()[i] of the tokens reaches or exceeds; as many as
  // the number of tokens can tell.
  std::vector<double> kld_reached;
  Interval answer_kld;         // mean over answer tokens
  Interval top1, answer_top1;  // share of tokens with the same argmax
  double rms_dp = 0;
  // Prompts on which this row is nearer to the parent than `wins_over`, the next worse row of the same parent
  // and KV, of the `n_prompts` on which one of the two is; on `n_equal` neither is.
  int64_t wins = 0, n_prompts = 0, n_equal = 0;
  int wins_over = -1;
};

// Shares of tokens, falling from 1 to 1 in 10,000 in equal ratios, eight to a factor of ten.
std::vector<double> kld_shares();

// One file with one KV type under one engine precision.
struct ReportRow {
  std::string name, path;
  Family family = Family::original;
  int seed = 0;     // training seed of a QAT or control file
  int file = -1;    // index into the request's files
  int parent = -1;  // the row of its unquantized parent with the first KV type; -1: it is one, or none is known
  bool is_parent = false;
  KvType kv = TensorType::F16;
  Precision precision = Precision::exact;

  std::string types;                       // "Q4_0 (Q6_K)"
  TensorType main_type = TensorType::F32;  // of most bytes
  uint64_t bytes = 0;                      // of weights
  int64_t context_length = 0;              // tokens that the file is made for; 0: unknown
  uint64_t memory_bytes = 0;               // weights, KV cache at the report's context, scratch
  double bits_per_weight = 0;
  std::string fingerprint;                     // of the file's whole content
  double prefill_tok_s = 0, decode_tok_s = 0;  // 0: not measured
  uint64_t resident_bytes = 0;                 // measured with the speed, see eval/speed.h; 0: not measured

  Interval nll, answer_nll, accuracy;  // per scored token, per answer token, per answer
  std::optional<Interval> nll_gap;     // nll minus the text's entropy
  std::vector<CategoryScore> categories;
  std::optional<Divergence> divergence;  // from its own parent (yardstick B), along the suite's text
  std::optional<Divergence> on_policy;   // the same along text that the parent wrote: the main figure, if it is there
};

struct CategoryComparison {
  std::string category;
  Interval accuracy;
  Judgement judgement;
};

// A row against another, item by item.
struct Comparison {
  enum class Table {
    parents,     // A
    own_parent,  // B
    truth,       // C: every row against the reference
    headline,    // C: every QAT file against every post-training-quantized one
    kv,          // the same file with two KV types
    noise,       // the same file through two engines
  };
  Table table = Table::truth;
  int row = -1, reference = -1;
  Interval accuracy;                            // share of answers, positive: the row has more right
  Interval nll, answer_nll;                     // nats per token, positive: the row is worse
  Judgement accuracy_judgement, nll_judgement;  // nll_judgement: of the answers' NLL
  FlipTest flips;
  int64_t n_answers = 0;
  std::optional<Divergence> divergence;          // where it means something (A, kv, noise)
  std::optional<Divergence> reverse_divergence;  // A: of the reference from the row
  std::vector<CategoryComparison> categories;    // Holm across those of the whole table
  Verdict verdict = Verdict::not_enough_data;
  int64_t n_more_items = 0;  // 0: settled, or no number of such items would do
  std::string sentence;
};
std::string_view to_string(Comparison::Table table);
std::string_view yardstick(Comparison::Table table);  // "A", "B", "C" or ""

// How much of the damage of quantization QAT removes: 1 - (QAT - base) / (PTQ - base).
struct Recovery {
  // Which control stands for "trained as long without quantization".
  enum class Pairing {
    none,       // there is none
    same_seed,  // the one of the twin's seed
    only_one,   // the only one there is, of another or an unstated seed
    ambiguous,  // there are several, and not exactly one is of the twin's seed (0: unstated)
  };
  int qat = -1;                    // row
  Pairing pairing = Pairing::none;
  int control = -1;                // row of the control's own weights
  std::string metric;              // "nll", "answer_nll", "accuracy"
  std::optional<Interval> honest;  // base: the control's own weights, PTQ: the control quantized
  std::optional<Interval> naive;   // base: the original parent, PTQ: the original quantized; flatters QAT
  bool honest_defined = false, naive_defined = false;  // there is damage, distinguishable from none
};
std::string_view to_string(Recovery::Pairing pairing);

// Whether QAT suffers more from a quantized cache than the original does, item by item:
// (QAT, other KV - QAT, first KV) - (original, other KV - original, first KV).
struct CacheEffect {
  int qat = -1, qat_base = -1, original = -1, original_base = -1;  // rows; base: with the first KV type
  Interval accuracy;                                               // positive: QAT loses fewer answers
  Interval nll;  // of the answers, or of the text where there are none; negative: QAT suffers less
  Judgement accuracy_judgement, nll_judgement;
  Verdict verdict = Verdict::not_enough_data;  // better: QAT suffers less
  int64_t n_more_items = 0;
  std::string sentence;
};

// Relative errors of one file's matrices: root mean square of the difference from the parent's, over the root mean
// square of the parent's. NaN where the layer has no such matrix, or the two do not compare.
struct TensorErrors {
  struct Whole {
    std::string name;  // "token_embd"
    double error;
  };

  int row = -1;                    // of the report
  int64_t n_layers = 0;
  std::vector<std::string> roles;  // "attn_q", in the parent's order
  std::vector<double> errors;      // [n_roles, n_layers]
  std::vector<Whole> whole;        // matrices that belong to no layer

  double at(size_t role, int64_t layer) const {
    return errors[role * static_cast<size_t>(n_layers) + static_cast<size_t>(layer)];
  }
};

struct Warning {
  std::string id;  // "wrong-reference"
  std::string message;
};

struct ParetoPoint {
  int row = -1;
  // No other row, neither larger nor slower, is better by verdict, or ties and is smaller or faster.
  bool on_front = false;
};

struct Budget {
  uint64_t ram_bytes = 0, vram_bytes = 0;  // 0: not stated
  int64_t n_ctx = 0;
};

struct Recommendation {
  Budget budget;             // with the context for which it was decided
  int row = -1;              // -1: nothing fits
  std::vector<int> fitting;  // rows that fit the RAM and reach the context, best first
  std::vector<int> tied;     // of these, what no verdict tells from the best
  bool enough_data = true;   // false: the suite is too small to tell any from any
  std::string sentence;
};

// The same files and suite on another machine: its speeds, and how far its figures are from this report's (other
// instruction sets add in another order).
struct Elsewhere {
  struct Row {
    int row = -1;                                // of this report
    double prefill_tok_s = 0, decode_tok_s = 0;  // 0: not measured
    uint64_t resident_bytes = 0;                 // 0: not measured
  };
  std::string machine, version;
  int n_threads = 0;
  double seconds = 0;
  std::vector<Row> rows;
  double accuracy_distance = 0, nll_distance = 0;  // the largest over its rows; answers' NLL, or the text's
  std::string recommendation;                      // its sentence; empty: no budget was stated
};

// One look of a judgement that went on until it was decided (eval/sequential.h).
struct Look {
  int64_t n_items = 0;  // scored by then
  double alpha = 0;     // share of false calls that its families were allowed
  int64_t n_open = 0;   // words that were not said
};

// What a parent wrote for its files (eval/on_policy.h).
struct OnPolicyText {
  int parent = -1;  // row
  int64_t n_texts = 0, n_tokens = 0;
  std::string hash;  // of the tokens
};

struct EvalReport {
  std::string title;  // what was judged, where one page holds several judgements; empty: it stands alone
  std::string command, machine, version;
  int n_threads = 1;
  std::string suite_name, suite_hash;
  std::string template_hash;  // of the chat template that questions are put into; empty: not known
  int64_t n_items = 0, n_answers = 0, n_tokens = 0, n_answer_tokens = 0;
  int64_t n_ctx = 0;              // for memory_bytes
  std::optional<double> entropy;  // nats per scored token, where the suite knows it
  double seconds = 0;
  Margins margins;
  double alpha = 0.05;      // share of families with a false call that the words allow
  std::vector<Look> looks;  // of a sequential judgement, the last one is this report's; empty: it is none
  int reference = -1;  // the row that C measures against: the original parent
  // The reference answers nothing right, or guesses: exact match is then no witness for anything.
  bool near_chance = false;

  std::vector<OnPolicyText> on_policy_texts;  // empty: none were written
  std::vector<ReportRow> rows;
  std::vector<Comparison> comparisons;
  std::vector<Recovery> recoveries;
  std::vector<CacheEffect> cache_effects;
  std::vector<TensorErrors> tensor_errors;  // of rows with a parent, first KV type
  std::vector<Elsewhere> elsewhere;         // other machines, where results were merged
  std::vector<Warning> warnings;
  std::vector<ParetoPoint> pareto;
  std::optional<Recommendation> recommendation;

  // The comparison of `row` with `reference` in a table; nullptr: none.
  const Comparison* find(Comparison::Table table, int row, int reference) const;
};

}  // namespace carat
