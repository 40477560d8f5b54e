// Reading: one of the three that walk report_fields.h. The file may come from anywhere: nothing in it is believed
// before it has been checked, and what is wrong is named by its place.
#include "report/json_read.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "report/report_fields.h"

namespace carat {
namespace {

using Json = nlohmann::json;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class JsonReader {
 public:
  template <class T>
  using Of = T;

  // `error` keeps the first defect of the whole document; after it nothing is read any more.
  JsonReader(const Json& json, std::string place, std::string& error) : json_(json), place_(std::move(place)), error_(error) {
    if (!json.is_object()) complain("", "an object");
  }

  void operator()(std::string_view key, double& value) {
    if (const Json* found = get(key)) read(key, *found, value);
  }
  void operator()(std::string_view key, bool& value) {
    const Json* found = get(key);
    if (found == nullptr) return;
    if (!found->is_boolean()) return complain(key, "true or false");
    value = found->get<bool>();
  }
  template <class T>
    requires std::is_integral_v<T>
  void operator()(std::string_view key, T& value) {
    if (const Json* found = get(key)) read(key, *found, value);
  }
  void operator()(std::string_view key, std::string& value) {
    const Json* found = get(key);
    if (found == nullptr) return;
    if (!found->is_string()) return complain(key, "text");
    value = found->get<std::string>();
  }
  void operator()(std::string_view key, Interval& interval) {
    (*this)(key, interval.estimate);
    (*this)(std::string(key) + "_low", interval.low);
    (*this)(std::string(key) + "_high", interval.high);
  }

  template <class T>
  void known(std::string_view key, T& value, bool) {
    if (const Json* found = get(key); found != nullptr && !found->is_null()) read(key, *found, value);
  }
  template <class T, class Names>
  void text(std::string_view key, T& value, const Names& names) {
    std::string word;
    (*this)(key, word);
    if (!error_.empty()) return;
    const std::optional<T> parsed = names.parse(word);
    if (!parsed) return complain(key, "one of its words");
    value = *parsed;
  }
  template <class Function>
  void shown(std::string_view, const Function&) {}
  template <class T>
  void numbers(std::string_view key, std::vector<T>& values) {
    for_each(key, [&](const std::string& name, const Json& entry) {
      values.emplace_back();
      read(name, entry, values.back());
    });
  }
  void texts(std::string_view key, std::vector<std::string>& values) {
    for_each(key, [&](const std::string& name, const Json& entry) {
      if (!entry.is_string()) return complain(name, "text");
      values.push_back(entry.get<std::string>());
    });
  }
  template <class T, class Fields>
  void list(std::string_view key, std::vector<T>& values, const Fields& fields) {
    for_each(key, [&](const std::string& name, const Json& entry) {
      values.emplace_back();
      JsonReader reader(entry, name_of(name), error_);
      fields(reader, values.back(), static_cast<int>(values.size()) - 1);
    });
  }
  template <class Fields>
  void group(std::string_view key, const Fields& fields) {
    if (const Json* found = get(key)) {
      JsonReader reader(*found, name_of(key), error_);
      fields(reader);
    }
  }
  template <class T, class Fields>
  void object(std::string_view key, std::optional<T>& value, const Fields& fields) {
    const Json* found = get(key);
    if (found == nullptr || found->is_null()) return;
    JsonReader reader(*found, name_of(key), error_);
    fields(reader, value.emplace());
  }
  void maybe(std::string_view key, std::optional<Interval>& value) {
    if (has(key)) (*this)(key, value.emplace());
  }
  void maybe(std::string_view key, std::optional<double>& value) {
    if (const Json* found = get(key); found != nullptr && !found->is_null()) read(key, *found, value.emplace());
  }
  template <class T, class Fields>
  void flat(std::string_view key, std::optional<T>& value, const Fields& fields) {
    if (has(key)) fields(*this, value.emplace());
  }

 private:
  bool has(std::string_view key) const { return error_.empty() && json_.contains(key); }

  const Json* get(std::string_view key) {
    if (!error_.empty()) return nullptr;
    const auto found = json_.find(key);
    if (found != json_.end()) return &*found;
    complain(key, "something, and it is missing");
    return nullptr;
  }

  void read(std::string_view key, const Json& json, double& value) {
    if (json.is_null())
      value = kNan;
    else if (json.is_number())
      value = json.get<double>();
    else
      complain(key, "a number");
  }
  template <class T>
    requires std::is_integral_v<T>
  void read(std::string_view key, const Json& json, T& value) {
    const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<uint64_t>())
                                                : json.is_number_integer() && std::in_range<T>(json.get<int64_t>());
    if (!fits) return complain(key, "a whole number that fits");
    value = json.get<T>();
  }

  template <class Body>
  void for_each(std::string_view key, const Body& body) {
    const Json* found = get(key);
    if (found == nullptr) return;
    if (!found->is_array()) return complain(key, "a list");
    for (size_t i = 0; i < found->size() && error_.empty(); ++i) body(fmt::format("{}[{}]", key, i), (*found)[i]);
  }

  std::string name_of(std::string_view key) const {
    return place_.empty() ? std::string(key) : key.empty() ? place_ : fmt::format("{}.{}", place_, key);
  }
  void complain(std::string_view key, std::string_view expected) {
    if (error_.empty()) error_ = fmt::format("{}: expected {}", name_of(key), expected);
  }

  const Json& json_;
  std::string place_;
  std::string& error_;
};

// What the page and the tables rely on when they look from one part into another.
class Checker {
 public:
  explicit Checker(const EvalReport& report) : report_(report) {}

  Result<void> check() {
    if (report_.rows.empty()) return fail("rows: expected at least one");
    TRY(row_index("reference", report_.reference));
    for (const ReportRow& row : report_.rows) TRY(check_row(row));
    for (const Comparison& c : report_.comparisons) TRY(check_comparison(c));
    for (const Recovery& r : report_.recoveries) {
      TRY(row_index("recovery: row", r.qat));
      TRY(row_or_none("recovery: control", r.control));
    }
    for (const CacheEffect& e : report_.cache_effects)
      for (const int row : {e.qat, e.qat_base, e.original, e.original_base}) TRY(row_index("kv_effects: a row", row));
    for (const TensorErrors& t : report_.tensor_errors) TRY(check_errors(t));
    for (const OnPolicyText& t : report_.on_policy_texts) TRY(row_index("on_policy_texts: parent", t.parent));
    for (const Elsewhere& e : report_.elsewhere)
      for (const Elsewhere::Row& row : e.rows) TRY(row_index("elsewhere: row", row.row));
    for (const ParetoPoint& p : report_.pareto) TRY(row_index("pareto: row", p.row));
    if (const auto& r = report_.recommendation) {
      TRY(row_or_none("recommendation: row", r->row));
      for (const auto* list : {&r->fitting, &r->tied})
        for (const int row : *list) TRY(row_index("recommendation: a row", row));
    }
    return {};
  }

 private:
  int n_rows() const { return static_cast<int>(report_.rows.size()); }
  Result<void> row_index(std::string_view what, int row) const {
    if (row < 0 || row >= n_rows()) return fail("{}: {} is none of the {} rows", what, row, n_rows());
    return {};
  }
  Result<void> row_or_none(std::string_view what, int row) const { return row == -1 ? Result<void>() : row_index(what, row); }

  size_t n_categories() const { return report_.rows[static_cast<size_t>(report_.reference)].categories.size(); }

  Result<void> check_divergence(const std::optional<Divergence>& d) const {
    if (!d) return {};
    TRY(row_or_none("kld_from", d->reference));
    TRY(row_or_none("wins_over", d->wins_over));
    if (d->kld_reached.size() > kld_shares().size())
      return fail("kld_reached: {} values, expected at most {}", d->kld_reached.size(), kld_shares().size());
    return {};
  }
  Result<void> check_row(const ReportRow& row) const {
    TRY(row_or_none("rows: parent", row.parent));
    TRY(check_divergence(row.divergence));
    TRY(check_divergence(row.on_policy));
    if (row.file < 0 || row.file >= n_rows()) return fail("rows: file: {} is none of at most {} files", row.file, n_rows());
    if (row.categories.size() != n_categories())
      return fail("rows: {} has {} categories and the reference {}", row.name, row.categories.size(), n_categories());
    return {};
  }
  Result<void> check_comparison(const Comparison& c) const {
    TRY(row_index("comparisons: row", c.row));
    TRY(row_index("comparisons: reference", c.reference));
    TRY(check_divergence(c.divergence));
    TRY(check_divergence(c.reverse_divergence));
    if (c.table == Comparison::Table::kv && !c.divergence)
      return fail("comparisons: one of KV caches has no divergence");
    if (c.categories.size() != n_categories())
      return fail("comparisons: {} categories where the rows have {}", c.categories.size(), n_categories());
    return {};
  }
  Result<void> check_errors(const TensorErrors& t) const {
    TRY(row_index("tensor_errors: row", t.row));
    const uint64_t n_roles = t.roles.size(), n_errors = t.errors.size();
    if (t.n_layers < 0 || (n_roles > 0 ? n_errors % n_roles != 0 || n_errors / n_roles != static_cast<uint64_t>(t.n_layers) : n_errors != 0))
      return fail("tensor_errors: {} errors, expected {} roles of {} layers", n_errors, n_roles, t.n_layers);
    return {};
  }

  const EvalReport& report_;
};

Result<EvalReport> report_of(const Json& json, const std::string& place) {
  EvalReport report;
  std::string error;
  JsonReader reader(json, place, error);
  report_fields::report(reader, report);
  if (!error.empty()) return fail("{}", error);
  if (const auto checked = Checker(report).check(); !checked) return fail("{}{}{}", place, place.empty() ? "" : ".", checked.error().message);
  return report;
}

}  // namespace

Result<std::vector<EvalReport>> read_reports(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return fail("not JSON");
  std::vector<EvalReport> reports;
  if (!json.is_array()) {
    reports.push_back(TRY(report_of(json, "")));
    return reports;
  }
  for (size_t i = 0; i < json.size(); ++i) reports.push_back(TRY(report_of(json[i], fmt::format("[{}]", i))));
  if (reports.empty()) return fail("an empty list, expected judgements");
  return reports;
}

}  // namespace carat
