// carat compare: which of these files should run on this machine? Without files: the lab family, really trained
// models that are quantized here and judged at once.
#include "eval/compare.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/compare_files.h"
#include "cli/lab_family.h"
#include "cli/outputs.h"
#include "cli/suite_flags.h"
#include "eval/choice.h"
#include "report/eval_text.h"
#include "report/html.h"
#include "report/json.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

struct Flags {
  NamedFiles named;
  SuiteFlags asked;
  std::string kv = "f16", budget, json, report, lab;
  bool fast = false, no_speed = false;
  int n_threads = 0;
  int64_t on_policy = 0;

  int thread_count() const { return n_threads > 0 ? n_threads : default_thread_count(); }
};

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

  Result<void> judge(std::vector<CompareFile> files, CompareRequest request, std::string title) {
    ProgressBar bar;
    request.files = std::move(files);
    request.title = std::move(title);
    request.progress = bar.callback();
    reports_.push_back(TRY(compare(request)));
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
  TRY(check_outputs({flags.json, flags.report}, inputs));
  auto files = TRY(open_user_files(flags.named));
  for (const CompareFile& file : files) TRY(check_outputs_beside({flags.json, flags.report}, file.model->file));
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

// Options that would have no effect are refused: somebody believes that they have one.
Result<int> run_compare(const Flags& flags, const CLI::App& app) {
  for (const char* name : {"--lab", "--budget", "--json", "--report"})
    if (const auto* option = app.get_option(name); option->count() > 0 && option->as<std::string>().empty())
      return fail("{}: is empty", name);
  TRY(flags.asked.check(app));
  if (flags.named.files.empty()) {
    TRY(refuse(app, {"--suite", "--longest", "--parent", "--qat", "--control"},
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

  group = "What comes out";
  app.add_option("--budget", flags->budget, "ram=16G,vram=8G,ctx=32k: recommend what fits")->group(group);
  app.add_option("--json", flags->json, "write the judgement as JSON")->group(group);
  app.add_option("--report", flags->report, "write the judgement as one HTML page")->group(group);
  return [flags, &app] { return run_compare(*flags, app); };
}

}  // namespace carat::cli
