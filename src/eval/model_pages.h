// Which bytes of a model's file each layer, the head and the tables need, so that a model larger than memory can be
// read a layer ahead and let go a layer behind.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace carat {

// Pieces of mapped files that are needed together, in order; neighbours are one piece.
struct PageGroup {
  struct Piece {
    const MappedFile* file;
    std::span<const std::byte> bytes;
  };
  std::vector<Piece> pieces;
  uint64_t n_bytes = 0;

  void drop() const;  // MappedFile::drop() of every piece
};

// Bytes that are in no mapping (a model parsed in memory) are in no group.
struct ModelPages {
  std::vector<PageGroup> layers;  // [n_layers] what the network reads of each, no tensor that nobody reads
  PageGroup head;                 // the output matrix, which may be the token embedding, too
  PageGroup tables;               // embeddings that are not the head: read by rows
  uint64_t other_bytes = 0;       // read again and again: never let go
};

ModelPages pages_of(const Model& model);

// Bytes that n rows of the tables take, in whole pages: at most those of all of them.
uint64_t table_row_bytes(const Model& model, uint64_t n_rows);

// Asks the system for the rows of `tokens` in the tables, without waiting for them: otherwise each would be waited for
// by itself.
void ask_for_rows(const Model& model, std::span<const Token> tokens);

}  // namespace carat
