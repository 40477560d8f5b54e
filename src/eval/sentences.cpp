// Wording. Every sentence carries its numbers, so that it can be quoted alone.
#include "eval/sentences.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/speed.h"

namespace carat {
namespace {

using Table = Comparison::Table;

const ReportRow& row_of(const EvalReport& report, int row) { return report.rows[static_cast<size_t>(row)]; }

// "1.2 more right answers per 100 (0.6 to 1.8; won 335, lost 215 of 10 479)"
std::string accuracy_words(const Comparison& c) {
  const Interval& i = c.accuracy;
  const double sign = i.estimate < 0 ? -1 : 1;
  const double low = 100 * std::min(sign * i.low, sign * i.high),
               high = 100 * std::max(sign * i.low, sign * i.high);
  return fmt::format("{:.2f} {} right answers per 100 ({:.2f} to {:.2f}; won {}, lost {} of {})",
                     100 * std::fabs(i.estimate), i.estimate < 0 ? "fewer" : "more", low, high,
                     format_count(c.flips.won), format_count(c.flips.lost), format_count(c.n_answers));
}

std::string nll_words(const Interval& i, std::string_view what) {
  const double sign = i.estimate < 0 ? -1 : 1;
  return fmt::format("{} {:.4f} nat {} ({:.4f} to {:.4f})", what, std::fabs(i.estimate),
                     i.estimate < 0 ? "lower" : "higher", std::min(sign * i.low, sign * i.high),
                     std::max(sign * i.low, sign * i.high));
}

std::string figures(const EvalReport& report, const Comparison& c) {
  if (report.n_answers == 0) return nll_words(c.nll, "NLL per token");
  return accuracy_words(c) + ", " + nll_words(c.answer_nll, "NLL of the answers");
}

// What the reader should not miss beside the word.
std::string remark(const EvalReport& report, const Comparison& c) {
  const auto opposite = [](Verdict a, Verdict b) {
    return (a == Verdict::better && b == Verdict::worse) || (a == Verdict::worse && b == Verdict::better);
  };
  const bool truth_tested = report.n_answers > 0;
  if (truth_tested && opposite(c.accuracy_judgement.verdict, c.nll_judgement.verdict))
    return " Exact match and NLL contradict each other; exact match has the word.";
  const bool measurable =
      c.nll_judgement.p_adjusted <= 0.05 || (truth_tested && c.accuracy_judgement.p_adjusted <= 0.05);
  if (c.verdict == Verdict::tie && measurable) return " Measurable, but too small to matter.";
  if (c.verdict != Verdict::tie && c.verdict != Verdict::not_enough_data && truth_tested &&
      c.accuracy_judgement.verdict != c.verdict)
    return " It shows in the NLL; in exact match not yet.";
  return "";
}

std::string divergence_words(const Divergence& d) {
  const double differs = 1 - d.top1.estimate;
  const std::string words =
      differs > 0 ? fmt::format("another favourite next token at 1 of {:.0f} positions", 1 / differs)
                  : "the same favourite next token everywhere";
  return fmt::format(" KL divergence {:.5f} nat, {}.", d.kld_mean.estimate, words);
}

const Divergence* divergence_of(const EvalReport& report, const Comparison& c) {
  if (c.divergence) return &*c.divergence;
  const ReportRow& row = row_of(report, c.row);
  return c.table == Table::own_parent && row.divergence ? &*row.divergence : nullptr;
}

std::string bytes_or_unstated(uint64_t bytes, std::string_view what) {
  if (bytes == 0) return "";
  const double mebi = static_cast<double>(bytes) / (1 << 20);
  return mebi >= 1024 ? fmt::format("{:.4g} GiB {}", mebi / 1024, what)
                      : fmt::format("{:.4g} MiB {}", mebi, what);
}

std::string budget_words(const Budget& budget, int64_t n_ctx) {
  std::string words = bytes_or_unstated(budget.ram_bytes, "RAM");
  const std::string vram = bytes_or_unstated(budget.vram_bytes, "VRAM");
  if (!words.empty() && !vram.empty()) words += " and ";
  words += vram;
  if (words.empty()) words = "any memory";
  return fmt::format("Within {} at a context of {} tokens", words, format_count(n_ctx));
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} MB", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.0f} kB", value / 1e3);
  return fmt::format("{} B", bytes);
}

std::string format_count(int64_t count) {
  const std::string digits = std::to_string(count < 0 ? -count : count);
  std::string text = count < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ' ';
    text += digits[i];
  }
  return text;
}

std::string label(const EvalReport& report, int row) {
  const ReportRow &r = row_of(report, row), &first = report.rows.front();
  std::string text = r.name;
  if (r.kv != first.kv) text += fmt::format(" (KV {})", type_name(r.kv));
  if (r.precision != first.precision)
    text += r.precision == Precision::fast ? " (fast engine)" : " (exact engine)";
  return text;
}

std::string sentence_of(const EvalReport& report, const Comparison& c) {
  const std::string a = label(report, c.row), b = label(report, c.reference);
  std::string text;
  switch (c.verdict) {
    case Verdict::better:
      text = fmt::format("{} is better than {}: {}.", a, b, figures(report, c));
      break;
    case Verdict::worse:
      text = fmt::format("{} is worse than {}: {}.", a, b, figures(report, c));
      break;
    case Verdict::tie:
      text = fmt::format("{} ties with {}: {}.", a, b, figures(report, c));
      break;
    case Verdict::not_enough_data:
      text = fmt::format("Not enough data to tell {} from {}: {}. About {} more items would settle it.", a, b,
                         figures(report, c), format_count(c.n_more_items));
  }
  text += remark(report, c);
  if (const Divergence* d = divergence_of(report, c)) text += divergence_words(*d);
  return text;
}

std::string sentence_of(const EvalReport& report, const Recovery& recovery) {
  const ReportRow& row = row_of(report, recovery.qat);
  const std::string metric = recovery.metric == "accuracy"     ? "lost answers"
                             : recovery.metric == "answer_nll" ? "NLL of the answers"
                                                               : "NLL per token";
  const auto percent = [](const Interval& i) {
    return fmt::format("{:.0f} % ({:.0f} to {:.0f})", 100 * i.estimate, 100 * i.low, 100 * i.high);
  };
  std::string text = fmt::format("{}, {}: ", label(report, recovery.qat), metric);
  if (!recovery.honest)
    text += fmt::format(
        "no control of seed {} in this type, so how much of the {} damage QAT removes is not known", row.seed,
        type_name(row.main_type));
  else if (!recovery.honest_defined)
    text +=
        fmt::format("the {} damage to the control is itself not measurable here", type_name(row.main_type));
  else
    text += fmt::format("QAT removes {} of the {} damage, measured against the control",
                        percent(*recovery.honest), type_name(row.main_type));
  if (recovery.naive && recovery.naive_defined)
    text +=
        fmt::format("; against the parent alone it looks like {}, which counts the further training as well",
                    percent(*recovery.naive));
  return text + ".";
}

std::string sentence_of(const EvalReport& report, const Recommendation& recommendation) {
  const std::string budget = budget_words(recommendation.budget, report.n_ctx);
  if (recommendation.row < 0) {
    uint64_t smallest = UINT64_MAX;
    for (const ParetoPoint& p : report.pareto)
      smallest = std::min(smallest, row_of(report, p.row).memory_bytes);
    return fmt::format("{} none of these files fits: the smallest needs {}.", budget, format_bytes(smallest));
  }
  const ReportRow& row = row_of(report, recommendation.row);
  std::string text = fmt::format("{} run {}: it takes {}", budget, label(report, recommendation.row),
                                 format_bytes(row.memory_bytes));
  if (row.decode_tok_s > 0) text += fmt::format(" and writes {:.0f} tokens/s", row.decode_tok_s);
  text += ".";
  if (recommendation.tied.size() > 1) {
    constexpr size_t kNamed = 4;
    std::string others;
    size_t n_others = 0;
    bool is_fastest = row.decode_tok_s > 0;
    for (const int other : recommendation.tied) {
      if (other == recommendation.row) continue;
      if (++n_others <= kNamed) others += (others.empty() ? "" : ", ") + label(report, other);
      is_fastest = is_fastest && row.decode_tok_s > (1 + kSpeedNoise) * row_of(report, other).decode_tok_s;
    }
    if (n_others > kNamed) others += fmt::format(" and {} more", n_others - kNamed);
    text += fmt::format(" In quality it cannot be told from {}; of these it is the {}.", others,
                        is_fastest             ? "fastest"
                        : row.decode_tok_s > 0 ? "smallest among the fastest"
                                               : "smallest");
  } else if (recommendation.fitting.size() > 1) {
    text += " It answers best of all that fit.";
  }
  return text;
}

}  // namespace carat
