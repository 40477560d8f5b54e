// Reading, writing and judging by the files of divergence_file.h.
#include "eval/divergence_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/bytes.h"

namespace carat {
namespace {

constexpr std::string_view kMagic = "_logits_";
constexpr int64_t kLargestCount = 1 << 24;  // of a vocabulary or a context
constexpr float kDepth = 16;                // nats below the likeliest token that can be told
constexpr float kCodes = 65535;

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

Result<int64_t> read_count(ByteCursor& cursor, std::string_view what, int64_t least, int64_t most) {
  const int64_t n = TRY(cursor.read<int32_t>(what));
  if (n < least || n > most) return fail("{}: {} of {}, expected {}..{}", cursor.name(), what, n, least, most);
  return n;
}

Result<void> read_tokens(ByteCursor& cursor, DivergenceBase& base) {
  const auto n = static_cast<uint64_t>(base.n_chunks) * static_cast<uint64_t>(base.n_ctx);
  const auto bytes = TRY(cursor.take(n * sizeof(Token), "the tokens"));
  base.tokens.resize(n);
  std::memcpy(base.tokens.data(), bytes.data(), bytes.size());
  for (size_t i = 0; i < base.tokens.size(); ++i)
    if (base.tokens[i] < 0 || base.tokens[i] >= base.n_vocab)
      return fail("{}: token {} is {}, expected one of a vocabulary of {}", cursor.name(), i, base.tokens[i],
                  base.n_vocab);
  return {};
}

// Not above a probability of 1, but for the rounding of its 16 bits.
bool is_plausible(const DivergenceRecord& record) {
  constexpr float kRounding = 0.01f;
  const float scale = record.scale(), floor = record.floor();
  return std::isfinite(scale) && std::isfinite(floor) && scale >= 0 && floor <= 0 &&
         kCodes * scale + floor <= kRounding;
}

}  // namespace

float DivergenceRecord::scale() const { return load<float>(data_); }
float DivergenceRecord::floor() const { return load<float>(data_ + 4); }
float DivergenceRecord::code(int64_t token) const { return load<uint16_t>(data_ + 8 + 2 * token); }

Result<DivergenceBase> parse_divergence_base(std::span<const std::byte> bytes, std::string_view name) {
  ByteCursor cursor(bytes, name);
  if (bytes.size() < kMagic.size() || TRY(cursor.take_text(kMagic.size(), "the name of the format")) != kMagic)
    return fail("{}: no divergence base, expected a file that begins with {}", name, kMagic);
  DivergenceBase base;
  base.n_ctx = TRY(read_count(cursor, "context", 4, kLargestCount));
  base.n_vocab = TRY(read_count(cursor, "vocabulary", 1, kLargestCount));
  base.n_chunks = TRY(read_count(cursor, "number of chunks", 1, std::numeric_limits<int32_t>::max()));
  TRY(read_tokens(cursor, base));
  // Counts of 24 and 31 bits: the product needs 80.
  uint64_t n_bytes = 0;
  if (multiply_overflows(static_cast<uint64_t>(base.n_records()), base.record_bytes(), &n_bytes) ||
      n_bytes != cursor.remaining())
    return fail("{}: {} bytes of distributions, expected {} of {} each: was it written to its end?", name,
                cursor.remaining(), base.n_records(), base.record_bytes());
  base.records = TRY(cursor.take(n_bytes, "the distributions"));
  for (int64_t i = 0; i < base.n_records(); ++i)
    if (!is_plausible(base.record(i)))
      return fail("{}: distribution {} begins at a log-probability of {} in steps of {}, which is none", name, i,
                  base.record(i).floor(), base.record(i).scale());
  return base;
}

Result<DivergenceBase> open_divergence_base(const std::string& path) {
  auto file = TRY(MappedFile::open(path));
  DivergenceBase base = TRY(parse_divergence_base(file->bytes(), path));
  base.file = std::move(file);
  return base;
}

// In the arithmetic of llama.cpp's tool, so that its files and ours are the same from the same logits.
void encode_record(std::span<const float> logits, std::vector<std::byte>& record) {
  const auto [lowest, highest] = std::minmax_element(logits.begin(), logits.end());
  const float top = *highest, bottom = std::max(*lowest, top - kDepth);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  const float log_sum = static_cast<float>(std::log(sum));
  const float floor = bottom - top - log_sum, scale = (top - bottom) / kCodes;
  const float inverse = scale > 0 ? 1 / scale : 0;
  record.assign(2 * (2 * ((logits.size() + 1) / 2) + 4), std::byte{0});
  std::memcpy(record.data(), &scale, sizeof scale);
  std::memcpy(record.data() + 4, &floor, sizeof floor);
  for (size_t v = 0; v < logits.size(); ++v) {
    if (!(logits[v] > bottom)) continue;  // code 0
    const auto code = static_cast<uint16_t>(std::min(kCodes, std::nearbyint(inverse * (logits[v] - bottom))));
    std::memcpy(record.data() + 8 + 2 * v, &code, sizeof code);
  }
}

namespace {

Result<void> write_header(OutputFile& file, const Suite& chunks, std::span<const Token> tokens, const Config& config,
                          int64_t n_ctx) {
  const auto n_chunks = static_cast<int32_t>(chunks.items.size());
  const int32_t counts[] = {static_cast<int32_t>(n_ctx), static_cast<int32_t>(config.n_vocab), n_chunks};
  TRY(file.write(kMagic));
  TRY(file.write(std::as_bytes(std::span(counts))));
  return file.write(std::as_bytes(tokens.first(static_cast<size_t>(n_chunks) * static_cast<size_t>(n_ctx))));
}

LockstepRequest one_model(const std::shared_ptr<const Model>& model, const Suite& suite,
                          const PerplexityOptions& options) {
  LockstepRequest request;
  request.suite = &suite;
  request.models.push_back({model, options.kv, options.precision});
  request.n_threads = options.n_threads;
  request.progress = options.progress;
  request.memory_bytes = options.memory_bytes;
  request.on_plan = options.on_plan;
  return request;
}

// What one scored position says about a model and its base.
struct Divergence {
  double kld, base_log_probability;
  Token base_top;
};

Divergence diverge(const DivergenceRecord& record, std::span<const float> logits, const RowSummary& summary,
                   Token expected) {
  Divergence d{0, record.log_probability(expected), 0};
  const float scale = record.scale(), floor = record.floor();
  float best = -1;
  for (size_t v = 0; v < logits.size(); ++v) {
    const float code = record.code(static_cast<int64_t>(v));
    if (code > best) best = code, d.base_top = static_cast<Token>(v);
    const float base = scale * code + floor;
    if (!(base > -kDepth)) continue;
    const double log_p = static_cast<double>(logits[v]) - summary.log_sum;
    d.kld += std::exp(static_cast<double>(base)) * (static_cast<double>(base) - log_p);
  }
  return d;
}

}  // namespace

Result<PerplexityReport> write_divergence_base(std::shared_ptr<const Model> model, std::span<const Token> tokens,
                                               const PerplexityOptions& options, const std::string& path) {
  const Suite suite = TRY(chunk_suite(tokens, options.n_ctx, options.max_chunks, model->tokenizer.bos()));
  OutputFile file = TRY(OutputFile::create(path));
  TRY(write_header(file, suite, tokens, model->config, options.n_ctx));
  LockstepRequest request = one_model(model, suite, options);
  std::vector<std::vector<std::byte>> records;
  request.observe = [&](const LogitTile& tile) -> Result<void> {
    records.resize(std::max(records.size(), tile.rows.size()));
    tile.pool->parallel_for(static_cast<int64_t>(tile.rows.size()), 1, [&](int64_t begin, int64_t end, int) {
      for (auto r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r)
        encode_record(tile.logits(0, r), records[r]);
    });
    for (size_t r = 0; r < tile.rows.size(); ++r) TRY(file.write(records[r]));
    return {};
  };
  const LockstepScores scores = TRY(run_lockstep(request));
  TRY(file.commit());
  return summarize_perplexity(scores, std::nullopt);
}

Result<PerplexityReport> diverge_from_base(std::shared_ptr<const Model> model, const DivergenceBase& base,
                                           const PerplexityOptions& options) {
  if (base.n_vocab != model->config.n_vocab)
    return fail("the base has {} tokens and {} has {}: their divergence is not defined", base.n_vocab, model->file.path,
                model->config.n_vocab);
  const Suite suite = chunks_of(base.tokens, base.n_ctx, options.max_chunks, model->tokenizer.bos());
  LockstepRequest request = one_model(model, suite, options);
  // The base plays a second model that has been run already.
  LockstepScores of_base = empty_scores(suite, 1, 1);
  std::vector<Divergence> divergences;
  request.observe = [&](const LogitTile& tile) -> Result<void> {
    divergences.resize(std::max(divergences.size(), tile.rows.size()));
    const auto expected = [&](const ScoredPosition& at) {
      return suite.items[static_cast<size_t>(at.item)].tokens[static_cast<size_t>(at.position + 1)];
    };
    const auto record_of = [&](const ScoredPosition& at) {
      const int64_t first_scored = suite.items[static_cast<size_t>(at.item)].first_scored;
      return at.item * base.records_per_chunk() + at.position + 1 - first_scored;
    };
    tile.pool->parallel_for(static_cast<int64_t>(tile.rows.size()), 1, [&](int64_t begin, int64_t end, int) {
      for (auto r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r)
        divergences[r] = diverge(base.record(record_of(tile.rows[r])), tile.logits(0, r), tile.summary(0, r),
                                 expected(tile.rows[r]));
    });
    for (size_t r = 0; r < tile.rows.size(); ++r) {
      const ScoredPosition& at = tile.rows[r];
      const Divergence& d = divergences[r];
      const size_t item = static_cast<size_t>(at.item), token = static_cast<size_t>(record_of(at));
      const double log_p = log_probability(tile.logits(0, r), tile.summary(0, r), expected(at));
      const double delta = std::exp(log_p) - std::exp(d.base_log_probability);
      of_base.models[0].nll[item] -= d.base_log_probability;
      of_base.models[0].token_nll[token] = static_cast<float>(-d.base_log_probability);
      PairScores& pair = of_base.pairs[0];
      pair.kld[item] += d.kld;
      pair.squared_delta_p[item] += delta * delta;
      pair.same_top[item] += d.base_top == tile.summary(0, r).top;
      pair.token_kld[token] = static_cast<float>(d.kld);
    }
    return {};
  };
  LockstepScores scores = TRY(run_lockstep(request));
  scores.models.push_back(std::move(of_base.models[0]));
  scores.pairs.push_back(std::move(of_base.pairs[0]));
  return summarize_perplexity(scores, ReferencePair{0, 1});
}

}  // namespace carat
