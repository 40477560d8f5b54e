// Holds a file that Carat quantized with an importance matrix against ggml's own quantizer, given the same
// importance:
//   importance_conformance PATH/libggml-base.so SOURCE.gguf IMPORTANCE QUANTIZED.gguf
// Every tensor in blocks must be the same to the bit; exit code 1 if one is not.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "gguf/reader.h"
#include "quant/codec.h"
#include "quant/importance.h"

namespace carat {
namespace {

using QuantizeChunk = size_t (*)(int type, const float* x, void* out, int64_t start, int64_t n_rows,
                                 int64_t n_columns, const float* importance);

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "importance_conformance: {}\n", why);
  std::exit(2);
}

template <class T>
T expect(Result<T> result) {
  if (!result) stop(result.error().message);
  return result.take();
}

QuantizeChunk open_ggml(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) stop(dlerror());
  const auto quantize_chunk = reinterpret_cast<QuantizeChunk>(dlsym(library, "ggml_quantize_chunk"));
  if (quantize_chunk == nullptr) stop(dlerror());
  return quantize_chunk;
}

// Matrix by matrix, each with its own importance, as llama.cpp's quantizer does it.
std::vector<std::byte> quantized_by_ggml(QuantizeChunk quantize_chunk, const Tensor& source, TensorType type,
                                         const std::vector<float>& means) {
  ThreadPool pool(1);
  std::vector<float> values(static_cast<size_t>(source.n_elements()));
  decode_tensor(source, values.data(), pool);
  const int64_t n = source.n_columns(), n_rows = source.shape[1];
  std::vector<std::byte> blocks(row_bytes(type, n) * static_cast<uint64_t>(source.n_rows()));
  for (int64_t m = 0; m < source.shape[2]; ++m)
    quantize_chunk(static_cast<int>(type), values.data() + m * n * n_rows,
                   blocks.data() + row_bytes(type, n) * static_cast<uint64_t>(m * n_rows), 0, n_rows, n,
                   means.empty() ? nullptr : means.data() + m * n);
  return blocks;
}

int run(char** argv) {
  const QuantizeChunk quantize_chunk = open_ggml(argv[1]);
  const gguf::File source = expect(gguf::open(std::string(argv[2]))),
                   ours = expect(gguf::open(std::string(argv[4])));
  const ImportanceMatrix importance = expect(read_importance(argv[3]));
  int n_tensors = 0, n_weighted = 0, n_different = 0;
  for (const Tensor& tensor : ours.tensors) {
    if (type_info(tensor.type).block_length == 1) continue;
    const Tensor* from = source.find(tensor.name);
    if (from == nullptr || from->type == tensor.type) continue;
    const auto entry = importance.entries.find(tensor.name);
    const auto means = entry == importance.entries.end() ? std::vector<float>() : entry->second.means();
    const auto theirs = quantized_by_ggml(quantize_chunk, *from, tensor.type, means);
    const bool same = std::memcmp(theirs.data(), tensor.data, theirs.size()) == 0;
    if (!same) fmt::print("{}: {} differs\n", tensor.name, type_name(tensor.type));
    ++n_tensors, n_weighted += !means.empty(), n_different += !same;
  }
  fmt::print("importance: {} of {} tensors equal to ggml's, {} of them weighted\n", n_tensors - n_different,
             n_tensors, n_weighted);
  return n_tensors > 0 && n_weighted > 0 && n_different == 0 ? 0 : 1;
}

}  // namespace
}  // namespace carat

int main(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr,
               "usage: importance_conformance PATH/libggml-base.so SOURCE.gguf IMPORTANCE QUANTIZED.gguf\n");
    return 2;
  }
  return carat::run(argv);
}
