// Command: one subcommand of `carat`. A command is one file and one line in the table of main.cpp.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string_view>

#include "base/result.h"

namespace carat::cli {

// What shells expect of a program that Ctrl-C has ended.
inline constexpr int kInterrupted = 128 + 2;

// 0 ok, 1 the job found a defect; an Error becomes one line on stderr and exit code 2.
using Run = std::function<Result<int>()>;

struct Command {
  std::string_view name;
  std::string_view summary;
  Run (*add)(CLI::App& app);  // declares the flags; what it returns runs after they are parsed
};

Run add_audit(CLI::App& app);
Run add_bench(CLI::App& app);
Run add_compare(CLI::App& app);
Run add_imatrix(CLI::App& app);
Run add_inspect(CLI::App& app);
Run add_lab(CLI::App& app);
Run add_logits(CLI::App& app);
Run add_perplexity(CLI::App& app);
Run add_pull(CLI::App& app);
Run add_quantize(CLI::App& app);
Run add_run(CLI::App& app);
Run add_synth(CLI::App& app);
Run add_tokenize(CLI::App& app);
Run add_train(CLI::App& app);

}  // namespace carat::cli
