// Wording. Every sentence carries its numbers, so that it can be quoted alone.
#include "eval/sentences.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/choice.h"
#include "eval/speed.h"

namespace carat {
namespace {

using Table = Comparison::Table;

const ReportRow& row_of(const EvalReport& report, int row) { return report.rows[static_cast<size_t>(row)]; }

// " (0.60 to 1.80)", turned so that it goes with the estimate's size; nothing where an end is infinite.
std::string range_words(const Interval& i, double scale, int digits, std::string_view more = "") {
  const double sign = i.estimate < 0 ? -scale : scale;
  const double low = std::min(sign * i.low, sign * i.high), high = std::max(sign * i.low, sign * i.high);
  if (std::isfinite(low) && std::isfinite(high))
    return fmt::format(" ({:.{}f} to {:.{}f}{})", low, digits, high, digits, more);
  return more.empty() ? "" : fmt::format(" ({})", more.substr(2));
}

// "1.20 more right answers per 100 (0.60 to 1.80; won 335, lost 215 of 10 479)"
std::string accuracy_words(const Comparison& c) {
  const Interval& i = c.accuracy;
  if (!std::isfinite(i.estimate)) return "no answers to compare";
  return fmt::format("{:.2f} {} right answers per 100{}", 100 * std::fabs(i.estimate),
                     i.estimate < 0 ? "fewer" : "more",
                     range_words(i, 100, 2,
                                 fmt::format("; won {}, lost {} of {}", format_count(c.flips.won),
                                             format_count(c.flips.lost), format_count(c.n_answers))));
}

std::string nll_words(const Interval& i, std::string_view what) {
  if (!std::isfinite(i.estimate)) return fmt::format("{} not measurable", what);
  return fmt::format("{} {:.4f} nat {}{}", what, std::fabs(i.estimate), i.estimate < 0 ? "lower" : "higher",
                     range_words(i, 1, 4));
}

std::string figures(const EvalReport& report, const Comparison& c) {
  if (report.n_answers == 0) return nll_words(c.nll, "NLL per token");
  return accuracy_words(c) + ", " + nll_words(c.answer_nll, "NLL of the answers");
}

bool is_called(Verdict verdict) { return verdict == Verdict::better || verdict == Verdict::worse; }

// What the figure that did not decide says, of a verdict that the other one gave. `advantage`: its difference,
// positive where it speaks for the row.
std::string other_figure(const Judgement& silent, double advantage, Verdict verdict) {
  if (silent.verdict == Verdict::tie) return "ties";
  if (advantage == 0) return "is even, but open";
  const bool agrees = (advantage > 0) == (verdict == Verdict::better);
  return agrees ? "points the same way, but is open" : "points the other way, but is open";
}

// What the reader should not miss beside the word.
std::string remark(const EvalReport& report, const Comparison& c) {
  const Judgement &accuracy = c.accuracy_judgement, &nll = c.nll_judgement;
  const bool truth_tested = report.n_answers > 0;
  if (truth_tested && is_called(accuracy.verdict) && is_called(nll.verdict) && accuracy.verdict != nll.verdict)
    return " Exact match and NLL contradict each other; exact match has the word.";
  const bool measurable = nll.p_adjusted <= 0.05 || (truth_tested && accuracy.p_adjusted <= 0.05);
  if (c.verdict == Verdict::tie) return measurable ? " Measurable, but too small to matter." : "";
  if (!truth_tested || !is_called(c.verdict)) return "";
  if (report.near_chance) return " It shows in the NLL alone: the reference answers too little for exact match.";
  if (!is_called(accuracy.verdict))
    return fmt::format(" It shows in the NLL; exact match {}.",
                       other_figure(accuracy, c.accuracy.estimate, c.verdict));
  if (!is_called(nll.verdict))
    return fmt::format(" It shows in exact match; the NLL {}.",
                       other_figure(nll, -c.answer_nll.estimate, c.verdict));
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
  if (words.empty()) words = "any RAM";
  return fmt::format("Within {} at a context of {} tokens", words, format_count(n_ctx));
}

// Why nothing fits.
std::string nothing_fits(const EvalReport& report) {
  uint64_t smallest = UINT64_MAX;
  int64_t longest = 0;
  for (const ParetoPoint& p : report.pareto) {
    longest = std::max(longest, row_of(report, p.row).context_length);
    if (reaches_context(report, p.row)) smallest = std::min(smallest, row_of(report, p.row).memory_bytes);
  }
  if (smallest == UINT64_MAX)
    return fmt::format("none of these files fits: none is made for so long a context, the longest is {} tokens.",
                       format_count(longest));
  return fmt::format("none of these files fits: the smallest needs {}.", format_bytes(smallest));
}

std::string vram_words(const Budget& budget) {
  const std::string vram = bytes_or_unstated(budget.vram_bytes, "VRAM");
  return vram.empty() ? "" : fmt::format(" Nothing runs on a GPU yet: the {} does not count.", vram);
}

// What was chosen among files that no verdict tells apart, and by what.
std::string choice_words(const EvalReport& report, const Recommendation& recommendation) {
  constexpr size_t kNamed = 4;
  const ReportRow& row = row_of(report, recommendation.row);
  std::string others;
  size_t n_others = 0;
  bool is_fastest = row.decode_tok_s > 0;
  for (const int other : recommendation.tied) {
    if (other == recommendation.row) continue;
    if (++n_others <= kNamed) others += (others.empty() ? "" : ", ") + label(report, other);
    is_fastest = is_fastest && row.decode_tok_s > (1 + kSpeedNoise) * row_of(report, other).decode_tok_s;
  }
  if (n_others > kNamed) others += fmt::format(" and {} more", n_others - kNamed);
  const std::string by = is_fastest             ? "fastest"
                         : row.decode_tok_s > 0 ? "smallest among the fastest"
                                                : "smallest";
  if (!recommendation.enough_data)
    return fmt::format(" Which of them answers best, {} items do not tell (at least {} would be needed): of {} that "
                       "fit, it is the {}.",
                       format_count(report.n_items), kFewestItems, n_others + 1, by);
  return fmt::format(" In quality it cannot be told from {}; of these it is the {}.", others, by);
}

}  // namespace

std::string settling(const EvalReport& report, int64_t n_more_items) {
  if (n_more_items > 0) return fmt::format("About {} more items would settle it.", format_count(n_more_items));
  return report.near_chance ? "More such items would not settle it: the reference hardly does better than guessing."
                            : "More such items would not settle it.";
}

std::string sentence_of_looks(const EvalReport& report) {
  if (report.looks.empty()) return "";
  std::string counts;
  for (const Look& look : report.looks) counts += (counts.empty() ? "" : ", ") + format_count(look.n_items);
  const int64_t open = report.looks.back().n_open;
  const std::string end = open == 0 ? "after the last, nothing is open"
                                    : fmt::format("the budget, or the suite, ended with {} open", format_count(open));
  return fmt::format(
      "Judged after {} items: {}. The words of all these looks together are allowed 5 % false calls, of which the last "
      "had {:.2g} %; intervals are those of one look.",
      counts, end, 100 * report.alpha);
}

std::string format_bytes(uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} MB", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.0f} kB", value / 1e3);
  return fmt::format("{} B", bytes);
}

std::string format_count(int64_t count) {
  const auto magnitude = static_cast<uint64_t>(count);  // of the lowest number there is no positive one
  const std::string digits = std::to_string(count < 0 ? 0 - magnitude : magnitude);
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
      text = fmt::format("Not enough data to tell {} from {}: {}. {}", a, b, figures(report, c),
                         settling(report, c.n_more_items));
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
  const std::string damage = fmt::format("the {} damage", type_name(row.main_type));
  const auto percent = [](const Interval& i) {
    return fmt::format("{:.0f} %{}", 100 * i.estimate, range_words({std::fabs(i.estimate), i.low, i.high}, 100, 0));
  };
  std::string text = fmt::format("{}, {}: ", label(report, recovery.qat), metric);
  if (recovery.pairing == Recovery::Pairing::none)
    text += fmt::format("there is no control, so how much of {} QAT removes is not known", damage);
  else if (recovery.pairing == Recovery::Pairing::ambiguous)
    text += fmt::format(
        "of several controls not exactly one has its training seed ({}), so how much of {} QAT removes is not known",
        row.seed == 0 ? "not stated" : std::to_string(row.seed), damage);
  else if (!recovery.honest)
    text += fmt::format("its control {} is not here in this type, so how much of {} QAT removes is not known",
                        label(report, recovery.control), damage);
  else if (!recovery.honest_defined)
    text += fmt::format("{} to the control is itself not measurable here", damage);
  else
    text += fmt::format("QAT removes {} of {}, measured against {}", percent(*recovery.honest), damage,
                        recovery.pairing == Recovery::Pairing::same_seed
                            ? "the control"
                            : "the only control, which is not known to share its seed");
  if (recovery.naive && recovery.naive_defined)
    text +=
        fmt::format("; against the parent alone it looks like {}, which counts the further training as well",
                    percent(*recovery.naive));
  return text + ".";
}

std::string sentence_of(const EvalReport& report, const CacheEffect& e) {
  const ReportRow &qat = row_of(report, e.qat), &original = row_of(report, e.original);
  const std::string names = fmt::format("than {}", original.name);
  const std::string kv = type_name(qat.kv), base = type_name(row_of(report, e.qat_base).kv);
  std::string text;
  switch (e.verdict) {
    case Verdict::better:
      text = fmt::format("{} suffers less from a {} cache {}", qat.name, kv, names);
      break;
    case Verdict::worse:
      text = fmt::format("{} suffers more from a {} cache {}", qat.name, kv, names);
      break;
    case Verdict::tie:
      text = fmt::format("{} and {} suffer alike from a {} cache", qat.name, original.name, kv);
      break;
    case Verdict::not_enough_data:
      text = fmt::format("Not enough data to tell whether {} suffers less or more from a {} cache {}", qat.name, kv,
                         names);
  }
  text += fmt::format(": in place of {} it costs the QAT file ", base);
  if (report.n_answers > 0 && std::isfinite(e.accuracy.estimate))
    text += fmt::format("{:.2f} {} right answers per 100{} and ", 100 * std::fabs(e.accuracy.estimate),
                        e.accuracy.estimate < 0 ? "more" : "fewer", range_words(e.accuracy, 100, 2));
  text += std::isfinite(e.nll.estimate)
              ? fmt::format("{:.4f} nat {}{}.", std::fabs(e.nll.estimate), e.nll.estimate < 0 ? "less" : "more",
                            range_words(e.nll, 1, 4))
              : std::string("an NLL that cannot be measured.");
  if (e.verdict == Verdict::not_enough_data) text.append(" ").append(settling(report, e.n_more_items));
  return text;
}

std::string sentence_of(const EvalReport& report, const Recommendation& recommendation) {
  const std::string budget = budget_words(recommendation.budget, report.n_ctx);
  const std::string vram = vram_words(recommendation.budget);
  if (recommendation.row < 0) return fmt::format("{} {}{}", budget, nothing_fits(report), vram);
  const ReportRow& row = row_of(report, recommendation.row);
  std::string text = fmt::format("{} run {}: it takes {}", budget, label(report, recommendation.row),
                                 format_bytes(row.memory_bytes));
  if (row.decode_tok_s > 0) text += fmt::format(" and writes {:.0f} tokens/s", row.decode_tok_s);
  text += "." + vram;
  if (recommendation.tied.size() > 1)
    text += choice_words(report, recommendation);
  else if (recommendation.fitting.size() > 1)
    text += " It answers best of all that fit.";
  return text;
}

}  // namespace carat
