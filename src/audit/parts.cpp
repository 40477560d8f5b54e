// Sorting tensors by their names, and putting their types into words.
#include "audit/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace carat {
namespace {

struct Rule {
  std::string_view name;  // of a tensor, without "blk.N."
  Part part;
};

constexpr Rule kRules[] = {
    {"token_embd.weight", Part::embedding},
    {"output.weight", Part::head},
    {"per_layer_token_embd.weight", Part::per_layer_embedding},
    {"per_layer_model_proj.weight", Part::per_layer_projection},
    {"inp_gate.weight", Part::per_layer_projection},
    {"proj.weight", Part::per_layer_projection},
    {"attn_q.weight", Part::attention},
    {"attn_k.weight", Part::attention},
    {"attn_v.weight", Part::attention},
    {"attn_output.weight", Part::attention},
    {"ffn_gate.weight", Part::ffn},
    {"ffn_up.weight", Part::ffn},
    {"ffn_down.weight", Part::ffn},
    {"ffn_gate_up_exps.weight", Part::experts},
    {"ffn_gate_exps.weight", Part::experts},
    {"ffn_up_exps.weight", Part::experts},
    {"ffn_down_exps.weight", Part::experts},
};

constexpr Part kAllParts[] = {Part::embedding,
                              Part::head,
                              Part::per_layer_embedding,
                              Part::per_layer_projection,
                              Part::attention,
                              Part::ffn,
                              Part::experts,
                              Part::norms,
                              Part::other};

std::string_view without_layer(std::string_view name) {
  if (!name.starts_with("blk.")) return name;
  const size_t dot = name.find('.', 4);
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

void count_type(PartFacts& facts, const Tensor& tensor) {
  auto found = std::find_if(facts.types.begin(), facts.types.end(),
                            [&](const auto& t) { return t.type == tensor.type; });
  if (found == facts.types.end()) found = facts.types.insert(found, {tensor.type, 0, 0});
  ++found->n_tensors;
  found->n_bytes += tensor.n_bytes();
}

void sort_by_bytes(std::vector<PartFacts::Type>& types) {
  std::stable_sort(types.begin(), types.end(),
                   [](const auto& a, const auto& b) { return a.n_bytes > b.n_bytes; });
}

std::vector<PartFacts::Type> types_of(std::span<const PartFacts> parts, bool matrices_only) {
  std::vector<PartFacts::Type> sum;
  for (const PartFacts& facts : parts) {
    if (matrices_only && !is_matrix_part(facts.part)) continue;
    for (const auto& type : facts.types) {
      auto found = std::find_if(sum.begin(), sum.end(), [&](const auto& t) { return t.type == type.type; });
      if (found == sum.end())
        sum.push_back(type);
      else
        found->n_tensors += type.n_tensors, found->n_bytes += type.n_bytes;
    }
  }
  sort_by_bytes(sum);
  return sum;
}

std::string phrase(const std::vector<PartFacts::Type>& types, std::string_view what) {
  if (types.size() == 1) return fmt::format("{} in all {}", type_name(types.front().type), what);
  uint64_t total = 0;
  for (const auto& type : types) total += type.n_bytes;
  std::string text;
  for (const auto& type : types) {
    const double percent = 100 * static_cast<double>(type.n_bytes) / static_cast<double>(total);
    text += fmt::format("{}{} {}", text.empty() ? "" : " + ", type_name(type.type),
                        percent < 1 ? "<1 %" : fmt::format("{:.0f} %", percent));
  }
  return fmt::format("{} of the {}", text, what);
}

}  // namespace

std::string_view name_of(Part part) {
  switch (part) {
    case Part::embedding:
      return "embedding";
    case Part::head:
      return "head";
    case Part::per_layer_embedding:
      return "per-layer embedding";
    case Part::per_layer_projection:
      return "per-layer projections";
    case Part::attention:
      return "attention";
    case Part::ffn:
      return "FFN";
    case Part::experts:
      return "experts";
    case Part::norms:
      return "norms";
    case Part::other:
      return "other";
  }
  CHECK(false);
}

Part part_of(std::string_view tensor_name) {
  const std::string_view name = without_layer(tensor_name);
  for (const Rule& rule : kRules)
    if (name == rule.name) return rule.part;
  return name.find("norm") != std::string_view::npos ? Part::norms : Part::other;
}

bool is_matrix_part(Part part) {
  return part == Part::attention || part == Part::ffn || part == Part::experts ||
         part == Part::per_layer_projection;
}

std::vector<PartFacts> parts_of(std::span<const Tensor> tensors) {
  std::vector<PartFacts> parts;
  for (const Part part : kAllParts) parts.push_back({part, 0, 0, 0, {}});
  for (const Tensor& tensor : tensors) {
    PartFacts& facts = parts[static_cast<size_t>(part_of(tensor.name))];
    ++facts.n_tensors;
    facts.n_elements += tensor.n_elements();
    facts.n_bytes += tensor.n_bytes();
    count_type(facts, tensor);
  }
  std::erase_if(parts, [](const PartFacts& facts) { return facts.n_tensors == 0; });
  for (PartFacts& facts : parts) sort_by_bytes(facts.types);
  return parts;
}

TensorType main_matrix_type(std::span<const PartFacts> parts) {
  auto types = types_of(parts, true);
  if (types.empty()) types = types_of(parts, false);
  CHECK(!types.empty());
  return types.front().type;
}

std::string describe_types(std::span<const PartFacts> parts) {
  if (parts.empty()) return "no tensors";
  const auto matrices = types_of(parts, true);
  if (matrices.empty()) return phrase(types_of(parts, false), "tensors");
  std::string text = phrase(matrices, "matrices");
  for (const PartFacts& facts : parts) {
    if (facts.part != Part::embedding && facts.part != Part::head && facts.part != Part::per_layer_embedding)
      continue;
    text += fmt::format(", {} {}", name_of(facts.part), type_name(facts.types.front().type));
  }
  return text;
}

}  // namespace carat
