// Divergence base files: the next-token distributions of a reference over a text, as llama.cpp's perplexity tool writes
// them (--kl-divergence-base). Read, so that a file can be judged against a reference that ran elsewhere; written, so that
// llama.cpp can judge against ours. Half a megabyte per scored token at Gemma's vocabulary, and the distributions are
// rounded to 16 bits over 16 nats: where both models are at hand, lockstep needs neither.
//
// Layout, little-endian: "_logits_"; i32 n_ctx, n_vocab, n_chunks; i32 tokens[n_chunks * n_ctx], without BOS put in their
// place; then n_ctx - 1 - n_ctx / 2 records for each chunk, which predict its tokens from n_ctx / 2 + 1 on. A record is f32
// scale, f32 floor, u16 code[n_vocab] and, if n_vocab is odd, two bytes more: log p(v) = scale * code[v] + floor.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "eval/perplexity.h"

namespace carat {

// One record. Codes are read byte by byte: they need not be aligned.
class DivergenceRecord {
 public:
  explicit DivergenceRecord(const std::byte* data) : data_(data) {}
  float scale() const;
  float floor() const;
  double log_probability(int64_t token) const { return static_cast<double>(scale() * code(token) + floor()); }
  float code(int64_t token) const;

 private:
  const std::byte* data_;
};

struct DivergenceBase {
  int64_t n_ctx = 0, n_vocab = 0, n_chunks = 0;
  std::vector<Token> tokens;               // [n_chunks * n_ctx], all in [0, n_vocab)
  std::span<const std::byte> records;      // [n_records]
  std::shared_ptr<const MappedFile> file;  // that holds them; nullptr: the caller does

  int64_t records_per_chunk() const { return n_ctx - 1 - n_ctx / 2; }
  int64_t n_records() const { return n_chunks * records_per_chunk(); }
  uint64_t record_bytes() const { return 2 * (2 * ((static_cast<uint64_t>(n_vocab) + 1) / 2) + 4); }
  DivergenceRecord record(int64_t index) const {
    return DivergenceRecord(records.data() + static_cast<uint64_t>(index) * record_bytes());
  }
};

// Safe on untrusted bytes. Errors: another format, counts or tokens out of range, a file that is too short (its writer was
// interrupted) or too long, records that are no distributions.
Result<DivergenceBase> parse_divergence_base(std::span<const std::byte> bytes, std::string_view name);
Result<DivergenceBase> open_divergence_base(const std::string& path);

// The record of one row of logits, ready to be written. -infinity is allowed.
void encode_record(std::span<const float> logits, std::vector<std::byte>& record);

// The perplexity of a text, whose distributions are written to `path` on the way. The text as for perplexity().
Result<PerplexityReport> write_divergence_base(std::shared_ptr<const Model> model, std::span<const Token> tokens,
                                               const PerplexityOptions& options, const std::string& path);

// Perplexity and divergence from the base, over the base's own tokens; options.n_ctx is the base's. As in llama.cpp's tool,
// tokens to which the base gives less than exp(-16) do not count in the divergence. Errors: also another vocabulary.
Result<PerplexityReport> diverge_from_base(std::shared_ptr<const Model> model, const DivergenceBase& base,
                                           const PerplexityOptions& options);

}  // namespace carat
