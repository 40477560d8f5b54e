// carat compare: which of these files should run on this machine? Without files: the lab family, really trained
// models that are quantized here and judged at once.
#include "eval/compare.h"

#include <fmt/format.h>

#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/lab_family.h"
#include "eval/suite_file.h"
#include "quant/quantize.h"
#include "report/eval_text.h"
#include "report/html.h"
#include "report/json.h"
#include "report/terminal.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::vector<std::string> files, parents, qat, controls;
  std::string kv = "f16", budget, suite, json, report, lab = "lab-s,lab-m";
  int n_per_kind = 0;
  bool fast = false, no_speed = false;
  int n_threads = 0;
  std::string command;
};

// A folder that goes away with the process, however it ends in an orderly way.
class TemporaryFolder {
 public:
  static Result<std::unique_ptr<TemporaryFolder>> create() {
    std::error_code error;
    std::string name = (fs::temp_directory_path(error) / "carat-XXXXXX").string();
    if (error || ::mkdtemp(name.data()) == nullptr) return fail("{}: cannot make a temporary folder", name);
    return std::unique_ptr<TemporaryFolder>(new TemporaryFolder(name));
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(std::string_view name) const { return (path_ / name).string(); }

 private:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

// "16G", "512M", "1.5GB" -> bytes (powers of 1024).
Result<uint64_t> parse_bytes(std::string_view text) {
  size_t used = 0;
  double number = 0;
  try {
    number = std::stod(std::string(text), &used);
  } catch (const std::exception&) {
    used = 0;
  }
  std::string unit(text.substr(used));
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return std::toupper(c); });
  const int power = unit == "K" || unit == "KB"   ? 10
                    : unit == "M" || unit == "MB" ? 20
                    : unit == "G" || unit == "GB" ? 30
                    : unit.empty()                ? 0
                                                  : -1;
  if (used == 0 || power < 0 || !(number >= 0 && number < 1e12)) return fail("'{}' is not a size; expected e.g. 16G", text);
  return static_cast<uint64_t>(number * static_cast<double>(uint64_t{1} << power));
}

// "ram=16G,vram=8G,ctx=32k"
Result<Budget> parse_budget(const std::string& text) {
  Budget budget;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    if (equals == std::string::npos || (key != "ram" && key != "vram" && key != "ctx"))
      return fail("--budget: '{}': expected ram=16G,vram=8G,ctx=32k", part);
    const uint64_t value = TRY(parse_bytes(std::string_view(part).substr(equals + 1)));
    if (key == "ram") budget.ram_bytes = value;
    if (key == "vram") budget.vram_bytes = value;
    if (key == "ctx") budget.n_ctx = static_cast<int64_t>(value);
    begin = end + 1;
  }
  return budget;
}

// --- the lab family --------------------------------------------------------------------------------------------

constexpr TensorType kLabTypes[] = {TensorType::Q8_0, TensorType::Q6_K,  TensorType::Q5_0, TensorType::Q4_K,
                                    TensorType::Q4_0, TensorType::NVFP4, TensorType::Q3_K, TensorType::Q2_K};

// Whether every row of the model's matrices fits the type's blocks; otherwise most tensors would fall back and the
// file's name would lie.
bool fits(const Model& model, TensorType type) {
  for (const Tensor& tensor : model.file.tensors)
    if (is_quantizable(tensor) && tensor.n_columns() % type_info(type).block_length != 0) return false;
  return true;
}

// Builds one family's request, quantizing into `folder` as it goes.
class LabRequest {
 public:
  LabRequest(const lab::FamilyModel& family, std::string models, const TemporaryFolder& folder, int n_threads)
      : family_(family), models_(std::move(models)), folder_(folder), n_threads_(n_threads) {}

  Result<std::vector<CompareFile>> build() {
    const int parent = TRY(add(models_path(family_.runs.front().file), family_.name + " BF16", Family::original, -1, 0));
    for (const TensorType type : kLabTypes)
      if (fits(*files_[index(parent)].model, type)) TRY(add_quantized(parent, type, {}));
    for (size_t i = 1; i < family_.runs.size(); ++i)
      if (fs::exists(models_path(family_.runs[i].file))) TRY(add_run(family_.runs[i]));
    return std::move(files_);
  }

 private:
  static size_t index(int i) { return static_cast<size_t>(i); }
  std::string models_path(const std::string& file) const { return (fs::path(models_) / file).string(); }

  Result<int> add(const std::string& path, std::string name, Family family, int parent, int seed) {
    const auto model = TRY(open_model(path));
    files_.push_back({model, std::move(name), family, parent, seed});
    return static_cast<int>(files_.size()) - 1;
  }

  // The parent's file in another type; `label` replaces the parent's name in the row's name.
  Result<int> add_quantized(int parent, TensorType type, const std::string& label) {
    const CompareFile source = files_[index(parent)];
    const std::string name = fmt::format("{} {}", label.empty() ? family_.name : label, type_name(type));
    const std::string path = folder_.file(name + ".gguf");
    TRY(quantize(source.model->file, path, {.type = type, .n_threads = n_threads_}));
    return add(path, name, source.family, parent, source.seed);
  }

  // A retrained file: its 16-bit form, which is its parent, and what it was trained for. A twin that is shipped in
  // its own lattice's blocks is decoded to 16 bit first.
  Result<void> add_run(const lab::TrainingRun& run) {
    const Family family = run.fake_quant ? Family::qat : Family::control;
    const int seed = static_cast<int>(run.seed);
    const std::string label = fs::path(run.file).stem().string();
    const bool packed = run.stored_as != TensorType::BF16;
    std::string path = models_path(run.file);
    if (packed) {
      const auto blocks = TRY(gguf::open(path));
      path = folder_.file(label + " BF16.gguf");
      TRY(quantize(blocks, path, {.type = TensorType::BF16, .n_threads = n_threads_}));
    }
    const int parent = TRY(add(path, label + " BF16", family, -1, seed));
    if (packed)
      TRY(add(models_path(run.file), fmt::format("{} {}", label, type_name(*run.fake_quant)), family, parent, seed));
    else if (run.fake_quant)
      TRY(add_quantized(parent, *run.fake_quant, label));
    if (family == Family::control)
      for (const TensorType type : {TensorType::Q4_0, TensorType::Q2_K})
        if (fits(*files_[index(parent)].model, type)) TRY(add_quantized(parent, type, label));
    return {};
  }

  const lab::FamilyModel& family_;
  std::string models_;
  const TemporaryFolder& folder_;
  int n_threads_;
  std::vector<CompareFile> files_;
};

// --- the user's files ------------------------------------------------------------------------------------------

bool contains(const std::vector<std::string>& list, const std::string& path) {
  return std::find(list.begin(), list.end(), path) != list.end();
}

Result<std::vector<CompareFile>> open_files(const Flags& flags) {
  std::vector<std::string> paths = flags.files;
  std::vector<std::pair<std::string, std::string>> links;  // file, parent
  for (const std::string& rule : flags.parents) {
    const size_t equals = rule.find('=');
    if (equals == std::string::npos) return fail("--parent: '{}': expected FILE=PARENT", rule);
    links.emplace_back(rule.substr(0, equals), rule.substr(equals + 1));
    if (!contains(paths, links.back().first)) return fail("--parent: '{}' is not among the files", links.back().first);
    if (!contains(paths, links.back().second)) paths.push_back(links.back().second);
  }
  for (const auto& list : {flags.qat, flags.controls})
    for (const std::string& path : list)
      if (!contains(paths, path)) return fail("--qat, --control: '{}' is not among the files", path);
  std::vector<CompareFile> files;
  for (const std::string& path : paths) {
    CompareFile file;
    file.model = TRY(open_model(path));
    file.family = contains(flags.qat, path) ? Family::qat
                  : contains(flags.controls, path) ? Family::control : Family::original;
    files.push_back(std::move(file));
  }
  for (const auto& [file, parent] : links)
    files[static_cast<size_t>(std::find(paths.begin(), paths.end(), file) - paths.begin())].parent =
        static_cast<int>(std::find(paths.begin(), paths.end(), parent) - paths.begin());
  return files;
}

// ---------------------------------------------------------------------------------------------------------------

class Comparer {
 public:
  explicit Comparer(const Flags& flags) : flags_(flags) {}

  Result<void> judge(std::vector<CompareFile> files, const Suite& suite, std::string title = {}) {
    ProgressBar bar;
    CompareRequest request;
    request.files = std::move(files);
    request.suite = &suite;
    request.kv_types = TRY(parse_kv_types(flags_.kv));
    request.precision = flags_.fast ? Precision::fast : Precision::exact;
    if (!flags_.budget.empty()) request.budget = TRY(parse_budget(flags_.budget));
    request.measure_speed = !flags_.no_speed;
    request.n_threads = n_threads();
    request.command = flags_.command;
    request.title = std::move(title);
    request.progress = bar.callback();
    reports_.push_back(TRY(compare(request)));
    return {};
  }

  // The tables on standard output, the files where they are wanted.
  Result<void> publish() const {
    if (!flags_.json.empty()) TRY(write_file(flags_.json, to_json(reports_) + "\n"));
    if (!flags_.report.empty()) TRY(write_file(flags_.report, render_html(reports_)));
    for (const EvalReport& report : reports_) print_line(render_text(report, stdout_style(), terminal_width()));
    if (!flags_.report.empty()) print_line(fmt::format("report: {}", flags_.report));
    return {};
  }

  int n_threads() const { return flags_.n_threads > 0 ? flags_.n_threads : default_thread_count(); }

 private:
  const Flags& flags_;
  std::vector<EvalReport> reports_;
};

Result<int> compare_lab(const Flags& flags) {
  const std::string models = TRY(find_models_folder());
  const auto folder = TRY(TemporaryFolder::create());
  Comparer comparer(flags);
  for (const auto& family : lab::family()) {
    if (flags.lab.find(family.name) == std::string::npos) continue;
    if (!fs::exists(fs::path(models) / family.runs.front().file)) continue;
    auto files = TRY(LabRequest(family, models, *folder, comparer.n_threads()).build());
    const int n_per_kind = flags.n_per_kind > 0 ? flags.n_per_kind : lab::kTestDocumentsPerKind;
    const Suite suite = lab_suite(files.front().model->tokenizer, lab::kTestSeed, n_per_kind);
    TRY(comparer.judge(std::move(files), suite, family.name));
  }
  TRY(comparer.publish());
  return 0;
}

Result<int> compare_files(const Flags& flags) {
  auto files = TRY(open_files(flags));
  if (flags.suite.empty())
    return fail("compare: --suite FILE.jsonl says what to ask the files (lines of {{\"question\": …, \"answer\": …}})");
  const Model& first = *files.front().model;
  const Suite suite = TRY(read_suite(flags.suite, first.tokenizer, first.config));
  Comparer comparer(flags);
  TRY(comparer.judge(std::move(files), suite));
  TRY(comparer.publish());
  return 0;
}

}  // namespace

Run add_compare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("files", flags->files, "GGUF files (default: the lab family)");
  app.add_option("--parent", flags->parents, "FILE=PARENT: the 16-bit file that FILE was quantized from");
  app.add_option("--qat", flags->qat, "these files come from quantization-aware training");
  app.add_option("--control", flags->controls, "these were trained as long without quantization");
  app.add_option("--suite", flags->suite, "JSON lines: {\"question\", \"answer\", \"category\"}");
  app.add_option("--kv", flags->kv, "cache types to judge with, e.g. f16,q8_0 (default f16)");
  app.add_option("--budget", flags->budget, "ram=16G,vram=8G,ctx=32k: recommend what fits");
  app.add_option("--json", flags->json, "write the judgement as JSON");
  app.add_option("--report", flags->report, "write the judgement as one HTML page");
  app.add_option("--lab", flags->lab, "which lab models, without files (default lab-s,lab-m)");
  app.add_option("--per-kind", flags->n_per_kind, "lab documents per kind (default 250)")->check(CLI::Range(2, 1 << 20));
  app.add_flag("--fast", flags->fast, "judge through the fast engine instead of exact arithmetic");
  app.add_flag("--no-speed", flags->no_speed, "do not measure speed");
  app.add_option("-t,--threads", flags->n_threads, "threads (default: all CPUs)")->check(CLI::Range(1, 1024));
  return [flags, &app]() -> Result<int> {
    flags->command = "carat compare";
    for (const CLI::Option* option : app.get_options())
      if (option->count() > 0)
        flags->command += fmt::format(" {}{}{}", option->get_lnames().empty() ? "" : "--" + option->get_lnames()[0] + " ",
                                      fmt::join(option->results(), " "), "");
    return flags->files.empty() ? compare_lab(*flags) : compare_files(*flags);
  };
}

}  // namespace carat::cli
