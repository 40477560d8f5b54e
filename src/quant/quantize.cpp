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

// How one tensor is written.
struct Manner {
  TensorType target;
  const InputSquares* importance = nullptr;
  bool may_keep_lattice = false;
  std::optional<std::span<const std::byte>> encoded;  // nothing is left to do
};

// What was found out while writing.
struct Observed {
  int64_t n_lattice_tensors = 0;
  LatticeBlocks lattice;
};

// Streams one tensor in another type, or (checked) in its own.
class Converter {
 public:
  Converter(const Tensor& source, const Manner& manner, ThreadPool& pool, std::string_view path)
      : path_(path),
        source_(source),
        target_(manner.target),
        pool_(pool),
        row_bytes_(row_bytes(manner.target, source.n_columns())),
        n_rows_per_block_(std::clamp<int64_t>(kBlockElements / source.n_columns(), 1, source.n_rows())),
        rows_(static_cast<size_t>(source.n_columns() * std::min<int64_t>(pool.size(), n_rows_per_block_))),
        lattice_of_thread_(static_cast<size_t>(pool.size())) {
    if (copies()) return;
    encoded_.resize(static_cast<size_t>(n_rows_per_block_) * row_bytes_);
    if (manner.importance != nullptr) importance_ = manner.importance->means();
    keeps_lattice_ = manner.may_keep_lattice && target_ == TensorType::Q4_0 && lies_on_lattice(source, pool);
  }

  // Adds to `observed`.
  Result<void> stream(const gguf::ByteSink& sink, Observed& observed) {
    TRY(stream_rows(sink));
    if (!keeps_lattice_) return {};
    ++observed.n_lattice_tensors;
    for (const LatticeBlocks& blocks : lattice_of_thread_) observed.lattice += blocks;
    return {};
  }

 private:
  Result<void> stream_rows(const gguf::ByteSink& sink) {
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

  // The importance of the columns of the matrix that row i belongs to; nullptr: none.
  const float* importance_of(int64_t i) const {
    if (importance_.empty()) return nullptr;
    return importance_.data() + i / source_.shape[1] * source_.n_columns();
  }

  void encode_row(int64_t i, const float* values, int64_t thread, std::byte* out) {
    const int64_t n = source_.n_columns();
    if (keeps_lattice_)
      lattice_of_thread_[static_cast<size_t>(thread)] += encode_q4_0_on_lattice(values, n, source_.type, out);
    else
      codec_of(target_).encode(values, n, importance_of(i), out);
  }

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
    encode_row(begin + i, values, slot, out);
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
  AlignedArray<float> rows_;       // [threads that have a row, n_columns]
  std::vector<float> importance_;  // [n_matrices, n_columns]; empty: none
  bool keeps_lattice_ = false;
  std::vector<LatticeBlocks> lattice_of_thread_;
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

// `source` and `observed` must outlive the result.
gguf::TensorToWrite converted(const Tensor& source, const Manner& manner, ThreadPool& pool,
                              const std::string& path, Observed& observed) {
  if (manner.encoded) {
    const auto bytes = *manner.encoded;
    return {std::string(source.name), manner.target, source.shape,
            [bytes](const gguf::ByteSink& sink) { return sink(bytes); }};
  }
  if (source.type == manner.target && !is_float(manner.target)) return gguf::existing(source);
  const auto produce = [&source, manner, &pool, &path,
                        &observed](const gguf::ByteSink& sink) -> Result<void> {
    return Converter(source, manner, pool, path).stream(sink, observed);
  };
  return {std::string(source.name), manner.target, source.shape, produce};
}

// ---------------------------------------------------------------- the file

// Texts of keys that name the importance matrix are at most this long, as llama.cpp's are.
constexpr size_t kLongestProvenance = 127;

void name_importance(const ImportanceMatrix& importance, gguf::Metadata& metadata) {
  const auto set_text = [&](const char* key, const std::string& text) {
    if (!text.empty()) metadata.set(key, text.substr(0, kLongestProvenance));
  };
  set_text("quantize.imatrix.file", importance.path);
  if (!importance.datasets.empty()) set_text("quantize.imatrix.dataset", importance.datasets.front());
  metadata.set("quantize.imatrix.entries_count", static_cast<uint32_t>(importance.entries.size()));
  if (importance.n_chunks > 0)
    metadata.set("quantize.imatrix.chunks_count", static_cast<uint32_t>(importance.n_chunks));
}

gguf::Metadata metadata_for(const gguf::File& file, uint32_t file_type, const ImportanceMatrix* importance) {
  gguf::Metadata metadata = file.metadata;
  metadata.set("general.quantization_version", kQuantizationVersion);
  metadata.set("general.file_type", file_type);
  if (importance != nullptr) name_importance(*importance, metadata);
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

// A float type asked for loses nothing of a matrix that has fewer bits: then what recipes keep is decoded
// like the rest.
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
  for (const auto& [name, type] : options.assigned) TRY(check(type));
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
    const auto assigned = options.assigned.find(tensor.name);
    const bool is_assigned = assigned != options.assigned.end();
    // A mix does not count what rules decide.
    TensorType wanted = manual[i] ? *manual[i] : is_assigned ? assigned->second : mixer.next(tensor);
    const bool is_set = options.embedding_type && is_embedding_table(tensor.name);
    if (is_set) wanted = *options.embedding_type;
    plan[i] = {fitting_type(wanted, tensor.n_columns()), wanted, manual[i] || is_assigned || is_set};
  }
  return plan;
}

// The importance of a tensor's inputs; nullptr: none.
Result<const InputSquares*> importance_for(const Tensor& tensor, TensorType target,
                                           const QuantizeOptions& options, const std::string& path) {
  if (options.importance == nullptr || target == tensor.type || is_float(target)) return nullptr;
  const auto entry = options.importance->entries.find(tensor.name);
  if (entry == options.importance->entries.end()) return nullptr;
  if (entry->second.fits(tensor)) return &entry->second;
  if (is_embedding_table(tensor.name)) return nullptr;  // a table of another vocabulary
  return fail(
      "{}: tensor '{}' has {} columns in {} matrices, but its importance has {} values: of another model?",
      path, gguf::printable(tensor.name), tensor.n_columns(), tensor.shape[2] * tensor.shape[3],
      entry->second.sums.size());
}

Result<Manner> manner_of(const Tensor& tensor, TensorType target, const QuantizeOptions& options,
                         const std::string& path) {
  Manner manner{target, TRY(importance_for(tensor, target, options, path)), options.keep_lattices, {}};
  if (const auto ready = options.encoded.find(tensor.name); ready != options.encoded.end()) {
    CHECK(ready->second.size() ==
          row_bytes(target, tensor.n_columns()) * static_cast<uint64_t>(tensor.n_rows()));
    manner.encoded = ready->second;
  }
  return manner;
}

// An importance matrix that has nothing to say about a file is not its own.
Result<void> check_importance(const gguf::File& file, const QuantizeOptions& options) {
  if (options.importance == nullptr) return {};
  for (const Tensor& tensor : file.tensors)
    if (options.importance->entries.contains(tensor.name)) return {};
  return fail("{}: the importance matrix {} has no entry for any of its tensors", file.path,
              options.importance->path);
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
  TRY(check_importance(file, options));
  const auto plan = TRY(plan_tensors(file, options));
  QuantizeSummary summary = summarize(file, plan);
  Observed observed;
  ThreadPool pool(options.n_threads);
  std::vector<gguf::TensorToWrite> tensors;
  for (size_t i = 0; i < plan.size(); ++i) {
    const Tensor& source = file.tensors[i];
    if (const auto valid = check_convertible(source, plan[i].type); !valid)
      return fail("{}: tensor '{}': {}", file.path, gguf::printable(source.name), valid.error().message);
    const Manner manner = TRY(manner_of(source, plan[i].type, options, file.path));
    const bool in_blocks = type_info(plan[i].type).block_length > 1 && plan[i].type != source.type;
    summary.n_tensors_in_blocks += in_blocks;
    summary.n_tensors_with_importance += in_blocks && manner.importance != nullptr;
    tensors.push_back(converted(source, manner, pool, file.path, observed));
  }
  for (const auto& [name, values] : options.scales)
    tensors.push_back(gguf::owned_f32(name, {static_cast<int64_t>(values.size()), 1, 1, 1}, values));
  TRY(gguf::write(out, metadata_for(file, *file_type, options.importance), tensors, progress));
  summary.n_lattice_tensors = observed.n_lattice_tensors;
  summary.lattice = observed.lattice;
  return summary;
}

}  // namespace carat
