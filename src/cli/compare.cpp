// carat compare: which of these files should run on this machine? Without files: the lab family, really trained
// models that are quantized here and judged at once.
#include "eval/compare.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/compare_files.h"
#include "cli/lab_family.h"
#include "cli/outputs.h"
#include "eval/choice.h"
#include "eval/suite_file.h"
#include "report/eval_text.h"
#include "report/html.h"
#include "report/json.h"
#include "report/plan_text.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

constexpr const char* kLabSuite = "lab";

struct Flags {
  NamedFiles named;
  std::string kv = "f16", budget, suite, json, report, lab, memory, resume;
  int n_per_kind = 0;  // 0: as the lab model says, or the lab's own number
  bool fast = false, no_speed = false;
  int n_threads = 0;

  int thread_count() const { return n_threads > 0 ? n_threads : default_thread_count(); }
};

// Work that takes a while, or is not done in one go, says so first.
void print_plan(const LockstepPlan& plan) {
  constexpr double kLongSeconds = 30;
  if (plan.seconds < kLongSeconds && !plan.streams() && plan.n_items_saved == 0) return;
  std::fprintf(stderr, "%s", render_text(plan).c_str());
}

class Comparer {
 public:
  // Everything that the flags alone can be wrong in.
  static Result<Comparer> create(const Flags& flags) {
    CompareRequest request;
    request.kv_types = TRY(parse_kv_types(flags.kv));
    request.precision = flags.fast ? Precision::fast : Precision::exact;
    if (!flags.budget.empty()) request.budget = TRY(parse_budget(flags.budget));
    request.measure_speed = !flags.no_speed;
    request.n_threads = flags.thread_count();
    if (!flags.memory.empty()) request.memory_bytes = TRY(parse_memory(flags.memory));
    request.saved_path = flags.resume;
    request.on_plan = print_plan;
    request.command = typed_command();
    return Comparer(flags, std::move(request));
  }

  Result<void> judge(std::vector<CompareFile> files, const Suite& suite, std::string title = {}) {
    ProgressBar bar;
    CompareRequest request = request_;
    request.files = std::move(files);
    request.suite = &suite;
    request.title = std::move(title);
    request.progress = bar.callback();
    reports_.push_back(TRY(compare(request)));
    return {};
  }

  // The tables on standard output first: then no file that cannot be written loses the judgement, nor does one keep
  // the other from being written.
  Result<void> publish() const {
    for (const EvalReport& report : reports_) print_line(render_text(report, stdout_style(), terminal_width()));
    std::string failed;
    const auto write = [&](const std::string& path, const std::string& content) {
      if (path.empty()) return;
      if (const auto written = write_file(path, content); !written)
        failed += (failed.empty() ? "" : "; ") + written.error().message;
      else
        print_line(fmt::format("written: {}", path));
    };
    if (!flags_.json.empty()) write(flags_.json, to_json(reports_) + "\n");
    if (!flags_.report.empty()) write(flags_.report, render_html(reports_));
    if (!failed.empty()) return fail("{}", failed);
    return {};
  }

 private:
  Comparer(const Flags& flags, CompareRequest request) : flags_(flags), request_(std::move(request)) {}

  const Flags& flags_;
  CompareRequest request_;  // what all judgements share
  std::vector<EvalReport> reports_;
};

Result<int> compare_lab(const Flags& flags) {
  Comparer comparer = TRY(Comparer::create(flags));
  const std::string folder = TRY(find_models_folder());
  const auto models = TRY(choose_lab_models(flags.lab, folder));
  std::vector<std::string> inputs;
  for (const auto& model : models)
    for (const auto& run : model.runs) inputs.push_back((std::filesystem::path(folder) / run.file).string());
  TRY(check_outputs({flags.json, flags.report}, inputs));
  for (const auto& model : models) {
    auto files = TRY(open_lab_files(model, folder, flags.thread_count()));
    const Suite suite = lab_suite(files.front().model->tokenizer, lab::kTestSeed,
                                  flags.n_per_kind > 0 ? flags.n_per_kind : model.n_test_documents);
    TRY(comparer.judge(std::move(files), suite, model.name));
  }
  TRY(comparer.publish());
  return 0;
}

Result<Suite> open_suite(const Flags& flags, const std::vector<CompareFile>& files) {
  const Model& first = *files.front().model;
  if (flags.suite != kLabSuite) return read_suite(flags.suite, first.tokenizer, first.config);
  for (const CompareFile& file : files) TRY(check_speaks_lab(*file.model));
  return lab_suite(first.tokenizer, lab::kTestSeed,
                   flags.n_per_kind > 0 ? flags.n_per_kind : lab::kTestDocumentsPerKind);
}

Result<int> compare_files(const Flags& flags) {
  Comparer comparer = TRY(Comparer::create(flags));
  if (flags.suite.empty())
    return fail("compare: --suite says what to ask the files: 'lab', or a file of lines {{\"question\": …, \"answer\": …}}");
  auto inputs = input_paths(flags.named);
  if (flags.suite != kLabSuite) inputs.push_back(flags.suite);
  TRY(check_outputs({flags.json, flags.report, flags.resume}, inputs));
  auto files = TRY(open_user_files(flags.named));
  for (const CompareFile& file : files)
    TRY(check_outputs_beside({flags.json, flags.report, flags.resume}, file.model->file));
  const Suite suite = TRY(open_suite(flags, files));
  TRY(comparer.judge(std::move(files), suite));
  TRY(comparer.publish());
  return 0;
}

// Options that would have no effect are refused: somebody believes that they have one.
Result<int> run_compare(const Flags& flags, const CLI::App& app) {
  for (const char* name : {"--lab", "--suite", "--budget", "--json", "--report", "--memory", "--resume"})
    if (const auto* option = app.get_option(name); option->count() > 0 && option->as<std::string>().empty())
      return fail("{}: is empty", name);
  if (flags.named.files.empty()) {
    TRY(refuse(app, {"--suite", "--parent", "--qat", "--control", "--resume"},
               "is about files of your own, and none is given (without files, the lab family is judged)"));
    return compare_lab(flags);
  }
  TRY(refuse(app, {"--lab"}, "chooses models of the lab family, which is judged only where no files are given"));
  if (flags.suite != kLabSuite) TRY(refuse(app, {"--per-kind"}, "is the size of the lab's suite: give --suite lab"));
  return compare_files(flags);
}

}  // namespace

Run add_compare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("files", flags->named.files, "GGUF files; none: the lab family");

  const char* group = "About the files";
  one_each(app.add_option("--parent", flags->named.parents,
                          "FILE=PARENT: the 16-bit file that FILE was quantized from (repeatable)"))
      ->group(group);
  one_each(app.add_option("--qat", flags->named.qat,
                          "this file comes from quantization-aware training, and with it its parent (repeatable)"))
      ->group(group);
  one_each(app.add_option("--control", flags->named.controls,
                          "this one was trained as long without quantization (repeatable)"))
      ->group(group);
  app.add_option("--lab", flags->lab, "without files: which lab models, e.g. lab-s,lab-m (default: those that are there)")
      ->group(group);

  group = "What is judged";
  app.add_option("--suite", flags->suite, "JSON lines of \"question\", \"answer\", \"category\"; or lab, for models of the lab language")
      ->group(group);
  app.add_option("--per-kind", flags->n_per_kind, "documents per kind in the lab's suite (default 250, for lab-m 60)")
      ->check(CLI::Range(2, 1 << 20))
      ->group(group);
  app.add_option("--kv", flags->kv, "cache types to judge with, e.g. f16,q8_0,q8_0/q4_0 (default f16)")->group(group);
  app.add_flag("--fast", flags->fast, "judge through the fast engine instead of exact arithmetic")->group(group);
  app.add_flag("--no-speed", flags->no_speed, "do not measure speed")->group(group);
  app.add_option("-t,--threads", flags->n_threads, "threads (default: one per fast core)")
      ->check(CLI::Range(1, 1024))
      ->group(group);

  group = "Long work";
  app.add_option("--memory", flags->memory,
                 "memory to use, e.g. 8G (default: what is free); files that do not fit are read once per pass")
      ->group(group);
  app.add_option("--resume", flags->resume,
                 "keep what is scored in this file after every pass, and go on from it: after an interruption, the same\n"
                 "command again")
      ->group(group);

  group = "What comes out";
  app.add_option("--budget", flags->budget, "ram=16G,vram=8G,ctx=32k: recommend what fits")->group(group);
  app.add_option("--json", flags->json, "write the judgement as JSON")->group(group);
  app.add_option("--report", flags->report, "write the judgement as one HTML page")->group(group);
  return [flags, &app] { return run_compare(*flags, app); };
}

}  // namespace carat::cli
