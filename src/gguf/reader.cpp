// Parses GGUF. Every number from the file is suspect: a count is compared with the bytes that remain before
// anything is allocated for it, and every product and sum is computed without wrapping.
#include "gguf/reader.h"

#include <bit>
#include <cstring>
#include <functional>
#include <utility>

#include "base/bytes.h"
#include "gguf/layout.h"
#include "gguf/split.h"

namespace carat::gguf {
namespace {

// The smallest records: a one-byte key with a one-byte value, and a one-byte name with one dimension.
constexpr uint64_t kMinKeyRecordBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorRecordBytes = 8 + 1 + 4 + 8 + 4 + 8;

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, std::string_view name) : bytes_(bytes), cursor_(bytes, name) {
    file_.path = name;
    file_.n_bytes = bytes.size();
  }

  Result<File> parse() {
    TRY(read_header());
    for (uint64_t i = 0; i < n_keys_; ++i) TRY(read_entry());
    TRY(check_settings());
    file_.tensors.reserve(n_tensors_);
    file_.index.reserve(n_tensors_);
    for (uint64_t i = 0; i < n_tensors_; ++i) TRY(read_tensor_info());
    TRY(place_tensors());
    file_.parts = {{file_.path, file_.n_bytes, 0, file_.tensors.size(), nullptr}};
    return std::move(file_);
  }

 private:
  Result<void> read_header();
  Result<void> read_entry();
  Result<Value> read_value(ValueType type, std::string_view key);
  Result<Value> read_string(std::string_view key);
  Result<Value> read_array(std::string_view key);
  Result<Array> read_elements(ValueType type, uint64_t count, std::string_view key);
  Result<std::vector<std::string_view>> read_texts(uint64_t count, std::string_view key);
  Result<std::vector<bool>> read_bools(uint64_t count, std::string_view key);
  Result<std::string_view> read_text(std::string_view what);
  Result<void> check_settings();
  Result<void> read_tensor_info();
  Result<Shape> read_shape(std::string_view name);
  Result<TensorType> read_type(std::string_view name);
  Result<void> place_tensors();

  template <class T>
  Result<Value> read_scalar(std::string_view key) {
    return Value(TRY(cursor_.read<T>(fmt::format("the value of '{}'", printable(key)))));
  }

  template <class T>
  Result<Array> read_numbers(uint64_t count, std::string_view key) {
    const auto raw = TRY(cursor_.take(count * sizeof(T), fmt::format("array '{}'", printable(key))));
    std::vector<T> numbers(count);
    if (count > 0) std::memcpy(numbers.data(), raw.data(), raw.size());
    return Array(std::move(numbers));
  }

  // Room for `count` records of at least `size` bytes, in the file and in the budget for metadata?
  Result<void> reserve(uint64_t count, uint64_t size, std::string_view what) {
    if (count > cursor_.remaining() / size)
      return fail("{}: {} says {}, but only {} bytes remain after byte {}", name(), what, count,
                  cursor_.remaining(), cursor_.position());
    if (cursor_.position() + count * size > kMaxMetadataBytes)
      return fail("{}: {} takes the metadata beyond {} MiB", name(), what, kMaxMetadataBytes >> 20);
    return {};
  }

  Error in_key(std::string_view key, const Error& error) const {
    return fail("{}: key '{}': {}", name(), printable(key), error.message);
  }
  Error in_tensor(std::string_view tensor, const Error& error) const {
    return fail("{}: tensor '{}': {}", name(), printable(tensor), error.message);
  }

  std::string_view name() const { return cursor_.name(); }

  std::span<const std::byte> bytes_;
  ByteCursor cursor_;
  File file_;
  uint64_t n_keys_ = 0, n_tensors_ = 0;
  uint64_t alignment_ = kAlignment;
  std::vector<uint64_t> offsets_;  // of each tensor, as the file states them
};

Result<void> Parser::read_header() {
  const std::string_view magic = TRY(cursor_.take_text(kMagic.size(), "the magic bytes"));
  if (magic != kMagic)
    return fail("{}: not a GGUF file: begins with '{}', expected '{}'", name(), printable(magic), kMagic);
  file_.version = TRY(cursor_.read<uint32_t>("the version"));
  if ((file_.version & 0xffffu) == 0)
    return fail("{}: big-endian GGUF (version field {:#x}), expected little-endian", name(), file_.version);
  if (file_.version != 2 && file_.version != 3)
    return fail("{}: GGUF version {}, expected 2 or 3", name(), file_.version);
  n_tensors_ = TRY(cursor_.read<uint64_t>("the number of tensors"));
  n_keys_ = TRY(cursor_.read<uint64_t>("the number of keys"));
  TRY(reserve(n_keys_, kMinKeyRecordBytes, "the number of keys"));
  TRY(reserve(n_tensors_, kMinTensorRecordBytes, "the number of tensors"));
  if (n_keys_ > kMaxKeys) return fail("{}: {} keys, at most {} allowed", name(), n_keys_, kMaxKeys);
  if (n_tensors_ > kMaxTensors)
    return fail("{}: {} tensors, at most {} allowed", name(), n_tensors_, kMaxTensors);
  return {};
}

Result<std::string_view> Parser::read_text(std::string_view what) {
  const uint64_t length = TRY(cursor_.read<uint64_t>(what));
  TRY(reserve(length, 1, what));
  return cursor_.take_text(length, what);
}

Result<void> Parser::read_entry() {
  const std::string_view key = TRY(read_text("the length of a key"));
  if (const auto valid = check_key(key); !valid) return in_key(key, valid.error());
  if (file_.metadata.contains(key)) return in_key(key, fail("occurs twice"));
  const uint32_t type = TRY(cursor_.read<uint32_t>("the type of a value"));
  if (type > static_cast<uint32_t>(ValueType::F64)) return in_key(key, fail("unknown value type {}", type));
  file_.metadata.set(key, TRY(read_value(static_cast<ValueType>(type), key)));
  return {};
}

Result<Value> Parser::read_value(ValueType type, std::string_view key) {
  switch (type) {
    case ValueType::U8:
      return read_scalar<uint8_t>(key);
    case ValueType::I8:
      return read_scalar<int8_t>(key);
    case ValueType::U16:
      return read_scalar<uint16_t>(key);
    case ValueType::I16:
      return read_scalar<int16_t>(key);
    case ValueType::U32:
      return read_scalar<uint32_t>(key);
    case ValueType::I32:
      return read_scalar<int32_t>(key);
    case ValueType::F32:
      return read_scalar<float>(key);
    case ValueType::U64:
      return read_scalar<uint64_t>(key);
    case ValueType::I64:
      return read_scalar<int64_t>(key);
    case ValueType::F64:
      return read_scalar<double>(key);
    case ValueType::Bool:
      return Value(bool{TRY(read_bools(1, key)).front()});
    case ValueType::String:
      return read_string(key);
    case ValueType::Array:
      return read_array(key);
  }
  CHECK(false && "read_entry() lets only known types through");
  return Value();
}

Result<Value> Parser::read_string(std::string_view key) {
  return Value(std::string(TRY(read_text(fmt::format("the length of string '{}'", printable(key))))));
}

Result<Value> Parser::read_array(std::string_view key) {
  const uint32_t type = TRY(cursor_.read<uint32_t>("the type of an array's elements"));
  if (type == static_cast<uint32_t>(ValueType::Array))
    return in_key(key, fail("an array of arrays, expected numbers, bools or strings"));
  if (type > static_cast<uint32_t>(ValueType::F64)) return in_key(key, fail("unknown element type {}", type));
  const uint64_t count = TRY(cursor_.read<uint64_t>("the length of an array"));
  return Value(TRY(read_elements(static_cast<ValueType>(type), count, key)));
}

Result<Array> Parser::read_elements(ValueType type, uint64_t count, std::string_view key) {
  constexpr uint64_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};  // a string's: its length field
  TRY(reserve(count, sizes[static_cast<size_t>(type)],
              fmt::format("the length of array '{}'", printable(key))));
  switch (type) {
    case ValueType::U8:
      return read_numbers<uint8_t>(count, key);
    case ValueType::I8:
      return read_numbers<int8_t>(count, key);
    case ValueType::U16:
      return read_numbers<uint16_t>(count, key);
    case ValueType::I16:
      return read_numbers<int16_t>(count, key);
    case ValueType::U32:
      return read_numbers<uint32_t>(count, key);
    case ValueType::I32:
      return read_numbers<int32_t>(count, key);
    case ValueType::F32:
      return read_numbers<float>(count, key);
    case ValueType::U64:
      return read_numbers<uint64_t>(count, key);
    case ValueType::I64:
      return read_numbers<int64_t>(count, key);
    case ValueType::F64:
      return read_numbers<double>(count, key);
    case ValueType::Bool:
      return Array(TRY(read_bools(count, key)));
    case ValueType::String:
      return Array(TRY(read_texts(count, key)));
    case ValueType::Array:
      break;
  }
  CHECK(false && "read_array() lets only known types through");
  return Array();
}

Result<std::vector<bool>> Parser::read_bools(uint64_t count, std::string_view key) {
  const auto raw = TRY(cursor_.take(count, fmt::format("bool '{}'", printable(key))));
  std::vector<bool> bools(count);
  for (size_t i = 0; i < count; ++i) {
    if (raw[i] > std::byte{1})
      return in_key(key, fail("a bool is {}, expected 0 or 1", static_cast<int>(raw[i])));
    bools[i] = raw[i] == std::byte{1};
  }
  return bools;
}

// A vocabulary has hundreds of thousands of these, so the loop works on plain pointers.
Result<std::vector<std::string_view>> Parser::read_texts(uint64_t count, std::string_view key) {
  std::vector<std::string_view> texts;
  texts.reserve(count);
  const auto rest = bytes_.subspan(cursor_.position());
  const char* data = reinterpret_cast<const char*>(rest.data());
  uint64_t position = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t length = 0;
    const bool has_length = rest.size() - position >= sizeof length;
    if (has_length) std::memcpy(&length, data + position, sizeof length);
    if (!has_length || length > rest.size() - position - sizeof length)
      return in_key(key, fail("string {} of {} goes beyond the end of the file", i, count));
    position += sizeof length;
    texts.emplace_back(data + position, length);
    position += length;
  }
  TRY(reserve(position, 1, "an array of strings"));
  TRY(cursor_.take(position, "an array of strings"));
  return texts;
}

// Keys that decide how the rest is read.
Result<void> Parser::check_settings() {
  if (const Value* value = file_.metadata.find(kAlignmentKey)) {
    const uint32_t* alignment = std::get_if<uint32_t>(value);
    if (alignment == nullptr)
      return in_key(kAlignmentKey, fail("expected u32, found {}", describe_type(*value)));
    if (!std::has_single_bit(*alignment) || *alignment < kMinAlignment || *alignment > kMaxAlignment)
      return in_key(kAlignmentKey,
                    fail("{} is not a power of two in {}..{}", *alignment, kMinAlignment, kMaxAlignment));
    alignment_ = *alignment;
  }
  return {};
}

Result<void> Parser::read_tensor_info() {
  const std::string_view tensor_name = TRY(read_text("the length of a tensor's name"));
  if (const auto valid = check_tensor_name(tensor_name); !valid) return in_tensor(tensor_name, valid.error());
  if (!file_.index.emplace(tensor_name, file_.tensors.size()).second)
    return in_tensor(tensor_name, fail("occurs twice"));
  Tensor tensor;
  tensor.name = tensor_name;
  tensor.shape = TRY(read_shape(tensor_name));
  tensor.type = TRY(read_type(tensor_name));
  if (const auto n_bytes = tensor_bytes(tensor.type, tensor.shape); !n_bytes)
    return in_tensor(tensor_name, n_bytes.error());
  offsets_.push_back(TRY(cursor_.read<uint64_t>("a tensor's offset")));
  file_.tensors.push_back(tensor);
  return {};
}

Result<Shape> Parser::read_shape(std::string_view tensor_name) {
  const uint32_t n_dimensions = TRY(cursor_.read<uint32_t>("a tensor's number of dimensions"));
  if (n_dimensions < 1 || n_dimensions > kMaxDimensions)
    return in_tensor(tensor_name, fail("{} dimensions, expected 1..{}", n_dimensions, kMaxDimensions));
  Shape shape{1, 1, 1, 1};
  for (uint32_t i = 0; i < n_dimensions; ++i) {
    const uint64_t dimension = TRY(cursor_.read<uint64_t>("a tensor's dimension"));
    if (dimension < 1 || dimension > static_cast<uint64_t>(kMaxDimension))
      return in_tensor(tensor_name, fail("dimension {} is outside 1..{}", dimension, kMaxDimension));
    shape[i] = static_cast<int64_t>(dimension);
  }
  return shape;
}

Result<TensorType> Parser::read_type(std::string_view tensor_name) {
  const uint32_t id = TRY(cursor_.read<uint32_t>("a tensor's type"));
  if (find_type(id) == nullptr) return in_tensor(tensor_name, fail("unknown tensor type {}", id));
  return static_cast<TensorType>(id);
}

// Tensor data must follow in order, without gaps, each tensor on the alignment, all of it inside the file.
Result<void> Parser::place_tensors() {
  if (cursor_.position() > kMaxMetadataBytes)
    return fail("{}: metadata of {} bytes, at most {} MiB allowed", name(), cursor_.position(),
                kMaxMetadataBytes >> 20);
  const uint64_t data_start = padded(cursor_.position(), alignment_);  // no wrap: both are small
  uint64_t expected = 0;
  for (size_t i = 0; i < file_.tensors.size(); ++i) {
    Tensor& tensor = file_.tensors[i];
    const uint64_t n_bytes = tensor.n_bytes();
    if (offsets_[i] % alignment_ != 0)
      return in_tensor(tensor.name, fail("offset {} is not a multiple of {}", offsets_[i], alignment_));
    if (offsets_[i] != expected)
      return in_tensor(tensor.name, fail("offset {}, expected {} (right after the tensor before it)",
                                         offsets_[i], expected));
    const uint64_t room = bytes_.size() > data_start ? bytes_.size() - data_start : 0;
    if (expected > room || n_bytes > room - expected)
      return in_tensor(tensor.name,
                       fail("data of {} bytes at byte {} goes beyond the end of the file ({} bytes): "
                            "is the download complete?",
                            n_bytes, data_start + expected, bytes_.size()));
    tensor.data = bytes_.data() + data_start + expected;
    expected += padded(n_bytes, alignment_);  // no wrap: the data fits the file
  }
  return {};
}

Result<std::optional<SplitKeys>> split_keys(const File& part) {
  auto keys = read_split_keys(part.metadata);
  if (!keys) return fail("{}: {}", part.path, keys.error().message);
  return keys;
}

Result<File> expect_whole(File file) {
  if (const std::optional<SplitKeys> keys = TRY(split_keys(file)))
    return fail("{}: part {} of {} of a split model, expected a whole file", file.path, keys->no + 1,
                keys->count);
  return file;
}

Result<File> open_part(std::shared_ptr<const MappedFile> mapping) {
  File file = TRY(parse_part(mapping->bytes(), mapping->path()));
  file.metadata.keep_alive(mapping);
  file.parts[0].mapping = std::move(mapping);
  return file;
}

// All parts, given one of them.
Result<File> open_siblings(File opened, const SplitKeys& keys) {
  const std::optional<std::string> prefix = split_prefix(opened.path, keys.no, keys.count);
  if (!prefix)
    return fail("{}: part {} of {} of a split model, expected a name like '{}', beside the other parts",
                opened.path, keys.no + 1, keys.count, split_path("model", keys.no, keys.count));
  std::vector<File> parts;
  for (int no = 0; no < keys.count; ++no) {
    if (no == keys.no) {
      parts.push_back(std::move(opened));
      continue;
    }
    auto mapping = MappedFile::open(split_path(*prefix, no, keys.count));
    if (!mapping) return fail("{} (part {} of {})", mapping.error().message, no + 1, keys.count);
    parts.push_back(TRY(open_part(mapping.take())));
  }
  return join(std::move(parts));
}

}  // namespace

const Tensor* File::find(std::string_view name) const {
  const auto found = index.find(name);
  return found == index.end() ? nullptr : &tensors[found->second];
}

const MappedFile* File::mapping_of(const std::byte* byte) const {
  for (const Part& part : parts) {
    if (!part.mapping) continue;
    const auto bytes = part.mapping->bytes();
    if (std::less_equal<>()(bytes.data(), byte) && std::less<>()(byte, bytes.data() + bytes.size()))
      return part.mapping.get();
  }
  return nullptr;
}

void File::release_pages() const {
  for (const Part& part : parts)
    if (part.mapping) part.mapping->release_pages();
}

Result<File> parse_part(std::span<const std::byte> bytes, std::string_view name) {
  return Parser(bytes, name).parse();
}

Result<File> parse(std::span<const std::byte> bytes, std::string_view name) {
  return expect_whole(TRY(parse_part(bytes, name)));
}

Result<File> open(const std::string& path) {
  File part = TRY(open_part(TRY(MappedFile::open(path))));
  const std::optional<SplitKeys> keys = TRY(split_keys(part));
  if (!keys) return part;
  return open_siblings(std::move(part), *keys);
}

Result<File> open(std::shared_ptr<const MappedFile> mapping) {
  return expect_whole(TRY(open_part(std::move(mapping))));
}

}  // namespace carat::gguf
