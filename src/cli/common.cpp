// Flags and parsing shared by the commands.
#include "cli/common.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "eval/choice.h"
#include "hub/cache.h"
#include "quant/codec.h"

namespace carat::cli {
namespace {

int first_output_error = 0;
std::string remembered_command;

// As a shell takes it for one word.
std::string quoted(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

void EngineFlags::add_to(CLI::App& app) {
  app.add_option("-t,--threads", n_threads, "threads (default: one per fast core)")->check(CLI::Range(1, 1024));
  app.add_flag("--exact", exact, "float activations: slower, free of the engine's own rounding");
  app.add_option("--kv", kv, "type of the KV cache: f16 (default), bf16, f32, q8_0, q5_0, q4_0; of keys and values: q8_0/q4_0");
}

int EngineFlags::thread_count() const { return n_threads > 0 ? n_threads : default_thread_count(); }

CpuOptions EngineFlags::cpu_options() const {
  return {.n_threads = thread_count(), .precision = exact ? Precision::exact : Precision::fast};
}

Result<KvType> EngineFlags::kv_type() const {
  const auto types = TRY(parse_kv_types(kv));
  if (types.size() != 1) return fail("--kv {}: expected one type, or two as in q8_0/q4_0", kv);
  return types.front();
}

void add_head_flag(CLI::App& app, std::string& head) {
  app.add_option("--head", head,
                 "full (default) or screened: greedy and top-k decoding read a short copy of the output head, made at\n"
                 "start (0.66 bytes per weight), and of the head itself only rows that can win: the same tokens")
      ->check(CLI::IsMember({"full", "screened"}));
}

void add_repack_flag(CLI::App& app, bool& repack) {
  app.add_flag("--repack", repack,
               "lay weights out anew at start, in the order in which kernels read them: the same results sooner, for a\n"
               "copy of them in memory");
}

std::string describe_repacked(const Forward& forward) {
  if (forward.repacked_bytes() == 0) return "repacked weights: none (float activations, or no type that gains)";
  return fmt::format("repacked weights: {:.0f} MB of memory", static_cast<double>(forward.repacked_bytes()) / 1e6);
}

std::string describe_screen(const Forward& forward) {
  if (forward.screen_bytes() == 0) return "no screen: the head's type is too short for one";
  const Forward::ScreenUse& use = forward.screen_use();
  const auto n_calls = static_cast<double>(use.n_calls - use.n_full);
  const auto n_vocab = static_cast<double>(forward.model().config.n_vocab);
  const double read = n_calls > 0 ? static_cast<double>(use.n_rows_read) / n_calls / n_vocab : 0;
  return fmt::format("screen of the head: {:.0f} MB, {:.2f} % of its rows read, in {} of {} tries all of them",
                     static_cast<double>(forward.screen_bytes()) / 1e6, 100 * read, use.n_full, use.n_calls);
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

Result<std::vector<KvType>> parse_kv_types(const std::string& text) {
  std::vector<KvType> types;
  for (const std::string_view part : split(text, ',')) {
    const auto type = parse_kv_type(part);
    if (!type) return fail("--kv: {}", type.error().message);
    types.push_back(*type);
  }
  return types;
}

Result<int64_t> parse_memory(const std::string& text) {
  const auto budget = parse_budget("ram=" + text);
  if (!budget || budget->ram_bytes == 0 || text.find(',') != std::string::npos)
    return fail("--memory: '{}' is no amount of memory; expected one such as 8G or 700M", text);
  return static_cast<int64_t>(std::min<uint64_t>(budget->ram_bytes, INT64_MAX));
}

Result<TensorType> parse_written_type(std::string_view name, std::string_view flag) {
  const auto type = parse_type_name(name);
  if (type && can_encode(*type)) return *type;
  std::string known;
  for (const Codec& codec : codecs())
    if (codec.encode != nullptr) known += fmt::format("{}{}", known.empty() ? "" : ", ", type_name(codec.type));
  return fail("{}: '{}' is not a type that carat writes; expected one of {}", flag, name, known);
}

Result<std::string> local_file(const std::string& name) {
  if (!hub::is_hub_name(name)) return name;
  const auto cache = TRY(hub::Cache::from_environment());
  return cache.find(TRY(hub::parse_request(name)));
}

Result<std::pair<std::string, TensorType>> parse_type_rule(const std::string& rule) {
  const size_t equals = rule.rfind('=');
  if (equals == std::string::npos) return fail("--tensor-type: '{}': expected REGEX=TYPE", rule);
  const auto type = TRY(parse_written_type(std::string_view(rule).substr(equals + 1), "--tensor-type"));
  return std::pair(rule.substr(0, equals), type);
}

Result<void> refuse(const CLI::App& app, std::initializer_list<const char*> options, std::string_view reason) {
  for (const char* name : options)
    if (app.get_option(name)->count() > 0) return fail("{}: {}", name, reason);
  return {};
}

CLI::Option* one_each(CLI::Option* option) { return option->allow_extra_args(false); }

CLI::Validator number_between(double low, double high) {
  const auto check = [low, high](std::string& text) -> std::string {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return {};
    return fmt::format("{} is not a number from {} to {}", text, low, high);
  };
  return CLI::Validator(check, fmt::format("[{} - {}]", low, high));
}

void print_text(std::string_view text) {
  if (first_output_error != 0) return;
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::ferror(stdout) != 0) first_output_error = errno != 0 ? errno : EIO;
}

void print_now(std::string_view text) {
  print_text(text);
  errno = 0;
  if (std::fflush(stdout) != 0 && first_output_error == 0) first_output_error = errno != 0 ? errno : EIO;
}

void print_line(std::string_view text) {
  print_text(text);
  print_text("\n");
}

bool output_closed() { return first_output_error != 0; }
int output_error() { return first_output_error; }

void remember_command(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) remembered_command += (i > 0 ? " " : "") + quoted(argv[i]);
}

const std::string& typed_command() { return remembered_command; }

}  // namespace carat::cli
