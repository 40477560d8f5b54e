// The shared cache on disk. Other programs write it too, so whatever is read here is checked.
#include "hub/cache.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file.h"

namespace carat::hub {
namespace {

namespace fs = std::filesystem;

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail("{}: cannot create the folder: {}", path, error.message());
  return {};
}

std::string list_of(const std::vector<ModelFiles>& models) {
  constexpr size_t kMaxShown = 8;
  std::string text;
  for (size_t i = 0; i < models.size() && i < kMaxShown; ++i) text += (i > 0 ? ", " : "") + models[i].front();
  return models.size() > kMaxShown ? fmt::format("{} and {} more", text, models.size() - kMaxShown) : text;
}

}  // namespace

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

std::optional<std::string> environment_path(const char* name) {
  const auto path = environment(name);
  if (!path || (*path != "~" && !path->starts_with("~/"))) return path;
  const auto home = environment("HOME");
  return home ? *home + path->substr(1) : *path;
}

std::optional<std::string> home_of_tools() {
  if (auto home = environment_path("HF_HOME")) return home;
  if (const auto cache = environment_path("XDG_CACHE_HOME")) return *cache + "/huggingface";
  if (const auto user = environment("HOME")) return *user + "/.cache/huggingface";
  return std::nullopt;
}

Result<Cache> Cache::from_environment() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (auto folder = environment_path(name)) return Cache(std::move(*folder));
  if (const auto home = home_of_tools()) return Cache(*home + "/hub");
  return fail("no folder for downloads: set HF_HOME or HF_HUB_CACHE");
}

std::string Cache::repo_folder(const Repo& repo) const {
  return fmt::format("{}/models--{}--{}", root_, repo.owner, repo.name);
}

std::string Cache::blob_path(const Repo& repo, std::string_view blob) const {
  return fmt::format("{}/blobs/{}", repo_folder(repo), blob);
}

std::string Cache::snapshot_path(const Repo& repo, std::string_view commit, std::string_view path) const {
  return fmt::format("{}/snapshots/{}/{}", repo_folder(repo), commit, path);
}

std::string Cache::lock_path(const Repo& repo, std::string_view blob) const {
  return fmt::format("{}/.locks/models--{}--{}/{}.lock", root_, repo.owner, repo.name, blob);
}

Result<void> Cache::make_folders(const Repo& repo) const {
  TRY(make_folder(repo_folder(repo) + "/blobs"));
  return make_folder(fs::path(lock_path(repo, "x")).parent_path().string());
}

Result<void> Cache::write_ref(const Request& request, std::string_view commit) const {
  if (request.revision == commit) return {};
  const std::string path = repo_folder(request.repo) + "/refs/" + request.revision;
  if (commit_of(request) == commit) return {};
  TRY(make_folder(fs::path(path).parent_path().string()));
  return write_file(path, commit);
}

Result<void> Cache::link(const Repo& repo, std::string_view commit, std::string_view path,
                         std::string_view blob) const {
  const std::string link = snapshot_path(repo, commit, path);
  TRY(make_folder(fs::path(link).parent_path().string()));
  std::string target = "../..";  // out of snapshots/COMMIT
  for (const char c : path) target += c == '/' ? "/.." : "";
  target += fmt::format("/blobs/{}", blob);
  std::error_code error;
  if (fs::read_symlink(link, error) == target) return {};
  // Beside its place and renamed over it, so that nobody ever finds nothing there.
  const std::string temporary = fmt::format("{}.carat-{}", link, ::getpid());
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0)
    return fail("{}: cannot make a symbolic link: {}; choose another file system with HF_HUB_CACHE", link,
                std::strerror(errno));
  if (::rename(temporary.c_str(), link.c_str()) != 0) {
    const Error failure = fail("{}: cannot make a symbolic link: {}", link, std::strerror(errno));
    ::unlink(temporary.c_str());
    return failure;
  }
  return {};
}

std::optional<std::string> Cache::commit_of(const Request& request) const {
  if (is_commit(request.revision)) return request.revision;
  const auto text = read_file(repo_folder(request.repo) + "/refs/" + request.revision);
  if (!text) return std::nullopt;
  const std::string commit = text->substr(0, text->find_last_not_of(" \r\n") + 1);
  return is_commit(commit) ? std::optional(commit) : std::nullopt;
}

std::vector<std::string> Cache::snapshot_files(const Repo& repo, std::string_view commit) const {
  std::vector<std::string> files;
  const fs::path folder = snapshot_path(repo, commit, "");
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_regular_file(ignored)) continue;  // links are followed: one that leads nowhere is none
    const std::string path = entry->path().lexically_relative(folder).string();
    if (is_safe_path(path)) files.push_back(path);
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> Cache::commits(const Repo& repo) const {
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  std::error_code error;
  for (auto entry = fs::directory_iterator(repo_folder(repo) + "/snapshots", error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    const std::string name = entry->path().filename().string();
    if (is_commit(name)) found.emplace_back(fs::last_write_time(entry->path(), ignored), name);
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> commits;
  for (auto& [time, name] : found) commits.push_back(std::move(name));
  return commits;
}

Result<std::string> Cache::find(const Request& request) const {
  std::vector<std::string> candidates;
  if (auto commit = commit_of(request)) candidates.push_back(std::move(*commit));
  if (request.revision == "main")
    for (std::string& commit : commits(request.repo)) candidates.push_back(std::move(commit));
  for (const std::string& commit : candidates) {
    const auto [models, incomplete] = find_models(snapshot_files(request.repo, commit), request.what);
    if (models.size() > 1)
      return fail("hf:{}: which one? downloaded are {}", to_text(request), list_of(models));
    if (models.size() == 1) return snapshot_path(request.repo, commit, models.front().front());
    if (!incomplete.empty())
      return fail("hf:{0}: of '{1}', {2}; get it with: carat pull {0}", to_text(request),
                  printable(incomplete.front().files.front()), incomplete.front().problem());
  }
  return fail("hf:{0}: not downloaded yet; get it with: carat pull {0}", to_text(request));
}

}  // namespace carat::hub
