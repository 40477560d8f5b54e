// Holds a file that Carat quantized with an importance matrix against llama.cpp's own quantizer, which reads the same
// matrix with its own loader:
//   llama_quantize_conformance FOLDER_OF_LIBRARIES SOURCE.gguf IMPORTANCE QUANTIZED.gguf THEIRS.gguf
// The loader must find what Carat finds, and the file that llama.cpp writes (THEIRS, made here) must have the same
// tensors to the bit; exit code 1 if not. QUANTIZED is of one type alone, "pure" in llama.cpp's words.
//
// The package has no headers: the structs below are what version v0.5.0 reads, and its defaults are checked.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "gguf/reader.h"
#include "quant/importance.h"
#include "tensor/type.h"

namespace {

// What the loader fills. It is never destroyed: who allocates in a library lets the library free.
struct Entry {
  std::vector<float> sums;
  std::vector<int64_t> counts;
};
struct Importance {
  std::map<std::string, Entry> entries;
  std::vector<std::string> datasets;
  int32_t n_chunks, chunk_size;
  bool is_legacy, has_metadata;
};

struct ImportanceData {  // the last one has no name
  const char* name;
  const float* data;
  size_t size;
};
struct Parameters {
  int32_t n_threads, file_type, output_type, embedding_type;
  bool allow_requantize, quantize_output, only_copy, pure, keep_split, dry_run;
  const ImportanceData* importance;
  const void *overrides, *types;
  const int32_t* pruned;
  int32_t others[2];  // left at their defaults
};
static_assert(sizeof(Parameters) == 64);

struct Library {
  bool (*load_importance)(const std::string& path, Importance& importance);
  void (*default_parameters)(Parameters*);  // returns a struct: through a hidden pointer
  uint32_t (*quantize)(const char* in, const char* out, const Parameters* parameters);
};

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "llama_quantize_conformance: {}\n", why);
  std::exit(2);
}

template <class T>
T expect(carat::Result<T> result) {
  if (!result) stop(result.error().message);
  return result.take();
}

void* open(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) stop(dlerror());
  return library;
}

template <class F>
void find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (function == nullptr) stop(fmt::format("{} is missing", name));
}

Library open_library(const std::string& folder) {
  void* llama = open(folder + "/libllama.v0.5.0.so");
  void* common = open(folder + "/libllama-common.so");
  Library library{};
  find(common, "_Z19common_imatrix_loadRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEER14common_imatrix",
       library.load_importance);
  find(llama, "llama_model_quantize_default_params", library.default_parameters);
  find(llama, "llama_model_quantize", library.quantize);
  return library;
}

Parameters default_parameters(const Library& library) {
  alignas(8) unsigned char room[256];
  std::memset(room, 0xaa, sizeof room);
  library.default_parameters(reinterpret_cast<Parameters*>(room));
  Parameters parameters;
  std::memcpy(&parameters, room, sizeof parameters);
  const bool fits = parameters.importance == nullptr && parameters.pruned == nullptr && room[sizeof parameters] == 0xaa;
  if (!fits) stop("another version of llama.cpp: its parameters have another layout");
  return parameters;
}

// Sums and counts as both sides read them; the values for the quantizer, means.
std::map<std::string, std::vector<float>> compare_importance(const Importance& theirs,
                                                             const carat::ImportanceMatrix& ours, int& n_different) {
  std::map<std::string, std::vector<float>> means;
  if (theirs.entries.size() != ours.entries.size())
    stop(fmt::format("their loader finds {} tensors, ours {}", theirs.entries.size(), ours.entries.size()));
  for (const auto& [name, entry] : theirs.entries) {
    const auto found = ours.entries.find(name);
    if (found == ours.entries.end()) stop(fmt::format("only their loader finds {}", name));
    bool same = entry.sums == found->second.sums && entry.counts.size() == found->second.counts.size();
    for (size_t i = 0; same && i < entry.counts.size(); ++i)
      same = static_cast<float>(entry.counts[i]) == found->second.counts[i];
    n_different += !same;
    std::vector<float>& values = means[name];
    const size_t n = entry.sums.size() / std::max<size_t>(1, entry.counts.size());
    for (size_t i = 0; i < entry.sums.size(); ++i) {
      const int64_t count = entry.counts[i / n];
      values.push_back(count > 0 ? entry.sums[i] / static_cast<float>(count) : 1.0f);
    }
  }
  return means;
}

int compare_tensors(const carat::gguf::File& ours, const carat::gguf::File& theirs) {
  int n_different = ours.tensors.size() != theirs.tensors.size();
  for (const carat::Tensor& tensor : ours.tensors) {
    const carat::Tensor* other = theirs.find(tensor.name);
    const bool same = other != nullptr && other->type == tensor.type && other->n_bytes() == tensor.n_bytes() &&
                      std::memcmp(other->data, tensor.data, tensor.n_bytes()) == 0;
    if (!same)
      fmt::print("{}: {} here, {} there\n", tensor.name, carat::type_name(tensor.type),
                 other == nullptr ? "missing" : carat::type_name(other->type));
    n_different += !same;
  }
  return n_different;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6)
    stop("usage: llama_quantize_conformance FOLDER_OF_LIBRARIES SOURCE.gguf IMPORTANCE QUANTIZED.gguf THEIRS.gguf");
  const Library library = open_library(argv[1]);
  const carat::gguf::File ours = expect(carat::gguf::open(std::string(argv[4])));
  const carat::ImportanceMatrix importance = expect(carat::read_importance(argv[3]));

  auto* const theirs = new Importance{};
  if (!library.load_importance(argv[3], *theirs)) stop("their loader does not read the importance matrix");
  int n_different_entries = 0;
  const auto means = compare_importance(*theirs, importance, n_different_entries);
  std::vector<ImportanceData> data;
  for (const auto& [name, values] : means) data.push_back({name.c_str(), values.data(), values.size()});
  data.push_back({nullptr, nullptr, 0});

  Parameters parameters = default_parameters(library);
  parameters.n_threads = 1;
  parameters.file_type = static_cast<int32_t>(expect(ours.metadata.integer("general.file_type", 0, 1000)));
  parameters.pure = true;
  parameters.importance = data.data();
  if (library.quantize(argv[2], argv[5], &parameters) != 0) stop("llama.cpp does not quantize the file");
  const int n_different = compare_tensors(ours, expect(carat::gguf::open(std::string(argv[5]))));
  fmt::print("importance: {} of {} entries read alike; {} of {} tensors equal to llama.cpp's file\n",
             means.size() - static_cast<size_t>(n_different_entries), means.size(),
             ours.tensors.size() - static_cast<size_t>(n_different), ours.tensors.size());
  return n_different_entries == 0 && n_different == 0 ? 0 : 1;
}
