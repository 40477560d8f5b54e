// Sections of the terminal report, in the order in which they are read.
#include "report/eval_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/sentences.h"
#include "report/words.h"

namespace carat {
namespace {

using Table = Comparison::Table;
using Cell = TextTable::Cell;

std::string_view colour_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::better:
      return "32";
    case Verdict::worse:
      return "31";
    case Verdict::tie:
      return "";
    case Verdict::not_enough_data:
      return "33";
  }
  return "";
}

class Writer {
 public:
  Writer(const EvalReport& report, const Style& style, int width)
      : report_(report), style_(style), width_(std::max(60, width)) {}

  std::string write() {
    verdicts();
    sentences();
    headline();
    costs();
    elsewhere();
    own_parents();
    kv_costs();
    categories();
    warnings();
    footer();
    return std::move(out_);
  }

 private:
  const ReportRow& row(int r) const { return report_.rows[static_cast<size_t>(r)]; }
  int n_rows() const { return static_cast<int>(report_.rows.size()); }
  bool is_first_kv(int r) const { return row(r).kv == report_.rows.front().kv; }
  // The original parent, with whichever KV type.
  bool is_reference(int r) const {
    return row(r).file == row(report_.reference).file && row(r).precision == report_.rows.front().precision;
  }
  bool has_answers() const { return report_.n_answers > 0; }

  void title(std::string_view text) { out_ += fmt::format("\n{}\n\n", style_.paint(printable(text), "1")); }
  void paragraph(const std::string& text) { out_ += "  " + wrap("• " + printable(text), width_ - 2, 4) + "\n"; }
  void note(const std::string& text) { out_ += "  " + wrap(printable(text), width_ - 2, 2) + "\n"; }

  // A row's comparison in a table whose reference is fixed by the table's rules.
  const Comparison* of(Table table, int r) const {
    for (const Comparison& c : report_.comparisons)
      if (c.table == table && c.row == r) return &c;
    return nullptr;
  }

  Cell verdict_cell(const Comparison* c) const {
    return {verdict_word(c), c == nullptr ? "" : colour_of(c->verdict)};
  }
  // With what would settle it, for tables that have no column for that.
  Cell open_verdict_cell(const Comparison* c) const {
    Cell cell = verdict_cell(c);
    if (c != nullptr && c->n_more_items > 0) cell.text += ", " + more_items(c->n_more_items);
    return cell;
  }

  void verdicts() {
    title(fmt::format("{}: {} items, {} answers, {} scored tokens", report_.suite_name,
                      format_count(report_.n_items), format_count(report_.n_answers),
                      format_count(report_.n_tokens)));
    TextTable table;
    table.add_column("file", Align::left);
    table.add_column("family", Align::left);
    table.add_column("types", Align::left);
    table.add_column("memory", Align::right);
    if (has_answers()) table.add_column("right %", Align::right);
    table.add_column(has_answers() ? "answer NLL" : "NLL", Align::right);
    table.add_column("against the original", Align::left);
    table.add_column("against its parent", Align::left);
    for (int r = 0; r < n_rows(); ++r) {
      const ReportRow& file = row(r);
      if (r > 0 && file.kv != row(r - 1).kv) table.add_rule();
      std::vector<Cell> cells{label(report_, r), std::string(to_string(file.family)), file.types,
                              format_bytes(file.memory_bytes)};
      if (has_answers()) cells.push_back(plus_minus(file.accuracy));
      cells.push_back(nats(has_answers() ? file.answer_nll.estimate : file.nll.estimate));
      cells.push_back(is_reference(r) ? Cell("reference") : open_verdict_cell(of(Table::truth, r)));
      const Comparison* twin = of(Table::noise, r);
      cells.push_back(twin != nullptr ? Cell("engine: " + verdict_word(twin))
                                      : open_verdict_cell(of(Table::own_parent, r)));
      table.add_row(std::move(cells));
    }
    out_ += table.render(style_);
    out_ += "\n";
    note(fmt::format(
        "memory: weights, one KV cache of {} tokens, scratch. A verdict needs an interval that excludes 0 "
        "after Holm's adjustment; a tie one within ±{:.1f} points and ±{:g} nat.",
        format_count(report_.n_ctx), 100 * report_.margins.accuracy, report_.margins.nll));
  }

  void sentences() {
    title("In plain words");
    if (report_.recommendation) paragraph(report_.recommendation->sentence);
    for (const Table table : {leading_table(report_), Table::parents}) {
      const PlainList list = plain_list(report_, table, 12);
      for (const Comparison* c : list.shown) paragraph(c->sentence);
      if (list.n_left_out > 0) paragraph(left_out(list.n_left_out));
    }
    for (const Recovery& r : report_.recoveries)
      if (is_first_kv(r.qat) && r.metric == (has_answers() ? "answer_nll" : "nll"))
        paragraph(sentence_of(report_, r));
    for (const Comparison& c : report_.comparisons)
      if (c.table == Table::noise) paragraph("Noise floor: " + c.sentence);
  }

  void headline() {
    TextTable table;
    for (const char* name : {"QAT file", "against", "verdict"}) table.add_column(name, Align::left);
    for (const char* name : {"points of right answers", "won/lost", "answer NLL", "to settle it"})
      table.add_column(name, Align::right);
    for (const Comparison& c : report_.comparisons)
      if (c.table == Table::headline)
        table.add_row({label(report_, c.row), label(report_, c.reference), verdict_cell(&c),
                       signed_points(c.accuracy), fmt::format("{}/{}", c.flips.won, c.flips.lost),
                       signed_nats(c.answer_nll), more_items(c.n_more_items)});
    if (table.empty()) return;
    title("QAT or a quantized original? (yardstick C: the same questions, right answers)");
    out_ += table.render(style_);
  }

  // What a file costs: on the disk, in memory (planned for the report's context, measured in the speed run), in time.
  void costs() {
    TextTable table;
    table.add_column("file", Align::left);
    for (const char* name : {"weights", "bits/weight", "memory", "resident", "prompt tok/s", "tok/s"})
      table.add_column(name, Align::right);
    const auto speed = [](double rate) { return rate > 0 ? format_count(std::llround(rate)) : std::string("-"); };
    for (int r = 0; r < n_rows(); ++r) {
      const ReportRow& file = row(r);
      table.add_row({label(report_, r), format_bytes(file.bytes), fmt::format("{:.2f}", file.bits_per_weight),
                     format_bytes(file.memory_bytes),
                     file.resident_bytes > 0 ? format_bytes(file.resident_bytes) : "-", speed(file.prefill_tok_s),
                     speed(file.decode_tok_s)});
    }
    title("Size and speed");
    out_ += table.render(style_);
    out_ += "\n";
    note(fmt::format("memory: planned for {} tokens of context. resident: measured while 144 tokens ran.",
                     format_count(report_.n_ctx)));
  }

  void elsewhere() {
    if (report_.elsewhere.empty()) return;
    TextTable table;
    table.add_column("tokens/s: prompt, decoding", Align::left);
    table.add_column("machine 1", Align::right);
    for (size_t i = 0; i < report_.elsewhere.size(); ++i) table.add_column(fmt::format("machine {}", i + 2), Align::right);
    const auto speeds = [](double prefill, double decode) {
      const auto speed = [](double rate) { return rate > 0 ? format_count(std::llround(rate)) : std::string("-"); };
      return speed(prefill) + ", " + speed(decode);
    };
    for (int r = 0; r < n_rows(); ++r) {
      if (row(r).precision != report_.rows.front().precision) continue;
      std::vector<Cell> cells{label(report_, r), speeds(row(r).prefill_tok_s, row(r).decode_tok_s)};
      for (const Elsewhere& e : report_.elsewhere) {
        const auto found = std::find_if(e.rows.begin(), e.rows.end(), [&](const auto& other) { return other.row == r; });
        cells.push_back(found == e.rows.end() ? std::string("-") : speeds(found->prefill_tok_s, found->decode_tok_s));
      }
      table.add_row(std::move(cells));
    }
    title("On each machine");
    out_ += table.render(style_) + "\n";
    for (const Elsewhere& e : report_.elsewhere) paragraph(machine_words(e));
  }

  void own_parents() {
    const std::string cache = fmt::format("{} cache", type_name(report_.rows.front().kv));
    const std::string question = fmt::format("What quantization cost (yardstick B: each file against its own parent with {}", cache);
    if (report_.on_policy_texts.empty()) return divergences(question + ")", &ReportRow::divergence);
    divergences(fmt::format("{}, {})", question, on_policy_words(report_)), &ReportRow::on_policy);
    divergences("The same along the suite's text (secondary: nobody's model writes it)", &ReportRow::divergence);
  }

  void divergences(const std::string& heading, std::optional<Divergence> ReportRow::*which) {
    TextTable table;
    table.add_column("file", Align::left);
    for (const char* name :
         {"bits/weight", "mean KLD", "median", "99 %", "99.9 %", "same top", "RMS Δp", "Δ NLL"})
      table.add_column(name, Align::right);
    table.add_column("nearer to the parent than", Align::left);
    for (int r = 0; r < n_rows(); ++r) {
      const ReportRow& file = row(r);
      const Comparison* c = of(Table::own_parent, r);
      if (!(file.*which) || c == nullptr) continue;
      const Divergence& d = *(file.*which);
      table.add_row({label(report_, r), fmt::format("{:.2f}", file.bits_per_weight),
                     nats(d.kld_mean.estimate), nats(d.kld_median), nats(d.kld_p99), nats(d.kld_p999),
                     percent(d.top1.estimate, 2), percent(d.rms_dp, 2),
                     signed_number(c->nll.estimate, 4), wins_words(report_, d)});
    }
    if (table.empty()) return;
    title(heading);
    out_ += table.render(style_);
  }

  void kv_costs() {
    TextTable table;
    table.add_column("file", Align::left);
    table.add_column("KV cache", Align::left);
    table.add_column("verdict", Align::left);
    for (const char* name : {"points of right answers", "answer NLL", "mean KLD", "same top"})
      table.add_column(name, Align::right);
    for (const Comparison& c : report_.comparisons) {
      if (c.table != Table::kv) continue;
      table.add_row({row(c.row).name,
                     fmt::format("{} for {}", type_name(row(c.row).kv), type_name(row(c.reference).kv)),
                     verdict_cell(&c), signed_points(c.accuracy), signed_nats(c.answer_nll),
                     nats(c.divergence->kld_mean.estimate), percent(c.divergence->top1.estimate, 2)});
    }
    if (table.empty()) return;
    title("What the KV cache's type costs (each file against itself)");
    out_ += table.render(style_);
    cache_effects();
  }

  void cache_effects() {
    if (report_.cache_effects.empty()) return;
    TextTable table;
    for (const char* name : {"QAT file", "beside", "KV cache", "does QAT suffer less?"})
      table.add_column(name, Align::left);
    for (const char* name : {"points of right answers", has_answers() ? "answer NLL" : "NLL", "to settle it"})
      table.add_column(name, Align::right);
    for (const CacheEffect& e : report_.cache_effects)
      table.add_row({row(e.qat).name, row(e.original).name,
                     fmt::format("{} for {}", type_name(row(e.qat).kv), type_name(row(e.qat_base).kv)),
                     Cell(std::string(to_string(e.verdict)), colour_of(e.verdict)), signed_points(e.accuracy),
                     signed_nats(e.nll), more_items(e.n_more_items)});
    title("Does QAT suffer less from a quantized cache than the original? (difference of the two differences)");
    out_ += table.render(style_) + "\n";
    for (const CacheEffect& e : report_.cache_effects) paragraph(e.sentence);
  }

  void categories() {
    const auto& names = report_.rows[static_cast<size_t>(report_.reference)].categories;
    if (names.empty()) return;
    TextTable table;
    table.add_column("right answers, %", Align::left);
    for (const CategoryScore& c : names) table.add_column(c.category, Align::right);
    for (int r = 0; r < n_rows(); ++r) {
      if (!is_first_kv(r) || row(r).precision != report_.rows.front().precision) continue;
      std::vector<Cell> cells{label(report_, r)};
      const Comparison* c = of(Table::truth, r);
      for (size_t i = 0; i < names.size(); ++i) {
        const Verdict v = c == nullptr ? Verdict::tie : c->categories[i].judgement.verdict;
        const char* mark = v == Verdict::worse ? "▼" : v == Verdict::better ? "▲" : " ";
        cells.push_back({percent_cell(row(r).categories[i].accuracy.estimate) + mark,
                         v == Verdict::worse    ? "31"
                         : v == Verdict::better ? "32"
                                                : ""});
      }
      table.add_row(std::move(cells));
    }
    title("By category (▲▼: better or worse than the reference, Holm-adjusted over the whole table)");
    out_ += table.render(style_);
  }
  static std::string percent_cell(double share) {
    return std::isfinite(share) ? fmt::format("{:.1f}", 100 * share) : "-";
  }

  void warnings() {
    if (report_.warnings.empty()) return;
    title("Mind");
    for (const Warning& w : report_.warnings) paragraph(w.message);
  }

  void footer() {
    out_ += "\n";
    if (const std::string looks = sentence_of_looks(report_); !looks.empty()) note(looks);
    const std::string asked = report_.template_hash.empty() ? "" : ", template " + report_.template_hash;
    note(fmt::format("suite {} ({}{}), {}, {} threads, {:.1f} s", report_.suite_name, report_.suite_hash, asked,
                     report_.machine, report_.n_threads, report_.seconds));
  }

  const EvalReport& report_;
  const Style& style_;
  int width_;
  std::string out_;
};

}  // namespace

std::string render_text(const EvalReport& report, const Style& style, int width) {
  return Writer(report, style, width).write();
}

namespace {

// "12.5000 ± 0.2500"; "12.5000 ± -" where a single chunk shows no spread.
std::string spread_words(const Spread& spread, int digits, double scale = 1) {
  const std::string error =
      std::isfinite(spread.error) ? fmt::format("{:.{}f}", scale * spread.error, digits) : "-";
  return fmt::format("{:.{}f} ± {}", scale * spread.value, digits, error);
}

}  // namespace

std::string render_text(const PerplexityReport& report) {
  std::string out = fmt::format("{} chunks, {} scored tokens\nperplexity        {}\n", report.n_chunks,
                                report.n_tokens, spread_words(report.perplexity, 4));
  if (!report.divergence) return out;
  const DivergenceSummary& d = *report.divergence;
  out += fmt::format("of the reference  {}\n", spread_words(*report.reference_perplexity, 4));
  out += fmt::format("ln(ratio)         {}\n", spread_words(d.log_ratio, 6));
  out += fmt::format("KL divergence     {}  (median {:.6f}, 99 % {:.6f}, 99.9 % {:.6f}, max {:.6f})\n",
                     spread_words(d.kld, 6), d.kld_median, d.kld_p99, d.kld_p999, d.kld_max);
  out += fmt::format("RMS Δp            {} %\n", spread_words(d.rms_dp, 3, 100));
  out += fmt::format("same top          {} %\n", spread_words(d.top1, 3, 100));
  return out;
}

}  // namespace carat
