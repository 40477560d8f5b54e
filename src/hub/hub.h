// A model hub: what is in a repository, and getting it into the cache.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "hub/cache.h"
#include "hub/download.h"
#include "hub/listing.h"
#include "hub/name.h"

namespace carat::hub {

struct HubOptions {
  std::string endpoint = "https://huggingface.co";  // without a slash at its end
  std::string token;
  DownloadOptions download;

  // $HF_ENDPOINT; $HF_TOKEN, or the file that logging in leaves: $HF_TOKEN_PATH, or `token` in
  // home_of_tools().
  static Result<HubOptions> from_environment();
};

struct Pulled {
  std::string path;  // in the snapshot
  uint64_t n_bytes = 0;
  std::string blob;
  bool was_there = false;  // nothing was downloaded
  std::string commit;      // which the revision was
};

class Hub {
 public:
  Hub(HubOptions options, Cache cache) : options_(std::move(options)), cache_(std::move(cache)) {}

  // All files of a revision, in the server's order. Errors: network, no such repository, no access, nonsense.
  Result<std::vector<RemoteFile>> list(const Request& request) const;

  // One of them into the cache: not at all if it is there, going on if a part is there. Errors as download(),
  // and another program that is getting it.
  Result<Pulled> pull(const Request& request, const RemoteFile& file, const Progress& progress) const;

  const Cache& cache() const { return cache_; }
  std::string page(const Repo& repo) const { return options_.endpoint + "/" + repo.id(); }

 private:
  Result<std::string> fetch_text(HttpClient& client, const std::string& url, const Repo& repo,
                                 std::string* next_page) const;
  Result<std::string> commit_of(const Request& request, const RemoteFile& file) const;
  std::string resolve_url(const Request& request, std::string_view revision, const RemoteFile& file) const;

  HubOptions options_;
  Cache cache_;
};

}  // namespace carat::hub
