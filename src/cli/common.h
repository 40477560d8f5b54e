// What several commands share: engine flags, lists, checks of options, standard output, the command as typed.
#pragma once

#include <CLI/CLI.hpp>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "kernels/backend.h"
#include "model/forward.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace carat::cli {

struct EngineFlags {
  int n_threads = 0;  // 0: default_thread_count()
  bool exact = false;
  std::string kv = "f16";

  void add_to(CLI::App& app);
  int thread_count() const;
  CpuOptions cpu_options() const;
  Result<KvType> kv_type() const;
};

// --head full|screened: whether decoding reads a screen of the head instead of all of it.
void add_head_flag(CLI::App& app, std::string& head);
// --repack: whether weights are laid out anew for the kernels at start.
void add_repack_flag(CLI::App& app, bool& repack);
// "repacked weights: 1394 MB": what it costs.
std::string describe_repacked(const Forward& forward);
// "screen of the head: 217 MB, 0.6 % of its rows read": what it costs and has saved so far.
std::string describe_screen(const Forward& forward);

// "2,300,337" -> ids, each checked against the vocabulary.
Result<std::vector<Token>> parse_token_list(const std::string& text, int64_t n_vocab);

// "f16,q8_0,q8_0/q4_0" -> types that a cache can have.
Result<std::vector<KvType>> parse_kv_types(const std::string& text);

// "8G", "700M" -> bytes.
Result<int64_t> parse_memory(const std::string& text);

// The parts of "a,b,c".
std::vector<std::string_view> split(std::string_view text, char separator);

// The path of a model file that was named on the command line: itself, or for "hf:OWNER/REPO[:FILE]" the path in the
// cache of downloads. Never asks the network; what is not there is an error that says how to get it.
Result<std::string> local_file(const std::string& name);

// "REGEX=TYPE" with a type that carat writes.
Result<std::pair<std::string, TensorType>> parse_type_rule(const std::string& rule);
Result<TensorType> parse_written_type(std::string_view name, std::string_view flag);

// An error if any of these options was given: "--per-kind: REASON". For options that would have no effect.
Result<void> refuse(const CLI::App& app, std::initializer_list<const char*> options, std::string_view reason);

// Several values by repeating the option, one each time: an option must not swallow the files behind it.
CLI::Option* one_each(CLI::Option* option);

// Numbers from low to high; unlike CLI::Range it refuses NaN, too.
CLI::Validator number_between(double low, double high);

// Standard output. A reader that has gone (`carat … | head`) is no error: the rest is not printed, and whoever prints
// without end should stop.
void print_text(std::string_view text);
void print_line(std::string_view text);  // and a newline
void print_now(std::string_view text);   // not kept back until there is more
bool output_closed();
int output_error();  // errno of the first failed write; 0: none so far

// The command line as it was typed, quoted for a shell.
void remember_command(int argc, char** argv);
const std::string& typed_command();

}  // namespace carat::cli
