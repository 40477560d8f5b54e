// Python's way with text: the published chat template is a Jinja program, and the model was trained on what
// Python made of it. Only what the template uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/json_value.h"

namespace carat {

// str.strip(): without Unicode white space at both ends.
std::string_view python_strip(std::string_view text);

// str.upper(), of ASCII letters only: what the template does to type names.
std::string python_upper(std::string text);

// str(value): "None", "True", "1.0", "1e+16", "['a', 1]"; a string is itself.
std::string python_str(const JsonValue& value);

// bool(value): not null, false, 0, or empty.
bool python_truth(const JsonValue& value);

// Jinja's `dictsort`: by key without regard to case, equal ones as they were. Case is folded in ASCII,
// Latin-1, Greek and Cyrillic.
std::vector<const JsonValue::Object::value_type*> dictsort(const JsonValue::Object& object);

}  // namespace carat
