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
#include <unordered_map>

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

// What a repository holds, found by path: lists may have a hundred thousand entries.
class Listing {
 public:
  explicit Listing(const std::vector<hub::RemoteFile>& files) {
    for (const hub::RemoteFile& file : files) {
      paths_.push_back(file.path);
      files_.try_emplace(file.path, file);
    }
  }
  const std::vector<std::string>& paths() const { return paths_; }
  const hub::RemoteFile& file(const std::string& path) const {
    const auto found = files_.find(path);
    CHECK(found != files_.end());
    return found->second;
  }
  uint64_t size_of(const hub::ModelFiles& model) const {
    uint64_t n_bytes = 0;
    for (const std::string& path : model) n_bytes += file(path).n_bytes;
    return n_bytes;
  }

 private:
  std::vector<std::string> paths_;  // in the server's order
  std::unordered_map<std::string, hub::RemoteFile> files_;
};

void print_choices(const Listing& listing, const hub::FoundModels& models) {
  TextTable table;
  table.add_column("file", Align::left);
  table.add_column("size", Align::right);
  const auto add = [&](const hub::ModelFiles& model, const std::string& remark) {
    table.add_row({model.front() + remark, bytes_text(listing.size_of(model))});
  };
  for (const hub::ModelFiles& model : models.whole)
    add(model, model.size() > 1 ? fmt::format(" ({} parts)", model.size()) : "");
  for (const hub::IncompleteModel& model : models.incomplete)
    add(model.files, fmt::format(" (incomplete: {})", model.problem()));
  print_text(table.render(stdout_style()));
}

void print_choices_json(const Listing& listing, const hub::FoundModels& models) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const hub::ModelFiles& model : models.whole)
    json.push_back({{"files", model}, {"bytes", listing.size_of(model)}});
  for (const hub::IncompleteModel& model : models.incomplete)
    json.push_back(
        {{"files", model.files}, {"bytes", listing.size_of(model.files)}, {"incomplete", model.problem()}});
  print_line(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_choices(const Listing& listing, const hub::FoundModels& models, bool json) {
  json ? print_choices_json(listing, models) : print_choices(listing, models);
}

// The one that is meant. An incomplete model is in nobody's way, but an error where nothing else is meant.
Result<hub::ModelFiles> choose(const hub::Request& request, const Listing& listing, bool json) {
  const auto models = hub::find_models(listing.paths(), request.what);
  if (models.whole.size() == 1) return models.whole.front();
  const std::string id = request.repo.id();
  if (models.whole.empty() && models.incomplete.size() == 1) {
    const hub::IncompleteModel& only = models.incomplete.front();
    return fail("{}: '{}' is incomplete there: {}", id, hub::printable(only.files.front()), only.problem());
  }
  const auto all = models.empty() ? hub::find_models(listing.paths(), "") : models;
  if (all.empty()) return fail("{}: has no GGUF file", id);
  print_choices(listing, all, json);
  if (models.empty())
    return fail("{}: nothing matches '{}'; choose one of these: carat pull {}:FILE", id, request.what, id);
  if (models.whole.empty())
    return fail("{}: {} models match, all of them incomplete there", id, models.incomplete.size());
  return fail("{}: {} files match; choose one: carat pull {}:FILE", id, models.whole.size(), id);
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
  const Listing listing(TRY(hub.list(request)));
  if (flags.list) {
    const auto models = hub::find_models(listing.paths(), request.what);
    if (models.empty())
      return fail("{}: has no GGUF file{}", request.repo.id(), request.what.empty() ? "" : " of that name");
    print_choices(listing, models, flags.json);
    return 0;
  }
  const auto model = TRY(choose(request, listing, flags.json));
  std::vector<hub::Pulled> pulled;
  hub::Request pinned = request;  // all parts of one commit, whatever is pushed meanwhile
  for (const std::string& path : model) {
    TransferLine line;
    pulled.push_back(
        TRY(hub.pull(pinned, listing.file(path), [&](uint64_t done, uint64_t total, std::string_view what) {
          line.update(done, total, what);
        })));
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
