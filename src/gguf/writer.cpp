// Writes GGUF: the head is built in memory (it is small), tensor data streams through one buffer.
#include "gguf/writer.h"

#include <algorithm>
#include <concepts>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/bytes.h"
#include "gguf/layout.h"
#include "gguf/split.h"

namespace carat::gguf {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;
constexpr uint64_t kBytesPerReport = uint64_t{8} << 20;

// The bytes before the data section.
class Head {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T> && !std::same_as<T, bool>);
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void type(ValueType type) { number(static_cast<uint32_t>(type)); }
  void string(std::string_view text) {
    number(uint64_t{text.size()});
    text_ += text;
  }
  void raw(std::string_view text) { text_ += text; }
  void value(const Value& value);
  void pad() { text_.resize(padded(text_.size(), kAlignment), '\0'); }

  std::string_view view() const { return text_; }
  uint64_t size() const { return text_.size(); }

 private:
  void element(bool v) { number(uint8_t{v}); }
  void element(std::string_view v) { string(v); }
  template <class T>
  void element(T v) {
    number(v);
  }
  void array(const Array& array);

  std::string text_;
};

void Head::array(const Array& array) {
  type(element_type_of(array));
  number(uint64_t{size_of(array)});
  std::visit(
      [this](const auto& elements) {
        using T = typename std::decay_t<decltype(elements)>::value_type;
        for (const T& v : elements) element(v);
      },
      array);
}

void Head::value(const Value& value) {
  type(type_of(value));
  std::visit(
      [this](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::same_as<T, Array>)
          array(v);
        else if constexpr (std::same_as<T, std::string>)
          element(std::string_view(v));
        else
          element(v);
      },
      value);
}

// A copied key may name the alignment of another file; ours is fixed, and must not be contradicted.
bool contradicts_alignment(const Metadata::Entry& entry) {
  if (entry.key != kAlignmentKey) return false;
  const uint32_t* alignment = std::get_if<uint32_t>(&entry.value);
  return alignment == nullptr || *alignment != kAlignment;
}

Result<uint64_t> write_keys(Head& head, const Metadata& metadata) {
  uint64_t n_keys = 0;
  for (const auto& entry : metadata.entries()) {
    if (contradicts_alignment(entry) || is_split_key(entry.key)) continue;
    if (const auto valid = check_key(entry.key); !valid)
      return fail("key '{}': {}", printable(entry.key), valid.error().message);
    head.string(entry.key);
    head.value(entry.value);
    ++n_keys;
  }
  if (n_keys > kMaxKeys) return fail("{} keys, at most {} allowed", n_keys, kMaxKeys);
  return n_keys;
}

uint32_t n_dimensions(const Shape& shape) {
  uint32_t n = 1;
  for (uint32_t i = 1; i < shape.size(); ++i)
    if (shape[i] > 1) n = i + 1;
  return n;
}

// One record per tensor. Returns the bytes of each tensor's data.
Result<std::vector<uint64_t>> write_infos(Head& head, const std::vector<TensorToWrite>& tensors) {
  if (tensors.size() > kMaxTensors)
    return fail("{} tensors, at most {} allowed", tensors.size(), kMaxTensors);
  std::unordered_set<std::string_view> names;
  std::vector<uint64_t> sizes;
  uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    auto n_bytes = tensor_bytes(tensor.type, tensor.shape);
    auto valid = check_tensor_name(tensor.name);
    if (!valid || !n_bytes)
      return fail("tensor '{}': {}", printable(tensor.name),
                  (valid ? n_bytes.error() : valid.error()).message);
    if (!names.insert(tensor.name).second) return fail("tensor '{}': occurs twice", printable(tensor.name));
    head.string(tensor.name);
    head.number(n_dimensions(tensor.shape));
    for (uint32_t i = 0; i < n_dimensions(tensor.shape); ++i)
      head.number(static_cast<uint64_t>(tensor.shape[i]));
    head.number(static_cast<uint32_t>(tensor.type));
    head.number(offset);
    if (add_overflows(offset, padded(*n_bytes, kAlignment), &offset) || offset >= uint64_t{1} << 62)
      return fail("tensor '{}': the file would have more than 2^62 bytes", printable(tensor.name));
    sizes.push_back(*n_bytes);
  }
  return sizes;
}

struct Plan {
  Head head;
  std::vector<uint64_t> sizes;  // of each tensor's data
  uint64_t n_bytes = 0;         // their sum
};

Result<Plan> plan_file(const Metadata& metadata, const std::vector<TensorToWrite>& tensors) {
  Head keys, infos;
  Plan plan;
  const uint64_t n_keys = TRY(write_keys(keys, metadata));
  plan.sizes = TRY(write_infos(infos, tensors));
  for (const uint64_t size : plan.sizes) plan.n_bytes += size;
  plan.head.raw(kMagic);
  plan.head.number(kVersion);
  plan.head.number(uint64_t{tensors.size()});
  plan.head.number(n_keys);
  plan.head.raw(keys.view());
  plan.head.raw(infos.view());
  if (plan.head.size() > kMaxMetadataBytes)
    return fail("metadata of {} bytes, at most {} MiB allowed", plan.head.size(), kMaxMetadataBytes >> 20);
  plan.head.pad();
  return plan;
}

// Collects small pieces; passes large ones through.
class BufferedOutput {
 public:
  explicit BufferedOutput(OutputFile& file) : file_(file) { buffer_.reserve(kBufferBytes); }

  Result<void> write(std::span<const std::byte> bytes) {
    if (buffer_.size() + bytes.size() > kBufferBytes) TRY(flush());
    if (bytes.size() >= kBufferBytes) return file_.write(bytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return {};
  }
  Result<void> flush() {
    TRY(file_.write(std::span<const std::byte>(buffer_)));
    buffer_.clear();
    return {};
  }

 private:
  OutputFile& file_;
  std::vector<std::byte> buffer_;
};

// Tells a listener how many of the tensors' bytes are written, not more often than it can be of use.
class Reporter {
 public:
  Reporter(const Progress& progress, uint64_t total) : progress_(progress), total_(total) {}

  void add(uint64_t n_bytes, std::string_view what) {
    done_ += n_bytes;
    if (done_ - reported_ >= kBytesPerReport || done_ == total_) report(what);
  }

 private:
  void report(std::string_view what) {
    reported_ = done_;
    if (progress_) progress_(done_, total_, what);
  }

  const Progress& progress_;
  uint64_t total_, done_ = 0, reported_ = 0;
};

Result<void> write_tensor(const TensorToWrite& tensor, uint64_t n_bytes, BufferedOutput& out,
                          Reporter& reporter, const std::string& path) {
  uint64_t n_written = 0;
  const std::string name = printable(tensor.name);
  const ByteSink sink = [&](std::span<const std::byte> piece) -> Result<void> {
    if (interrupted()) return fail("{}: interrupted, nothing was written", path);
    CHECK(piece.size() <= n_bytes - n_written);
    n_written += piece.size();
    TRY(out.write(piece));
    reporter.add(piece.size(), name);
    return {};
  };
  TRY(tensor.produce(sink));
  CHECK(n_written == n_bytes);
  static constexpr std::byte zeros[kAlignment] = {};
  return out.write(std::span(zeros).first(padded(n_bytes, kAlignment) - n_bytes));
}

}  // namespace

TensorToWrite existing(const Tensor& tensor) {
  const auto produce = [bytes = tensor.bytes()](const ByteSink& sink) -> Result<void> {
    for (size_t begin = 0; begin < bytes.size(); begin += kBufferBytes)
      TRY(sink(bytes.subspan(begin, std::min(kBufferBytes, bytes.size() - begin))));
    return {};
  };
  return {std::string(tensor.name), tensor.type, tensor.shape, produce};
}

TensorToWrite owned(std::string name, TensorType type, const Shape& shape, std::vector<std::byte> bytes) {
  const auto shared = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return {std::move(name), type, shape, [shared](const ByteSink& sink) { return sink(*shared); }};
}

TensorToWrite owned_f32(std::string name, const Shape& shape, std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return owned(std::move(name), TensorType::F32, shape, {bytes.begin(), bytes.end()});
}

Result<void> write(const std::string& path, const Metadata& metadata,
                   const std::vector<TensorToWrite>& tensors, const Progress& progress) {
  OutputFile file = TRY(OutputFile::create(path));
  TRY(write(file, metadata, tensors, progress));
  return file.commit();
}

Result<void> write(OutputFile& file, const Metadata& metadata, const std::vector<TensorToWrite>& tensors,
                   const Progress& progress) {
  const std::string& path = file.path();
  const auto plan = plan_file(metadata, tensors);
  if (!plan) return fail("{}: {}", path, plan.error().message);
  BufferedOutput out(file);
  TRY(out.write(std::as_bytes(std::span(plan->head.view()))));
  Reporter reporter(progress, plan->n_bytes);
  for (size_t i = 0; i < tensors.size(); ++i)
    TRY(write_tensor(tensors[i], plan->sizes[i], out, reporter, path));
  TRY(out.flush());
  if (interrupted()) return fail("{}: interrupted, nothing was written", path);
  return {};
}

}  // namespace carat::gguf
