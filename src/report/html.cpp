// The page's sections, in the order of a reader's questions: what should I run, why, how sure is it, where
// from.
#include "report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/sentences.h"
#include "report/figure_parts.h"
#include "report/figures.h"
#include "report/style_sheet.h"
#include "report/svg.h"
#include "report/words.h"

namespace carat {
namespace {

using Table = Comparison::Table;

std::string chip(Verdict verdict) {
  return fmt::format("<span class=\"chip {}\">{}</span>", verdict_class(verdict), to_string(verdict));
}
std::string chip(const Comparison* c) { return c == nullptr ? "–" : chip(c->verdict); }
// With what would settle it, for tables that have no column for that.
std::string open_chip(const Comparison* c) {
  return c == nullptr || c->n_more_items == 0 ? chip(c)
                                              : fmt::format("{} {}", chip(c), more_items(c->n_more_items));
}

class Page {
 public:
  explicit Page(const EvalReport& report) : report_(report) {}

  // Everything between the page's head and its end.
  std::string write() {
    opening();
    answer();
    verdicts();
    pareto();
    damage();
    headline();
    recoveries();
    costs();
    elsewhere();
    own_parents();
    distributions();
    kv_costs();
    categories();
    tensors();
    warnings();
    provenance();
    return std::move(out_);
  }

 private:
  const ReportRow& row(int r) const { return report_.rows[static_cast<size_t>(r)]; }
  int n_rows() const { return static_cast<int>(report_.rows.size()); }
  bool has_answers() const { return report_.n_answers > 0; }
  bool is_first_kv(int r) const { return row(r).kv == report_.rows.front().kv; }
  bool is_noise(int r) const { return row(r).precision != report_.rows.front().precision; }
  const Comparison* of(Table table, int r) const {
    for (const Comparison& c : report_.comparisons)
      if (c.table == table && c.row == r) return &c;
    return nullptr;
  }
  bool any(Table table) const {
    return std::any_of(report_.comparisons.begin(), report_.comparisons.end(),
                       [&](const Comparison& c) { return c.table == table; });
  }

  bool is_reference(int r) const { return row(r).file == row(report_.reference).file && !is_noise(r); }

  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    out_ += fmt::format(format, std::forward<Args>(args)...);
  }

  void heading(std::string_view title, std::string_view note) {
    put("<h2>{}</h2>\n", title);
    if (!note.empty()) put("<p class=\"note\">{}</p>\n", note);
  }

  // Titles that begin with '<' are left-aligned.
  void open_table(std::initializer_list<std::string_view> titles) {
    out_ += "<div class=\"scroll\"><table>\n<thead><tr>";
    for (std::string_view t : titles) {
      const bool left = t.starts_with('<');
      put("<th{}>{}</th>", left ? " class=\"left\"" : "", escape_html(left ? t.substr(1) : t));
    }
    out_ += "</tr></thead>\n<tbody>\n";
  }
  void close_table() { out_ += "</tbody></table></div>\n"; }

  std::string name_cell(int r) const {
    return fmt::format("<td class=\"name\"><span class=\"dot {}\"></span>{}</td>",
                       family_class(row(r).family), escape_html(label(report_, r)));
  }

  void opening() {
    put("<h1>{}Which file should I run?</h1>\n<p class=\"soft\">{} files judged on {}: {} items, {} answers, "
        "{} scored "
        "tokens, on this machine in {:.0f} s.</p>\n",
        report_.title.empty() ? "" : escape_html(report_.title) + ": ", n_files(), escape_html(report_.suite_name), format_count(report_.n_items),
        format_count(report_.n_answers), format_count(report_.n_tokens), report_.seconds);
  }
  int n_files() const {
    int n = 0;
    for (const ReportRow& r : report_.rows) n = std::max(n, r.file + 1);
    return n;
  }

  void answer() {
    out_ += "<div class=\"card\">\n";
    if (report_.recommendation)
      put("<p class=\"lead\">{}</p>\n", escape_html(report_.recommendation->sentence));
    out_ += "<ul class=\"plain\">\n";
    for (const Table table : {leading_table(report_), Table::parents, Table::noise}) {
      const PlainList list = plain_list(report_, table, 8);
      for (const Comparison* c : list.shown) put("<li>{} {}</li>\n", chip(c), escape_html(c->sentence));
      if (list.n_left_out > 0) put("<li>{}</li>\n", left_out(list.n_left_out));
    }
    for (const Recovery& r : report_.recoveries)
      if (is_first_kv(r.qat) && r.metric == (has_answers() ? "answer_nll" : "nll"))
        put("<li>{}</li>\n", escape_html(sentence_of(report_, r)));
    out_ += "</ul>\n</div>\n";
  }

  void verdicts() {
    heading("The verdicts",
            fmt::format(
                "“Against the original” asks which file answers better (right answers and the NLL of the "
                "reference answers). “Against its parent” asks what quantization cost. A tie is an interval "
                "within ±{:.1f} points and ±{:g} nat.",
                100 * report_.margins.accuracy, report_.margins.nll));
    open_table({"<file", "<types", "<against the original", "<against its parent", "right answers, %",
                "answer NLL", "NLL per token", "memory"});
    for (int r = 0; r < n_rows(); ++r) {
      const ReportRow& file = row(r);
      put("<tr{}>{}<td class=\"left\">{}</td>", r > 0 && row(r - 1).kv != file.kv ? " class=\"break\"" : "",
          name_cell(r), escape_html(file.types));
      put("<td class=\"left\">{}</td>", is_reference(r) ? "reference" : open_chip(of(Table::truth, r)));
      const Comparison* noise = of(Table::noise, r);
      put("<td class=\"left\">{}</td>",
          noise != nullptr ? "engine: " + chip(noise) : open_chip(of(Table::own_parent, r)));
      put("<td>{}</td><td>{}</td><td>{}</td>", plus_minus(file.accuracy), nats(file.answer_nll.estimate),
          nats(file.nll.estimate));
      put("<td>{}</td></tr>\n", format_bytes(file.memory_bytes));
    }
    close_table();
  }
  static std::string speed(double tokens_per_second) {
    return tokens_per_second > 0 ? format_count(std::llround(tokens_per_second)) : "–";
  }

  void legend(bool has_intervals = true) {
    const auto key = [&](std::string_view family, std::string_view words) {
      put("<span class=\"key\"><span class=\"dot {}\"></span>{}</span> ", family, words);
    };
    out_ += "<figcaption>";
    key("original", "original and quantized from it");
    key("qat", "QAT");
    key("control", "control: trained on for as long without quantization");
    if (has_intervals)
      put("<span class=\"key\">95 % intervals{}</span>", any(Table::kv) ? "; hollow: other KV cache type" : "");
    out_ += "</figcaption>\n";
  }

  void pareto() {
    heading("Quality against memory",
            "Large points: no other file, neither larger nor slower, is better by verdict, or ties and is smaller or "
            "faster. The dashed line joins the highest of them; a large point below it is faster, or too few items "
            "tell it from those above.");
    put("<figure>\n{}{}", pareto_figure(report_, FigureWidth::wide),
        pareto_figure(report_, FigureWidth::narrow));
    legend();
    out_ += "</figure>\n";
  }

  void damage_figure(const std::vector<BarRow>& rows, const std::string& axis) {
    put("<figure>\n{}{}", bar_figure(rows, axis, FigureWidth::wide),
        bar_figure(rows, axis, FigureWidth::narrow));
    legend();
    out_ += "</figure>\n";
  }

  // Differences to the reference under its KV type: lost answers and NLL, with intervals.
  void damage() {
    std::vector<BarRow> answers, nll;
    for (const Comparison& c : report_.comparisons) {
      if (c.table != Table::truth || !is_first_kv(c.row)) continue;
      const Interval& a = c.accuracy;
      answers.push_back({label(report_, c.row),
                         row(c.row).family,
                         {-100 * a.estimate, -100 * a.high, -100 * a.low, 0},
                         signed_number(a.estimate == 0 ? 0 : -100 * a.estimate, 2)});
      const Interval& n = has_answers() ? c.answer_nll : c.nll;
      nll.push_back({label(report_, c.row), row(c.row).family, n, signed_number(n.estimate, 4)});
    }
    if (nll.empty()) return;
    heading("The damage, by format", fmt::format("Differences to {}: to the right is worse.",
                                                 escape_html(label(report_, report_.reference))));
    if (has_answers()) damage_figure(answers, "answers lost per 100");
    damage_figure(nll, has_answers() ? "NLL of the answers, nat per token" : "NLL, nat per token");
  }

  void headline() {
    if (!any(Table::headline)) return;
    heading("QAT or a quantized original?",
            "The same questions, right answers; flips are answers that only one of the two gets right.");
    open_table({"<QAT file", "<against", "<verdict", "points of right answers", "won", "lost",
                "flips per 100", "answer NLL", "McNemar p", "to settle it"});
    for (const Comparison& c : report_.comparisons) {
      if (c.table != Table::headline) continue;
      put("<tr>{}<td class=\"left\">{}</td><td class=\"left\">{}</td><td>{}</td><td>{}</td><td>{}</td>",
          name_cell(c.row), escape_html(label(report_, c.reference)), chip(&c), signed_points(c.accuracy),
          c.flips.won, c.flips.lost);
      const double per_100 = 100.0 * static_cast<double>(c.flips.won + c.flips.lost) /
                             static_cast<double>(std::max<int64_t>(1, c.n_answers));
      put("<td>{:.1f}</td><td>{}</td><td>{:.2g}</td><td>{}</td></tr>\n", per_100, signed_nats(c.answer_nll),
          c.flips.p, more_items(c.n_more_items));
    }
    close_table();
  }

  void recoveries() {
    if (report_.recoveries.empty()) return;
    heading("How much of the damage QAT removes",
            "Against the control: 1 − (QAT − control) / (quantized control − control). Against the parent "
            "alone the "
            "further training counts as well. A share of damage that cannot itself be measured is left out.");
    open_table({"<file", "<measured in", "seed", "against the control", "against the parent alone"});
    const auto share = [](const std::optional<Interval>& i, bool is_defined) {
      if (!i || !is_defined) return std::string("–");
      if (!std::isfinite(i->low) || !std::isfinite(i->high)) return percent(i->estimate, 0);
      return fmt::format("{:.0f} % ({:.0f} to {:.0f})", 100 * i->estimate, 100 * i->low, 100 * i->high);
    };
    for (const Recovery& r : report_.recoveries)
      put("<tr>{}<td class=\"left\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", name_cell(r.qat),
          r.metric == "accuracy"     ? "lost answers"
          : r.metric == "answer_nll" ? "NLL of the answers"
                                     : "NLL per token",
          row(r.qat).seed, share(r.honest, r.honest_defined), share(r.naive, r.naive_defined));
    close_table();
  }

  void costs() {
    heading("Size and speed",
            fmt::format("Memory is planned for {} tokens of context; resident is what a run of 144 tokens was measured "
                        "to occupy: of large tables only the rows that it reads.",
                        format_count(report_.n_ctx)));
    open_table({"<file", "<types", "weights", "bits/weight", "memory", "resident", "prompt tok/s", "tokens/s"});
    for (int r = 0; r < n_rows(); ++r) {
      const ReportRow& file = row(r);
      put("<tr>{}<td class=\"left\">{}</td><td>{}</td><td>{:.2f}</td><td>{}</td><td>{}</td>", name_cell(r),
          escape_html(file.types), format_bytes(file.bytes), file.bits_per_weight, format_bytes(file.memory_bytes),
          file.resident_bytes > 0 ? format_bytes(file.resident_bytes) : "–");
      put("<td>{}</td><td>{}</td></tr>\n", speed(file.prefill_tok_s), speed(file.decode_tok_s));
    }
    close_table();
  }

  void own_parents() {
    if (!any(Table::own_parent)) return;
    heading("What quantization cost",
            fmt::format("Each file against its own parent with {} KV cache. KL divergence in nat; it measures likeness "
                        "to the parent, not quality, and does not rank files of different parents.",
                        type_name(report_.rows.front().kv)));
    if (!report_.on_policy_texts.empty()) {
      put("<p class=\"note\">Measured {}:</p>\n", on_policy_words(report_));
      divergences(&ReportRow::on_policy);
      out_ += "<p class=\"note\">Along the suite’s own text (secondary: no model writes it so):</p>\n";
    }
    divergences(&ReportRow::divergence);
  }

  void divergences(std::optional<Divergence> ReportRow::*which) {
    open_table({"<file", "<parent", "bits/weight", "mean KLD", "median", "99 %", "99.9 %", "same top",
                "on answers", "RMS Δp", "NLL", "<nearer to the parent than"});
    for (int r = 0; r < n_rows(); ++r) {
      const Comparison* c = of(Table::own_parent, r);
      if (c == nullptr || !(row(r).*which)) continue;
      const Divergence& d = *(row(r).*which);
      put("<tr>{}<td class=\"left\">{}</td><td>{:.2f}</td>", name_cell(r),
          escape_html(label(report_, c->reference)), row(r).bits_per_weight);
      put("<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
          nats(d.kld_mean.estimate), nats(d.kld_median), nats(d.kld_p99), nats(d.kld_p999),
          percent(d.top1.estimate, 2), percent(d.answer_top1.estimate, 2), percent(d.rms_dp, 2),
          signed_nats(c->nll));
      put("<td class=\"left\">{}</td></tr>\n", escape_html(wins_words(report_, d)));
    }
    close_table();
  }

  void open_figure(const std::string& wide, const std::string& narrow) { put("<figure>\n{}{}", wide, narrow); }

  void distributions() {
    const std::string wide = distribution_figure(report_, FigureWidth::wide);
    if (wide.empty()) return;
    heading("How the divergence is spread",
            "A mean hides the few tokens that change an answer: read how far from its parent a file is at one token in "
            "a hundred, or in a thousand. Lower is nearer.");
    open_figure(wide, distribution_figure(report_, FigureWidth::narrow));
    legend(false);
    out_ += "</figure>\n";
  }

  // Only where results were merged: the same judgement's speeds on every machine.
  void elsewhere() {
    if (report_.elsewhere.empty()) return;
    heading("On each machine", "Prompt and decoding speed in tokens per second. Quality is the first machine’s.");
    out_ += "<div class=\"scroll\"><table>\n<thead><tr><th class=\"left\">file</th>";
    put("<th>{}, {} threads</th>", escape_html(report_.machine), report_.n_threads);
    for (const Elsewhere& e : report_.elsewhere) put("<th>{}, {} threads</th>", escape_html(e.machine), e.n_threads);
    out_ += "</tr></thead>\n<tbody>\n";
    for (int r = 0; r < n_rows(); ++r) {
      if (is_noise(r)) continue;
      put("<tr>{}<td>{}</td>", name_cell(r), speeds(row(r).prefill_tok_s, row(r).decode_tok_s));
      for (const Elsewhere& e : report_.elsewhere) {
        const auto found = std::find_if(e.rows.begin(), e.rows.end(), [&](const auto& other) { return other.row == r; });
        put("<td>{}</td>", found == e.rows.end() ? "–" : speeds(found->prefill_tok_s, found->decode_tok_s));
      }
      out_ += "</tr>\n";
    }
    close_table();
    out_ += "<div class=\"card\"><ul class=\"plain\">\n";
    for (const Elsewhere& e : report_.elsewhere) put("<li>{}</li>\n", escape_html(machine_words(e)));
    out_ += "</ul></div>\n";
  }
  static std::string speeds(double prefill, double decode) {
    return prefill > 0 || decode > 0 ? fmt::format("{} / {}", speed(prefill), speed(decode)) : "–";
  }

  void tensors() {
    if (report_.tensor_errors.empty()) return;
    heading("What rounding did to each matrix",
            "Root mean square error relative to the parent’s weights: what was lost, not what it does to the answers. "
            "Darker is more.");
    for (const TensorErrors& t : report_.tensor_errors) {
      const std::string wide = tensor_figure(t, FigureWidth::wide);
      if (wide.empty()) continue;
      open_figure(wide, tensor_figure(t, FigureWidth::narrow));
      put("<figcaption><span class=\"dot {}\"></span>{}</figcaption></figure>\n", family_class(row(t.row).family),
          escape_html(label(report_, t.row)));
    }
  }

  void kv_costs() {
    if (!any(Table::kv)) return;
    heading("What the KV cache’s type costs", "Each file against itself.");
    open_table(
        {"<file", "<KV cache", "<verdict", "points of right answers", "answer NLL", "mean KLD", "same top"});
    for (const Comparison& c : report_.comparisons) {
      if (c.table != Table::kv) continue;
      put("<tr>{}<td class=\"left\">{} for {}</td><td class=\"left\">{}</td><td>{}</td><td>{}</td><td>{}</td>"
          "<td>{}</td></tr>\n",
          name_cell(c.row), type_name(row(c.row).kv), type_name(row(c.reference).kv), chip(&c),
          signed_points(c.accuracy), signed_nats(c.answer_nll), nats(c.divergence->kld_mean.estimate),
          percent(c.divergence->top1.estimate, 2));
    }
    close_table();
    cache_effects();
  }

  void cache_effects() {
    if (report_.cache_effects.empty()) return;
    heading("Does QAT suffer less from a quantized cache?",
            "The cost of the cache to the QAT file minus its cost to the original, item by item: answers that QAT "
            "keeps and NLL that it is spared count as better.");
    open_table({"<QAT file", "<beside", "<KV cache", "<verdict", "points of right answers",
                has_answers() ? "answer NLL" : "NLL", "to settle it"});
    for (const CacheEffect& e : report_.cache_effects)
      put("<tr>{}<td class=\"left\">{}</td><td class=\"left\">{} for {}</td><td class=\"left\">{}</td><td>{}</td>"
          "<td>{}</td><td>{}</td></tr>\n",
          name_cell(e.qat), escape_html(row(e.original).name), type_name(row(e.qat).kv), type_name(row(e.qat_base).kv),
          chip(e.verdict), signed_points(e.accuracy), signed_nats(e.nll), more_items(e.n_more_items));
    close_table();
    out_ += "<div class=\"card\"><ul class=\"plain\">\n";
    for (const CacheEffect& e : report_.cache_effects) put("<li>{} {}</li>\n", chip(e.verdict), escape_html(e.sentence));
    out_ += "</ul></div>\n";
  }

  void categories() {
    const auto& names = row(report_.reference).categories;
    if (names.empty()) return;
    heading("By category",
            "Right answers in per cent; coloured where better or worse than the reference after Holm’s "
            "adjustment over the whole table.");
    out_ += "<div class=\"scroll\"><table>\n<thead><tr><th class=\"left\">file</th>";
    for (const CategoryScore& c : names) put("<th>{}</th>", escape_html(c.category));
    out_ += "</tr></thead>\n<tbody>\n";
    for (int r = 0; r < n_rows(); ++r) {
      if (!is_first_kv(r) || is_noise(r)) continue;
      put("<tr>{}", name_cell(r));
      const Comparison* c = of(Table::truth, r);
      for (size_t i = 0; i < names.size(); ++i) {
        const double share = row(r).categories[i].accuracy.estimate, value = std::isfinite(share) ? 100 * share : 0;
        std::string_view colour = "";
        if (c != nullptr) colour = verdict_class(c->categories[i].judgement.verdict);
        put("<td><span class=\"cell {}\"><b>{:.1f}</b><i "
            "style=\"width:{:.0f}%;background:var(--{})\"></i></span></td>",
            colour, value, value, family_class(row(r).family));
      }
      out_ += "</tr>\n";
    }
    close_table();
    const std::string wide = category_figure(report_, FigureWidth::wide);
    if (wide.empty()) return;
    open_figure(wide, category_figure(report_, FigureWidth::narrow));
    out_ += "<figcaption>Differences to the reference with 95 % intervals; green and red: better and worse after "
            "Holm’s adjustment.</figcaption></figure>\n";
  }

  void warnings() {
    if (report_.warnings.empty()) return;
    heading("Mind", "");
    out_ += "<div class=\"card\"><ul class=\"plain\">\n";
    for (const Warning& w : report_.warnings) put("<li>{}</li>\n", escape_html(w.message));
    out_ += "</ul></div>\n";
  }

  void provenance() {
    heading("Where this comes from", "");
    out_ += "<div class=\"card\"><dl>\n";
    const auto entry = [&](std::string_view term, const std::string& text) {
      if (!text.empty()) put("<dt>{}</dt><dd>{}</dd>\n", term, escape_html(text));
    };
    if (!report_.command.empty())
      put("<dt>command</dt><dd><code>{}</code></dd>\n", escape_html(report_.command));
    entry("program", report_.version);
    entry("machine", fmt::format("{}; {} threads used", report_.machine, report_.n_threads));
    entry("suite", fmt::format("{}, hash {}", report_.suite_name, report_.suite_hash));
    if (!report_.template_hash.empty()) entry("chat template", "hash " + report_.template_hash);
    entry("looks", sentence_of_looks(report_));
    if (report_.entropy)
      entry("entropy", fmt::format("{:.4f} nat per scored token: the best NLL that any model can reach",
                                   *report_.entropy));
    entry("engine", report_.rows.front().precision == Precision::exact
                        ? "quality in exact precision (float activations), speed with the fast engine"
                        : "quality and speed with the fast engine");
    out_ += "</dl></div>\n";
    open_table({"<file", "<path", "bytes", "bits/weight", "<fingerprint"});
    for (int r = 0; r < n_rows(); ++r) {
      if (!is_first_kv(r) || is_noise(r)) continue;
      put("<tr>{}<td class=\"left mono\">{}</td><td>{}</td><td>{:.2f}</td><td class=\"left "
          "mono\">{}</td></tr>\n",
          name_cell(r), escape_html(row(r).path), format_count(static_cast<int64_t>(row(r).bytes)),
          row(r).bits_per_weight, escape_html(row(r).fingerprint));
    }
    close_table();
  }

  const EvalReport& report_;
  std::string out_;
};

}  // namespace

std::string render_html(const EvalReport& report) { return render_html(std::span(&report, 1)); }

std::string render_html(std::span<const EvalReport> reports) {
  CHECK(!reports.empty());
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
      "<title>Carat: {}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
      escape_html(reports.front().suite_name), kStyleSheet);
  for (const EvalReport& report : reports) page += Page(report).write();
  return page + "</main>\n</body>\n</html>\n";
}

}  // namespace carat
