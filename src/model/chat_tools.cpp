// Follows the macros of the published template statement by statement, its oddities included (a schema
// without a type leaves a brace open, an unknown type is an empty string): the model has learnt from exactly
// this text.
#include "model/chat_tools.h"

#include <string>
#include <utility>

#include "model/python_text.h"

namespace carat {
namespace {

constexpr std::string_view kQuote = "<|\"|>";

// The separator of a list that is being written: nothing before its first entry.
class Comma {
 public:
  explicit Comma(Segments& out) : out_(out) {}
  void operator()() {
    if (!std::exchange(first_, false)) out_.written(",");
  }

 private:
  Segments& out_;
  bool first_ = true;
};

void quoted(std::string_view text, Segments& out) {
  out.marker(kQuote);
  out.written(text);
  out.marker(kQuote);
}

enum class Keys { bare, quoted };

void render_value(const JsonValue& value, Keys keys, Segments& out);

void render_members(const JsonValue::Object& object, Keys keys, Segments& out) {
  Comma comma(out);
  for (const auto* member : dictsort(object)) {
    comma();
    keys == Keys::quoted ? quoted(member->first, out) : out.written(member->first);
    out.written(":");
    render_value(member->second, keys, out);
  }
}

// Recursion is bounded by JsonValue::kMaxDepth.
void render_value(const JsonValue& value, Keys keys, Segments& out) {
  if (const std::string* text = value.text()) {
    quoted(*text, out);
  } else if (const bool* b = value.boolean()) {
    out.written(*b ? "true" : "false");
  } else if (const JsonValue::Object* object = value.object()) {
    out.written("{");
    render_members(*object, keys, out);
    out.written("}");
  } else if (const JsonValue::Array* items = value.array()) {
    out.written("[");
    Comma comma(out);
    for (const JsonValue& item : *items) comma(), render_value(item, keys, out);
    out.written("]");
  } else {
    out.written(value.is_null() ? "null" : python_str(value));
  }
}

bool holds(const JsonValue* value) { return value != nullptr && python_truth(*value); }

// What the template prints for a member that may be missing.
std::string shown(const JsonValue* value) { return value == nullptr ? std::string() : python_str(*value); }

// The template upper-cases the type names inside a list of types too, by way of its printed form.
std::string type_name(const JsonValue* type) { return python_upper(shown(type)); }

// "[<|"|>a<|"|>,<|"|>b<|"|>]": `names` is an array wherever the schema is one.
void render_names(const JsonValue& names, Segments& out) {
  out.written("[");
  Comma comma(out);
  if (const JsonValue::Array* items = names.array())
    for (const JsonValue& item : *items) comma(), quoted(python_str(item), out);
  out.written("]");
}

void render_properties(const JsonValue& properties, bool skip_keywords, Segments& out);

// "items:{…}" of an array.
void render_items(const JsonValue& items, Segments& out) {
  out.written("items:{");
  Comma comma(out);
  for (const auto* member : dictsort(*items.object())) {
    const auto& [key, value] = *member;
    if (value.is_null()) continue;
    comma();
    out.written(key + ":");
    if (key == "properties") {
      out.written("{");
      render_properties(value, false, out);
      out.written("}");
    } else if (key == "required") {
      render_names(value, out);
    } else if (key == "type" && value.text() != nullptr) {
      quoted(python_upper(*value.text()), out);
    } else if (key == "type" && value.array() != nullptr) {
      JsonValue::Array types;
      for (const JsonValue& type : *value.array()) types.emplace_back(python_upper(python_str(type)));
      render_value(types, Keys::quoted, out);
    } else {
      render_value(value, Keys::quoted, out);
    }
  }
  out.written("}");
}

// "{description:…,enum:…,nullable:true,type:…}" of one property.
void render_property(const JsonValue& schema, Segments& out) {
  const std::string type = type_name(schema.find("type"));
  out.written("{");
  Comma comma(out);
  if (const JsonValue* description = schema.find("description"); holds(description)) {
    comma(), out.written("description:");
    quoted(python_str(*description), out);
  }
  if (const JsonValue* choices = schema.find("enum"); type == "STRING" && holds(choices)) {
    comma(), out.written("enum:");
    render_value(*choices, Keys::quoted, out);
  }
  if (const JsonValue* items = schema.find("items");
      type == "ARRAY" && holds(items) && items->object() != nullptr)
    comma(), render_items(*items, out);
  if (holds(schema.find("nullable"))) comma(), out.written("nullable:true");
  if (type == "OBJECT") {
    const JsonValue* properties = schema.find("properties");
    const bool described = properties != nullptr && properties->object() != nullptr;
    comma(), out.written("properties:{");
    // Without "properties", the schema's own members but the keywords are taken for them.
    render_properties(described ? *properties : schema, !described, out);
    out.written("}");
    if (const JsonValue* required = schema.find("required"); holds(required)) {
      comma(), out.written("required:");
      render_names(*required, out);
    }
  }
  comma(), out.written("type:");
  quoted(type, out);
  out.written("}");
}

void render_properties(const JsonValue& properties, bool skip_keywords, Segments& out) {
  if (properties.object() == nullptr) return;
  Comma comma(out);
  for (const auto* member : dictsort(*properties.object())) {
    const auto& [key, schema] = *member;
    const bool is_keyword = key == "description" || key == "type" || key == "properties" ||
                            key == "required" || key == "nullable";
    if (skip_keywords && is_keyword) continue;
    comma(), out.written(key + ":");
    render_property(schema, out);
  }
}

// ",parameters:{…}": the brace closes with the type, and not at all without one.
void render_parameters(const JsonValue& parameters, Segments& out) {
  out.written(",parameters:{");
  if (const JsonValue* properties = parameters.find("properties"); holds(properties)) {
    out.written("properties:{");
    render_properties(*properties, false, out);
    out.written("},");
  }
  if (const JsonValue* required = parameters.find("required"); holds(required)) {
    out.written("required:");
    render_names(*required, out);
    out.written(",");
  }
  if (const JsonValue* type = parameters.find("type"); holds(type)) {
    out.written("type:");
    quoted(type_name(type), out);
    out.written("}");
  }
}

// ",response:{…}", likewise.
void render_response_schema(const JsonValue& response, Segments& out) {
  out.written(",response:{");
  if (const JsonValue* description = response.find("description"); holds(description)) {
    out.written("description:");
    quoted(python_str(*description), out);
    out.written(",");
  }
  if (const std::string type = type_name(response.find("type")); type == "OBJECT") {
    out.written("type:");
    quoted(type, out);
    out.written("}");
  }
}

}  // namespace

void declare_tool(const JsonValue& tool, Segments& out) {
  const JsonValue* inner = tool.find("function");
  const JsonValue& function = inner == nullptr ? tool : *inner;
  out.marker("<|tool>");
  out.written("declaration:" + shown(function.find("name")) + "{description:");
  quoted(shown(function.find("description")), out);
  if (const JsonValue* parameters = function.find("parameters"); holds(parameters))
    render_parameters(*parameters, out);
  if (const JsonValue* response = function.find("response")) render_response_schema(*response, out);
  out.written("}");
  out.marker("<tool|>");
}

void render_call(const ToolCall& call, Segments& out) {
  out.marker("<|tool_call>");
  out.written("call:" + call.name + "{");
  render_members(call.arguments, Keys::bare, out);
  out.written("}");
  out.marker("<tool_call|>");
}

void render_response(std::string_view tool, const JsonValue& result, Segments& out) {
  out.marker("<|tool_response>");
  out.written("response:");
  out.written(tool);
  out.written("{");
  if (const JsonValue::Object* object = result.object()) {
    render_members(*object, Keys::bare, out);
  } else {
    out.written("value:");
    render_value(result, Keys::bare, out);
  }
  out.written("}");
  out.marker("<tool_response|>");
}

}  // namespace carat
