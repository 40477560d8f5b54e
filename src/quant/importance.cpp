// Reads and writes the two formats of quant/importance.h.
//
// GGUF: keys general.type = "imatrix", imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size; for each
// matrix two F32 tensors, NAME.in_sum2 [n_columns, n_matrices] and NAME.counts [1, n_matrices].
//
// Legacy, little-endian, packed:
//   i32 n_entries
//   n_entries times: i32 length, char name[length], i32 n_calls, i32 n_values, f32 mean square * n_calls
//   [n_values] i32 n_chunks, i32 length, char dataset[length]      (missing in the oldest files)
#include "quant/importance.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "base/bytes.h"
#include "base/file.h"
#include "gguf/layout.h"
#include "gguf/reader.h"
#include "gguf/writer.h"

namespace carat {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr int64_t kMaxChunkNumber = UINT32_MAX;

std::span<const float> floats_of(const Tensor& tensor) {
  return {tensor.f32(), static_cast<size_t>(tensor.n_elements())};
}

// nullptr: all are numbers that a sum of squares or a count can be.
const float* first_bad(std::span<const float> values) {
  const auto bad = std::ranges::find_if(values, [](float v) { return !(v >= 0) || std::isinf(v); });
  return bad == values.end() ? nullptr : &*bad;
}

Result<void> check_values(std::span<const float> values, std::string_view file, std::string_view name) {
  if (const float* bad = first_bad(values))
    return fail("{}: '{}': value {} is {}, expected a finite number that is not negative", file,
                gguf::printable(name), bad - values.data(), *bad);
  return {};
}

// ---------------------------------------------------------------- GGUF

Result<InputSquares> read_entry(const gguf::File& file, const Tensor& sums, std::string_view name) {
  const Tensor* counts = file.find(std::string(name) + std::string(kCounts));
  if (counts == nullptr) return fail("{}: '{}' has sums but no counts", file.path, gguf::printable(name));
  for (const Tensor* tensor : {&sums, counts})
    if (tensor->type != TensorType::F32)
      return fail("{}: '{}' is {}, expected F32", file.path, gguf::printable(tensor->name),
                  type_name(tensor->type));
  if (sums.shape[2] * sums.shape[3] != 1 || counts->n_elements() != sums.shape[1])
    return fail("{}: '{}': sums {} and counts {} do not belong together", file.path, gguf::printable(name),
                to_string(sums.shape), to_string(counts->shape));
  for (const Tensor* tensor : {&sums, counts}) TRY(check_values(floats_of(*tensor), file.path, tensor->name));
  InputSquares entry;
  entry.n_columns = sums.n_columns();
  const auto s = floats_of(sums), c = floats_of(*counts);
  entry.sums.assign(s.begin(), s.end());
  entry.counts.assign(c.begin(), c.end());
  return entry;
}

Result<ImportanceMatrix> from_gguf(const gguf::File& file) {
  ImportanceMatrix importance;
  if (file.metadata.contains("general.type")) {
    const std::string_view type = TRY(file.metadata.text("general.type"));
    if (type != "imatrix")
      return fail("{}: general.type is '{}': no importance matrix", file.path, gguf::printable(type));
  }
  if (file.metadata.contains("imatrix.datasets"))
    for (const std::string_view dataset : TRY(file.metadata.texts("imatrix.datasets")))
      importance.datasets.emplace_back(dataset);
  importance.n_chunks = TRY(file.metadata.integer_or("imatrix.chunk_count", 0, kMaxChunkNumber, 0));
  importance.chunk_length = TRY(file.metadata.integer_or("imatrix.chunk_size", 0, kMaxChunkNumber, 0));
  for (const Tensor& tensor : file.tensors) {
    if (tensor.name.ends_with(kCounts)) {
      const std::string_view name = tensor.name.substr(0, tensor.name.size() - kCounts.size());
      if (file.find(std::string(name) + std::string(kSums)) == nullptr)
        return fail("{}: '{}' has counts but no sums", file.path, gguf::printable(name));
    }
    if (!tensor.name.ends_with(kSums)) continue;  // other statistics of the same inputs are not used
    const std::string_view name = tensor.name.substr(0, tensor.name.size() - kSums.size());
    importance.entries.emplace(name, TRY(read_entry(file, tensor, name)));
  }
  return importance;
}

std::vector<gguf::TensorToWrite> tensors_of(const ImportanceMatrix& importance) {
  std::vector<gguf::TensorToWrite> tensors;
  for (const auto& [name, entry] : importance.entries) {
    tensors.push_back(
        gguf::owned_f32(name + std::string(kSums), {entry.n_columns, entry.n_matrices(), 1, 1}, entry.sums));
    tensors.push_back(
        gguf::owned_f32(name + std::string(kCounts), {1, entry.n_matrices(), 1, 1}, entry.counts));
  }
  return tensors;
}

gguf::Metadata metadata_of(const ImportanceMatrix& importance) {
  gguf::Metadata metadata;
  metadata.set("general.type", std::string("imatrix"));
  metadata.set_texts("imatrix.datasets", importance.datasets);
  metadata.set("imatrix.chunk_count", static_cast<uint32_t>(importance.n_chunks));
  metadata.set("imatrix.chunk_size", static_cast<uint32_t>(importance.chunk_length));
  return metadata;
}

// ---------------------------------------------------------------- legacy

Result<int64_t> read_count(ByteCursor& cursor, std::string_view what) {
  const int32_t value = TRY(cursor.read<int32_t>(what));
  if (value < 0) return fail("{}: {} is {}, expected no negative number", cursor.name(), what, value);
  return value;
}

Result<void> read_legacy_entry(ByteCursor& cursor, ImportanceMatrix& importance) {
  const std::string name(
      TRY(cursor.take_text(static_cast<uint64_t>(TRY(read_count(cursor, "length of a name"))), "a name")));
  if (name.empty()) return fail("{}: an entry without a name", cursor.name());
  const int64_t n_calls = TRY(read_count(cursor, "number of calls"));
  const int64_t n_values = TRY(read_count(cursor, "number of values"));
  const auto bytes = TRY(cursor.take(static_cast<uint64_t>(n_values) * sizeof(float), "values of an entry"));
  if (n_values == 0) return fail("{}: '{}' has no values", cursor.name(), gguf::printable(name));
  InputSquares entry;
  entry.n_columns = n_values;
  entry.sums.resize(static_cast<size_t>(n_values));
  std::memcpy(entry.sums.data(), bytes.data(), bytes.size());
  TRY(check_values(entry.sums, cursor.name(), name));
  entry.counts = {n_calls > 0 ? static_cast<float>(n_calls) : 1.0f};
  if (!importance.entries.emplace(name, std::move(entry)).second)
    return fail("{}: two entries are called '{}'", cursor.name(), gguf::printable(name));
  return {};
}

Result<ImportanceMatrix> from_legacy(ByteCursor cursor) {
  ImportanceMatrix importance;
  const int64_t n_entries = TRY(read_count(cursor, "number of entries"));
  for (int64_t i = 0; i < n_entries; ++i) TRY(read_legacy_entry(cursor, importance));
  if (cursor.remaining() == 0) return importance;
  importance.n_chunks = TRY(read_count(cursor, "number of chunks"));
  if (cursor.remaining() == 0) return importance;
  const auto length = static_cast<uint64_t>(TRY(read_count(cursor, "length of the data set's name")));
  importance.datasets.emplace_back(TRY(cursor.take_text(length, "the data set's name")));
  if (cursor.remaining() > 0)
    return fail("{}: {} bytes after the end of an importance matrix", cursor.name(), cursor.remaining());
  return importance;
}

// How often the matrix was used, in chunks: what its values are multiplied by.
int32_t n_calls_of(const InputSquares& entry, int64_t chunk_length) {
  const double largest = *std::ranges::max_element(entry.counts);
  return static_cast<int32_t>(std::clamp(
      std::ceil(largest / static_cast<double>(std::max<int64_t>(chunk_length, 1))), 1.0, 2147483520.0));
}

class LegacyBytes {
 public:
  void number(int64_t value) {
    const auto narrow = static_cast<int32_t>(value);
    append(&narrow, sizeof narrow);
  }
  void text(std::string_view text) {
    number(static_cast<int64_t>(text.size())), append(text.data(), text.size());
  }
  void values(std::span<const float> values) { append(values.data(), values.size_bytes()); }
  std::string take() { return std::move(bytes_); }

 private:
  void append(const void* data, size_t size) { bytes_.append(static_cast<const char*>(data), size); }
  std::string bytes_;
};

Result<std::string> legacy_bytes(const ImportanceMatrix& importance) {
  LegacyBytes out;
  out.number(static_cast<int64_t>(importance.entries.size()));
  for (const auto& [name, entry] : importance.entries) {
    if (entry.sums.size() > INT32_MAX)
      return fail("'{}' has too many values for the older format", gguf::printable(name));
    const int32_t n_calls = n_calls_of(entry, importance.chunk_length);
    std::vector<float> values = entry.means();
    for (float& value : values) value *= static_cast<float>(n_calls);
    out.text(name), out.number(n_calls), out.number(static_cast<int64_t>(values.size())), out.values(values);
  }
  out.number(std::min<int64_t>(importance.n_chunks, INT32_MAX));
  out.text(importance.datasets.empty() ? "" : importance.datasets.front());  // there is room for one
  return out.take();
}

Result<ImportanceMatrix> checked(Result<ImportanceMatrix> importance, std::string_view name) {
  if (importance && importance->entries.empty()) return fail("{}: not one matrix has importance in it", name);
  return importance;
}

}  // namespace

std::vector<float> InputSquares::means() const {
  std::vector<float> means(sums.size(), 1.0f);
  for (size_t i = 0; i < means.size(); ++i) {
    const float count = counts[i / static_cast<size_t>(n_columns)];
    if (count > 0) means[i] = sums[i] / count;
  }
  return means;
}

bool InputSquares::fits(const Tensor& tensor) const {
  const int64_t n_matrices_of_tensor = tensor.shape[2] * tensor.shape[3];
  return static_cast<int64_t>(sums.size()) == tensor.n_columns() * n_matrices_of_tensor &&
         (n_matrices() == 1 || n_matrices() == n_matrices_of_tensor);
}

Result<ImportanceMatrix> parse_importance(std::span<const std::byte> bytes, std::string_view name) {
  if (bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0)
    return checked(from_gguf(TRY(gguf::parse(bytes, name))), name);
  return checked(from_legacy(ByteCursor(bytes, name)), name);
}

Result<ImportanceMatrix> read_importance(const std::string& path) {
  const auto mapping = TRY(MappedFile::open(path));
  ImportanceMatrix importance = TRY(parse_importance(mapping->bytes(), path));
  importance.path = path;
  return importance;
}

Result<void> write_importance(const ImportanceMatrix& importance, const std::string& path,
                              ImportanceFormat format) {
  if (format == ImportanceFormat::Gguf)
    return gguf::write(path, metadata_of(importance), tensors_of(importance));
  return write_file(path, TRY(legacy_bytes(importance)));
}

}  // namespace carat
