// carat audit: is this file whole, is it what its name says, and will it behave?
#include <memory>

#include "audit/audit.h"
#include "base/sha256.h"
#include "cli/command.h"
#include "cli/common.h"
#include "report/audit_text.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string file, sha256;
  int n_threads = 0;
  bool no_hash = false, no_scan = false, all_tensors = false, json = false;
};

std::string lower_hex(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

Result<int> run_audit(const Flags& flags, const CLI::App& app) {
  AuditOptions options;
  options.n_threads = flags.n_threads > 0 ? flags.n_threads : default_thread_count();
  options.hash = !flags.no_hash;
  options.scan = !flags.no_scan;
  options.expected_sha256 = lower_hex(flags.sha256);
  if (app.get_option("--sha256")->count() > 0 && !is_sha256(options.expected_sha256))
    return fail("--sha256: '{}': expected 64 hexadecimal digits", flags.sha256);
  const auto file = TRY(gguf::open(TRY(local_file(flags.file))));
  AuditReport report;
  {
    ProgressBar bar;
    report = TRY(audit(file, options, bar.callback()));
  }
  if (flags.json)
    print_line(to_json(report));
  else
    print_text(render(report, stdout_style(), terminal_width(), flags.all_tensors));
  return report.n_defects() > 0 ? 1 : 0;
}

}  // namespace

Run add_audit(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file, or hf:OWNER/REPO:FILE")->required();
  auto* sha256 = app.add_option("--sha256", flags->sha256,
                                "the hash that the publisher gives: anything else is a defect");
  auto* no_hash = app.add_flag("--no-hash", flags->no_hash, "do not compute the SHA-256");
  sha256->excludes(no_hash);
  auto* all = app.add_flag("--tensors", flags->all_tensors, "a line for every tensor, too");
  auto* no_scan = app.add_flag("--no-scan", flags->no_scan, "only the metadata: do not read the tensors");
  all->excludes(no_scan);
  app.add_option("-t,--threads", flags->n_threads, "threads (default: one per fast core)")->check(CLI::Range(1, 1024));
  app.add_flag("--json", flags->json, "JSON, with every tensor");
  app.footer("Ends with 0: healthy, 1: defects, 2: not readable.");
  return [flags, &app] { return run_audit(*flags, app); };
}

}  // namespace carat::cli
