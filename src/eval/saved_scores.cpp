// The file, from its begin: "CARATSCO", u32 version, u32 n_facts, each fact as u32 length + name, u32 length + value; u8
// done[n_items]; then for every model nll, answer_nll, correct, token_nll, and for every pair kld, answer_kld,
// squared_delta_p, same_top, answer_same_top, token_kld, as in scores.h; at the end 16 characters: the fingerprint of all
// before.
#include "eval/saved_scores.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/bytes.h"
#include "base/file.h"
#include "eval/file_facts.h"
#include "gguf/layout.h"

namespace carat {
namespace {

constexpr std::string_view kMagic = "CARATSCO";
constexpr uint32_t kVersion = 1;
constexpr size_t kDigest = 16;

template <class Saved, class Visit>
void each_array(Saved& saved, Visit visit) {
  visit(saved.done);
  for (auto& m : saved.scores.models) visit(m.nll), visit(m.answer_nll), visit(m.correct), visit(m.token_nll);
  for (auto& p : saved.scores.pairs)
    visit(p.kld), visit(p.answer_kld), visit(p.squared_delta_p), visit(p.same_top), visit(p.answer_same_top),
        visit(p.token_kld);
}

void append_number(std::string& to, uint32_t value) { to.append(reinterpret_cast<const char*>(&value), sizeof value); }

void append_text(std::string& to, std::string_view text) {
  append_number(to, static_cast<uint32_t>(text.size()));
  to += text;
}

Result<std::string_view> read_text(ByteCursor& cursor, std::string_view what) {
  const uint32_t length = TRY(cursor.read<uint32_t>(what));
  return cursor.take_text(length, what);
}

Result<void> check_facts(ByteCursor& cursor, const ScoreFacts& facts) {
  const uint32_t n_facts = TRY(cursor.read<uint32_t>("the number of facts"));
  const auto other = [&](std::string_view name, std::string_view there, std::string_view here) {
    return fail("{}: holds another judgement: {} is {} there and {} here; give the same request, or another file",
                cursor.name(), name, there, here);
  };
  for (uint32_t i = 0; i < n_facts; ++i) {
    const std::string_view name = TRY(read_text(cursor, "a fact")), value = TRY(read_text(cursor, "a fact"));
    if (i >= facts.size()) return other(gguf::printable(name), gguf::printable(value), "nothing");
    if (name != facts[i].first || value != facts[i].second)
      return other(facts[i].first, gguf::printable(name == facts[i].first ? value : name), facts[i].second);
  }
  if (n_facts < facts.size()) return other(facts[n_facts].first, "nothing", facts[n_facts].second);
  return {};
}

}  // namespace

std::string scores_to_bytes(const ScoreFacts& facts, const SavedScores& saved) {
  std::string content(kMagic);
  append_number(content, kVersion);
  append_number(content, static_cast<uint32_t>(facts.size()));
  for (const auto& [name, value] : facts) append_text(content, name), append_text(content, value);
  each_array(saved, [&](const auto& values) {
    content.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof values[0]);
  });
  content += fingerprint(std::as_bytes(std::span(content)));
  return content;
}

Result<void> save_scores(const std::string& path, const ScoreFacts& facts, const SavedScores& saved) {
  return write_file(path, scores_to_bytes(facts, saved));
}

Result<void> parse_scores(std::span<const std::byte> bytes, const std::string& path, const ScoreFacts& facts,
                          SavedScores& saved) {
  ByteCursor cursor(bytes, path);
  if (bytes.size() < kMagic.size() || TRY(cursor.take_text(kMagic.size(), "the name of the format")) != kMagic)
    return fail("{}: no file of saved scores, expected one that begins with {}", path, kMagic);
  const uint32_t version = TRY(cursor.read<uint32_t>("the version"));
  if (version != kVersion) return fail("{}: version {} of saved scores, expected {}", path, version, kVersion);
  TRY(check_facts(cursor, facts));
  uint64_t n_bytes = kDigest;
  each_array(saved, [&](const auto& values) { n_bytes += values.size() * sizeof values[0]; });
  if (cursor.remaining() != n_bytes)
    return fail("{}: {} bytes of scores, expected {}", path, cursor.remaining(), n_bytes);
  const auto text = std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (fingerprint(bytes.first(bytes.size() - kDigest)) != text.substr(text.size() - kDigest))
    return fail("{}: damaged: its checksum is not that of its content", path);
  size_t at = cursor.position();
  each_array(saved, [&](auto& values) {
    const size_t n = values.size() * sizeof values[0];
    if (n > 0) std::memcpy(values.data(), bytes.data() + at, n);
    at += n;
  });
  return {};
}

Result<void> load_scores(const std::string& path, const ScoreFacts& facts, SavedScores& saved) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  const auto file = TRY(MappedFile::open(path));
  return parse_scores(file->bytes(), path, facts, saved);
}

void copy_scores(const LockstepScores& from, std::span<const int64_t> items, LockstepScores& to) {
  const auto copy = [](const auto& source, auto& target, int64_t begin, int64_t end) {
    std::copy(source.begin() + begin, source.begin() + end, target.begin() + begin);
  };
  for (const int64_t i : items) {
    const size_t at = static_cast<size_t>(i);
    const int64_t token = from.first_token[at], tokens_end = from.first_token[at + 1];
    for (size_t m = 0; m < from.models.size(); ++m) {
      const ModelScores& a = from.models[m];
      ModelScores& b = to.models[m];
      b.nll[at] = a.nll[at], b.answer_nll[at] = a.answer_nll[at];
      copy(a.correct, b.correct, from.first_answer[at], from.first_answer[at + 1]);
      copy(a.token_nll, b.token_nll, token, tokens_end);
    }
    for (size_t p = 0; p < from.pairs.size(); ++p) {
      const PairScores& a = from.pairs[p];
      PairScores& b = to.pairs[p];
      b.kld[at] = a.kld[at], b.answer_kld[at] = a.answer_kld[at];
      b.squared_delta_p[at] = a.squared_delta_p[at];
      b.same_top[at] = a.same_top[at], b.answer_same_top[at] = a.answer_same_top[at];
      copy(a.token_kld, b.token_kld, token, tokens_end);
    }
  }
}

}  // namespace carat
