// Flags and parsing shared by the commands.
#include "cli/common.h"

#include <charconv>
#include <cstdio>

#include "quant/codec.h"

namespace carat::cli {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

}  // namespace

void EngineFlags::add_to(CLI::App& app) {
  app.add_option("-t,--threads", n_threads, "threads (default: all CPUs)")->check(CLI::Range(1, 1024));
  app.add_flag("--exact", exact, "float activations: slower, free of the engine's own rounding");
  app.add_option("--kv", kv, "type of the KV cache: f16 (default), f32, bf16, q8_0, q4_0, …");
}

int EngineFlags::thread_count() const { return n_threads > 0 ? n_threads : default_thread_count(); }

CpuOptions EngineFlags::cpu_options() const {
  return {.n_threads = thread_count(), .precision = exact ? Precision::exact : Precision::fast};
}

Result<TensorType> EngineFlags::kv_type() const {
  const auto types = TRY(parse_kv_types(kv));
  if (types.size() != 1) return fail("--kv {}: expected one type", kv);
  return types.front();
}

Result<std::vector<Token>> parse_token_list(const std::string& text, int64_t n_vocab) {
  std::vector<Token> tokens;
  for (const std::string_view part : split(text, ',')) {
    Token token = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), token);
    if (error != std::errc{} || end != part.data() + part.size())
      return fail("--tokens: '{}' is not a token id; expected ids separated by commas", part);
    if (token < 0 || token >= n_vocab)
      return fail("--tokens: {} is not in the vocabulary of {} tokens", token, n_vocab);
    tokens.push_back(token);
  }
  return tokens;
}

Result<std::vector<TensorType>> parse_kv_types(const std::string& text) {
  std::vector<TensorType> types;
  for (const std::string_view part : split(text, ',')) {
    const auto type = parse_type_name(part);
    if (!type || find_codec(*type) == nullptr || type_info(*type).block_length > 32)
      return fail("--kv: '{}' is not a cache type; expected f16, bf16, f32, q8_0, q5_0 or q4_0", part);
    types.push_back(*type);
  }
  return types;
}

void print_line(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

}  // namespace carat::cli
