// Mistakes that files and suite show: one function each.
#include "eval/guards.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "eval/file_facts.h"
#include "eval/question.h"
#include "quant/codec.h"

namespace carat {
namespace {

using Warnings = std::vector<Warning>;

// What rounding to the lattice may cost a matrix that lies on it (BF16 storage: 0.0014); fresh 4-bit rounding
// costs 0.08 and more.
constexpr double kOnLattice = 0.02;

const ReportRow& row_of(const std::vector<ReportRow>& rows, int i) { return rows[static_cast<size_t>(i)]; }

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void wrong_reference(const std::vector<ReportRow>& rows, Warnings& warnings) {
  for (const ReportRow& row : rows) {
    if (row.parent < 0 || row.precision != rows.front().precision || row.kv != rows.front().kv) continue;
    const ReportRow& parent = row_of(rows, row.parent);
    if (row.family != parent.family)
      warnings.push_back(
          {"wrong-reference",
           fmt::format("{} ({}) is measured against {} ({}), which is not its parent: QAT retrains the "
                       "weights, so this divergence says nothing about the quantization",
                       row.name, to_string(row.family), parent.name, to_string(parent.family))});
    else if (is_block_type(parent.main_type))
      warnings.push_back(
          {"quantized-parent",
           fmt::format("the parent {} is itself {}: divergences from it are a stand-in for those from "
                       "unquantized weights",
                       parent.name, type_name(parent.main_type))});
  }
}

void family_by_name(const std::vector<ReportRow>& rows, Warnings& warnings) {
  for (const ReportRow& row : rows)
    if (row.family == Family::original && row.kv == rows.front().kv &&
        row.precision == rows.front().precision && lower(row.name).find("qat") != std::string::npos)
      warnings.push_back(
          {"family", fmt::format("{} is judged as an original file, but its name says QAT", row.name)});
}

void missing_parent(const std::vector<ReportRow>& rows, Warnings& warnings) {
  std::string names;
  for (const ReportRow& row : rows)
    if (row.parent < 0 && !row.is_parent && row.kv == rows.front().kv &&
        row.precision == rows.front().precision)
      names += (names.empty() ? "" : ", ") + row.name;
  if (!names.empty())
    warnings.push_back(
        {"no-parent", fmt::format("no parent is given for {}: what quantization cost there is not "
                                  "measured (yardstick B), only how well the answers are (C)",
                                  names)});
}

void kv_types(const CompareRequest& request, Warnings& warnings) {
  const bool any_quantized = std::ranges::any_of(request.kv_types, &KvType::is_quantized);
  const bool any_qat = std::any_of(request.files.begin(), request.files.end(),
                                   [](const CompareFile& f) { return f.family == Family::qat; });
  if (request.kv_types.front().is_quantized())
    warnings.push_back(
        {"kv-type", fmt::format("parents run with a {} KV cache: the cost of the cache is hidden in the "
                                "reference, and head-to-heads lean towards QAT, which loses least by "
                                "it. Put f16 first",
                                type_name(request.kv_types.front()))});
  else if (any_qat && !any_quantized)
    warnings.push_back({"kv-one-sided",
                        "only a 16-bit KV cache was judged: whether QAT bears a quantized one better is "
                        "not seen here (--kv f16,q8_0)"});
}

void off_lattice(const CompareRequest& request, const std::vector<ReportRow>& rows, Warnings& warnings) {
  for (size_t f = 0; f < request.files.size(); ++f) {
    const ReportRow& master = rows[f];
    if (master.family != Family::qat || !master.is_parent) continue;
    std::set<TensorType> targets;
    for (size_t child = 0; child < request.files.size(); ++child)
      if (request.files[child].parent == static_cast<int>(f) && is_block_type(rows[child].main_type) &&
          can_encode(rows[child].main_type))
        targets.insert(rows[child].main_type);
    double best = 1;
    TensorType nearest = TensorType::Q4_0;
    if (targets.empty()) targets.insert(TensorType::Q4_0);
    for (const TensorType type : targets)
      if (const double error = lattice_error(*request.files[f].model, type); error < best)
        best = error, nearest = type;
    if (best > kOnLattice)
      warnings.push_back(
          {"off-lattice",
           fmt::format(
               "{} is not on the lattice of {} or any other type it is quantized to here (rounding changes "
               "it "
               "by {:.1f} %): a QAT master before projection is worse than its own {} file, and higher-bit "
               "files of it are worse too",
               master.name, type_name(nearest), 100 * best, type_name(nearest))});
  }
}

void tokenizers(const CompareRequest& request, const std::vector<ReportRow>& rows, Warnings& warnings) {
  const Tokenizer& first = request.files.front().model->tokenizer;
  for (size_t f = 1; f < request.files.size(); ++f) {
    const Tokenizer& other = request.files[f].model->tokenizer;
    const int64_t n = std::min(first.n_tokens(), other.n_tokens());
    int64_t texts = 0, kinds = 0, example = -1;
    for (int64_t i = 0; i < n; ++i) {
      const Token token = static_cast<Token>(i);
      const bool text_differs = first.token_text(token) != other.token_text(token);
      const bool kind_differs = !text_differs && first.kind(token) != other.kind(token);
      texts += text_differs;
      kinds += kind_differs;
      if ((text_differs || kind_differs) && example < 0) example = i;
    }
    if (first.n_tokens() != other.n_tokens() || texts > 0)
      warnings.push_back(
          {"tokenizer", fmt::format("{} and {} have different vocabularies ({} of {} tokens differ): the "
                                    "suite was tokenized for one of them",
                                    rows[0].name, rows[f].name, texts, n)});
    else if (kinds > 0)
      warnings.push_back(
          {"token-types",
           fmt::format("{} and {} disagree on the type of {} tokens, first '{}' ({}): a conversion "
                       "defect that breaks tool calls and stop tokens, not a matter of weights",
                       rows[0].name, rows[f].name, kinds, first.token_text(static_cast<Token>(example)),
                       example)});
  }
}

void bos(const CompareRequest& request, const Suite& suite, Warnings& warnings) {
  const Token expected = request.files.front().model->tokenizer.bos();
  const auto lacks = [&](const SuiteItem& item) {
    return item.tokens.empty() || item.tokens.front() != expected;
  };
  const auto n = std::count_if(suite.items.begin(), suite.items.end(), lacks);
  if (expected >= 0 && n > 0)
    warnings.push_back(
        {"no-bos", fmt::format("{} of {} items do not begin with <bos>: Gemma is out of its depth there", n,
                               suite.items.size())});
}

// All files are asked in the template of the first. Larger models expect another one than E2B and E4B.
void templates(const CompareRequest& request, const std::vector<ReportRow>& rows, Warnings& warnings) {
  const std::string first = template_hash(request.files.front().model->config);
  for (size_t f = 1; f < request.files.size(); ++f)
    if (template_hash(request.files[f].model->config) != first)
      warnings.push_back(
          {"template",
           fmt::format("{} and {} were trained with different chat templates (one begins an answer with an empty thought, "
                       "the other does not): all files are asked in that of {}",
                       rows[0].name, rows[f].name, rows[0].name)});
}

// The longest type name in a file's name, "model-Q4_K_M" -> Q4_K.
const TypeInfo* type_in_name(const std::string& name) {
  const std::string text = lower(name);
  const TypeInfo* found = nullptr;
  for (const TypeInfo& info : all_types()) {
    const std::string type = lower(std::string(info.name));
    const size_t at = text.rfind(type);
    if (at == std::string::npos || info.block_length == 1) continue;
    const bool starts = at == 0 || !std::isalnum(static_cast<unsigned char>(text[at - 1]));
    if (starts && (found == nullptr || info.name.size() > found->name.size())) found = &info;
  }
  return found;
}

void mislabelled(const CompareRequest& request, const std::vector<ReportRow>& rows, Warnings& warnings) {
  std::map<std::string, size_t> seen;
  for (size_t f = 0; f < request.files.size(); ++f) {
    const ReportRow& row = rows[f];
    const TypeInfo* named = type_in_name(row.name);
    if (named != nullptr && is_block_type(row.main_type) && named->type != row.main_type)
      warnings.push_back({"mislabelled", fmt::format("{}: the name says {}, most of its bytes are {}",
                                                     row.name, named->name, type_name(row.main_type))});
    if (row.fingerprint.empty()) continue;
    const auto [twin, is_new] = seen.emplace(row.fingerprint, f);
    if (!is_new)
      warnings.push_back(
          {"same-file", fmt::format("{} and {} are the same file", rows[twin->second].name, row.name)});
  }
}

void training_design(const CompareRequest& request, Warnings& warnings) {
  std::set<int> seeds;
  bool any_control = false;
  for (const CompareFile& file : request.files) {
    if (file.family == Family::qat) seeds.insert(file.seed);
    any_control = any_control || file.family == Family::control;
  }
  if (seeds.size() == 1)
    warnings.push_back({"one-seed",
                        "the QAT files come from one training run: another run of the same recipe would "
                        "differ by more than the intervals show"});
  if (!seeds.empty() && !any_control)
    warnings.push_back({"no-control",
                        "there is no control (as many steps without fake quantization): what further "
                        "training did and what QAT did cannot be told apart"});
}

}  // namespace

std::vector<Warning> guard_request(const CompareRequest& request, const Suite& suite, const Plan& plan) {
  Warnings warnings;
  wrong_reference(plan.rows, warnings);
  family_by_name(plan.rows, warnings);
  missing_parent(plan.rows, warnings);
  kv_types(request, warnings);
  off_lattice(request, plan.rows, warnings);
  tokenizers(request, plan.rows, warnings);
  bos(request, suite, warnings);
  templates(request, plan.rows, warnings);
  mislabelled(request, plan.rows, warnings);
  training_design(request, warnings);
  return warnings;
}

}  // namespace carat
