// Holds every codec against ggml itself, bit by bit: `codec_conformance PATH/libggml-base.so [SEED]`.
//
// Decoders get random bytes (so also scales that are NaN or infinite) and what ggml's own encoders make of
// data with heavy tails. Encoders get rows of many kinds, without and with importance. One table row per
// format; exit code 1 if any bit differs. One thing is not compared: which NaN a decoder yields, because the
// arithmetic leaves that open.
#include <dlfcn.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "quant/codec.h"

namespace carat {
namespace {

// What is used of ggml's C interface (ggml.h of the release that tests/conformance/package.json pins).
struct GgmlTypeTraits {
  const char* name;
  int64_t block_length;
  int64_t block_length_interleaved;
  size_t block_bytes;
  bool is_quantized;
  void (*to_float)(const void* blocks, float* out, int64_t n);
  void (*from_float)(const float* x, void* blocks, int64_t n);
};

struct Ggml {
  const GgmlTypeTraits* (*type_traits)(int type);
  size_t (*quantize_chunk)(int type, const float* x, void* out, int64_t start, int64_t n_rows,
                           int64_t n_columns, const float* importance);
};

template <class Function>
void find_symbol(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  if (function != nullptr) return;
  fmt::print(stderr, "codec_conformance: {}\n", dlerror());
  std::exit(2);
}

Ggml open_ggml(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fmt::print(stderr, "codec_conformance: {}\n", dlerror());
    std::exit(2);
  }
  Ggml ggml{};
  find_symbol(library, "ggml_get_type_traits", ggml.type_traits);
  find_symbol(library, "ggml_quantize_chunk", ggml.quantize_chunk);
  return ggml;
}

// ---------------------------------------------------------------- data

constexpr int64_t kColumns = 1024;

float student_t(Random& random, int degrees) {
  double squares = 0;
  for (int i = 0; i < degrees; ++i) squares += std::pow(random.normal(), 2);
  return static_cast<float>(0.02 * random.normal() / std::sqrt(squares / degrees));
}

struct Kind {
  const char* name;
  int64_t n_rows;
  float (*draw)(Random& random, int64_t i);  // element i
};

// Row counts are odd; rows of constants differ from row to row.
const Kind kKinds[] = {
    {"Gaussian", 33, [](Random& r, int64_t) { return static_cast<float>(0.02 * r.normal()); }},
    {"wide Gaussian", 9, [](Random& r, int64_t) { return static_cast<float>(50 * r.normal()); }},
    {"Student t, 3 degrees", 33, [](Random& r, int64_t) { return student_t(r, 3); }},
    {"Student t, 1 degree", 17, [](Random& r, int64_t) { return student_t(r, 1); }},
    {"constant", 7, [](Random&, int64_t i) { return 0.01f * static_cast<float>(i / kColumns + 1); }},
    {"negative constant", 7, [](Random&, int64_t i) { return -0.3f * static_cast<float>(i / kColumns + 1); }},
    {"zero", 1, [](Random&, int64_t) { return 0.0f; }},
    {"negative zero", 1, [](Random&, int64_t) { return -0.0f; }},
    {"positive", 9, [](Random& r, int64_t) { return static_cast<float>(std::fabs(0.1 * r.normal())); }},
    {"negative", 9,
     [](Random& r, int64_t) { return -0.05f - static_cast<float>(std::fabs(0.1 * r.normal())); }},
    {"tiny", 5, [](Random& r, int64_t) { return static_cast<float>(1e-40 * r.normal()); }},
    {"small", 9,
     [](Random& r, int64_t) { return static_cast<float>(std::exp(-20 * r.uniform()) * r.normal()); }},
    {"outliers", 17,
     [](Random& r, int64_t) { return static_cast<float>((r.below(256) == 0 ? 3 : 0.01) * r.normal()); }},
    {"mostly zero", 9,
     [](Random& r, int64_t) { return r.below(16) == 0 ? static_cast<float>(0.1 * r.normal()) : 0.0f; }},
    {"signed zeros", 9,
     [](Random& r, int64_t) {
       const float values[] = {0.0f, -0.0f, static_cast<float>(std::fabs(r.normal()))};
       return values[r.below(3)];
     }},
    {"integers", 9, [](Random& r, int64_t) { return static_cast<float>(r.below(17) - 8); }},
    {"one wild block", 5,
     [](Random& r, int64_t i) { return static_cast<float>((i % kColumns < 32 ? 1000 : 1e-3) * r.normal()); }},
    {"scales of all sizes", 65,
     [](Random& r, int64_t i) {
       return static_cast<float>(r.normal() * std::exp2(static_cast<double>(i / 64 % 40) - 30));
     }},
};

std::vector<float> rows_of(const Kind& kind, Random& random) {
  std::vector<float> x(static_cast<size_t>(kind.n_rows * kColumns));
  for (size_t i = 0; i < x.size(); ++i) x[i] = kind.draw(random, static_cast<int64_t>(i));
  return x;
}

// Ones; positive; sparse.
std::vector<std::vector<float>> importances(Random& random) {
  std::vector<std::vector<float>> all(3, std::vector<float>(kColumns, 1.0f));
  for (float& w : all[1]) w = static_cast<float>(std::exp(random.normal()));
  for (float& w : all[2]) w = random.below(4) == 0 ? 0 : static_cast<float>(std::pow(random.normal(), 2));
  return all;
}

// ---------------------------------------------------------------- comparisons

struct Count {
  int64_t n_values = 0, n_mismatches = 0;
  std::string first;  // mismatch

  void note(std::string what) {
    if (n_mismatches++ == 0) first = std::move(what);
  }
};

bool same_float(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

void compare_decoders(const Codec& codec, const Ggml& ggml, const std::vector<std::byte>& blocks,
                      const char* what, Count& count) {
  const TypeInfo& info = type_info(codec.type);
  const size_t n = blocks.size() / info.block_bytes * info.block_length;
  std::vector<float> ours(n), theirs(n);
  codec.decode(blocks.data(), static_cast<int64_t>(n), ours.data());
  const auto to_float = ggml.type_traits(static_cast<int>(codec.type))->to_float;
  if (to_float != nullptr)
    to_float(blocks.data(), theirs.data(), static_cast<int64_t>(n));
  else  // F32 alone has none
    std::memcpy(theirs.data(), blocks.data(), blocks.size());
  count.n_values += static_cast<int64_t>(n);
  for (size_t i = 0; i < n; ++i)
    if (!same_float(ours[i], theirs[i]))
      count.note(fmt::format("{}: value {}: {} for {}", what, i, ours[i], theirs[i]));
}

std::vector<std::byte> ggml_encode(TensorType type, const Ggml& ggml, const std::vector<float>& x,
                                   const float* importance) {
  const auto n_rows = static_cast<int64_t>(x.size()) / kColumns;
  std::vector<std::byte> blocks(row_bytes(type, kColumns) * static_cast<size_t>(n_rows));
  const size_t n_bytes =
      ggml.quantize_chunk(static_cast<int>(type), x.data(), blocks.data(), 0, n_rows, kColumns, importance);
  CHECK(n_bytes == blocks.size());
  return blocks;
}

void compare_encoders(const Codec& codec, const Ggml& ggml, const std::vector<float>& x,
                      const float* importance, const std::string& what, ThreadPool& pool, Count& count) {
  const size_t block_bytes = type_info(codec.type).block_bytes;
  const std::vector<std::byte> theirs = ggml_encode(codec.type, ggml, x, importance);
  std::vector<std::byte> ours(theirs.size());
  encode_tensor(codec.type, x.data(), kColumns, static_cast<int64_t>(x.size()) / kColumns, importance,
                ours.data(), pool);
  count.n_values += static_cast<int64_t>(x.size());
  for (size_t at = 0; at < ours.size(); at += block_bytes)
    if (std::memcmp(ours.data() + at, theirs.data() + at, block_bytes) != 0)
      count.note(fmt::format("{}: block {}", what, at / block_bytes));
}

Count check_decoder(const Codec& codec, const Ggml& ggml, Random& random) {
  Count count;
  std::vector<std::byte> blocks(4096 * type_info(codec.type).block_bytes);
  for (std::byte& b : blocks) b = static_cast<std::byte>(random.bits());
  compare_decoders(codec, ggml, blocks, "random bytes", count);
  for (const int fill : {0x00, 0x7c, 0x7f, 0x80, 0xfc, 0xff}) {
    std::fill(blocks.begin(), blocks.begin() + type_info(codec.type).block_bytes * 64,
              static_cast<std::byte>(fill));
    compare_decoders(codec, ggml, blocks, "one byte throughout", count);
  }
  const std::vector<float> ones(kColumns, 1.0f);  // some of ggml's encoders insist on weights
  for (const Kind& kind : kKinds) {
    if (kind.n_rows < 9) continue;
    std::vector<float> x = rows_of(kind, random);
    x.resize(9 * kColumns);
    compare_decoders(codec, ggml, ggml_encode(codec.type, ggml, x, ones.data()), kind.name, count);
  }
  return count;
}

Count check_encoder(const Codec& codec, const Ggml& ggml, bool weighted, Random& random, ThreadPool& pool) {
  Count count;
  for (const Kind& kind : kKinds) {
    const std::vector<float> x = rows_of(kind, random);
    if (!weighted) {
      compare_encoders(codec, ggml, x, nullptr, kind.name, pool, count);
      continue;
    }
    for (const std::vector<float>& importance : importances(random))
      compare_encoders(codec, ggml, x, importance.data(), kind.name, pool, count);
  }
  return count;
}

// True if everything agrees.
bool check_codec(const Codec& codec, const Ggml& ggml, uint64_t seed, ThreadPool& pool) {
  const TypeInfo& info = type_info(codec.type);
  const GgmlTypeTraits* traits = ggml.type_traits(static_cast<int>(codec.type));
  if (traits->block_length != info.block_length || traits->block_bytes != info.block_bytes) {
    fmt::print("{:<8} ggml's {} has blocks of {} in {} bytes\n", info.name, traits->name,
               traits->block_length, traits->block_bytes);
    return false;
  }
  Random random(seed);
  std::vector<Count> counts = {check_decoder(codec, ggml, random)};
  if (codec.encode != nullptr)
    for (const bool weighted : {false, true})
      counts.push_back(check_encoder(codec, ggml, weighted, random, pool));
  std::string line = fmt::format("{:<8}", info.name), firsts;
  bool agrees = true;
  for (const Count& count : counts) {
    line += fmt::format("{:>10} {:>10}", count.n_values, count.n_mismatches);
    if (count.n_mismatches > 0) firsts += fmt::format("         first: {}\n", count.first);
    agrees = agrees && count.n_mismatches == 0;
  }
  if (codec.encode == nullptr) line += fmt::format("{:>21}", "no encoder");
  fmt::print("{}\n{}", line, firsts);
  return agrees;
}

int run(const char* library, uint64_t seed) {
  const Ggml ggml = open_ggml(library);
  ThreadPool pool(2);
  fmt::print("{:<8}{:>21}{:>21}{:>21}\n", "", "decoder", "encoder", "with importance");
  fmt::print("{:<8}{:>10} {:>10}{:>10} {:>10}{:>10} {:>10}\n", "format", "values", "differ", "values",
             "blocks", "values", "blocks");
  bool passed = true;
  for (const Codec& codec : codecs()) passed = check_codec(codec, ggml, seed, pool) && passed;
  fmt::print("codecs: {} (seed {})\n", passed ? "all equal to ggml's" : "FAILED", seed);
  return passed ? 0 : 1;
}

}  // namespace
}  // namespace carat

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fmt::print(stderr, "usage: codec_conformance PATH/libggml-base.so [SEED]\n");
    return 2;
  }
  return carat::run(argv[1], argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 1);
}
