// One file from a server to the disk: in several ranges at once, going on where an earlier attempt stopped,
// and under its final name only when its hash is the expected one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "hub/http.h"

namespace carat::hub {

struct DownloadOptions {
  int n_connections = 4;
  uint64_t chunk_bytes = uint64_t{16} << 20;   // asked for at once
  int n_tries = 6;                             // in a row without a single new byte
  std::chrono::milliseconds first_pause{500};  // between tries; doubles, up to max_pause
  std::chrono::milliseconds max_pause{30'000};
  HttpClient::Options http;
};

struct DownloadSource {
  std::string url, token;
  std::string name;  // in messages
  std::string blob;  // hash of the content, as in RemoteFile
  uint64_t n_bytes = 0;
};

// Leaves the content at `path`, whose folder exists, or an error: network, server, disk, wrong content (which
// is removed), interrupted (which leaves a part to go on with). Progress counts the bytes that are there,
// then those hashed.
Result<void> download(const DownloadSource& source, const std::string& path, const DownloadOptions& options,
                      const Progress& progress);

// Waits before the next try, as long as the number of failures so far and the server (Retry-After, up to a
// minute) ask for. False: interrupted.
bool pause(const HttpReply& reply, int n_failures, const DownloadOptions& options);

// How a server refused, for people; `repo_page` is where a browser goes.
Error refusal(const HttpReply& reply, const std::string& name, const std::string& repo_page);

}  // namespace carat::hub
