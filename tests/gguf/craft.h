// Crafts GGUF bytes field by field, independently of the writer, so that tests can break any one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"

namespace carat::gguf::craft {

class Bytes {
 public:
  template <class T>
  Bytes& number(T value) {
    const auto* raw = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), raw, raw + sizeof value);
    return *this;
  }
  Bytes& u8(uint8_t v) { return number(v); }
  Bytes& u32(uint32_t v) { return number(v); }
  Bytes& u64(uint64_t v) { return number(v); }
  Bytes& f32(float v) { return number(v); }
  Bytes& raw(std::string_view text) {
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), data, data + text.size());
    return *this;
  }
  Bytes& string(std::string_view text) { return u64(text.size()).raw(text); }
  Bytes& type(ValueType v) { return u32(static_cast<uint32_t>(v)); }
  Bytes& append(const Bytes& other) {
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
    return *this;
  }
  Bytes& pad(size_t alignment) {
    while (bytes_.size() % alignment != 0) u8(0);
    return *this;
  }
  Bytes& zeros(size_t n) { return bytes_.resize(bytes_.size() + n), *this; }

  size_t size() const { return bytes_.size(); }
  const std::vector<std::byte>& get() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

inline Bytes key_u32(std::string_view key, uint32_t value) {
  return Bytes().string(key).type(ValueType::U32).u32(value);
}
inline Bytes key_string(std::string_view key, std::string_view value) {
  return Bytes().string(key).type(ValueType::String).string(value);
}
inline Bytes tensor(std::string_view name, std::vector<uint64_t> dimensions, uint32_t type, uint64_t offset) {
  Bytes info;
  info.string(name).u32(static_cast<uint32_t>(dimensions.size()));
  for (const uint64_t d : dimensions) info.u64(d);
  return info.u32(type).u64(offset);
}

// A whole file from its parts; each part may be wrong.
struct Draft {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<Bytes> keys, tensors;
  size_t alignment = 32, n_data_bytes = 0;
  int64_t n_extra_keys = 0, n_extra_tensors = 0;  // claimed in the header beyond those present

  std::vector<std::byte> build() const {
    Bytes out;
    out.raw(magic).u32(version);
    out.u64(tensors.size() + static_cast<uint64_t>(n_extra_tensors));
    out.u64(keys.size() + static_cast<uint64_t>(n_extra_keys));
    for (const Bytes& key : keys) out.append(key);
    for (const Bytes& info : tensors) out.append(info);
    if (!tensors.empty()) out.pad(alignment);
    return out.zeros(n_data_bytes).get();
  }
};

// Part `no` (from 0) of `count`: one tensor `name` of four F32 values, and the split keys.
inline Draft part(int no, int count, std::string_view name, int n_tensors) {
  Draft draft;
  if (no == 0) draft.keys.push_back(key_string("general.architecture", "gemma4"));
  const auto key = [&](std::string_view name_of_key, auto value, ValueType type) {
    draft.keys.push_back(Bytes().string(name_of_key).type(type).number(value));
  };
  key("split.no", static_cast<uint16_t>(no), ValueType::U16);
  key("split.count", static_cast<uint16_t>(count), ValueType::U16);
  key("split.tensors.count", static_cast<int32_t>(n_tensors), ValueType::I32);
  draft.tensors = {tensor(name, {4}, 0, 0)};
  draft.n_data_bytes = 32;
  return draft;
}

// One key of every type and three tensors; the smallest file that takes every path of the reader.
inline Draft everything() {
  using enum ValueType;
  Draft draft;
  auto key = [&](std::string_view name, ValueType type) -> Bytes& {
    return draft.keys.emplace_back(Bytes().string(name).type(type));
  };
  key("a.u8", U8).u8(200);
  key("a.i8", I8).number(int8_t{-5});
  key("a.u16", U16).number(uint16_t{60000});
  key("a.i16", I16).number(int16_t{-300});
  key("a.u32", U32).u32(4'000'000'000u);
  key("a.i32", I32).number(int32_t{-70000});
  key("a.f32", F32).f32(0.5f);
  key("a.bool", Bool).u8(1);
  key("a.string", String).string("gemma4");
  key("a.u64", U64).u64(UINT64_MAX);
  key("a.i64", I64).number(int64_t{-5'000'000'000});
  key("a.f64", F64).number(0.1);
  key("b.u32", Array).type(U32).u64(3).u32(1).u32(2).u32(3);
  key("b.bool", Array).type(Bool).u64(3).u8(1).u8(0).u8(1);
  key("b.string", Array).type(String).u64(3).string("he").string("").string("llo");
  key("b.f32", Array).type(F32).u64(2).f32(1.5f).f32(-2);
  key("b.i64", Array).type(I64).u64(1).number(int64_t{-1});
  key("b.empty", Array).type(I32).u64(0);
  draft.tensors = {tensor("norm.weight", {3}, 0, 0), tensor("blk.0.q.weight", {32, 2}, 8, 32),
                   tensor("exps.weight", {2, 3, 4}, 30, 128)};
  draft.n_data_bytes = 128 + 48;
  return draft;
}

}  // namespace carat::gguf::craft
