// carat pull: a model from a hub into the cache that other tools share.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/common.h"
#include "hub/hub.h"
#include "report/terminal.h"
#include "report/text_table.h"

namespace carat::cli {
namespace {

struct Flags {
  std::string name;
  int n_connections = 4;
  bool list = false, json = false;
};

std::string bytes_text(uint64_t n) {
  const auto bytes = static_cast<double>(n);
  if (n >= 1'000'000'000) return fmt::format("{:.2f} GB", bytes / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.1f} MB", bytes / 1e6);
  return fmt::format("{:.1f} kB", bytes / 1e3);
}

int stderr_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// The end of a name tells the quantization.
std::string shortened(const std::string& name, int width) {
  const auto n = static_cast<size_t>(std::max(width, 12));
  if (name.size() <= n) return name;
  size_t begin = name.size() - n + 1;
  while (begin < name.size() && (static_cast<unsigned char>(name[begin]) & 0xc0) == 0x80)
    ++begin;  // not inside a code point
  return "…" + name.substr(begin);
}

// A line that is rewritten in place: how much, how fast, how long still. Speed is that of the last seconds,
// so that it says something after a pause, and what an earlier attempt brought does not count.
class TransferLine {
 public:
  ~TransferLine() {
    if (drawn_) std::fputs("\r\x1b[K", stderr);
  }
  void update(uint64_t done, uint64_t total, std::string_view what) {
    const auto now = Clock::now();
    if (!visible_ || (done < total && now - last_ < std::chrono::milliseconds(150))) return;
    last_ = now;
    if (!marks_.empty() && (done < marks_.back().done || what != what_)) marks_.clear();
    what_ = what;
    marks_.push_back({now, done});
    while (marks_.size() > 2 && now - marks_.front().time > std::chrono::seconds(5)) marks_.pop_front();
    const double seconds = std::chrono::duration<double>(now - marks_.front().time).count();
    const double rate = seconds > 0.3 ? static_cast<double>(done - marks_.front().done) / seconds : 0;
    std::string figures = fmt::format("{} of {}", bytes_text(done), bytes_text(total));
    if (rate > 0) figures += fmt::format("  {}/s", bytes_text(static_cast<uint64_t>(rate)));
    const int width = stderr_width() - 1;
    const std::string label = fmt::format("{}  {}", shortened(printable(what), width - 45), figures);
    // The bar takes its time left from an even speed since the beginning.
    const double even_seconds = rate > 0 ? static_cast<double>(done) / rate : 0;
    std::fprintf(stderr, "\r%s\x1b[K", ProgressBar::line(done, total, label, even_seconds, width).c_str());
    std::fflush(stderr);
    drawn_ = true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Mark {
    Clock::time_point time;
    uint64_t done;
  };
  bool visible_ = stderr_is_terminal(), drawn_ = false;
  std::string what_;
  std::deque<Mark> marks_;
  Clock::time_point last_;
};

using Files = std::vector<hub::RemoteFile>;

const hub::RemoteFile& file_of(const Files& files, const std::string& path) {
  for (const hub::RemoteFile& file : files)
    if (file.path == path) return file;
  CHECK(false);
}

uint64_t size_of(const Files& files, const hub::ModelFiles& model) {
  uint64_t n_bytes = 0;
  for (const std::string& path : model) n_bytes += file_of(files, path).n_bytes;
  return n_bytes;
}

void print_choices(const Files& files, const std::vector<hub::ModelFiles>& models) {
  TextTable table;
  table.add_column("file", Align::left);
  table.add_column("size", Align::right);
  for (const hub::ModelFiles& model : models) {
    const std::string parts = model.size() > 1 ? fmt::format(" ({} parts)", model.size()) : "";
    table.add_row({model.front() + parts, bytes_text(size_of(files, model))});
  }
  print_text(table.render(stdout_style()));
}

void print_choices_json(const Files& files, const std::vector<hub::ModelFiles>& models) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const hub::ModelFiles& model : models)
    json.push_back({{"files", model}, {"bytes", size_of(files, model)}});
  print_line(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

Result<hub::ModelFiles> choose(const hub::Request& request, const Files& files, bool json) {
  std::vector<std::string> paths;
  for (const hub::RemoteFile& file : files) paths.push_back(file.path);
  const auto models = TRY(hub::find_models(paths, request.what));
  if (models.size() == 1) return models.front();
  const std::string id = request.repo.id();
  const auto all = models.empty() ? TRY(hub::find_models(paths, "")) : models;
  if (all.empty()) return fail("{}: has no GGUF file", id);
  if (json)
    print_choices_json(files, all);
  else
    print_choices(files, all);
  if (models.empty())
    return fail("{}: nothing matches '{}'; choose one of these: carat pull {}:FILE", id, request.what, id);
  return fail("{}: {} files match; choose one: carat pull {}:FILE", id, models.size(), id);
}

void print_pulled(const hub::Request& request, const std::vector<hub::Pulled>& pulled,
                  const hub::ModelFiles& model, bool json) {
  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const hub::Pulled& file : pulled)
      list.push_back(
          {{"path", file.path}, {"bytes", file.n_bytes}, {"hash", file.blob}, {"was_there", file.was_there}});
    print_line(list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  for (const hub::Pulled& file : pulled) print_line(file.path);
  if (!stdout_is_terminal()) return;
  uint64_t n_bytes = 0;
  bool was_there = true;
  for (const hub::Pulled& file : pulled) n_bytes += file.n_bytes, was_there = was_there && file.was_there;
  print_line(fmt::format("\n{}, {}. Use it with: carat run hf:{}", bytes_text(n_bytes),
                         was_there ? "was there already" : "checksum verified",
                         to_text(hub::Request{request.repo, request.revision, model.front()})));
}

bool is_offline() {
  const auto value = hub::environment("HF_HUB_OFFLINE");
  return value && *value != "0";
}

Result<int> run_pull(const Flags& flags) {
  const auto request = TRY(hub::parse_request(flags.name));
  const auto cache = TRY(hub::Cache::from_environment());
  if (is_offline()) {
    print_line(TRY(cache.find(request)));
    return 0;
  }
  auto options = TRY(hub::HubOptions::from_environment());
  options.download.n_connections = flags.n_connections;
  const hub::Hub hub(std::move(options), cache);
  const Files files = TRY(hub.list(request));
  if (flags.list) {
    std::vector<std::string> paths;
    for (const hub::RemoteFile& file : files) paths.push_back(file.path);
    const auto models = TRY(hub::find_models(paths, request.what));
    if (models.empty())
      return fail("{}: has no GGUF file{}", request.repo.id(), request.what.empty() ? "" : " of that name");
    flags.json ? print_choices_json(files, models) : print_choices(files, models);
    return 0;
  }
  const auto model = TRY(choose(request, files, flags.json));
  std::vector<hub::Pulled> pulled;
  hub::Request pinned = request;  // all parts of one commit, whatever is pushed meanwhile
  for (const std::string& path : model) {
    TransferLine line;
    pulled.push_back(TRY(hub.pull(
        pinned, file_of(files, path),
        [&](uint64_t done, uint64_t total, std::string_view what) { line.update(done, total, what); })));
    pinned.revision = pulled.back().commit;
  }
  print_pulled(request, pulled, model, flags.json);
  return 0;
}

}  // namespace

Run add_pull(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option(
         "name", flags->name,
         "OWNER/REPO, OWNER/REPO:FILE or OWNER/REPO:QUANTIZATION (Q4_0, UD-Q4_K_XL); @REVISION behind REPO")
      ->required();
  app.add_flag("--list", flags->list, "only say which models there are");
  app.add_option("-j,--connections", flags->n_connections, "ranges to get at the same time (default 4)")
      ->check(CLI::Range(1, 32));
  app.add_flag("--json", flags->json, "JSON");
  app.footer(
      "Prints the path of the file. Stopped with Ctrl-C or cut off, the same command goes on where it was.\n"
      "HF_TOKEN: for models that want one. HF_HOME, HF_HUB_CACHE: where files are kept. HF_ENDPOINT: another "
      "server.\n"
      "HF_HUB_OFFLINE=1: only what is there already. Every command takes hf:OWNER/REPO:FILE for a file that "
      "was pulled.");
  return [flags] { return run_pull(*flags); };
}

}  // namespace carat::cli
