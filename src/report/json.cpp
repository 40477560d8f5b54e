// The only file of this layer that knows nlohmann-json. Rows are named by their index; numbers that do not
// exist are null.
#include "report/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "eval/sentences.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;
using Table = Comparison::Table;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

// {"nll": 1.2, "nll_low": 1.1, "nll_high": 1.3}: the figure itself stays a plain number.
void put(Json& object, const std::string& key, const Interval& interval) {
  object[key] = number(interval.estimate);
  object[key + "_low"] = number(interval.low);
  object[key + "_high"] = number(interval.high);
}

void put(Json& object, const Divergence& d) {
  put(object, "kld_mean", d.kld_mean);
  object["kld_median"] = number(d.kld_median);
  object["kld_p99"] = number(d.kld_p99);
  object["kld_p999"] = number(d.kld_p999);
  put(object, "answer_kld", d.answer_kld);
  put(object, "top1", d.top1);
  put(object, "answer_top1", d.answer_top1);
  object["rms_dp"] = number(d.rms_dp);
}

const Comparison* of(const EvalReport& report, Table table, int row) {
  for (const Comparison& c : report.comparisons)
    if (c.table == table && c.row == row) return &c;
  return nullptr;
}

Json word(const Comparison* c) {
  return c == nullptr ? Json(nullptr) : Json(std::string(to_string(c->verdict)));
}

Json row_json(const EvalReport& report, int index) {
  const ReportRow& row = report.rows[static_cast<size_t>(index)];
  Json j;
  j["row"] = index;
  j["name"] = row.name;
  j["path"] = row.path;
  j["family"] = std::string(to_string(row.family));
  j["seed"] = row.seed;
  j["parent"] = row.parent >= 0 ? Json(row.parent) : Json(nullptr);
  j["is_parent"] = row.is_parent;
  j["kv"] = type_name(row.kv);
  j["precision"] = row.precision == Precision::exact ? "exact" : "fast";
  j["types"] = row.types;
  j["main_type"] = std::string(type_name(row.main_type));
  j["bytes"] = row.bytes;
  j["bits_per_weight"] = number(row.bits_per_weight);
  j["context_length"] = row.context_length > 0 ? Json(row.context_length) : Json(nullptr);
  j["memory_bytes"] = row.memory_bytes;
  j["resident_bytes"] = row.resident_bytes > 0 ? Json(row.resident_bytes) : Json(nullptr);
  j["fingerprint"] = row.fingerprint;
  j["prefill_tok_s"] = row.prefill_tok_s > 0 ? Json(row.prefill_tok_s) : Json(nullptr);
  j["decode_tok_s"] = row.decode_tok_s > 0 ? Json(row.decode_tok_s) : Json(nullptr);
  put(j, "nll", row.nll);
  if (row.nll_gap) put(j, "nll_gap", *row.nll_gap);
  put(j, "answer_nll", row.answer_nll);
  put(j, "accuracy", row.accuracy);
  if (row.divergence) {
    put(j, *row.divergence);
    const Divergence& d = *row.divergence;
    j["wins"] = d.wins_over >= 0 ? Json(d.wins) : Json(nullptr);
    j["wins_of"] = d.n_prompts;
    j["wins_equal"] = d.n_equal;
    j["wins_over"] = d.wins_over >= 0 ? Json(d.wins_over) : Json(nullptr);
  }
  if (row.on_policy) {
    const Divergence& d = *row.on_policy;
    Json own;
    put(own, d);
    own.erase("answer_kld"), own.erase("answer_kld_low"), own.erase("answer_kld_high");
    own.erase("answer_top1"), own.erase("answer_top1_low"), own.erase("answer_top1_high");
    own["wins"] = d.wins_over >= 0 ? Json(d.wins) : Json(nullptr);
    own["wins_of"] = d.n_prompts;
    own["wins_over"] = d.wins_over >= 0 ? Json(d.wins_over) : Json(nullptr);
    j["on_policy"] = std::move(own);
  }
  j["verdict"] = index == report.reference ? Json("reference") : word(of(report, Table::truth, index));
  j["verdict_own_parent"] = word(of(report, Table::own_parent, index));
  j["categories"] = Json::array();
  for (const CategoryScore& c : row.categories) {
    Json category{{"category", c.category}, {"n_items", c.n_items}, {"n_answers", c.n_answers}};
    put(category, "accuracy", c.accuracy);
    put(category, "answer_nll", c.answer_nll);
    j["categories"].push_back(std::move(category));
  }
  return j;
}

Json comparison_json(const Comparison& c) {
  Json j;
  j["table"] = std::string(to_string(c.table));
  j["yardstick"] = std::string(yardstick(c.table));
  j["row"] = c.row;
  j["reference"] = c.reference;
  j["verdict"] = std::string(to_string(c.verdict));
  j["n_more_items"] = c.n_more_items;
  put(j, "accuracy_difference", c.accuracy);
  j["accuracy_verdict"] = std::string(to_string(c.accuracy_judgement.verdict));
  j["accuracy_p"] = number(c.accuracy_judgement.p);
  j["accuracy_p_adjusted"] = number(c.accuracy_judgement.p_adjusted);
  j["won"] = c.flips.won;
  j["lost"] = c.flips.lost;
  j["n_answers"] = c.n_answers;
  j["mcnemar_p"] = number(c.flips.p);
  j["mcnemar"] = c.flips.clustered ? "clustered" : "exact mid-p";
  put(j, "nll_difference", c.nll);
  put(j, "answer_nll_difference", c.answer_nll);
  j["nll_verdict"] = std::string(to_string(c.nll_judgement.verdict));
  j["nll_p"] = number(c.nll_judgement.p);
  j["nll_p_adjusted"] = number(c.nll_judgement.p_adjusted);
  if (c.divergence) put(j["divergence"], *c.divergence);
  if (c.reverse_divergence) put(j["reverse_divergence"], *c.reverse_divergence);
  j["categories"] = Json::array();
  for (const CategoryComparison& category : c.categories) {
    Json entry{{"category", category.category}};
    put(entry, "accuracy_difference", category.accuracy);
    entry["verdict"] = std::string(to_string(category.judgement.verdict));
    entry["p_adjusted"] = number(category.judgement.p_adjusted);
    j["categories"].push_back(std::move(entry));
  }
  j["sentence"] = c.sentence;
  return j;
}

Json recovery_json(const EvalReport& report, const Recovery& r) {
  Json j{{"row", r.qat}, {"seed", report.rows[static_cast<size_t>(r.qat)].seed}, {"metric", r.metric}};
  j["control"] = r.control >= 0 ? Json(r.control) : Json(nullptr);
  j["control_pairing"] = std::string(to_string(r.pairing));
  j["honest"] = nullptr;
  j["naive"] = nullptr;
  if (r.honest) put(j, "honest", *r.honest);
  j["honest_defined"] = r.honest_defined;
  if (r.naive) put(j, "naive", *r.naive);
  j["naive_defined"] = r.naive_defined;
  j["sentence"] = sentence_of(report, r);
  return j;
}

Json cache_effect_json(const CacheEffect& e) {
  Json j{{"row", e.qat}, {"row_base", e.qat_base}, {"reference", e.original}, {"reference_base", e.original_base}};
  j["verdict"] = std::string(to_string(e.verdict));
  j["n_more_items"] = e.n_more_items;
  put(j, "accuracy_difference", e.accuracy);
  j["accuracy_verdict"] = std::string(to_string(e.accuracy_judgement.verdict));
  j["accuracy_p_adjusted"] = number(e.accuracy_judgement.p_adjusted);
  put(j, "nll_difference", e.nll);
  j["nll_verdict"] = std::string(to_string(e.nll_judgement.verdict));
  j["nll_p_adjusted"] = number(e.nll_judgement.p_adjusted);
  j["sentence"] = e.sentence;
  return j;
}

Json spread_json(const Spread& spread) {
  return {{"value", number(spread.value)}, {"error", number(spread.error)}};
}

std::string dump(const Json& json) {
  // File names may hold any bytes: replace what is not UTF-8 instead of throwing.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string to_json(const EvalReport& report) {
  Json j;
  j["title"] = report.title;
  j["command"] = report.command;
  j["version"] = report.version;
  j["machine"] = report.machine;
  j["n_threads"] = report.n_threads;
  j["seconds"] = number(report.seconds);
  j["suite"] = {{"name", report.suite_name},
                {"hash", report.suite_hash},
                {"template_hash", report.template_hash},
                {"n_items", report.n_items},
                {"n_answers", report.n_answers},
                {"n_tokens", report.n_tokens},
                {"n_answer_tokens", report.n_answer_tokens},
                {"entropy", report.entropy ? number(*report.entropy) : Json(nullptr)}};
  j["n_ctx"] = report.n_ctx;
  j["margins"] = {{"accuracy", report.margins.accuracy}, {"nll", report.margins.nll}};
  j["alpha"] = report.alpha;
  j["looks"] = Json::array();
  for (const Look& look : report.looks)
    j["looks"].push_back({{"n_items", look.n_items}, {"alpha", look.alpha}, {"n_open", look.n_open}});
  j["reference"] = report.reference;
  j["near_chance"] = report.near_chance;
  j["on_policy_texts"] = Json::array();
  for (const OnPolicyText& t : report.on_policy_texts)
    j["on_policy_texts"].push_back(
        {{"parent", t.parent}, {"n_texts", t.n_texts}, {"n_tokens", t.n_tokens}, {"hash", t.hash}});
  j["rows"] = Json::array();
  for (int r = 0; r < static_cast<int>(report.rows.size()); ++r) j["rows"].push_back(row_json(report, r));
  j["comparisons"] = Json::array();
  for (const Comparison& c : report.comparisons) j["comparisons"].push_back(comparison_json(c));
  j["recovery"] = Json::array();
  for (const Recovery& r : report.recoveries) j["recovery"].push_back(recovery_json(report, r));
  j["kv_effects"] = Json::array();
  for (const CacheEffect& e : report.cache_effects) j["kv_effects"].push_back(cache_effect_json(e));
  j["pareto"] = Json::array();
  for (const ParetoPoint& p : report.pareto)
    j["pareto"].push_back({{"row", p.row}, {"on_front", p.on_front}});
  j["recommendation"] = nullptr;
  if (const auto& r = report.recommendation)
    j["recommendation"] = {{"ram_bytes", r->budget.ram_bytes},
                           {"vram_bytes", r->budget.vram_bytes},
                           {"n_ctx", r->budget.n_ctx},
                           {"row", r->row >= 0 ? Json(r->row) : Json(nullptr)},
                           {"fitting", r->fitting},
                           {"tied", r->tied},
                           {"enough_data", r->enough_data},
                           {"sentence", r->sentence}};
  j["warnings"] = Json::array();
  for (const Warning& w : report.warnings) j["warnings"].push_back({{"id", w.id}, {"message", w.message}});
  return dump(j);
}

std::string to_json(std::span<const EvalReport> reports) {
  std::string list;
  for (const EvalReport& report : reports) list += (list.empty() ? "[" : ",\n") + to_json(report);
  return (list.empty() ? "[" : list) + "]";
}

std::string to_json(const PerplexityReport& report) {
  Json j;
  j["n_chunks"] = report.n_chunks;
  j["n_tokens"] = report.n_tokens;
  j["perplexity"] = spread_json(report.perplexity);
  if (report.divergence) {
    const DivergenceSummary& d = *report.divergence;
    j["reference_perplexity"] = spread_json(*report.reference_perplexity);
    j["kld_mean"] = spread_json(d.kld);
    j["kld_median"] = number(d.kld_median);
    j["kld_p99"] = number(d.kld_p99);
    j["kld_p999"] = number(d.kld_p999);
    j["kld_max"] = number(d.kld_max);
    j["top1"] = spread_json(d.top1);
    j["rms_dp"] = spread_json(d.rms_dp);
    j["log_ratio"] = spread_json(d.log_ratio);
  }
  return dump(j);
}

}  // namespace carat
