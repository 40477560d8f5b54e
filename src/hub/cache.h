// The cache folder that tools of the hub share: CACHE/models--OWNER--REPO/{blobs,refs,snapshots}. Contents
// lie in blobs/HASH; snapshots/COMMIT/PATH are relative links to them; refs/REVISION holds a commit.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hub/choose.h"
#include "hub/name.h"

namespace carat::hub {

class Cache {
 public:
  explicit Cache(std::string root) : root_(std::move(root)) {}
  // $HF_HUB_CACHE, or $HF_HOME/hub, or $XDG_CACHE_HOME/huggingface/hub, or ~/.cache/huggingface/hub.
  static Result<Cache> from_environment();

  const std::string& root() const { return root_; }
  std::string repo_folder(const Repo& repo) const;
  std::string blob_path(const Repo& repo, std::string_view blob) const;
  std::string snapshot_path(const Repo& repo, std::string_view commit, std::string_view path) const;
  std::string lock_path(const Repo& repo, std::string_view blob) const;  // where the other tools have it

  // Folders that are missing are made.
  Result<void> make_folders(const Repo& repo) const;
  // What a revision is now. Nothing is written where that is known already.
  Result<void> write_ref(const Request& request, std::string_view commit) const;
  // A link in the snapshot; what stood there is replaced.
  Result<void> link(const Repo& repo, std::string_view commit, std::string_view path,
                    std::string_view blob) const;

  // The commit of a revision, if it is known here.
  std::optional<std::string> commit_of(const Request& request) const;
  // All commits with a snapshot, the newest first.
  std::vector<std::string> commits(const Repo& repo) const;
  // Files of a snapshot that can be opened, sorted.
  std::vector<std::string> snapshot_files(const Repo& repo, std::string_view commit) const;

  // The local path of what a request means, of split models that of the first part. Never asks the network.
  // Errors: not here (and how to get it), or several possibilities.
  Result<std::string> find(const Request& request) const;

 private:
  std::string root_;
};

// A value of the environment; nothing: unset or empty.
std::optional<std::string> environment(const char* name);
// The same of a folder or file, with a leading "~" as a shell would have written it.
std::optional<std::string> environment_path(const char* name);
// Where the tools of the hub keep things: $HF_HOME, or $XDG_CACHE_HOME/huggingface, or ~/.cache/huggingface.
std::optional<std::string> home_of_tools();

}  // namespace carat::hub
