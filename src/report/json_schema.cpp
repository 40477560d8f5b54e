// Describing: one of the three that walk report_fields.h.
#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/report_fields.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

Json type(std::string_view name) { return {{"type", name}}; }
Json or_null(std::string_view name) { return {{"type", {name, "null"}}}; }
template <class T>
Json type_of() {
  if constexpr (std::is_same_v<T, bool>) return type("boolean");
  if constexpr (std::is_integral_v<T>) return type("integer");
  return or_null("number");  // JSON cannot spell what is not finite
}

class SchemaWriter {
 public:
  template <class T>
  using Of = T;

  explicit SchemaWriter(bool is_required = true) : is_required_(is_required) {}

  Json take() {
    return {{"type", "object"}, {"properties", std::move(properties_)}, {"required", std::move(required_)}};
  }

  template <class T>
    requires std::is_arithmetic_v<T>
  void operator()(std::string_view key, T&) {
    add(key, type_of<T>());
  }
  void operator()(std::string_view key, std::string&) { add(key, type("string")); }
  void operator()(std::string_view key, Interval&) {
    for (const char* end : {"", "_low", "_high"}) add(std::string(key) + end, or_null("number"));
  }
  template <class T>
  void known(std::string_view key, T&, bool) {
    add(key, or_null(std::is_integral_v<T> ? "integer" : "number"));
  }
  template <class T, class Names>
  void text(std::string_view key, T&, const Names& names) {
    Json schema = type("string");
    if constexpr (requires { names.values; })
      for (const T& value : names.values) schema["enum"].push_back(names.name(value));
    add(key, std::move(schema));
  }
  template <class Function>
  void shown(std::string_view key, const Function&) {
    using Value = typename std::invoke_result_t<Function>::value_type;
    add(key, or_null(std::is_same_v<Value, std::string> ? "string" : "integer"));
  }
  template <class T>
  void numbers(std::string_view key, std::vector<T>&) {
    add(key, {{"type", "array"}, {"items", type_of<T>()}});
  }
  void texts(std::string_view key, std::vector<std::string>&) {
    add(key, {{"type", "array"}, {"items", type("string")}});
  }
  template <class T, class Fields>
  void list(std::string_view key, std::vector<T>&, const Fields& fields) {
    add(key, {{"type", "array"}, {"items", described<T>([&](SchemaWriter& entry, T& value) { fields(entry, value, 0); })}});
  }
  template <class Fields>
  void group(std::string_view key, const Fields& fields) {
    SchemaWriter entry;
    fields(entry);
    add(key, entry.take());
  }
  template <class T, class Fields>
  void object(std::string_view key, std::optional<T>&, const Fields& fields) {
    add(key, {{"anyOf", {described<T>(fields), type("null")}}});
  }
  void maybe(std::string_view key, std::optional<Interval>&) {
    Interval interval;
    optionally([&](SchemaWriter& io) { io(key, interval); });
  }
  void maybe(std::string_view key, std::optional<double>&) { add(key, or_null("number")); }
  template <class T, class Fields>
  void flat(std::string_view, std::optional<T>&, const Fields& fields) {
    T value;
    optionally([&](SchemaWriter& io) { fields(io, value); });
  }

 private:
  template <class T, class Fields>
  static Json described(const Fields& fields) {
    SchemaWriter entry;
    T value{};
    fields(entry, value);
    return entry.take();
  }
  // Keys that need not be there.
  template <class Fields>
  void optionally(const Fields& fields) {
    SchemaWriter part(false);
    fields(part);
    properties_.update(part.properties_);
  }
  void add(std::string_view key, Json schema) {
    properties_[std::string(key)] = std::move(schema);
    if (is_required_) required_.push_back(key);
  }

  bool is_required_;
  Json properties_ = Json::object(), required_ = Json::array();
};

}  // namespace

std::string report_schema() {
  SchemaWriter writer;
  EvalReport report;
  report_fields::report(writer, report);
  Json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
              {"title", "What carat compare --json writes: a list of judgements"},
              {"type", "array"},
              {"items", writer.take()}};
  return schema.dump(1) + "\n";
}

}  // namespace carat
