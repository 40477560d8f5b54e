// The file is text: a line that names the format, one for the judgement and for each limit, "look ITEMS
// SECONDS" for each look, and "left SECONDS" if the work on a further one was left.
#include "eval/look_times.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "gguf/layout.h"

namespace carat {
namespace {

constexpr std::string_view kFormat = "carat looks 1\n";
constexpr uint64_t kMostBytes = 1 << 20;  // looks double: there are never many

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return line;
}

std::string look_line(int64_t n_items, double seconds) { return fmt::format("look {} {}", n_items, seconds); }
std::string left_line(double seconds) { return fmt::format("left {}", seconds); }

}  // namespace

LookTimes::LookTimes(std::string path, std::string_view judgement, const SequentialOptions& options,
                     double alpha)
    : path_(std::move(path)),
      header_(fmt::format("{}judgement {}\nmost items {}\nmost seconds {}\nerror allowed {}\n", kFormat,
                          judgement, options.max_items, options.budget_seconds, alpha)) {}

Result<LookTimes> LookTimes::open(std::string path, std::string_view judgement,
                                  const SequentialOptions& options, double alpha, Clock::time_point start) {
  LookTimes times(path, judgement, options, alpha);
  std::error_code ignored;
  if (!path.empty() && std::filesystem::exists(path, ignored)) {
    const auto n_bytes = std::filesystem::file_size(path, ignored);
    if (n_bytes > kMostBytes)
      return fail("{}: {} bytes, expected a file of looks, of at most {}", path, n_bytes, kMostBytes);
    const std::string content = TRY(read_file(path));
    times = TRY(parse(content, path, judgement, options, alpha));
  }
  times.last_ = start;
  return times;
}

Result<LookTimes> LookTimes::parse(std::string_view content, std::string path, std::string_view judgement,
                                   const SequentialOptions& options, double alpha) {
  LookTimes times(std::move(path), judgement, options, alpha);
  if (!content.starts_with(kFormat))
    return fail("{}: no file of looks, expected one that begins with '{}'", times.path_,
                kFormat.substr(0, kFormat.size() - 1));
  std::string_view wanted = times.header_;
  while (!wanted.empty()) {
    const std::string_view there = take_line(content), here = take_line(wanted);
    if (there != here)
      return fail(
          "{}: holds another judgement: '{}' there and '{}' here; give the same request, or another file",
          times.path_, gguf::printable(there), here);
  }
  if (!content.empty() && !content.ends_with('\n')) return fail("{}: its last line is cut off", times.path_);
  while (!content.empty()) {
    const std::string_view line = take_line(content);
    if (const auto left = parse_left(line); left && content.empty()) {
      times.left_seconds_ = *left;
      break;
    }
    const auto time = parse_look(line);
    const Time before = times.times_.empty() ? Time{0, 0} : times.times_.back();
    if (!time || time->n_items <= before.n_items || time->seconds < before.seconds)
      return fail(
          "{}: '{}', expected 'look ITEMS SECONDS', each more than in the line before, or at last 'left "
          "SECONDS'",
          times.path_, gguf::printable(line));
    times.times_.push_back(*time);
  }
  return times;
}

// Nothing but what save() writes.
std::optional<LookTimes::Time> LookTimes::parse_look(std::string_view line) {
  if (!line.starts_with("look ")) return std::nullopt;
  const std::string_view fields = line.substr(5);
  const size_t space = std::min(fields.find(' '), fields.size());
  const auto n_items = number<int64_t>(fields.substr(0, space));
  const auto seconds = number<double>(fields.substr(std::min(space + 1, fields.size())));
  if (!n_items || !seconds || !std::isfinite(*seconds) || look_line(*n_items, *seconds) != line)
    return std::nullopt;
  return Time{*n_items, *seconds};
}

std::optional<double> LookTimes::parse_left(std::string_view line) {
  if (!line.starts_with("left ")) return std::nullopt;
  const auto seconds = number<double>(line.substr(5));
  if (!seconds || !std::isfinite(*seconds) || *seconds < 0 || left_line(*seconds) != line)
    return std::nullopt;
  return seconds;
}

double LookTimes::since_last() const { return std::chrono::duration<double>(Clock::now() - last_).count(); }

Result<void> LookTimes::save(double left_seconds) const {
  if (path_.empty()) return {};
  std::string content = header_;
  for (const Time& time : times_) content += look_line(time.n_items, time.seconds) + '\n';
  if (left_seconds > 0) content += left_line(left_seconds) + '\n';
  return write_file(path_, content);
}

Result<double> LookTimes::next(int64_t n) {
  if (n_looks_ < times_.size()) {
    const Time& time = times_[n_looks_];
    if (time.n_items != n)
      return fail(
          "{}: holds another judgement: look {} was at {} items there and is at {} here; give the same "
          "request, or "
          "another file",
          path_, n_looks_ + 1, time.n_items, n);
    seconds_ = time.seconds;
  } else {
    seconds_ += left_seconds_ + since_last();
    left_seconds_ = 0;
    times_.push_back({n, seconds_});
    TRY(save(0));
  }
  ++n_looks_;
  last_ = Clock::now();
  return seconds_;
}

Result<void> LookTimes::leave() {
  if (n_looks_ < times_.size()) return {};  // on the way to where it was left before
  return save(left_seconds_ + since_last());
}

}  // namespace carat
