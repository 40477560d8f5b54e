// The checkpoint file:
//   magic "CARATTRN", u32 version, u64 length and text of the identity,
//   i64 steps done, f64 seconds, u64 number of loss points, the points (see put_point),
//   the sums since the last point (see put_sums), f64 sum of gradient norms and i64 number of those steps,
//   u64 number of floats, then values, first moments, second moments (f32 each), u64 checksum of all before.
#include "train/checkpoint.h"

#include <cstring>
#include <sstream>

#include "base/bytes.h"
#include "base/file.h"

namespace carat::train {
namespace {

constexpr std::string_view kMagic = "CARATTRN";
constexpr uint32_t kVersion = 2;

uint64_t checksum(std::span<const std::byte> bytes) {
  uint64_t hash = bytes.size();
  while (!bytes.empty()) {
    uint64_t word = 0;
    const size_t n = std::min(sizeof word, bytes.size());
    std::memcpy(&word, bytes.data(), n);
    hash = mix64(hash ^ word);
    bytes = bytes.subspan(n);
  }
  return hash;
}

class Encoder {
 public:
  template <class T>
  void put(const T& value) {
    put_bytes(std::as_bytes(std::span(&value, 1)));
  }
  void put_bytes(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void put_text(std::string_view text) { put_bytes(std::as_bytes(std::span(text))); }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

void put_score(Encoder& out, const Score& score) {
  for (const double x :
       {score.cross_entropy, score.divergence, score.answer_loss, score.answer_accuracy, score.answers_right})
    out.put(x);
  out.put(score.n_answers);
}

void put_point(Encoder& out, const LossPoint& point) {
  out.put(point.step);
  out.put(point.n_tokens);
  for (const double x : {point.loss, point.gradient_norm, point.learning_rate, point.seconds}) out.put(x);
  put_score(out, point.score);
  out.put(static_cast<uint8_t>(point.held_out.has_value()));
  put_score(out, point.held_out.value_or(Score{}));
}

void put_sums(Encoder& out, const LossSums& sums) {
  for (const double x : {sums.weight, sums.loss, sums.cross_entropy, sums.divergence, sums.answer_loss}) out.put(x);
  for (const int64_t n : {sums.n_tokens, sums.n_answer_tokens, sums.n_answer_tokens_right, sums.n_answers,
                          sums.n_answers_right})
    out.put(n);
}

constexpr uint64_t kScoreBytes = 6 * 8;
constexpr uint64_t kPointBytes = 2 * 8 + 4 * 8 + kScoreBytes + 1 + kScoreBytes;

Result<Score> read_score(ByteCursor& in) {
  Score score;
  for (double* x : {&score.cross_entropy, &score.divergence, &score.answer_loss, &score.answer_accuracy,
                    &score.answers_right})
    *x = TRY(in.read<double>("a loss point"));
  score.n_answers = TRY(in.read<int64_t>("a loss point"));
  return score;
}

Result<LossPoint> read_point(ByteCursor& in) {
  LossPoint point;
  point.step = TRY(in.read<int64_t>("a loss point"));
  point.n_tokens = TRY(in.read<int64_t>("a loss point"));
  for (double* x : {&point.loss, &point.gradient_norm, &point.learning_rate, &point.seconds})
    *x = TRY(in.read<double>("a loss point"));
  point.score = TRY(read_score(in));
  const bool has_held_out = TRY(in.read<uint8_t>("a loss point")) != 0;
  const Score held_out = TRY(read_score(in));
  if (has_held_out) point.held_out = held_out;
  return point;
}

Result<LossSums> read_sums(ByteCursor& in) {
  LossSums sums;
  for (double* x : {&sums.weight, &sums.loss, &sums.cross_entropy, &sums.divergence, &sums.answer_loss})
    *x = TRY(in.read<double>("the open sums"));
  for (int64_t* n : {&sums.n_tokens, &sums.n_answer_tokens, &sums.n_answer_tokens_right, &sums.n_answers,
                     &sums.n_answers_right})
    *n = TRY(in.read<int64_t>("the open sums"));
  return sums;
}

Result<void> compare_identity(std::string_view name, const std::string& found, const std::string& wanted) {
  if (found == wanted) return {};
  std::istringstream found_lines(found), wanted_lines(wanted);
  std::string a, b;
  while (true) {
    const bool more_a = static_cast<bool>(std::getline(found_lines, a));
    const bool more_b = static_cast<bool>(std::getline(wanted_lines, b));
    if (!more_a) a = "nothing more";
    if (!more_b) b = "nothing more";
    if (a != b || !more_a || !more_b) break;
  }
  return fail("{}: the checkpoint belongs to another training: it has '{}', this run has '{}'", name, a, b);
}

Result<Progressed> read_progressed(ByteCursor& in) {
  Progressed progressed;
  progressed.n_steps = TRY(in.read<int64_t>("the number of steps"));
  progressed.seconds = TRY(in.read<double>("the time"));
  const auto n_points = TRY(in.read<uint64_t>("the number of loss points"));
  if (n_points > in.remaining() / kPointBytes) return in.truncated("the loss curve", n_points);
  for (uint64_t i = 0; i < n_points; ++i) progressed.curve.push_back(TRY(read_point(in)));
  progressed.since_point = TRY(read_sums(in));
  progressed.norms_since_point = TRY(in.read<double>("the open sums"));
  progressed.n_steps_since_point = TRY(in.read<int64_t>("the open sums"));
  return progressed;
}

std::span<const std::byte> bytes_of(std::span<const float> values) { return std::as_bytes(values); }

}  // namespace

Result<void> save_checkpoint(const std::string& path, const std::string& identity,
                             const Parameters& parameters, Optimizer& optimizer,
                             const Progressed& progressed) {
  Encoder out;
  out.put_text(kMagic);
  out.put(kVersion);
  out.put(static_cast<uint64_t>(identity.size()));
  out.put_text(identity);
  out.put(progressed.n_steps);
  out.put(progressed.seconds);
  out.put(static_cast<uint64_t>(progressed.curve.size()));
  for (const LossPoint& point : progressed.curve) put_point(out, point);
  put_sums(out, progressed.since_point);
  out.put(progressed.norms_since_point);
  out.put(progressed.n_steps_since_point);
  out.put(static_cast<uint64_t>(parameters.values.size()));
  out.put_bytes(bytes_of(parameters.values.span()));
  out.put_bytes(bytes_of(optimizer.moment1()));
  out.put_bytes(bytes_of(optimizer.moment2()));
  out.put(checksum(out.bytes()));
  OutputFile file = TRY(OutputFile::create(path));
  TRY(file.write(out.bytes()));
  return file.commit();
}

Result<Progressed> load_checkpoint(const std::string& path, const std::string& identity,
                                   Parameters& parameters, Optimizer& optimizer) {
  const auto file = TRY(MappedFile::open(path));
  return parse_checkpoint(file->bytes(), path, identity, parameters, optimizer);
}

Result<Progressed> parse_checkpoint(std::span<const std::byte> bytes, std::string_view name,
                                    const std::string& identity, Parameters& parameters,
                                    Optimizer& optimizer) {
  ByteCursor in(bytes, name);
  const auto magic = TRY(in.take_text(kMagic.size(), "the magic"));
  if (magic != kMagic) return fail("{}: not a training checkpoint", name);
  const auto version = TRY(in.read<uint32_t>("the version"));
  if (version != kVersion) return fail("{}: checkpoint version {}, expected {}", name, version, kVersion);
  const auto identity_length = TRY(in.read<uint64_t>("the identity's length"));
  const auto found = TRY(in.take_text(identity_length, "the identity"));
  TRY(compare_identity(name, std::string(found), identity));
  Progressed progressed = TRY(read_progressed(in));
  const auto n_floats = TRY(in.read<uint64_t>("the number of weights"));
  if (n_floats != parameters.values.size())
    return fail("{}: the checkpoint holds {} numbers, expected {}", name, n_floats, parameters.values.size());
  const uint64_t arena_bytes = n_floats * sizeof(float);
  const auto values = TRY(in.take(arena_bytes, "the weights"));
  const auto moment1 = TRY(in.take(arena_bytes, "the first moments"));
  const auto moment2 = TRY(in.take(arena_bytes, "the second moments"));
  const auto summed = bytes.first(in.position());
  const auto sum = TRY(in.read<uint64_t>("the checksum"));
  if (in.remaining() != 0) return fail("{}: {} bytes too many at the end", name, in.remaining());
  if (sum != checksum(summed))
    return fail("{}: the checkpoint is damaged: its checksum does not match", name);
  std::memcpy(parameters.values.data(), values.data(), arena_bytes);
  std::memcpy(optimizer.moment1().data(), moment1.data(), arena_bytes);
  std::memcpy(optimizer.moment2().data(), moment2.data(), arena_bytes);
  return progressed;
}

}  // namespace carat::train
