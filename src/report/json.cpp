// Writing: one of the three that walk report_fields.h.
#include "report/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "report/report_fields.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

class JsonWriter {
 public:
  template <class T>
  using Of = const T;

  Json take() { return std::move(json_); }

  void operator()(std::string_view key, double value) { at(key) = number(value); }
  template <class T>
    requires std::is_integral_v<T>
  void operator()(std::string_view key, T value) {
    at(key) = value;
  }
  void operator()(std::string_view key, const std::string& value) { at(key) = value; }
  // {"nll": 1.2, "nll_low": 1.1, "nll_high": 1.3}: the figure itself stays a plain number.
  void operator()(std::string_view key, const Interval& interval) {
    at(key) = number(interval.estimate);
    at(std::string(key) + "_low") = number(interval.low);
    at(std::string(key) + "_high") = number(interval.high);
  }

  template <class T>
  void known(std::string_view key, const T& value, bool is_known) {
    if (is_known)
      (*this)(key, value);
    else
      at(key) = nullptr;
  }
  template <class T, class Names>
  void text(std::string_view key, const T& value, const Names& names) {
    at(key) = names.name(value);
  }
  template <class Function>
  void shown(std::string_view key, const Function& function) {
    const auto value = function();
    at(key) = value ? Json(*value) : Json(nullptr);
  }
  template <class T>
  void numbers(std::string_view key, const std::vector<T>& values) {
    Json& list = at(key) = Json::array();
    for (const T value : values) list.push_back(std::is_integral_v<T> ? Json(value) : number(static_cast<double>(value)));
  }
  void texts(std::string_view key, const std::vector<std::string>& values) { at(key) = values; }
  template <class T, class Fields>
  void list(std::string_view key, const std::vector<T>& values, const Fields& fields) {
    Json& list = at(key) = Json::array();
    for (size_t i = 0; i < values.size(); ++i) {
      JsonWriter entry;
      fields(entry, values[i], static_cast<int>(i));
      list.push_back(entry.take());
    }
  }
  template <class Fields>
  void group(std::string_view key, const Fields& fields) {
    JsonWriter entry;
    fields(entry);
    at(key) = entry.take();
  }
  template <class T, class Fields>
  void object(std::string_view key, const std::optional<T>& value, const Fields& fields) {
    at(key) = nullptr;
    if (!value) return;
    JsonWriter entry;
    fields(entry, *value);
    at(key) = entry.take();
  }
  void maybe(std::string_view key, const std::optional<Interval>& value) {
    if (value) (*this)(key, *value);
  }
  void maybe(std::string_view key, const std::optional<double>& value) {
    at(key) = value ? number(*value) : Json(nullptr);
  }
  template <class T, class Fields>
  void flat(std::string_view, const std::optional<T>& value, const Fields& fields) {
    if (value) fields(*this, *value);
  }

 private:
  Json& at(std::string_view key) { return json_[std::string(key)]; }

  Json json_ = Json::object();
};

Json spread_json(const Spread& spread) {
  return {{"value", number(spread.value)}, {"error", number(spread.error)}};
}

std::string dump(const Json& json) {
  // File names may hold any bytes: replace what is not UTF-8 instead of throwing.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string to_json(const EvalReport& report) {
  JsonWriter writer;
  report_fields::report(writer, report);
  return dump(writer.take());
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
