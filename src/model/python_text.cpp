// str(), strip() and dictsort, as far as the chat template can see them.
#include "model/python_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "model/symbols.h"

namespace carat {
namespace {

// The code point of valid UTF-8; the byte itself where it is not.
uint32_t decode(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.size() == 1) return byte(0);
  uint32_t code = byte(0) & (0x7fu >> bytes.size());
  for (size_t i = 1; i < bytes.size(); ++i) code = code << 6 | (byte(i) & 0x3fu);
  return code;
}

std::string encode(uint32_t code) {
  CHECK(code < 0x800);
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

// str.isspace() of one code point.
bool is_space(std::string_view bytes) {
  const uint32_t code = decode(bytes);
  if (bytes.size() == 1) return (code >= 9 && code <= 13) || (code >= 28 && code <= 32);
  return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
         code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

// The code point that ends `text`: as many bytes as make one.
std::string_view last_code_point(std::string_view text) {
  for (size_t n = std::min<size_t>(4, text.size()); n > 1; --n)
    if (code_point_length(text.substr(text.size() - n)) == n) return text.substr(text.size() - n);
  return text.substr(text.size() - 1);
}

uint32_t lower(uint32_t code) {
  const auto within = [&](uint32_t first, uint32_t last) { return code >= first && code <= last; };
  if (within('A', 'Z') || (within(0xc0, 0xde) && code != 0xd7)) return code + 0x20;
  if (within(0x391, 0x3ab) && code != 0x3a2) return code + 0x20;
  if (within(0x410, 0x42f)) return code + 0x20;
  return within(0x400, 0x40f) ? code + 0x50 : code;
}

std::string folded(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const std::string_view bytes = text.substr(at, code_point_length(text.substr(at)));
    const uint32_t code = decode(bytes);
    const bool foldable = bytes.size() == 2 || (bytes.size() == 1 && code < 0x80);
    foldable ? out += encode(lower(code)) : out += bytes;
    at += bytes.size();
  }
  return out;
}

// repr(float): the shortest digits that read back the same, plain from 1e-4 up to 1e16.
std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  std::array<char, 64> buffer;
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format);
  CHECK(end.ec == std::errc());
  std::string text(buffer.data(), end.ptr);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

// repr(str), but for what Python escapes beyond ASCII.
std::string string_repr(std::string_view text) {
  const bool doubled = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = doubled ? '"' : '\'';
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if ((c >= 0 && c < 32) || c == 127)
      out += fmt::format("\\x{:02x}", static_cast<int>(c));
    else
      out += c;
  }
  return out += quote;
}

std::string repr(const JsonValue& value) {
  if (const std::string* text = value.text()) return string_repr(*text);
  return python_str(value);
}

}  // namespace

std::string_view python_strip(std::string_view text) {
  while (!text.empty()) {
    const std::string_view first = text.substr(0, code_point_length(text));
    if (!is_space(first)) break;
    text.remove_prefix(first.size());
  }
  while (!text.empty()) {
    const std::string_view last = last_code_point(text);
    if (!is_space(last)) break;
    text.remove_suffix(last.size());
  }
  return text;
}

std::string python_upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string python_str(const JsonValue& value) {
  if (const bool* b = value.boolean()) return *b ? "True" : "False";
  if (const int64_t* i = value.integer()) return std::to_string(*i);
  if (const double* d = value.real()) return float_repr(*d);
  if (const std::string* s = value.text()) return *s;
  std::string out;
  if (const JsonValue::Array* items = value.array()) {
    for (const JsonValue& item : *items) out += (out.empty() ? "" : ", ") + repr(item);
    return '[' + out + ']';
  }
  if (const JsonValue::Object* members = value.object()) {
    for (const auto& [key, member] : *members)
      out += (out.empty() ? "" : ", ") + string_repr(key) + ": " + repr(member);
    return '{' + out + '}';
  }
  return "None";
}

bool python_truth(const JsonValue& value) {
  if (const bool* b = value.boolean()) return *b;
  if (const int64_t* i = value.integer()) return *i != 0;
  if (const double* d = value.real()) return *d != 0;
  if (const std::string* s = value.text()) return !s->empty();
  if (const JsonValue::Array* items = value.array()) return !items->empty();
  if (const JsonValue::Object* members = value.object()) return !members->empty();
  return false;
}

std::vector<const JsonValue::Object::value_type*> dictsort(const JsonValue::Object& object) {
  std::vector<std::pair<std::string, const JsonValue::Object::value_type*>> keyed;
  for (const auto& member : object) keyed.emplace_back(folded(member.first), &member);
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const JsonValue::Object::value_type*> sorted;
  for (const auto& [key, member] : keyed) sorted.push_back(member);
  return sorted;
}

}  // namespace carat
