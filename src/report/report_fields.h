// The columns of a judgement, stated once: writing them as JSON, reading them back and describing them as a schema
// (report/json.cpp, json_read.cpp, json_schema.cpp) walk these same lists. A new column is one line here.
//
// An Io offers
//   io(key, value)                     number, text, flag; an Interval takes three keys: key, key_low, key_high
//   io.known(key, value, is_known)     null where it is not; reading null leaves the value as it was
//   io.text(key, value, names)         a value that has a name: names.name(value), names.parse(text)
//   io.shown(key, function)            follows from the rest: written and described, never read
//   io.numbers(key, vector)
//   io.list(key, vector, fields)       objects
//   io.group(key, fields)              one object that is always there
//   io.object(key, optional, fields)   null where there is none
//   io.maybe(key, optional)            no key where there is none (Interval) or null (number)
//   io.flat(key, optional, fields)     no object of its own; `key` tells whether it is there
// and Io::Of<T>, which is const T for what only looks.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "eval/eval_report.h"
#include "eval/sentences.h"

namespace carat::report_fields {

template <class Io, class T>
using Of = typename Io::template Of<T>;

// Names of an enumeration's values.
template <class T>
struct Words {
  std::span<const T> values;
  std::string (*name)(const T&);
  std::optional<T> parse(std::string_view text) const {
    for (const T& value : values)
      if (name(value) == text) return value;
    return {};
  }
};

template <class T>
std::string word(const T& value) {
  return std::string(to_string(value));
}

inline constexpr std::array kFamilies{Family::original, Family::qat, Family::control};
inline constexpr std::array kPrecisions{Precision::exact, Precision::fast};
inline constexpr std::array kVerdicts{Verdict::better, Verdict::worse, Verdict::tie, Verdict::not_enough_data};
inline constexpr std::array kPairings{Recovery::Pairing::none, Recovery::Pairing::same_seed,
                                      Recovery::Pairing::only_one, Recovery::Pairing::ambiguous};
inline constexpr std::array kTables{Comparison::Table::parents, Comparison::Table::own_parent,
                                    Comparison::Table::truth,   Comparison::Table::headline,
                                    Comparison::Table::kv,      Comparison::Table::noise};

inline constexpr Words<Family> kFamilyWords{kFamilies, word<Family>};
inline constexpr Words<Verdict> kVerdictWords{kVerdicts, word<Verdict>};
inline constexpr Words<Recovery::Pairing> kPairingWords{kPairings, word<Recovery::Pairing>};
inline constexpr Words<Comparison::Table> kTableWords{kTables, word<Comparison::Table>};
inline constexpr Words<Precision> kPrecisionWords{
    kPrecisions, [](const Precision& p) { return std::string(p == Precision::exact ? "exact" : "fast"); }};
inline constexpr std::array kMcNemarForms{false, true};
inline constexpr Words<bool> kMcNemarWords{
    kMcNemarForms, [](const bool& is_clustered) { return std::string(is_clustered ? "clustered" : "exact mid-p"); }};

// Names without end.
struct KvNames {
  static std::string name(const KvType& type) { return type_name(type); }
  static std::optional<KvType> parse(std::string_view text) {
    const auto type = parse_kv_type(text);
    return type ? std::optional(*type) : std::nullopt;
  }
};
struct TypeNames {
  static std::string name(const TensorType& type) { return std::string(type_name(type)); }
  static std::optional<TensorType> parse(std::string_view text) { return parse_type_name(text); }
};

template <class Io>
void index(Io& io, std::string_view key, Of<Io, int>& row) {
  io.known(key, row, row >= 0);
}
template <class Io, class T>
void measured(Io& io, std::string_view key, T& value) {
  io.known(key, value, value > 0);
}

template <class Io>
void divergence(Io& io, Of<Io, Divergence>& d) {
  io("kld_mean", d.kld_mean);
  io("kld_median", d.kld_median);
  io("kld_p99", d.kld_p99);
  io("kld_p999", d.kld_p999);
  io.numbers("kld_reached", d.kld_reached);
  io("answer_kld", d.answer_kld);
  io("top1", d.top1);
  io("answer_top1", d.answer_top1);
  io("rms_dp", d.rms_dp);
  index(io, "kld_from", d.reference);
  index(io, "wins_over", d.wins_over);
  io.known("wins", d.wins, d.wins_over >= 0);
  io("wins_of", d.n_prompts);
  io("wins_equal", d.n_equal);
}

template <class Io>
void category(Io& io, Of<Io, CategoryScore>& c) {
  io("category", c.category);
  io("n_items", c.n_items);
  io("n_answers", c.n_answers);
  io("accuracy", c.accuracy);
  io("answer_nll", c.answer_nll);
}

// The word of row `r` in a table; nothing where there is no such comparison.
inline std::optional<std::string> word_of(const EvalReport& report, Comparison::Table table, int r) {
  for (const Comparison& c : report.comparisons)
    if (c.table == table && c.row == r) return std::string(to_string(c.verdict));
  return {};
}

template <class Io>
void row(Io& io, const EvalReport& report, int r, Of<Io, ReportRow>& row) {
  io.shown("row", [&] { return std::optional<int64_t>(r); });
  io("name", row.name);
  io("path", row.path);
  io("file", row.file);
  io.text("family", row.family, kFamilyWords);
  io("seed", row.seed);
  index(io, "parent", row.parent);
  io("is_parent", row.is_parent);
  io.text("kv", row.kv, KvNames{});
  io.text("precision", row.precision, kPrecisionWords);
  io("types", row.types);
  io.text("main_type", row.main_type, TypeNames{});
  io("bytes", row.bytes);
  io("bits_per_weight", row.bits_per_weight);
  measured(io, "context_length", row.context_length);
  io("memory_bytes", row.memory_bytes);
  measured(io, "resident_bytes", row.resident_bytes);
  io("fingerprint", row.fingerprint);
  measured(io, "prefill_tok_s", row.prefill_tok_s);
  measured(io, "decode_tok_s", row.decode_tok_s);
  io("nll", row.nll);
  io.maybe("nll_gap", row.nll_gap);
  io("answer_nll", row.answer_nll);
  io("accuracy", row.accuracy);
  io.flat("kld_mean", row.divergence, [](auto& io_, auto& d) { divergence(io_, d); });
  io.object("on_policy", row.on_policy, [](auto& io_, auto& d) { divergence(io_, d); });
  io.shown("verdict", [&] {
    return r == report.reference ? std::optional<std::string>("reference")
                                 : word_of(report, Comparison::Table::truth, r);
  });
  io.shown("verdict_own_parent", [&] { return word_of(report, Comparison::Table::own_parent, r); });
  io.list("categories", row.categories, [](auto& io_, auto& c, int) { category(io_, c); });
}

template <class Io>
void judgement(Io& io, const std::string& what, Of<Io, Judgement>& j) {
  io.text(what + "_verdict", j.verdict, kVerdictWords);
  io(what + "_p", j.p);
  io(what + "_p_adjusted", j.p_adjusted);
}

template <class Io>
void comparison(Io& io, Of<Io, Comparison>& c) {
  io.text("table", c.table, kTableWords);
  io.shown("yardstick", [&] { return std::optional<std::string>(yardstick(c.table)); });
  io("row", c.row);
  io("reference", c.reference);
  io.text("verdict", c.verdict, kVerdictWords);
  io("n_more_items", c.n_more_items);
  io("accuracy_difference", c.accuracy);
  judgement(io, "accuracy", c.accuracy_judgement);
  io("won", c.flips.won);
  io("lost", c.flips.lost);
  io("n_answers", c.n_answers);
  io("mcnemar_p", c.flips.p);
  io.text("mcnemar", c.flips.clustered, kMcNemarWords);
  io("nll_difference", c.nll);
  io("answer_nll_difference", c.answer_nll);
  judgement(io, "nll", c.nll_judgement);
  const auto divergence_fields = [](auto& io_, auto& d) { divergence(io_, d); };
  io.object("divergence", c.divergence, divergence_fields);
  io.object("reverse_divergence", c.reverse_divergence, divergence_fields);
  io.list("categories", c.categories, [](auto& io_, auto& entry, int) {
    io_("category", entry.category);
    io_("accuracy_difference", entry.accuracy);
    io_.text("verdict", entry.judgement.verdict, kVerdictWords);
    io_("p_adjusted", entry.judgement.p_adjusted);
  });
  io("sentence", c.sentence);
}

template <class Io>
void recovery(Io& io, const EvalReport& report, Of<Io, Recovery>& r) {
  io("row", r.qat);
  io.shown("seed", [&] { return std::optional<int64_t>(report.rows[static_cast<size_t>(r.qat)].seed); });
  io("metric", r.metric);
  index(io, "control", r.control);
  io.text("control_pairing", r.pairing, kPairingWords);
  io.maybe("honest", r.honest);
  io("honest_defined", r.honest_defined);
  io.maybe("naive", r.naive);
  io("naive_defined", r.naive_defined);
  io.shown("sentence", [&] { return std::optional<std::string>(sentence_of(report, r)); });
}

template <class Io>
void cache_effect(Io& io, Of<Io, CacheEffect>& e) {
  io("row", e.qat);
  io("row_base", e.qat_base);
  io("reference", e.original);
  io("reference_base", e.original_base);
  io.text("verdict", e.verdict, kVerdictWords);
  io("n_more_items", e.n_more_items);
  io("accuracy_difference", e.accuracy);
  judgement(io, "accuracy", e.accuracy_judgement);
  io("nll_difference", e.nll);
  judgement(io, "nll", e.nll_judgement);
  io("sentence", e.sentence);
}

template <class Io>
void tensor_errors(Io& io, Of<Io, TensorErrors>& t) {
  io("row", t.row);
  io("n_layers", t.n_layers);
  io.texts("roles", t.roles);
  io.numbers("errors", t.errors);
  io.list("whole", t.whole, [](auto& io_, auto& w, int) {
    io_("name", w.name);
    io_("error", w.error);
  });
}

template <class Io>
void elsewhere(Io& io, Of<Io, Elsewhere>& e) {
  io("machine", e.machine);
  io("version", e.version);
  io("n_threads", e.n_threads);
  io("seconds", e.seconds);
  io("accuracy_distance", e.accuracy_distance);
  io("nll_distance", e.nll_distance);
  io("recommendation", e.recommendation);
  io.list("rows", e.rows, [](auto& io_, auto& r, int) {
    io_("row", r.row);
    measured(io_, "prefill_tok_s", r.prefill_tok_s);
    measured(io_, "decode_tok_s", r.decode_tok_s);
    measured(io_, "resident_bytes", r.resident_bytes);
  });
}

template <class Io>
void report(Io& io, Of<Io, EvalReport>& report) {
  io("title", report.title);
  io("command", report.command);
  io("version", report.version);
  io("machine", report.machine);
  io("n_threads", report.n_threads);
  io("seconds", report.seconds);
  io.group("suite", [&](auto& suite) {
    suite("name", report.suite_name);
    suite("hash", report.suite_hash);
    suite("template_hash", report.template_hash);
    suite("n_items", report.n_items);
    suite("n_answers", report.n_answers);
    suite("n_tokens", report.n_tokens);
    suite("n_answer_tokens", report.n_answer_tokens);
    suite.maybe("entropy", report.entropy);
  });
  io("n_ctx", report.n_ctx);
  io.group("margins", [&](auto& margins) {
    margins("accuracy", report.margins.accuracy);
    margins("nll", report.margins.nll);
  });
  io("alpha", report.alpha);
  io.list("looks", report.looks, [](auto& io_, auto& look, int) {
    io_("n_items", look.n_items);
    io_("alpha", look.alpha);
    io_("n_open", look.n_open);
  });
  io("reference", report.reference);
  io("near_chance", report.near_chance);
  io.list("on_policy_texts", report.on_policy_texts, [](auto& io_, auto& t, int) {
    io_("parent", t.parent);
    io_("n_texts", t.n_texts);
    io_("n_tokens", t.n_tokens);
    io_("hash", t.hash);
  });
  io.list("rows", report.rows, [&](auto& io_, auto& r, int i) { row(io_, report, i, r); });
  io.list("comparisons", report.comparisons, [](auto& io_, auto& c, int) { comparison(io_, c); });
  io.list("recovery", report.recoveries, [&](auto& io_, auto& r, int) { recovery(io_, report, r); });
  io.list("kv_effects", report.cache_effects, [](auto& io_, auto& e, int) { cache_effect(io_, e); });
  io.list("tensor_errors", report.tensor_errors, [](auto& io_, auto& t, int) { tensor_errors(io_, t); });
  io.list("elsewhere", report.elsewhere, [](auto& io_, auto& e, int) { elsewhere(io_, e); });
  io.list("pareto", report.pareto, [](auto& io_, auto& p, int) {
    io_("row", p.row);
    io_("on_front", p.on_front);
  });
  io.object("recommendation", report.recommendation, [](auto& io_, auto& r) {
    io_("ram_bytes", r.budget.ram_bytes);
    io_("vram_bytes", r.budget.vram_bytes);
    io_("n_ctx", r.budget.n_ctx);
    index(io_, "row", r.row);
    io_.numbers("fitting", r.fitting);
    io_.numbers("tied", r.tied);
    io_("enough_data", r.enough_data);
    io_("sentence", r.sentence);
  });
  io.list("warnings", report.warnings, [](auto& io_, auto& w, int) {
    io_("id", w.id);
    io_("message", w.message);
  });
}

}  // namespace carat::report_fields
