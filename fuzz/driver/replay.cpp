// Runs a fuzz target over files instead of a fuzzer, so that every build with any compiler tests the seeds:
// `TARGET_seeds FOLDER…`. Fails if there is no file: a corpus that was lost must not look like one that
// passes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  int n_files = 0;
  for (int i = 1; i < argc; ++i)
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::vector<char> content{std::istreambuf_iterator<char>(file), {}};
      const auto exact =
          std::make_unique<uint8_t[]>(content.size());  // a sanitizer sees every read beyond it
      std::copy(content.begin(), content.end(), exact.get());
      std::printf("%s: %zu bytes\n", entry.path().c_str(), content.size());
      std::fflush(stdout);
      if (LLVMFuzzerTestOneInput(exact.get(), content.size()) != 0) return 1;
      ++n_files;
    }
  std::printf("%d files\n", n_files);
  return n_files > 0 ? 0 : 1;
}
