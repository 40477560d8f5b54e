// carat logits: log-probabilities of the next token, for scripts and for checking Carat against other engines.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "base/file.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/outputs.h"
#include "model/drafter.h"
#include "model/forward.h"

namespace carat::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxTop = 1 << 20;

struct Flags {
  std::string file, prompt, batch, out, draft;
  std::optional<std::string> tokens;  // given, even if empty, it is what is scored
  bool all = false, json = false, no_cut = false, special = false, ordered_head = false;
  int top = 10;
  int max_rows = 512;
  EngineFlags engine;
};

// Called with each scored row: position and logits (the callee may change them).
using RowSink = std::function<Result<void>(int64_t position, std::span<float> logits)>;

// A row that can be ranked: numbers, or -inf for a token that the model never produces, and not only those.
Result<void> check_row(std::span<const float> logits, int64_t position) {
  bool possible = false;
  for (const float value : logits) {
    if (std::isnan(value) || value == std::numeric_limits<float>::infinity())
      return fail("logits: position {}: the model's logits are not numbers", position);
    possible = possible || std::isfinite(value);
  }
  if (!possible) return fail("logits: position {}: no token is possible", position);
  return {};
}

class Scorer {
 public:
  static Result<Scorer> create(std::shared_ptr<const Model> model, Backend& backend, KvType kv,
                               const Flags& flags) {
    Forward forward =
        TRY(Forward::create(model, backend, {.max_rows = flags.max_rows, .prefill_cut = !flags.no_cut}));
    return Scorer(std::move(model), backend, kv, flags, std::move(forward));
  }

  Result<void> run(std::span<const Token> tokens, bool all, const RowSink& sink) {
    const int64_t n = static_cast<int64_t>(tokens.size());
    if (n == 0) return fail("logits: no tokens");
    if (n > model_->config.context_length)
      return fail("logits: {} tokens, but the context of {} has {}", n, model_->file.path,
                  model_->config.context_length);
    KvCache cache = TRY(KvCache::create(
        model_->config, {.n_positions = n, .max_batch = std::min<int64_t>(n, flags_.max_rows), .type = kv_},
        backend_));
    for (int64_t begin = 0; begin < n; begin += flags_.max_rows) {
      if (interrupted()) return fail("interrupted");
      const int64_t count = std::min<int64_t>(flags_.max_rows, n - begin);
      const Chunk chunk{&cache, tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(count))};
      const auto hidden = forward_.run({&chunk, 1}, all ? Rows::all : Rows::last);
      if (all || begin + count == n) TRY(score(hidden, all ? begin : n - 1, sink));
    }
    return {};
  }

 private:
  Scorer(std::shared_ptr<const Model> model, Backend& backend, KvType kv, const Flags& flags, Forward forward)
      : model_(std::move(model)), backend_(backend), kv_(kv), flags_(flags), forward_(std::move(forward)) {}

  Result<void> score(std::span<const float> hidden, int64_t position, const RowSink& sink) {
    const size_t dim = static_cast<size_t>(model_->config.dim);
    std::vector<float> logits(static_cast<size_t>(model_->config.n_vocab));
    for (size_t row = 0; row < hidden.size() / dim; ++row) {
      forward_.logits(hidden.subspan(row * dim, dim), 1, logits.data());
      TRY(check_row(logits, position + static_cast<int64_t>(row)));
      TRY(sink(position + static_cast<int64_t>(row), logits));
    }
    return {};
  }

  std::shared_ptr<const Model> model_;
  Backend& backend_;
  KvType kv_;
  const Flags& flags_;
  Forward forward_;
};

// [[id, log-probability], …], best first, ties by id.
Json top_tokens(std::span<float> logits, int n_top) {
  log_softmax(logits);
  std::vector<Token> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto n = static_cast<ptrdiff_t>(std::min<size_t>(static_cast<size_t>(n_top), ids.size()));
  std::partial_sort(ids.begin(), ids.begin() + n, ids.end(), [&](Token a, Token b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  Json top = Json::array();
  for (ptrdiff_t i = 0; i < n; ++i) {
    const float value = logits[static_cast<size_t>(ids[static_cast<size_t>(i)])];
    if (std::isfinite(value)) top.push_back({ids[static_cast<size_t>(i)], value});
  }
  return top;
}

// NumPy's format 1.0: f32, C order, [n_rows, n_vocab].
std::string npy_header(int64_t n_rows, int64_t n_vocab) {
  std::string dict = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", n_rows, n_vocab);
  dict.append(63 - (10 + dict.size()) % 64, ' ').push_back('\n');
  const uint16_t length = static_cast<uint16_t>(dict.size());
  std::string header("\x93NUMPY\x01\x00", 8);
  header.append(reinterpret_cast<const char*>(&length), 2);
  return header + dict;
}

void print_rows(const Json& rows, const Tokenizer& tokenizer) {
  for (const auto& row : rows) {
    print_line(fmt::format("position {}", row["pos"].get<int64_t>()));
    for (const auto& entry : row["top"]) {
      const Token id = entry[0];
      const float value = entry[1];
      print_line(fmt::format("  {:>7}  {:>9.4f}  {:>6.2f} %  {}", id, value, 100 * std::exp(value),
                             nlohmann::json(std::string(tokenizer.token_text(id)))
                                 .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
    }
  }
}

Result<int> score_one(const Flags& flags, Scorer& scorer, const Model& model, std::span<const Token> tokens) {
  std::optional<OutputFile> out;
  if (!flags.out.empty()) {
    out.emplace(TRY(OutputFile::create(flags.out)));
    const int64_t n_rows = flags.all ? static_cast<int64_t>(tokens.size()) : 1;
    TRY(out->write(npy_header(n_rows, model.config.n_vocab)));
  }
  Json rows = Json::array();
  TRY(scorer.run(tokens, flags.all, [&](int64_t position, std::span<float> logits) -> Result<void> {
    if (out) TRY(out->write(std::as_bytes(logits)));
    rows.push_back({{"pos", position}, {"top", top_tokens(logits, flags.top)}});
    return {};
  }));
  if (out) TRY(out->commit());
  if (flags.json)
    print_line(Json{{"rows", rows}}.dump());
  else
    print_rows(rows, model.tokenizer);
  return 0;
}

// A JSON list of {"tokens": […], "all": bool, "top": K} -> a JSON list of {"rows": …}.
Result<int> score_batch(const Flags& flags, Scorer& scorer, const Model& model) {
  const auto jobs = nlohmann::json::parse(TRY(read_file(flags.batch)), nullptr, false);
  if (!jobs.is_array()) return fail("{}: expected a JSON list of {{\"tokens\": […]}}", flags.batch);
  Json answers = Json::array();
  for (const auto& job : jobs) {
    if (!job.is_object() || !job.contains("tokens") || !job["tokens"].is_array())
      return fail("{}: item {}: expected \"tokens\", a list of ids", flags.batch, answers.size());
    std::vector<Token> tokens;
    for (const auto& id : job["tokens"]) {
      if (!id.is_number_integer() || id < 0 || id >= model.config.n_vocab)
        return fail("{}: item {}: {} is not a token id", flags.batch, answers.size(), id.dump());
      tokens.push_back(id);
    }
    if (job.contains("all") && !job["all"].is_boolean())
      return fail("{}: item {}: \"all\" is {}, expected true or false", flags.batch, answers.size(), job["all"].dump());
    if (job.contains("top") && (!job["top"].is_number_integer() || job["top"] < 0 || job["top"] > kMaxTop))
      return fail("{}: item {}: \"top\" is {}, expected 0..{}", flags.batch, answers.size(), job["top"].dump(), kMaxTop);
    const bool all = job.value("all", flags.all);
    const int top = job.value("top", flags.top);
    Json rows = Json::array();
    TRY(scorer.run(tokens, all, [&](int64_t position, std::span<float> logits) -> Result<void> {
      rows.push_back({{"pos", position}, {"top", top_tokens(logits, top)}});
      return {};
    }));
    answers.push_back({{"rows", rows}});
  }
  print_line(answers.dump());
  return 0;
}

// What an assistant drafts after the prompt and the model's own likeliest next token.
Result<int> score_draft(const Flags& flags, const std::shared_ptr<const Model>& model, Backend& backend,
                        std::span<const Token> tokens) {
  const int64_t n = static_cast<int64_t>(tokens.size());
  if (n == 0) return fail("logits: no tokens");
  const DraftOptions options{.head = flags.ordered_head ? DraftHead::ordered : DraftHead::full};
  Drafter drafter = TRY(Drafter::create(TRY(open_assistant(TRY(local_file(flags.draft)))), model, backend, options));
  const int64_t n_batch = std::min<int64_t>(n, flags.max_rows);
  Forward forward = TRY(Forward::create(model, backend, {.max_rows = n_batch, .prefill_cut = !flags.no_cut}));
  const auto kv = TRY(flags.engine.kv_type());
  KvCache cache = TRY(KvCache::create(model->config, {.n_positions = n, .max_batch = n_batch, .type = kv}, backend));
  std::vector<float> logits(static_cast<size_t>(model->config.n_vocab));
  const auto n_before = static_cast<size_t>((n - 1) / n_batch * n_batch);  // whole batches before the last
  for (size_t begin = 0; begin < n_before; begin += static_cast<size_t>(n_batch)) {
    if (interrupted()) return fail("interrupted");
    const Chunk chunk{&cache, tokens.subspan(begin, static_cast<size_t>(n_batch))};
    forward.run({&chunk, 1}, Rows::none);
  }
  const std::span<const float> hidden = prefill(forward, cache, tokens.subspan(n_before));
  forward.logits(hidden, 1, logits.data());
  TRY(check_row(logits, n - 1));
  const auto token = static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  drafter.step(cache, token, hidden, logits.data());
  TRY(check_row(logits, n));
  const Json rows = Json::array({Json{{"pos", n}, {"after", token}, {"top", top_tokens(logits, flags.top)}}});
  if (flags.json)
    print_line(Json{{"rows", rows}}.dump());
  else
    print_rows(rows, model->tokenizer);
  return 0;
}

Result<int> logits(const Flags& flags) {
  TRY(check_outputs({flags.out}, {flags.file, flags.draft}));
  const auto model = TRY(open_model(TRY(local_file(flags.file))));
  TRY(check_outputs_beside({flags.out}, model->file));
  const auto backend = TRY(make_cpu_backend(flags.engine.cpu_options()));
  std::vector<Token> tokens;
  if (flags.tokens)
    tokens = TRY(parse_token_list(*flags.tokens, model->config.n_vocab));
  else if (flags.batch.empty())
    tokens = model->tokenizer.encode(flags.prompt, {.parse_special = flags.special});
  if (!flags.draft.empty()) return score_draft(flags, model, *backend, tokens);
  Scorer scorer = TRY(Scorer::create(model, *backend, TRY(flags.engine.kv_type()), flags));
  return flags.batch.empty() ? score_one(flags, scorer, *model, tokens) : score_batch(flags, scorer, *model);
}

}  // namespace

Run add_logits(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("file", flags->file, "GGUF file")->required();
  auto* input = app.add_option_group("input");
  input->add_option("--tokens", flags->tokens, "token ids, separated by commas");
  auto* prompt = input->add_option("--prompt", flags->prompt, "text; <bos> is put first");
  input->add_option("--batch", flags->batch, "JSON file: list of {\"tokens\": [...], \"all\": bool, \"top\": K}");
  input->require_option(1);
  app.add_flag("--special", flags->special, "control tokens in --prompt are tokens")->needs(prompt);
  app.add_flag("--all", flags->all, "every position, not only the last");
  app.add_option("--top", flags->top, "tokens per position (default 10)")->check(CLI::Range(1, kMaxTop));
  app.add_flag("--json", flags->json, "JSON");
  app.add_option("--out", flags->out, "write the logits as F.npy, f32 [rows, vocabulary]");
  auto* draft = app.add_option("--draft", flags->draft,
                               "an assistant's GGUF file: what it drafts after the prompt and the model's likeliest token");
  app.add_flag("--ordered-head", flags->ordered_head, "with the assistant's head of centroids")->needs(draft);
  app.add_flag("--no-prefill-cut", flags->no_cut, "compute rows that no wanted logit needs");
  app.add_option("--max-rows", flags->max_rows, "rows per pass (default 512)")->check(CLI::Range(1, 65536));
  flags->engine.add_to(app);
  return [flags, &app]() -> Result<int> {
    if (!flags->batch.empty()) TRY(refuse(app, {"--out", "--draft"}, "is for one text, not for --batch"));
    if (!flags->draft.empty()) TRY(refuse(app, {"--all", "--out"}, "is not for drafts"));
    return logits(*flags);
  };
}

}  // namespace carat::cli
