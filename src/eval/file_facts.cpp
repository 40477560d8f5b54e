// Histograms and sums over a model's tensors.
#include "eval/file_facts.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>

#include "base/file.h"
#include "base/machine.h"
#include "base/random.h"
#include "model/kv_cache.h"
#include "quant/codec.h"
#include "quant/lattice.h"
#include "quant/quantize.h"

namespace carat {
namespace {

bool is_matrix(const Tensor& tensor) { return tensor.n_rows() > 1; }

std::string stem(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.size() > 5 && name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name;
}

}  // namespace

TensorType main_type(std::span<const Tensor> tensors) {
  std::map<TensorType, uint64_t> n_bytes;
  for (const Tensor& tensor : tensors)
    if (is_matrix(tensor)) n_bytes[tensor.type] += tensor.n_bytes();
  TensorType type = TensorType::F32;
  uint64_t most = 0;
  for (const auto& [candidate, n] : n_bytes)
    if (n > most) type = candidate, most = n;
  return type;
}

namespace {

// The state of a fingerprint; content comes in slices of which all but the last are multiples of 32 bytes.
class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes) {
    constexpr uint64_t kFactor = 0x9fb21c651e98df25u;
    size_t i = 0;
    for (; i + 32 <= bytes.size(); i += 32) {
      uint64_t words[4];
      std::memcpy(words, bytes.data() + i, sizeof words);
      for (size_t j = 0; j < 4; ++j) lanes_[j] = std::rotl((lanes_[j] ^ words[j]) * kFactor, 29);
    }
    rest_ = bytes.subspan(i);
    n_bytes_ += bytes.size();
  }
  std::string text() const {
    uint64_t state = mix64(n_bytes_);
    for (const uint64_t lane : lanes_) state = mix64(state ^ lane);
    for (const std::byte b : rest_) state = mix64(state ^ static_cast<uint64_t>(b));
    return fmt::format("{:016x}", state);
  }

 private:
  uint64_t lanes_[4] = {1, 2, 3, 4};  // independent chains: memory speed
  uint64_t n_bytes_ = 0;
  std::span<const std::byte> rest_;
};

// Read ahead of itself, and let go behind itself where memory could not hold it all.
std::string fingerprint(const MappedFile& file, bool let_go) {
  constexpr size_t kSlice = size_t{32} << 20;
  const std::span<const std::byte> bytes = file.bytes();
  Fingerprint state;
  for (size_t at = 0; at < bytes.size(); at += kSlice) {
    const auto slice = bytes.subspan(at, std::min(kSlice, bytes.size() - at));
    if (at + kSlice < bytes.size())
      file.ask_for(bytes.subspan(at + kSlice, std::min(kSlice, bytes.size() - at - kSlice)));
    state.add(slice);
    if (let_go && slice.size() == kSlice) file.drop(slice);
  }
  return state.text();
}

}  // namespace

std::string fingerprint(std::span<const std::byte> bytes) {
  Fingerprint state;
  state.add(bytes);
  return state.text();
}

std::string fingerprint(const gguf::File& file) {
  const bool let_go = static_cast<int64_t>(std::min<uint64_t>(file.n_bytes, INT64_MAX)) > available_memory_bytes() / 2;
  std::string all;
  for (const gguf::Part& part : file.parts)
    if (part.mapping) all += fingerprint(*part.mapping, let_go);
  return file.parts.size() > 1 ? fingerprint(std::as_bytes(std::span(all))) : all;
}

uint64_t memory_bytes(const Model& model, int64_t n_ctx, KvType kv) {
  constexpr int64_t kRows = 512;
  const Config& config = model.config;
  int64_t widest = 0;
  for (const LayerConfig& layer : config.layers)
    widest = std::max({widest, 2 * layer.n_ff, 2 * layer.q_size() + 2 * layer.kv_size()});
  const int64_t per_row = 6 * config.dim + widest + config.per_layer_dim * config.n_layers();
  const uint64_t scratch = static_cast<uint64_t>((kRows * per_row + config.n_vocab) * 4);
  const KvCache::Shape shape{std::min(n_ctx, config.context_length), kRows, kv};
  return model.weight_bytes() + static_cast<uint64_t>(KvCache::bytes_needed(config, shape)) + scratch;
}

ReportRow describe_file(const CompareFile& file) {
  const Model& model = *file.model;
  ReportRow row;
  row.path = model.file.path;
  row.name = file.name.empty() ? stem(row.path) : file.name;
  row.family = file.family;
  row.seed = file.seed;
  row.types = model.type_summary();
  row.main_type = main_type(model.file.tensors);
  row.bytes = model.weight_bytes();
  row.context_length = model.config.context_length;
  row.bits_per_weight = model.bits_per_weight();
  row.fingerprint = fingerprint(model.file);
  return row;
}

namespace {

// Of up to 64 rows of each of the layers' unquantized matrices.
struct Rounding {
  double error = 0, total = 0;  // sums of squares
  LatticeReport lattice;        // for Q4_0

  double relative() const { return total > 0 ? std::sqrt(error / total) : 0; }
};

Rounding round_layers(const Model& model, TensorType type) {
  Rounding sums;
  const Codec* target = find_codec(type);
  if (target == nullptr || target->encode == nullptr) return sums;
  for (const Tensor& tensor : model.file.tensors) {
    if (!tensor.name.starts_with("blk.") || !is_quantizable(tensor) || is_block_type(tensor.type)) continue;
    const int64_t n = tensor.n_columns();
    const Codec* source = find_codec(tensor.type);
    if (source == nullptr || n % type_info(type).block_length != 0) continue;
    std::vector<float> row(static_cast<size_t>(n)), rounded(static_cast<size_t>(n));
    std::vector<std::byte> blocks(row_bytes(type, n));
    const int64_t step = std::max<int64_t>(1, tensor.n_rows() / 64);
    for (int64_t r = 0; r < tensor.n_rows(); r += step) {
      source->decode(tensor.row(r), n, row.data());
      if (type == TensorType::Q4_0) sums.lattice += lattice_share(row.data(), n, 1);
      target->encode(row.data(), n, nullptr, blocks.data());
      target->decode(blocks.data(), n, rounded.data());
      for (size_t i = 0; i < row.size(); ++i) {
        const double difference = static_cast<double>(row[i]) - rounded[i];
        sums.error += difference * difference;
        sums.total += static_cast<double>(row[i]) * row[i];
      }
    }
  }
  return sums;
}

}  // namespace

double rounding_error(const Model& model, TensorType type) { return round_layers(model, type).relative(); }

double lattice_error(const Model& model, TensorType type) {
  const Rounding sums = round_layers(model, type);
  // A lattice whose extreme code is not -8 is one too, although the reference encoder would not find it.
  if (sums.lattice.n_blocks > 0 && sums.lattice.share() > 0.98) return 0;
  return sums.relative();
}

std::string describe_machine() {
  std::string cpu = "unknown CPU";
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (!line.starts_with("model name") || colon == std::string::npos) continue;
    cpu = line.substr(colon + 2);
    break;
  }
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  return fmt::format("{}, {} CPUs, {:.1f} GiB memory", cpu, allowed_cpus().size(), memory / (1 << 30));
}

}  // namespace carat
