// The only file of this layer that knows nlohmann-json: its event parser builds our values, with a limit on
// depth.
#include "model/json_value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace carat {
namespace {

using Json = nlohmann::json;

// nlohmann's event interface: open arrays and objects are on a stack.
class Builder : public nlohmann::json_sax<Json> {
 public:
  JsonValue root;
  std::string error;

  bool null() override { return add({}); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override {
    return value <= INT64_MAX ? add(static_cast<int64_t>(value)) : add(static_cast<double>(value));
  }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(true); }
  bool start_array(size_t) override { return open(false); }
  bool key(std::string& name) override {
    return stack_.back().members.emplace_back(std::move(name), JsonValue()), true;
  }
  bool end_object() override {
    drop_repeated(stack_.back().members);
    return close(JsonValue(std::move(stack_.back().members)));
  }
  bool end_array() override { return close(JsonValue(std::move(stack_.back().items))); }
  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    error = fmt::format("not JSON at byte {}", position);
    return false;
  }

 private:
  struct Open {
    bool is_object;
    JsonValue::Array items;
    JsonValue::Object members;
  };

  bool add(JsonValue value) {
    if (stack_.empty())
      root = std::move(value);
    else if (stack_.back().is_object)
      stack_.back().members.back().second = std::move(value);
    else
      stack_.back().items.push_back(std::move(value));
    return true;
  }
  bool open(bool is_object) {
    if (stack_.size() >= JsonValue::kMaxDepth) {
      error = fmt::format("JSON that is nested deeper than {}", JsonValue::kMaxDepth);
      return false;
    }
    stack_.push_back({is_object, {}, {}});
    return true;
  }
  bool close(JsonValue value) {
    stack_.pop_back();
    return add(std::move(value));
  }

  std::vector<Open> stack_;
};

std::string quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

void write(const JsonValue& value, std::string& out) {
  if (value.is_null()) out += "null";
  if (const bool* b = value.boolean()) out += *b ? "true" : "false";
  if (const int64_t* i = value.integer()) out += std::to_string(*i);
  if (const double* d = value.real()) out += Json(*d).dump();  // null where it is not finite
  if (const std::string* s = value.text()) out += quoted(*s);
  if (const JsonValue::Array* items = value.array()) {
    out += '[';
    for (size_t i = 0; i < items->size(); ++i) {
      if (i > 0) out += ',';
      write((*items)[i], out);
    }
    out += ']';
  }
  if (const JsonValue::Object* members = value.object()) {
    out += '{';
    for (size_t i = 0; i < members->size(); ++i) {
      if (i > 0) out += ',';
      out += quoted((*members)[i].first) + ':';
      write((*members)[i].second, out);
    }
    out += '}';
  }
}

}  // namespace

const JsonValue* JsonValue::find(std::string_view key) const {
  if (const Object* members = object())
    for (const auto& [name, value] : *members)
      if (name == key) return &value;
  return nullptr;
}

// Sorting, not searching: an object of a million members is somebody's attack.
void drop_repeated(JsonValue::Object& object) {
  std::vector<size_t> order(object.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return object[a].first < object[b].first; });
  std::vector<bool> repeated(object.size());
  size_t first = 0;
  for (size_t i = 1; i < order.size(); ++i) {
    if (object[order[i]].first != object[order[first]].first) {
      first = i;
      continue;
    }
    object[order[first]].second = std::move(object[order[i]].second);
    repeated[order[i]] = true;
  }
  size_t n_kept = 0;
  for (size_t i = 0; i < object.size(); ++i) {
    if (repeated[i]) continue;
    if (n_kept != i) object[n_kept] = std::move(object[i]);
    ++n_kept;
  }
  object.resize(n_kept);
}

Result<JsonValue> parse_json(std::string_view text) {
  Builder builder;
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) return Error{builder.error};
  return std::move(builder.root);
}

std::string to_json(const JsonValue& value) {
  std::string out;
  write(value, out);
  return out;
}

}  // namespace carat
