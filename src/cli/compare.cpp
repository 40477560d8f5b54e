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
#include "cli/suite_flags.h"
#include "eval/choice.h"
#include "eval/merge.h"
#include "report/eval_text.h"
#include "report/html.h"
#include "report/json.h"
#include "report/json_read.h"
#include "report/plan_text.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

struct Flags {
  NamedFiles named;
  SuiteFlags asked;
  std::string kv = "f16", budget, json, report, lab, memory, resume;
  bool fast = false, no_speed = false, merge = false, schema = false;
  int n_threads = 0;
  int64_t on_policy = 0;

  int thread_count() const { return n_threads > 0 ? n_threads : default_thread_count(); }
};

// The tables on standard output first: then no file that cannot be written loses the judgement, nor does one keep
// the other from being written.
Result<void> publish(const std::vector<EvalReport>& reports, const Flags& flags) {
  if (!Ranks::job().is_first()) return {};  // all have the same
  for (const EvalReport& report : reports) print_line(render_text(report, stdout_style(), terminal_width()));
  std::string failed;
  const auto write = [&](const std::string& path, const std::string& content) {
    if (path.empty()) return;
    if (const auto written = write_file(path, content); !written)
      failed += (failed.empty() ? "" : "; ") + written.error().message;
    else
      print_line(fmt::format("written: {}", path));
  };
  if (!flags.json.empty()) write(flags.json, to_json(reports) + "\n");
  if (!flags.report.empty()) write(flags.report, render_html(reports));
  if (!failed.empty()) return fail("{}", failed);
  return {};
}

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
    request.on_policy.n_texts = flags.on_policy;
    request.on_policy.seed = flags.asked.seed;
    request.n_threads = flags.thread_count();
    if (!flags.memory.empty()) request.memory_bytes = TRY(parse_memory(flags.memory));
    request.saved_path = flags.resume;
    if (Ranks::job().is_first()) request.on_plan = print_plan;
    request.command = typed_command();
    return Comparer(flags, std::move(request));
  }

  // All of a suite.
  Result<void> judge(std::vector<CompareFile> files, const Suite& suite, std::string title = {}) {
    CompareRequest request = request_;
    request.suite = &suite;
    return judge(std::move(files), std::move(request), std::move(title));
  }

  // As much of a source as it takes.
  Result<void> judge(std::vector<CompareFile> files, ItemSource& source, std::string title = {}) {
    CompareRequest request = request_;
    request.source = &source;
    request.sequential = flags_.asked.sequential();
    return judge(std::move(files), std::move(request), std::move(title));
  }

  Result<void> publish() const { return cli::publish(reports_, flags_); }

 private:
  Comparer(const Flags& flags, CompareRequest request) : flags_(flags), request_(std::move(request)) {}

  Result<void> judge(std::vector<CompareFile> files, CompareRequest request, std::string title) {
    ProgressBar bar;
    request.files = std::move(files);
    request.title = std::move(title);
    if (Ranks::job().is_first()) request.progress = bar.callback();
    reports_.push_back(TRY(compare(request)));
    reports_.back().version = "carat " CARAT_VERSION;
    return {};
  }

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
    const Tokenizer tokenizer = files.front().model->tokenizer;
    if (flags.asked.until_decided)
      TRY(comparer.judge(std::move(files), *flags.asked.open_lab_source(tokenizer), model.name));
    else
      TRY(comparer.judge(std::move(files), flags.asked.open_lab(tokenizer, model.n_test_documents), model.name));
  }
  TRY(comparer.publish());
  return 0;
}

Result<int> compare_files(const Flags& flags) {
  Comparer comparer = TRY(Comparer::create(flags));
  auto inputs = input_paths(flags.named);
  if (!flags.asked.path().empty()) inputs.push_back(flags.asked.path());
  TRY(check_outputs({flags.json, flags.report, flags.resume}, inputs));
  auto files = TRY(open_user_files(flags.named));
  for (const CompareFile& file : files)
    TRY(check_outputs_beside({flags.json, flags.report, flags.resume}, file.model->file));
  if (flags.asked.until_decided) {
    const auto source = TRY(flags.asked.open_source(files));
    TRY(comparer.judge(std::move(files), *source));
  } else {
    const Suite suite = TRY(flags.asked.open(files));
    TRY(comparer.judge(std::move(files), suite));
  }
  TRY(comparer.publish());
  return 0;
}

// Judgements that other machines wrote with --json, on one page. Nothing is run.
Result<int> merge_files(const Flags& flags) {
  if (flags.named.files.empty()) return fail("--merge: no files; expected the JSON of two or more judgements");
  TRY(check_outputs({flags.json, flags.report}, flags.named.files));
  std::vector<EvalReport> reports;
  for (const std::string& path : flags.named.files) {
    const std::string text = TRY(read_file(path));
    auto read = read_reports(text);
    if (!read) return fail("{}: {} (is this what compare --json wrote?)", path, read.error().message);
    for (EvalReport& report : *read) reports.push_back(std::move(report));
  }
  TRY(publish(merge(std::move(reports)), flags));
  return 0;
}

// Options that would have no effect are refused: somebody believes that they have one.
Result<int> run_compare(const Flags& flags, const CLI::App& app) {
  for (const char* name : {"--lab", "--budget", "--json", "--report", "--memory", "--resume"})
    if (const auto* option = app.get_option(name); option->count() > 0 && option->as<std::string>().empty())
      return fail("{}: is empty", name);
  if (flags.schema) {
    print_text(report_schema());
    return 0;
  }
  TRY(flags.asked.check(app));
  if (flags.merge) {
    TRY(refuse(app, {"--suite", "--per-kind", "--longest", "--until-decided", "--parent", "--qat", "--control", "--lab", "--kv", "--fast", "--no-speed", "--budget", "--memory", "--resume", "--threads"},
               "is about judging, and --merge only puts judgements together that were made before"));
    return merge_files(flags);
  }
  if (flags.named.files.empty()) {
    TRY(refuse(app, {"--suite", "--longest", "--parent", "--qat", "--control", "--resume"},
               "is about files of your own, and none is given (without files, the lab family is judged)"));
    return compare_lab(flags);
  }
  TRY(refuse(app, {"--lab"}, "chooses models of the lab family, which is judged only where no files are given"));
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

  flags->asked.add_to(app);

  group = "What is judged";
  app.add_option("--kv", flags->kv, "cache types to judge with, e.g. f16,q8_0,q8_0/q4_0 (default f16)")->group(group);
  app.add_option("--on-policy", flags->on_policy,
                 "measure divergence along as many texts that each parent writes, too (default 0)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->group(group);
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
                 "command again; with --until-decided, the scores of each look stand in FILE.look-1 and so on")
      ->group(group);

  group = "What comes out";
  app.add_option("--budget", flags->budget, "ram=16G,vram=8G,ctx=32k: recommend what fits")->group(group);
  app.add_flag("--merge", flags->merge,
               "the files are what --json wrote, here or on other machines: put them on one page; nothing is run")
      ->group(group);
  app.add_flag("--schema", flags->schema, "print the JSON Schema of what --json writes")->group(group);
  app.add_option("--json", flags->json, "write the judgement as JSON")->group(group);
  app.add_option("--report", flags->report, "write the judgement as one HTML page")->group(group);
  return [flags, &app] { return run_compare(*flags, app); };
}

}  // namespace carat::cli
