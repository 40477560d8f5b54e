// carat train: teaches a model on the lab language or on a text; with --qat, retrains one for a quantization.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/lab_family.h"
#include "cli/outputs.h"
#include "lab/rows.h"
#include "train/model_file.h"
#include "train/trainer.h"

namespace carat::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostTokens = 1'000'000'000'000'000;  // far beyond any training, far from overflow

struct Flags {
  std::string out;
  bool recipe = false;
  std::string fresh, from, parent, qat, text, stored_as, curve;
  TensorType stored_type = TensorType::BF16;  // of stored_as
  std::vector<std::string> overrides;
  double curriculum_end = 0;
  train::Options options;
  int n_threads = 0;
  bool no_checkpoint = false;
};

// What is trained, and towards whom.
struct Job {
  train::Parameters start;
  std::optional<train::Parameters> parent;
  gguf::Metadata tokenizer;
};

// Fills the flags from the lab family's table, by the output's file name.
Result<void> apply_recipe(Flags& flags) {
  const fs::path out(flags.out);
  for (const auto& model : lab::family())
    for (const auto& run : model.runs) {
      if (run.file != out.filename().string()) continue;
      if (run.parent.empty())
        flags.fresh = model.name;
      else
        flags.from = flags.parent = (out.parent_path() / run.parent).string();
      flags.options.fake_quant = run.fake_quant;
      flags.stored_as = type_name(run.stored_as);
      flags.options.n_tokens = run.n_tokens;
      flags.options.learning_rate = run.learning_rate;
      flags.options.warmup_steps = run.warmup_steps;
      flags.options.weight_decay = run.weight_decay;
      flags.options.distill_weight = run.distill_weight;
      flags.options.seed = run.seed;
      if (!run.parent.empty()) flags.options.flat_fraction = 0;
      flags.curriculum_end = run.curriculum_end;
      return {};
    }
  return fail("--recipe: no run of the lab family makes a file '{}' (see carat lab recipes)", out.filename().string());
}

std::vector<std::string> outputs(const Flags& flags) { return {flags.out, flags.curve, flags.options.checkpoint_path}; }

Result<Job> prepare(const Flags& flags, ThreadPool& pool) {
  Job job;
  if (!flags.fresh.empty()) {
    for (const auto& model : lab::family())
      if (model.name == flags.fresh) job.start = train::make_parameters(model.config);
    if (job.start.list.empty()) return fail("--new: '{}' is no lab model; expected lab-s or lab-m", flags.fresh);
    train::initialize(job.start, flags.options.seed);
    job.tokenizer = lab::family_vocabulary();
  } else {
    const auto model = TRY(open_model(TRY(local_file(flags.from))));
    TRY(check_outputs_beside(outputs(flags), model->file));
    job.start = TRY(train::load_parameters(*model, pool));
    job.tokenizer = model->file.metadata;
  }
  if (flags.options.distill_weight > 0) {
    const std::string& path = flags.parent.empty() ? flags.from : flags.parent;
    if (path.empty()) return fail("--distill: needs --parent FILE or --from FILE");
    const auto model = TRY(open_model(TRY(local_file(path))));
    TRY(check_outputs_beside(outputs(flags), model->file));
    job.parent = TRY(train::load_parameters(*model, pool));
  }
  return job;
}

// Random windows of a text, every token counted alike.
Result<train::RowSource> text_rows(const std::string& path, const Tokenizer& tokenizer, int64_t length) {
  auto tokens = tokenizer.encode(TRY(read_file(path)), {.add_bos = false, .parse_special = true});
  if (static_cast<int64_t>(tokens.size()) <= length)
    return fail("{}: {} tokens, a row needs {}", path, tokens.size(), length + 1);
  return train::RowSource([tokens = std::move(tokens), length, bos = tokenizer.bos()](Random& random, double) {
    const int64_t begin = random.below(static_cast<int64_t>(tokens.size()) - length + 1);
    train::Row row;
    row.tokens.assign(tokens.begin() + begin, tokens.begin() + begin + length);
    row.tokens.insert(row.tokens.begin(), bos);
    row.weights.assign(static_cast<size_t>(length), 0.25f);
    return row;
  });
}

// Rows and, in the options, their name.
Result<train::RowSource> make_source(Flags& flags, const Tokenizer& tokenizer) {
  const int64_t length = flags.options.row_length;
  if (tokenizer.bos() < 0) return fail("train: the vocabulary has no <bos>, with which every row begins");
  if (!flags.text.empty()) {
    uint64_t hash = 0;
    for (const char c : TRY(read_file(flags.text))) hash = mix64(hash ^ static_cast<unsigned char>(c));
    flags.options.source_name = fmt::format("a text, {:016x}", hash);
    return text_rows(flags.text, tokenizer, length);
  }
  flags.options.source_name = fmt::format("the lab language, curriculum until {}", flags.curriculum_end);
  auto rows = lab::row_source(lab::family_language(), tokenizer,
                              {.length = length, .curriculum_end = flags.curriculum_end});
  return train::RowSource([rows = std::move(rows)](Random& random, double progress) {
    lab::Row row = rows(random, progress);
    return train::Row{std::move(row.tokens), std::move(row.weights)};
  });
}

void print_point(const train::LossPoint& point, const train::Options& options) {
  // The last step is a whole one and may go beyond the tokens that were asked for.
  const int64_t n_done = std::min(point.n_tokens, options.n_tokens);
  const double share = static_cast<double>(n_done) / static_cast<double>(options.n_tokens);
  const double rate = point.seconds > 0 ? static_cast<double>(point.n_tokens) / point.seconds : 0;
  const double left = rate > 0 ? static_cast<double>(options.n_tokens - n_done) / rate : 0;
  std::fprintf(stderr, "%s%5.1f %%  step %6lld  loss %.4f  answers: %.4f nat, %5.1f %% right  %.0f tokens/s  %.0f s left%s",
               ::isatty(2) ? "\r" : "", 100 * share, static_cast<long long>(point.step), point.loss,
               point.score.answer_loss, 100 * point.score.answers_right, rate, left, ::isatty(2) ? "   " : "\n");
}

Result<void> write_curve(const std::string& path, const train::TrainResult& result) {
  std::string lines;
  for (const auto& point : result.curve) lines += train::to_json(point) + "\n";
  return write_file(path, lines);
}

Result<void> save(const Flags& flags, const Job& job) {
  train::SaveOptions options;
  options.type = flags.stored_type;
  if (options.type == flags.options.fake_quant) options.overrides = flags.options.fake_quant_overrides;
  options.tokenizer = &job.tokenizer;
  options.metadata.emplace_back("general.name", fs::path(flags.out).stem().string());
  options.metadata.emplace_back("carat.training.tokens", static_cast<uint64_t>(flags.options.n_tokens));
  options.metadata.emplace_back("carat.training.seed", flags.options.seed);
  if (flags.options.fake_quant)
    options.metadata.emplace_back("carat.training.qat", std::string(type_name(*flags.options.fake_quant)));
  if (!flags.from.empty())
    options.metadata.emplace_back("carat.training.parent", fs::path(flags.from).filename().string());
  return train::save_parameters(job.start, flags.out, options);
}

// Options that would have no effect are refused: somebody believes that they have one.
Result<void> check_effects(const Flags& flags, const CLI::App& app) {
  if (flags.recipe)
    TRY(refuse(app,
               {"--new", "--from", "--parent", "--qat", "--tensor-type", "--distill", "--text", "--tokens", "--lr",
                "--flat", "--warmup", "--decay", "--batch", "--row", "--seed", "--curriculum", "--type"},
               "is set by --recipe: give one or the other"));
  if (flags.qat.empty()) TRY(refuse(app, {"--tensor-type"}, "is about --qat, which is not given"));
  if (!flags.text.empty()) TRY(refuse(app, {"--curriculum"}, "is for the lab language, not for --text"));
  if (!flags.recipe && flags.options.distill_weight == 0)
    TRY(refuse(app, {"--parent"}, "is only looked at when distilling: give --distill as well"));
  return {};
}

// What the flags ask for, with everything checked that can be wrong before training.
Result<void> settle(Flags& flags, const CLI::App& app) {
  TRY(check_effects(flags, app));
  if (flags.recipe) TRY(apply_recipe(flags));
  if (flags.fresh.empty() == flags.from.empty()) return fail("train: give one of --new, --from and --recipe");
  if (flags.options.n_tokens <= 0) return fail("train: --tokens says how many tokens to train on");
  if (!flags.qat.empty()) flags.options.fake_quant = TRY(parse_written_type(flags.qat, "--qat"));
  for (const std::string& rule : flags.overrides)
    flags.options.fake_quant_overrides.push_back(TRY(parse_type_rule(rule)));
  if (!flags.stored_as.empty()) flags.stored_type = TRY(parse_written_type(flags.stored_as, "--type"));
  flags.options.n_threads = flags.n_threads > 0 ? flags.n_threads : default_thread_count();
  if (!flags.no_checkpoint) flags.options.checkpoint_path = flags.out + ".checkpoint";
  return check_outputs(outputs(flags), {flags.from, flags.parent, flags.text});
}

Result<int> run_train(Flags flags, const CLI::App& app) {
  TRY(settle(flags, app));
  ThreadPool pool(flags.options.n_threads);
  Job job = TRY(prepare(flags, pool));
  const auto tokenizer = TRY(Tokenizer::load(job.tokenizer));
  const auto source = TRY(make_source(flags, tokenizer));
  const auto result = TRY(train::train(job.start, job.parent ? &*job.parent : nullptr, source, flags.options,
                                       [&](const train::LossPoint& point) { print_point(point, flags.options); }));
  if (::isatty(2)) std::fputc('\n', stderr);
  TRY(save(flags, job));
  if (!flags.curve.empty()) TRY(write_curve(flags.curve, result));
  if (!flags.options.checkpoint_path.empty()) ::unlink(flags.options.checkpoint_path.c_str());
  print_line(fmt::format("{}: {} steps, {} tokens, {:.0f} s, loss {:.4f}", flags.out, result.n_steps, result.n_tokens,
                         result.seconds, result.curve.empty() ? 0.0 : result.curve.back().loss));
  if (flags.options.fake_quant)
    print_line(fmt::format("projected onto the {} lattice: {} of {} rows settled", type_name(*flags.options.fake_quant),
                           result.projection.n_rows - result.projection.n_unsettled_rows, result.projection.n_rows));
  return 0;
}

}  // namespace

Run add_train(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  train::Options& o = flags->options;
  app.add_option("out", flags->out, "file to write")->required();
  app.add_flag("--recipe", flags->recipe, "all settings from the lab family's run that makes a file of this name");
  app.add_option("--new", flags->fresh, "start from scratch: lab-s or lab-m");
  app.add_option("--from", flags->from, "start from this file's weights");
  app.add_option("--parent", flags->parent, "distil from this file (default: --from)");
  app.add_option("--qat", flags->qat, "quantization-aware training for this type, e.g. Q4_0");
  one_each(app.add_option("--tensor-type", flags->overrides,
                          "REGEX=TYPE: another --qat type for tensors whose name matches (repeatable)"));
  app.add_option("--distill", o.distill_weight, "weight of KL(parent || student) in the loss, 0 … 1")
      ->check(number_between(0, 1));
  app.add_option("--text", flags->text, "train on this text (default: the lab language)");
  app.add_option("--tokens", o.n_tokens, "tokens to train on")->check(CLI::Range(int64_t{1}, kMostTokens));
  app.add_option("--lr", o.learning_rate, "peak learning rate (default 0.003)")->check(number_between(1e-12, 100));
  app.add_option("--flat", o.flat_fraction, "share of the training at the peak, then cosine (default 0.5)")
      ->check(number_between(0, 1));
  app.add_option("--warmup", o.warmup_steps, "warm-up steps (default 100)")->check(CLI::Range(int64_t{0}, kMostTokens));
  app.add_option("--decay", o.weight_decay, "weight decay of the matrices (default 0.05)")
      ->check(number_between(0, 1000));
  app.add_option("--batch", o.batch_tokens, "tokens per step (default 2048)")->check(CLI::Range(1, 1 << 24));
  app.add_option("--row", o.row_length, "tokens per row (default 128)")->check(CLI::Range(2, 1 << 16));
  app.add_option("--seed", o.seed, "seed of weights and data (default 1)");
  app.add_option("--curriculum", flags->curriculum_end, "share of the training until full difficulty (default 0)")
      ->check(number_between(0, 1));
  app.add_option("--type", flags->stored_as, "type to store matrices and tables in (default BF16)");
  app.add_option("--curve", flags->curve, "write the loss curve, one JSON object per line");
  app.add_option("--report-every", o.report_every_steps, "steps between lines of the curve (default 50)")
      ->check(CLI::Range(int64_t{1}, kMostTokens));
  app.add_flag("--no-checkpoint", flags->no_checkpoint, "no OUT.checkpoint (resumed from when present)");
  app.add_option("-t,--threads", flags->n_threads, "threads (default: one per fast core)")->check(CLI::Range(1, 1024));
  return [flags, &app] { return run_train(*flags, app); };
}

}  // namespace carat::cli
