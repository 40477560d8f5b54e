// The lab family's files for a judgement: what is shipped, and quantizations of it made on the spot.
#include <algorithm>
#include <filesystem>

#include "cli/common.h"
#include "cli/compare_files.h"
#include "quant/quantize.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

constexpr TensorType kLabTypes[] = {TensorType::Q8_0, TensorType::Q6_K,  TensorType::Q5_0, TensorType::Q4_K,
                                    TensorType::Q4_0, TensorType::NVFP4, TensorType::Q3_K, TensorType::Q2_K};

// Whether every row of the model's matrices fits the type's blocks; otherwise most tensors would fall back and the
// file's name would lie.
bool fits(const Model& model, TensorType type) {
  for (const Tensor& tensor : model.file.tensors)
    if (is_quantizable(tensor) && tensor.n_columns() % type_info(type).block_length != 0) return false;
  return true;
}

// The file in another type, as a model in a file without a name: whatever ends this process, nothing is left.
Result<std::shared_ptr<const Model>> quantized(const gguf::File& file, TensorType type, const std::string& name,
                                               int n_threads) {
  OutputFile out = TRY(OutputFile::create_temporary(name));
  TRY(quantize(file, out, {.type = type, .n_threads = n_threads}));
  return make_model(TRY(gguf::open(TRY(out.map()))));
}

// Builds one family's request, quantizing as it goes.
class LabFiles {
 public:
  LabFiles(const lab::FamilyModel& family, std::string folder, int n_threads)
      : family_(family), folder_(std::move(folder)), n_threads_(n_threads) {}

  Result<std::vector<CompareFile>> build() {
    const int parent = add(TRY(open_model(path_of(family_.runs.front()))), family_.name + " BF16", Family::original, -1, 0);
    for (const TensorType type : kLabTypes)
      if (fits(*files_[index(parent)].model, type)) TRY(add_quantized(parent, type, family_.name));
    for (size_t i = 1; i < family_.runs.size(); ++i)
      if (fs::exists(path_of(family_.runs[i]))) TRY(add_run(family_.runs[i]));  // not all are shipped
    return std::move(files_);
  }

 private:
  static size_t index(int i) { return static_cast<size_t>(i); }
  std::string path_of(const lab::TrainingRun& run) const { return (fs::path(folder_) / run.file).string(); }

  int add(std::shared_ptr<const Model> model, std::string name, Family family, int parent, int seed) {
    files_.push_back({std::move(model), std::move(name), family, parent, seed});
    return static_cast<int>(files_.size()) - 1;
  }

  // The parent's weights in another type.
  Result<void> add_quantized(int parent, TensorType type, const std::string& label) {
    const CompareFile source = files_[index(parent)];
    const std::string name = fmt::format("{} {}", label, type_name(type));
    add(TRY(quantized(source.model->file, type, name, n_threads_)), name, source.family, parent, source.seed);
    return {};
  }

  // A retrained file: its 16-bit form, which is its parent, and what it was trained for. A twin that is shipped in
  // its own lattice's blocks is decoded to 16 bit first.
  Result<void> add_run(const lab::TrainingRun& run) {
    const Family family = run.fake_quant ? Family::qat : Family::control;
    const int seed = static_cast<int>(run.seed);
    const std::string label = fs::path(run.file).stem().string(), name = label + " BF16";
    const auto shipped = TRY(open_model(path_of(run)));
    const bool packed = run.stored_as != TensorType::BF16;
    const auto master = packed ? TRY(quantized(shipped->file, TensorType::BF16, name, n_threads_)) : shipped;
    const int parent = add(master, name, family, -1, seed);
    if (packed)
      add(shipped, fmt::format("{} {}", label, type_name(*run.fake_quant)), family, parent, seed);
    else if (run.fake_quant)
      TRY(add_quantized(parent, *run.fake_quant, label));
    if (family == Family::control)
      for (const TensorType type : {TensorType::Q4_0, TensorType::Q2_K})
        if (fits(*master, type)) TRY(add_quantized(parent, type, label));
    return {};
  }

  const lab::FamilyModel& family_;
  std::string folder_;
  int n_threads_;
  std::vector<CompareFile> files_;
};

}  // namespace

Result<std::vector<lab::FamilyModel>> choose_lab_models(std::string_view list, const std::string& folder) {
  const auto family = lab::family();
  const auto parent_path = [&](const lab::FamilyModel& model) { return fs::path(folder) / model.runs.front().file; };
  std::vector<lab::FamilyModel> chosen;
  std::string known;
  for (const auto& model : family) {
    known += (known.empty() ? "" : ", ") + model.name;
    std::error_code error;
    if (list.empty() && fs::exists(parent_path(model), error)) chosen.push_back(model);
  }
  if (list.empty()) {
    if (chosen.empty()) return fail("{}: no lab model is there; expected the files of {}", folder, known);
    return chosen;
  }
  for (const std::string_view name : split(list, ',')) {
    const auto model = std::find_if(family.begin(), family.end(), [&](const auto& m) { return m.name == name; });
    if (model == family.end()) return fail("--lab: '{}' is no lab model; expected one or more of {}", name, known);
    std::error_code error;
    if (!fs::exists(parent_path(*model), error))
      return fail("--lab: {}: not found, and with it the model {}", parent_path(*model).string(), name);
    const auto is_chosen = [&](const auto& m) { return m.name == name; };
    if (std::none_of(chosen.begin(), chosen.end(), is_chosen)) chosen.push_back(*model);
  }
  return chosen;
}

Result<std::vector<CompareFile>> open_lab_files(const lab::FamilyModel& family, const std::string& folder,
                                                int n_threads) {
  return LabFiles(family, folder, n_threads).build();
}

}  // namespace carat::cli
