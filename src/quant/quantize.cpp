// Plans the types, then streams every tensor through its codec: a block of rows at a time, encoded on the
// pool.
#include "quant/quantize.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <functional>
#include <numeric>

#include "base/memory.h"
#include "gguf/layout.h"
#include "gguf/writer.h"
#include "quant/codec.h"

namespace carat {
namespace {

constexpr int64_t kBlockElements = int64_t{1} << 20;
constexpr int64_t kMaxRowElements = int64_t{1} << 24;
constexpr uint32_t kQuantizationVersion = 2;

// ---------------------------------------------------------------- planning

Result<MixContext> mix_context(const gguf::File& file) {
  MixContext context;
  const std::string architecture(TRY(file.metadata.text("general.architecture")));
  context.n_layers = TRY(file.metadata.integer(architecture + ".block_count", 1, 100'000));
  context.n_experts = TRY(file.metadata.integer_or(architecture + ".expert_count", 0, INT32_MAX, 0));
  context.tied = file.find("output.weight") == nullptr;
  context.n_attn_v = std::ranges::count_if(file.tensors, [](const Tensor& tensor) {
    return tensor.name.find("attn_v.weight") != std::string_view::npos;
  });
  return context;
}

// Tensors by layer, those of no layer first: the order in which the mixes count.
std::vector<size_t> layer_order(const std::vector<Tensor>& tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return layer_of(tensors[i].name).value_or(-1); });
  return order;
}

// ---------------------------------------------------------------- one tensor

// The largest magnitude as bits: monotonic, and infinities and NaNs stand above every number.
uint32_t largest_magnitude_bits(const float* values, int64_t n) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < n; ++i)
    largest = std::max(largest, std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu);
  return largest;
}

constexpr uint32_t kInfinityBits = 0x7f800000u;
// Below this no format's half-precision scales can overflow, so the result need not be looked at.
constexpr uint32_t kCertainlyFitsBits = std::bit_cast<uint32_t>(32768.0f);

// The lowest row at which something happened, whichever thread saw it.
class FirstRow {
 public:
  void note(int64_t row) {
    int64_t seen = row_.load(std::memory_order_relaxed);
    while (row < seen && !row_.compare_exchange_weak(seen, row, std::memory_order_relaxed)) {
    }
  }
  std::optional<int64_t> get() const {
    const int64_t row = row_.load(std::memory_order_relaxed);
    return row == INT64_MAX ? std::nullopt : std::optional(row);
  }

 private:
  std::atomic<int64_t> row_{INT64_MAX};
};

// Streams one tensor in another type, or (checked) in its own.
class Converter {
 public:
  Converter(const Tensor& source, TensorType target, ThreadPool& pool, std::string_view path)
      : path_(path),
        source_(source),
        target_(target),
        pool_(pool),
        row_bytes_(row_bytes(target, source.n_columns())),
        n_rows_per_block_(std::clamp<int64_t>(kBlockElements / source.n_columns(), 1, source.n_rows())),
        rows_(static_cast<size_t>(source.n_columns() * std::min<int64_t>(pool.size(), n_rows_per_block_))) {
    if (!copies()) encoded_.resize(static_cast<size_t>(n_rows_per_block_) * row_bytes_);
  }

  Result<void> stream(const gguf::ByteSink& sink) {
    for (int64_t begin = 0; begin < source_.n_rows(); begin += n_rows_per_block_) {
      const int64_t n = std::min(n_rows_per_block_, source_.n_rows() - begin);
      pool_.parallel_for(n, 1, [&](int64_t first, int64_t last, int thread) {
        // With fewer rows than threads a share is one row.
        const int64_t slot = n_rows_per_block_ < pool_.size() ? first : thread;
        for (int64_t i = first; i < last; ++i) convert_row(begin, i, slot);
      });
      if (const auto row = not_finite_.get())
        return fail("{}: tensor '{}': row {} contains a NaN or an infinity", path_, name(), *row);
      if (const auto row = too_large_.get())
        return fail("{}: tensor '{}': row {} contains a value too large for {}", path_, name(), *row,
                    type_name(target_));
      const std::byte* data = copies() ? source_.row(begin) : encoded_.data();
      TRY(sink({data, static_cast<size_t>(n) * row_bytes_}));
    }
    return {};
  }

 private:
  bool copies() const { return target_ == source_.type; }
  std::string name() const { return gguf::printable(source_.name); }

  void convert_row(int64_t begin, int64_t i, int64_t slot) {
    const int64_t n = source_.n_columns();
    float* values = rows_.data() + slot * n;
    codec_of(source_.type).decode(source_.row(begin + i), n, values);
    const uint32_t largest = largest_magnitude_bits(values, n);
    if (largest >= kInfinityBits) return not_finite_.note(begin + i);
    if (copies()) return;
    if (std::bit_cast<float>(largest) > codec_of(target_).largest) return too_large_.note(begin + i);
    std::byte* out = encoded_.data() + static_cast<uint64_t>(i) * row_bytes_;
    codec_of(target_).encode(values, n, nullptr, out);
    if (largest < kCertainlyFitsBits) return;
    codec_of(target_).decode(out, n, values);
    if (largest_magnitude_bits(values, n) >= kInfinityBits) too_large_.note(begin + i);
  }

  std::string_view path_;  // of the source, for messages
  const Tensor& source_;
  TensorType target_;
  ThreadPool& pool_;
  uint64_t row_bytes_;
  int64_t n_rows_per_block_;
  AlignedArray<float> rows_;  // [threads that have a row, n_columns]
  std::vector<std::byte> encoded_;
  FirstRow not_finite_, too_large_;
};

Result<void> check_convertible(const Tensor& source, TensorType target) {
  if (source.type != target) {
    if (find_codec(source.type) == nullptr) return fail("carat cannot decode {}", type_name(source.type));
    if (!is_float(target) && !is_float(source.type))
      return fail("requantizing {} to {} needs a 16- or 32-bit source", type_name(source.type),
                  type_name(target));
  }
  if ((source.type != target || is_float(target)) && source.n_columns() > kMaxRowElements)
    return fail("rows of {} elements, at most {} allowed", source.n_columns(), kMaxRowElements);
  return {};
}

// `source` must outlive the result.
gguf::TensorToWrite converted(const Tensor& source, TensorType target, ThreadPool& pool,
                              const std::string& path) {
  if (source.type == target && !is_float(target)) return gguf::existing(source);
  const auto produce = [&source, target, &pool, &path](const gguf::ByteSink& sink) -> Result<void> {
    return Converter(source, target, pool, path).stream(sink);
  };
  return {std::string(source.name), target, source.shape, produce};
}

// ---------------------------------------------------------------- the file

gguf::Metadata metadata_for(const gguf::File& file, uint32_t file_type) {
  gguf::Metadata metadata = file.metadata;
  metadata.set("general.quantization_version", kQuantizationVersion);
  metadata.set("general.file_type", file_type);
  return metadata;
}

// What becomes of one tensor.
struct Planned {
  TensorType type;                   // that it is written in
  std::optional<TensorType> wanted;  // by the recipe or a rule; nullopt: it is copied as it is
  bool by_rule = false;
};

void count_fallback(const Tensor& tensor, const Planned& planned, std::vector<Fallback>& fallbacks) {
  auto entry = std::ranges::find_if(fallbacks, [&](const Fallback& seen) {
    return seen.wanted == *planned.wanted && seen.got == planned.type;
  });
  if (entry == fallbacks.end()) entry = fallbacks.insert(entry, {*planned.wanted, planned.type});
  ++entry->n_tensors;
  entry->n_weights += static_cast<uint64_t>(tensor.n_elements());
}

QuantizeSummary summarize(const gguf::File& file, const std::vector<Planned>& plan) {
  QuantizeSummary summary;
  const bool rules_decide_all =
      std::ranges::none_of(plan, [](const Planned& planned) { return planned.wanted && !planned.by_rule; });
  for (size_t i = 0; i < plan.size(); ++i) {
    const Tensor& tensor = file.tensors[i];
    const TensorType type = plan[i].type;
    const auto n = static_cast<uint64_t>(tensor.n_elements());
    summary.n_elements += n;
    if (type_info(type).block_length > 1) summary.n_weights += n;
    summary.bytes_in += tensor.n_bytes();
    summary.bytes_out += row_bytes(type, tensor.n_columns()) * static_cast<uint64_t>(tensor.n_rows());
    if (!plan[i].wanted) continue;
    if (plan[i].wanted == type)
      summary.n_tensors_as_wanted += rules_decide_all || !plan[i].by_rule;
    else
      count_fallback(tensor, plan[i], summary.fallbacks);
  }
  std::ranges::stable_sort(summary.fallbacks, std::greater<>{}, &Fallback::n_weights);
  if (summary.n_elements > 0)
    summary.bits_per_weight =
        8.0 * static_cast<double>(summary.bytes_out) / static_cast<double>(summary.n_elements);
  return summary;
}

// Integers (and doubles) are no weights: tables of indices, which are copied.
bool is_table(TensorType type) { return type_info(type).block_length == 1 && find_codec(type) == nullptr; }

// A float type asked for loses nothing of a matrix that has fewer bits: then what recipes keep is decoded like the
// rest.
bool widens(const Tensor& tensor, TensorType wanted) {
  const TypeInfo& info = type_info(wanted);
  return info.block_length == 1 && tensor.n_rows() > 1 && find_codec(tensor.type) != nullptr &&
         type_info(tensor.type).bits_per_weight() < info.bits_per_weight();
}

// Every type asked for can be written, whether or not a tensor gets it.
Result<void> check_targets(const QuantizeOptions& options) {
  const auto check = [](TensorType type) -> Result<void> {
    if (!can_encode(type)) return fail("carat cannot encode {}", type_name(type));
    return {};
  };
  TRY(check(options.type));
  if (options.embedding_type) TRY(check(*options.embedding_type));
  for (const auto& [pattern, type] : options.overrides) TRY(check(type));
  return {};
}

Result<std::vector<Planned>> plan_tensors(const gguf::File& file, const QuantizeOptions& options) {
  const auto manual = TRY(match_rules(file.tensors, options.overrides));
  MixContext context;
  if (options.mix != Mix::Pure) {
    const auto read = mix_context(file);
    if (!read) return fail("{}: {}", file.path, read.error().message);
    context = *read;
  }
  Mixer mixer({options.type, options.mix}, context);
  std::vector<Planned> plan(file.tensors.size());
  for (const size_t i : layer_order(file.tensors)) {
    const Tensor& tensor = file.tensors[i];
    plan[i] = {tensor.type, std::nullopt, false};
    if (is_table(tensor.type)) continue;
    if (!is_quantizable(tensor) && !widens(tensor, options.type)) continue;
    TensorType wanted =
        manual[i] ? *manual[i] : mixer.next(tensor);  // a mix does not count what rules decide
    const bool is_set = options.embedding_type && is_embedding_table(tensor.name);
    if (is_set) wanted = *options.embedding_type;
    plan[i] = {fitting_type(wanted, tensor.n_columns()), wanted, manual[i] || is_set};
  }
  return plan;
}

}  // namespace

Result<std::vector<TensorType>> plan_types(const gguf::File& file, const QuantizeOptions& options) {
  std::vector<TensorType> types;
  for (const Planned& planned : TRY(plan_tensors(file, options))) types.push_back(planned.type);
  return types;
}

Result<QuantizeSummary> quantize(const gguf::File& file, const std::string& out_path,
                                 const QuantizeOptions& options, const Progress& progress) {
  OutputFile out = TRY(OutputFile::create(out_path));
  const QuantizeSummary summary = TRY(quantize(file, out, options, progress));
  TRY(out.commit());
  return summary;
}

Result<QuantizeSummary> quantize(const gguf::File& file, OutputFile& out, const QuantizeOptions& options,
                                 const Progress& progress) {
  const auto file_type = file_type_of({options.type, options.mix});
  if (!file_type) return fail("{} is not a type that a file can be quantized to", type_name(options.type));
  TRY(check_targets(options));
  const auto plan = TRY(plan_tensors(file, options));
  ThreadPool pool(options.n_threads);
  std::vector<gguf::TensorToWrite> tensors;
  for (size_t i = 0; i < plan.size(); ++i) {
    const Tensor& source = file.tensors[i];
    if (const auto valid = check_convertible(source, plan[i].type); !valid)
      return fail("{}: tensor '{}': {}", file.path, gguf::printable(source.name), valid.error().message);
    tensors.push_back(converted(source, plan[i].type, pool, file.path));
  }
  TRY(gguf::write(out, metadata_for(file, *file_type), tensors, progress));
  return summarize(file, plan);
}

}  // namespace carat
