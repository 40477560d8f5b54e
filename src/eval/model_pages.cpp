// Sorting a model's tensors by who reads them.
#include "eval/model_pages.h"

#include <algorithm>
#include <functional>

namespace carat {
namespace {

constexpr uint64_t kPage = 4096;

// Tensors of a file are apart by less than this where nothing stands between them.
constexpr ptrdiff_t kGap = 4096;

PageGroup group_of(const gguf::File& file, std::vector<const Tensor*> tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const Tensor* a, const Tensor* b) { return std::less<>()(a->data, b->data); });
  PageGroup group;
  for (const Tensor* tensor : tensors) {
    const MappedFile* mapping = file.mapping_of(tensor->data);
    if (mapping == nullptr) continue;  // converted, or parsed in memory
    const std::span<const std::byte> bytes = tensor->bytes();
    group.n_bytes += bytes.size();
    if (!group.pieces.empty() && group.pieces.back().file == mapping) {
      auto& last = group.pieces.back().bytes;
      const std::byte* end = last.data() + last.size();
      if (bytes.data() - end < kGap) {
        last = {last.data(), static_cast<size_t>(bytes.data() + bytes.size() - last.data())};
        continue;
      }
    }
    group.pieces.push_back({mapping, bytes});
  }
  return group;
}

bool has_own_head(const Weights& weights) { return weights.output.data != weights.token_embedding.data; }

// The tables that are read by rows alone.
std::vector<const Tensor*> tables_of(const Weights& weights) {
  std::vector<const Tensor*> tables;
  if (has_own_head(weights)) tables.push_back(&weights.token_embedding);
  if (weights.per_layer_embedding) tables.push_back(&weights.per_layer_embedding);
  return tables;
}

}  // namespace

void PageGroup::drop() const {
  for (const Piece& piece : pieces) piece.file->drop(piece.bytes);
}

ModelPages pages_of(const Model& model) {
  ModelPages pages;
  for (const LayerWeights& layer : model.weights.layers)
    pages.layers.push_back(group_of(model.file, tensors_of(layer)));
  pages.head = group_of(model.file, {&model.weights.output});
  pages.tables = group_of(model.file, tables_of(model.weights));
  std::vector<const Tensor*> others;
  for (const Tensor* tensor : {&model.weights.output_norm, &model.weights.rope_divisors,
                               &model.weights.per_layer_model_proj, &model.weights.per_layer_proj_norm})
    if (*tensor) others.push_back(tensor);
  pages.other_bytes = group_of(model.file, others).n_bytes;
  return pages;
}

uint64_t table_row_bytes(const Model& model, uint64_t n_rows) {
  uint64_t n_bytes = 0;
  for (const Tensor* table : tables_of(model.weights))
    n_bytes += std::min(table->n_bytes(), n_rows * (table->row_bytes() + 2 * kPage));
  return n_bytes;
}

void ask_for_rows(const Model& model, std::span<const Token> tokens) {
  std::vector<Token> sorted(tokens.begin(), tokens.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  for (const Tensor* table : tables_of(model.weights)) {
    const MappedFile* file = model.file.mapping_of(table->data);
    if (file == nullptr) continue;
    file->expect_scattered_reads(table->bytes());
    for (const Token token : sorted) file->ask_for({table->row(token), table->row_bytes()});
  }
}

}  // namespace carat
