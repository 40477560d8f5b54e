// Labels in file names, llama.cpp's file types, published shapes.
#include "audit/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "gguf/layout.h"
#include "model/architecture.h"
#include "model/config.h"

namespace carat {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return result;
}

bool is_word_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// The type at the beginning of an upper-case text, and how long its name is there, with sizes such as _XL
// behind it.
struct Match {
  TensorType type;
  size_t length;
};
std::optional<Match> type_at(std::string_view text) {
  std::optional<Match> best;
  for (const TypeInfo& info : all_types()) {
    const std::string name = upper(info.name);
    const bool longer = !best || name.size() > best->length;
    if (longer && text.starts_with(name)) best = Match{info.type, name.size()};
  }
  if (!best) {  // sizes of a family that has no type of its own name: IQ2_M, IQ3_XS
    constexpr std::pair<std::string_view, TensorType> kFamilies[] = {{"IQ1_", TensorType::IQ1_S},
                                                                     {"IQ2_", TensorType::IQ2_S},
                                                                     {"IQ3_", TensorType::IQ3_S},
                                                                     {"IQ4_", TensorType::IQ4_XS}};
    for (const auto& [name, type] : kFamilies)
      if (text.starts_with(name)) best = Match{type, name.size() - 1};
  }
  if (!best) return std::nullopt;
  // No weights are stored in Q8_K, ggml's type of activations: UD-Q8_K_XL is a mixture around Q8_0.
  if (best->type == TensorType::Q8_K) best->type = TensorType::Q8_0;
  for (const std::string_view size : {"_XXS", "_XXL", "_MOE", "_XS", "_XL", "_S", "_M", "_L"})
    if (text.substr(best->length).starts_with(size)) {
      best->length += size.size();
      break;
    }
  return best;
}

bool is_32_bit_integer(TensorType type) {
  return type == TensorType::I8 || type == TensorType::I16 || type == TensorType::I32 ||
         type == TensorType::I64;
}

// llama_ftype numbers whose name is one type. Mixtures are named after the type they have most of.
struct FileType {
  int64_t id;
  std::string_view name;
};
constexpr FileType kFileTypes[] = {
    {0, "F32"},     {1, "F16"},     {2, "Q4_0"},       {3, "Q4_1"},    {7, "Q8_0"},     {8, "Q5_0"},
    {9, "Q5_1"},    {10, "Q2_K"},   {11, "Q3_K_S"},    {12, "Q3_K_M"}, {13, "Q3_K_L"},  {14, "Q4_K_S"},
    {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"},    {18, "Q6_K"},   {19, "IQ2_XXS"}, {20, "IQ2_XS"},
    {21, "Q2_K_S"}, {22, "IQ3_XS"}, {23, "IQ3_XXS"},   {24, "IQ1_S"},  {25, "IQ4_NL"},  {26, "IQ3_S"},
    {27, "IQ3_M"},  {28, "IQ2_S"},  {29, "IQ2_M"},     {30, "IQ4_XS"}, {31, "IQ1_M"},   {32, "BF16"},
    {36, "TQ1_0"},  {37, "TQ2_0"},  {38, "MXFP4_MOE"}, {39, "NVFP4"},  {40, "Q1_0"},    {41, "Q2_0"}};

// Types between which mixtures mix: a Q4_K_M file may well have more bytes in Q6_K, an IQ2_M one in IQ3_S.
bool is_same_family(TensorType a, TensorType b) {
  const auto is_iq = [](TensorType t) { return type_name(t).starts_with("IQ"); };
  const auto is_mixed = [&](TensorType t) { return type_name(t).ends_with("_K") || is_iq(t); };
  return a == b || (is_mixed(a) && is_mixed(b));
}

bool holds_type(std::span<const PartFacts> parts, TensorType type) {
  return std::any_of(parts.begin(), parts.end(), [&](const PartFacts& facts) {
    return std::any_of(facts.types.begin(), facts.types.end(),
                       [&](const auto& t) { return is_same_family(t.type, type); });
  });
}

}  // namespace

std::string quantization_label(std::string_view file_name) {
  const std::string text = upper(file_name);
  std::string label;
  for (size_t at = 0; at < text.size(); ++at) {
    if (at > 0 && is_word_char(text[at - 1])) continue;
    const auto match = type_at(std::string_view(text).substr(at));
    if (!match || is_32_bit_integer(match->type)) continue;
    const size_t end = at + match->length;
    if (end < text.size() && (is_word_char(text[end]) || text[end] == '_')) continue;
    const size_t begin = at >= 3 && text.compare(at - 3, 3, "UD-") == 0 ? at - 3 : at;
    label = std::string(file_name.substr(begin, end - begin));
  }
  return label;
}

std::optional<TensorType> type_of_label(std::string_view label) {
  std::string text = upper(label);
  if (text.starts_with("UD-")) text.erase(0, 3);
  const auto match = type_at(text);
  return match ? std::optional(match->type) : std::nullopt;
}

std::string published_size_of(const gguf::File& file) {
  const auto config = read_config(file);
  if (!config) return {};
  for (const std::string_view size : published_sizes()) {
    const auto published = published_config(size);
    if (published && published->dim == config->dim && published->n_layers() == config->n_layers() &&
        published->per_layer_dim == config->per_layer_dim && published->n_experts == config->n_experts &&
        published->n_vocab == config->n_vocab)
      return std::string(size);
  }
  return {};
}

void check_names(const gguf::File& file, std::string_view label, std::span<const PartFacts> parts,
                 Findings& findings) {
  if (parts.empty()) return;
  const TensorType main = main_matrix_type(parts);
  if (const auto promised = type_of_label(label); promised && !is_same_family(*promised, main)) {
    const bool inside = holds_type(parts, *promised);
    add_note(
        findings, "name",
        fmt::format("the name says {}, but the matrices are {}{}", gguf::printable(label), type_name(main),
                    inside ? "" : fmt::format(", and there is no {} inside", type_name(*promised))),
        fmt::format("Judge it as a {} file: speed and memory are those of {}.", type_name(main),
                    type_name(main)));
  }
  if (!file.metadata.contains("general.file_type")) return;
  const auto id = file.metadata.integer("general.file_type", 0, 1 << 20);
  if (!id) return;
  for (const FileType& type : kFileTypes) {
    if (type.id != (*id & 1023)) continue;
    const auto promised = type_of_label(type.name);
    if (promised && !is_same_family(*promised, main))
      add_note(findings, "file-type",
               fmt::format("general.file_type says {}, but the matrices are {}", type.name, type_name(main)),
               "Programs that show the key show the wrong type.");
  }
}

}  // namespace carat
