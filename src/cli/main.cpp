// Entry point: the table of commands, the only place that prints errors and chooses exit codes.
#include <signal.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include "base/file.h"
#include "base/progress.h"
#include "base/ranks.h"
#include "cli/command.h"
#include "cli/common.h"

namespace {

using namespace carat::cli;

constexpr Command kCommands[] = {
    {"compare", "judge files: which one should run on this machine?", add_compare},
    {"run", "chat in the terminal, or one completion", add_run},
    {"audit", "is a file whole, and is it what its name says?", add_audit},
    {"pull", "download a model, with resume and checksum", add_pull},
    {"quantize", "write a file in other tensor types", add_quantize},
    {"imatrix", "importance of a model's input columns over texts, for quantize", add_imatrix},
    {"perplexity", "perplexity of a text, divergence from a parent", add_perplexity},
    {"logits", "log-probabilities of the next tokens", add_logits},
    {"bench", "prefill and decode speed", add_bench},
    {"inspect", "metadata and tensors of a file", add_inspect},
    {"tokenize", "token ids of a text", add_tokenize},
    {"train", "train a model, or retrain one for a quantization (QAT)", add_train},
    {"lab", "text, tasks and models of the lab family", add_lab},
    {"synth", "random model in the true shape of a published size", add_synth},
};

// The first Ctrl-C asks long work to stop cleanly; a second one ends the process at once. Outputs have no name
// until they are complete, so neither leaves anything behind.
void on_interrupt(int signal_number) {
  if (carat::interrupt_requested.exchange(true)) {
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
  }
}

// Without SA_RESTART: waiting for input ends at once.
void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

int usage_error(const std::string& message) {
  std::fprintf(stderr, "carat: %s\n", message.c_str());
  return 2;
}

// "a, b, c"
std::string names_of_commands() {
  std::string names;
  for (const Command& command : kCommands) names.append(names.empty() ? "" : ", ").append(command.name);
  return names;
}

// CLI11 speaks of a missing subcommand where the first word is none.
std::string message_of(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty())
    return std::string("'") + argv[1] + "' is no command; expected one of " + names_of_commands();
  return std::string(error.what()) + " (see carat --help)";
}

int run(int argc, char** argv) {
  CLI::App app{"Carat runs, quantizes, trains and judges Gemma 4 models in GGUF files."};
  app.require_subcommand(1);
  app.set_version_flag("--version", "carat " CARAT_VERSION);
  Run chosen;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(std::string(command.name), std::string(command.summary));
    Run body = command.add(*sub);
    sub->callback([&chosen, body = std::move(body)] { chosen = body; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);  // --help, --version
  } catch (const CLI::ParseError& error) {
    return usage_error(message_of(app, error, argc, argv));
  }
  auto result = chosen();
  if (!result) {
    const int code = usage_error(result.error().message);
    return carat::interrupted() ? kInterrupted : code;
  }
  return *result;
}

// What was printed must have arrived, unless its reader has gone (`carat … | head`) or the user has.
int flush_output(int code) {
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || output_error() != 0;
  const int error = output_error() != 0 ? output_error() : errno;
  if (!failed || error == EPIPE) return code;
  if (carat::interrupted()) return kInterrupted;
  return usage_error(std::string("cannot write to standard output: ") + std::strerror(error));
}

// The standard library's own complaints.
int run_guarded(int argc, char** argv) {
  try {
    const int code = run(argc, argv);
    return flush_output(code);
  } catch (const std::bad_alloc&) {
    return usage_error("not enough memory");
  } catch (const std::exception& error) {
    return usage_error(error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  carat::explain_lost_mappings();
  remember_command(argc, argv);
  catch_interrupts();
  std::signal(SIGPIPE, SIG_IGN);  // both become errors of the write
  std::signal(SIGXFSZ, SIG_IGN);
  const int code = run_guarded(argc, argv);
  carat::Ranks::job().finish(code);
  return code;
}
