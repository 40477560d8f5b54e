// Downloads from a server that behaves, and from servers that do not.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <algorithm>
#include <map>
#include <thread>

#include "hub/fake_hub.h"
#include "hub/folder.h"
#include "hub/hub.h"

namespace carat::hub {
namespace {

const Request kRequest{{"lab", "tiny"}, "main", ""};
constexpr uint64_t kChunk = 1000;

HubOptions options_for(const std::string& endpoint) {
  HubOptions options;
  options.endpoint = endpoint;
  options.download.chunk_bytes = kChunk;
  options.download.n_tries = 4;
  options.download.first_pause = std::chrono::milliseconds(1);
  options.download.max_pause = std::chrono::milliseconds(5);
  options.download.http = {.connect_timeout_s = 5, .stall_timeout_s = 2};
  return options;
}

// Lists and pulls the first file.
struct Attempt {
  explicit Attempt(const FakeHub& fake, const Folder& folder, std::function<void(HubOptions&)> change = {})
      : hub(changed(options_for(fake.url()), change), Cache(folder.path())) {}
  static HubOptions changed(HubOptions options, const std::function<void(HubOptions&)>& change) {
    if (change) change(options);
    return options;
  }
  Result<Pulled> pull(const Progress& progress = {}) const {
    const auto files = TRY(hub.list(kRequest));
    return hub.pull(kRequest, files.front(), progress);
  }
  std::string error() const {
    const auto result = pull();
    return result ? "" : result.error().message;
  }
  Hub hub;
};

FakeHub::File model(size_t n) { return {"m-Q4_0.gguf", made_up_content(n, 1), false}; }

std::string blob_of(const Folder& folder, const FakeHub::File& file) {
  return folder / "models--lab--tiny/blobs/" + FakeHub::hash(file);
}

void expect_no_part(const Folder& folder, const FakeHub::File& file) {
  EXPECT_FALSE(exists(blob_of(folder, file) + ".carat-part"));
  EXPECT_FALSE(exists(blob_of(folder, file) + ".carat-state"));
}

TEST(Download, EverySizeIntoTheSharedLayout) {
  for (const size_t n : {size_t{0}, size_t{1}, kChunk - 1, kChunk, kChunk + 1, 10 * kChunk + 7}) {
    const FakeHub::File file = model(n);
    FakeHub fake({file});
    const Folder folder;
    const Attempt attempt(fake, folder);
    const auto pulled = attempt.pull();
    ASSERT_TRUE(pulled) << n << ": " << pulled.error().message;
    EXPECT_FALSE(pulled->was_there);
    EXPECT_EQ(pulled->path, folder / "models--lab--tiny/snapshots/" + kCommit + "/m-Q4_0.gguf");
    EXPECT_TRUE(std::filesystem::is_symlink(pulled->path));
    EXPECT_EQ(content_of(pulled->path), file.content);
    EXPECT_EQ(content_of(folder / "models--lab--tiny/refs/main"), kCommit);
    expect_no_part(folder, file);
    const size_t n_requests = fake.content_requests().size();
    const auto again = attempt.pull();
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->was_there);
    EXPECT_EQ(again->path, pulled->path);
    EXPECT_EQ(fake.content_requests().size(), n_requests) << "what is there is not asked for";
  }
}

TEST(Download, OneConnectionOrManyGiveTheSame) {
  for (const int n : {1, 2, 16}) {
    const FakeHub::File file = model(20 * kChunk + 1);
    FakeHub fake({file});
    const Folder folder;
    const auto pulled = Attempt(fake, folder, [&](HubOptions& o) { o.download.n_connections = n; }).pull();
    ASSERT_TRUE(pulled) << pulled.error().message;
    EXPECT_EQ(content_of(pulled->path), file.content);
    EXPECT_EQ(fake.content_requests().size(), 21u);
  }
}

TEST(Download, SmallFilesOfGit) {
  const FakeHub::File file{"sub/README.md", "hello\n", true};
  FakeHub fake({file});
  const Folder folder;
  const auto pulled = Attempt(fake, folder).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(pulled->blob, "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(content_of(pulled->path), "hello\n");
}

TEST(Download, CutConnectionsGoOnWhereTheyWere) {
  const FakeHub::File file = model(3 * kChunk);
  FakeHub fake({file});
  fake.cut_after({0, 300, 1, 999, 500, 0, 0, 10});
  const Folder folder;
  const auto pulled = Attempt(fake, folder, [](HubOptions& o) { o.download.n_connections = 1; }).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(pulled->path), file.content);
  uint64_t n_asked_again = 0;
  for (const Incoming& incoming : fake.content_requests())
    n_asked_again += incoming.header("range") == "bytes=0-999";
  EXPECT_EQ(n_asked_again, 2u) << "after the answer without a byte, and no more";
}

TEST(Download, GivesUpAndGoesOnLater) {
  const FakeHub::File file = model(4 * kChunk);
  const Folder folder;
  {
    FakeHub fake({file});
    fake.cut_after({1000, 400, 0, 0, 0, 0, 0, 0});
    const std::string error =
        Attempt(fake, folder, [](HubOptions& o) { o.download.n_connections = 1; }).error();
    EXPECT_NE(error.find("tries"), std::string::npos) << error;
    EXPECT_TRUE(exists(blob_of(folder, file) + ".carat-part"));
    EXPECT_FALSE(exists(blob_of(folder, file)));
  }
  FakeHub fake({file});
  uint64_t first_done = UINT64_MAX;
  const auto pulled = Attempt(fake, folder).pull([&](uint64_t done, uint64_t total, std::string_view what) {
    if (what == "m-Q4_0.gguf") first_done = std::min(first_done, done);
    EXPECT_EQ(total, 4 * kChunk);
  });
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(pulled->path), file.content);
  EXPECT_GE(first_done, 1400u);
  for (const Incoming& incoming : fake.content_requests()) EXPECT_NE(incoming.header("range"), "bytes=0-999");
  expect_no_part(folder, file);
}

// A part of an older version must not get into a newer one.
TEST(Download, AnotherVersionStartsAnew) {
  const FakeHub::File old = model(4 * kChunk);
  const FakeHub::File renewed{old.path, made_up_content(4 * kChunk, 9), false};
  const Folder folder;
  {
    FakeHub fake({old});
    fake.cut_after({1000, 0, 0, 0, 0, 0, 0, 0});
    EXPECT_NE(Attempt(fake, folder, [](HubOptions& o) { o.download.n_connections = 1; }).error(), "");
  }
  FakeHub fake({renewed});
  const auto pulled = Attempt(fake, folder).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(pulled->path), renewed.content);
}

TEST(Download, InterruptedGoesOn) {
  const FakeHub::File file = model(8 * kChunk);
  FakeHub fake({file});
  std::atomic<int> n_contents{0};
  std::atomic<uint64_t> n_arrived{0};
  fake.intercept = [&](const Incoming& incoming, Answer& answer) {
    if (incoming.method != "GET" || incoming.path.find("/resolve/") == std::string::npos || ++n_contents != 3)
      return false;
    answer.send("HTTP/1.1 206 x\r\nContent-Range: bytes 2000-2999/8000\r\nContent-Length: 1000\r\n\r\n" +
                file.content.substr(2000, 500));
    while (n_arrived < 2500 && !fake.server().stopping())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    interrupt_requested = true;
    while (interrupt_requested && !fake.server().stopping())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return true;
  };
  const Folder folder;
  const auto interrupted_pull = Attempt(fake, folder, [](HubOptions& o) {
                                  o.download.n_connections = 1;
                                }).pull([&](uint64_t done, uint64_t, std::string_view) { n_arrived = done; });
  interrupt_requested = false;
  ASSERT_FALSE(interrupted_pull);
  const std::string& error = interrupted_pull.error().message;
  EXPECT_NE(error.find("interrupted"), std::string::npos) << error;
  const size_t n_before = fake.content_requests().size();
  const auto pulled = Attempt(fake, folder, [](HubOptions& o) { o.download.n_connections = 1; }).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(pulled->path), file.content);
  // Not a byte that had arrived is asked for again: two whole chunks, and the third as far as it came.
  const auto requests = fake.content_requests();
  ASSERT_EQ(requests.size(), n_before + 6);
  EXPECT_EQ(requests[n_before].header("range"), "bytes=2500-2999");
}

TEST(Download, ServersWithoutRanges) {
  const FakeHub::File file = model(5 * kChunk);
  FakeHub fake({file});
  fake.ignores_ranges = true;
  fake.cut_after({UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 2500, 10});
  const Folder folder;
  const auto pulled = Attempt(fake, folder).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(pulled->path), file.content);
}

TEST(Download, WrongBytesAreRemoved) {
  const FakeHub::File file = model(3 * kChunk);
  FakeHub fake({file});
  fake.sends_content = made_up_content(3 * kChunk, 2);
  const Folder folder;
  const std::string error = Attempt(fake, folder).error();
  EXPECT_NE(error.find("not what was published"), std::string::npos) << error;
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 0);
  EXPECT_FALSE(exists(blob_of(folder, file)));
  expect_no_part(folder, file);
  EXPECT_FALSE(exists(folder / "models--lab--tiny/snapshots"));
}

TEST(Download, LiesAboutSizes) {
  const FakeHub::File file = model(3 * kChunk);
  {
    FakeHub fake({file});
    fake.claims_total = 3 * kChunk + 1;
    const Folder folder;
    const std::string error = Attempt(fake, folder).error();
    EXPECT_NE(error.find("expected byte"), std::string::npos) << error;
  }
  {
    FakeHub fake({file});
    fake.sends_beyond = 1;
    const Folder folder;
    const std::string error = Attempt(fake, folder).error();
    EXPECT_NE(error.find("more than"), std::string::npos) << error;
  }
  {
    FakeHub fake({file});
    fake.sends_content = file.content.substr(0, 2 * kChunk);  // a 206 for bytes that are not there
    fake.ignores_ranges = true;
    const Folder folder;
    const std::string error = Attempt(fake, folder).error();
    EXPECT_NE(error.find("too little"), std::string::npos) << error;
  }
}

TEST(Download, RefusalsAreSaidOnce) {
  const FakeHub::File file = model(3 * kChunk);
  for (const auto& [status, words] :
       {std::pair(401, "HF_TOKEN"), std::pair(403, "HF_TOKEN"), std::pair(404, "not found"),
        std::pair(416, "fewer than"), std::pair(410, "410")}) {
    FakeHub fake({file});
    fake.answer_with({status, status, status, status, status, status, status, status});
    const Folder folder;
    const std::string error =
        Attempt(fake, folder, [](HubOptions& o) { o.download.n_connections = 1; }).error();
    EXPECT_NE(error.find(words), std::string::npos) << error;
    EXPECT_EQ(fake.content_requests().size(), 1u) << status << " is not asked again";
    expect_no_part(folder, file);
  }
}

TEST(Download, BusyServersAreAskedAgain) {
  const FakeHub::File file = model(3 * kChunk);
  FakeHub fake({file});
  fake.answer_with({500, 503, 0, 429, 502, 408}, "Retry-After: 0\r\n");
  const Folder folder;
  const auto pulled = Attempt(fake, folder, [](HubOptions& o) { o.download.n_connections = 1; }).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(pulled->path), file.content);
  EXPECT_EQ(fake.content_requests().size(), 3u + 5u);
}

TEST(Download, RetryAfterIsObserved) {
  const FakeHub::File file = model(1);
  FakeHub fake({file});
  fake.answer_with({429}, "Retry-After: 1\r\n");
  const Folder folder;
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(Attempt(fake, folder).pull());
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

TEST(Download, TheTokenStaysAtHome) {
  const FakeHub::File file = model(3 * kChunk);
  FakeHub storage({file});
  FakeHub fake({file});
  fake.needs_token = true;
  fake.elsewhere = storage.url() + "/lab/tiny/resolve/x/m-Q4_0.gguf?signed=1";
  const Folder folder;
  EXPECT_NE(Attempt(fake, folder).error().find("HF_TOKEN"), std::string::npos);
  const auto pulled = Attempt(fake, folder, [](HubOptions& o) { o.token = "hf_secret"; }).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(pulled->path), file.content);
  EXPECT_FALSE(storage.server().requests().empty());
  for (const Incoming& incoming : storage.server().requests()) {
    EXPECT_EQ(incoming.header("authorization"), "");
    EXPECT_EQ(incoming.method, "GET") << "the head is the hub's";
  }
}

TEST(Download, RedirectsEnd) {
  const FakeHub::File file = model(10);
  for (const std::string& to :
       {std::string("/lab/tiny/resolve/x/m-Q4_0.gguf"), std::string("file:///etc/passwd"),
        std::string("ftp://127.0.0.1/x"), std::string("")}) {
    FakeHub fake({file});
    fake.intercept = [&](const Incoming& incoming, Answer& answer) {
      if (incoming.method != "GET" || incoming.path.find("/resolve/") == std::string::npos) return false;
      answer.reply(302, fmt::format("Location: {}\r\n", to), "");
      return true;
    };
    const Folder folder;
    EXPECT_NE(Attempt(fake, folder).error(), "") << to;
    EXPECT_LT(fake.content_requests().size(), 10u);
    expect_no_part(folder, file);
  }
}

TEST(Download, AStalledServerIsGivenUp) {
  const FakeHub::File file = model(10);
  FakeHub fake({file});
  fake.intercept = [&](const Incoming& incoming, Answer& answer) {
    if (incoming.method != "GET" || incoming.path.find("/resolve/") == std::string::npos) return false;
    answer.send("HTTP/1.1 206 x\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\nabc");
    for (int i = 0; i < 500 && !fake.server().stopping(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return true;
  };
  const Folder folder;
  const std::string error = Attempt(fake, folder, [](HubOptions& o) {
                              o.download.n_tries = 1;
                              o.download.http.stall_timeout_s = 1;
                            }).error();
  EXPECT_NE(error, "");
}

TEST(Download, NobodyListens) {
  std::string url;
  {
    FakeHub gone({model(1)});
    url = gone.url();
  }
  const Folder folder;
  const Hub hub(options_for(url), Cache(folder.path()));
  const auto files = hub.list(kRequest);
  ASSERT_FALSE(files);
  EXPECT_TRUE(files.error().message.starts_with("lab/tiny: ")) << files.error().message;
}

TEST(Download, ListingsThatLie) {
  const FakeHub::File file = model(10);
  const auto error_with = [&](std::string listing, std::string headers = "") {
    FakeHub fake({file});
    fake.listing = std::move(listing);
    fake.listing_headers = std::move(headers);
    const Folder folder;
    return Attempt(fake, folder).error();
  };
  EXPECT_NE(error_with("<html>").find("no list"), std::string::npos);
  EXPECT_NE(
      error_with(
          R"([{"type":"file","path":"../../x","size":1,"oid":"0123456789abcdef0123456789abcdef01234567"}])")
          .find("unsafe name"),
      std::string::npos);
  EXPECT_NE(error_with("[]", "Link: <http://127.0.0.1:1/next>; rel=\"next\"\r\n").find("another server"),
            std::string::npos);
  EXPECT_NE(error_with("[]", "Link: </api/models/lab/tiny/tree/main?again>; rel=\"next\"\r\n"), "")
      << "no address";
  const std::string long_list = "[" + std::string(kMaxListingBytes, ' ') + "]";
  EXPECT_NE(error_with(long_list).find("longer than"), std::string::npos);
}

TEST(Download, PagesOfAListing) {
  const FakeHub::File file = model(10);
  FakeHub fake({file});
  std::atomic<int> n_pages{0};
  fake.intercept = [&](const Incoming& incoming, Answer& answer) {
    if (incoming.path.find("/tree/") == std::string::npos) return false;
    const int page = n_pages++;
    const std::string next =
        page < 2 ? fmt::format("Link: <{}/api/models/lab/tiny/tree/main?page={}>; rel=\"next\"\r\n",
                               fake.url(), page + 1)
                 : "";
    answer.reply(
        200, next,
        fmt::format(R"([{{"type":"file","path":"f{}","size":1,"oid":"{}"}}])", page, std::string(40, 'a')));
    return true;
  };
  const Folder folder;
  const auto files = Attempt(fake, folder).hub.list(kRequest);
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->size(), 3u);
  EXPECT_EQ(files->back().path, "f2");
}

TEST(Download, EndlessPages) {
  FakeHub fake({model(10)});
  fake.listing = "[]";
  fake.listing_headers = "Link: <" + fake.url() + "/api/models/lab/tiny/tree/main?x>; rel=\"next\"\r\n";
  const Folder folder;
  EXPECT_NE(Attempt(fake, folder).error().find("pages"), std::string::npos);
}

TEST(Download, AHeadThatContradicts) {
  const FakeHub::File file = model(10);
  {
    FakeHub fake({file});
    fake.without_commit = true;
    const Folder folder;
    EXPECT_NE(Attempt(fake, folder).error().find("commit"), std::string::npos);
  }
  {
    FakeHub fake({file});
    fake.intercept = [](const Incoming& incoming, Answer& answer) {
      if (incoming.method != "HEAD") return false;
      answer.reply(
          200, fmt::format("X-Repo-Commit: {}\r\nX-Linked-Etag: \"{}\"\r\n", kCommit, std::string(64, 'b')),
          "", false);
      return true;
    };
    const Folder folder;
    EXPECT_NE(Attempt(fake, folder).error().find("changed on the server"), std::string::npos);
  }
  {
    FakeHub fake({file});
    fake.intercept = [](const Incoming& incoming, Answer& answer) {
      if (incoming.method != "HEAD") return false;
      answer.reply(200, "X-Repo-Commit: ../../../../tmp/x\r\n", "", false);
      return true;
    };
    const Folder folder;
    EXPECT_NE(Attempt(fake, folder).error().find("commit"), std::string::npos);
  }
}

TEST(Download, TwoAtOnce) {
  const FakeHub::File file = model(10);
  FakeHub fake({file});
  const Folder folder;
  const Attempt attempt(fake, folder);
  ASSERT_TRUE(attempt.hub.cache().make_folders(kRequest.repo));
  const std::string lock = attempt.hub.cache().lock_path(kRequest.repo, FakeHub::hash(file));
  const int other = ::open(lock.c_str(), O_CREAT | O_RDWR, 0644);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  const std::string error = attempt.error();
  EXPECT_NE(error.find("m-Q4_0.gguf: another program"), std::string::npos) << error;
  EXPECT_NE(error.find(lock), std::string::npos) << error;
  ::close(other);
  EXPECT_EQ(attempt.error(), "");
}

TEST(Download, AFileInTheSnapshotIsEnough) {
  const FakeHub::File file = model(10);
  FakeHub fake({file});
  const Folder folder;
  write(folder / "models--lab--tiny/snapshots/" + kCommit + "/m-Q4_0.gguf", file.content);
  const auto pulled = Attempt(fake, folder).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_TRUE(pulled->was_there);
  EXPECT_TRUE(fake.content_requests().empty());
  EXPECT_FALSE(std::filesystem::is_symlink(pulled->path));
}

// Where the cache cannot be written, what is there is still found: a file stands where folders would be made,
// which stops even those whom permissions do not.
TEST(Download, WhatIsThereIsFoundInACacheForReading) {
  const FakeHub::File file = model(10);
  FakeHub fake({file});
  const Folder folder;
  ASSERT_TRUE(Attempt(fake, folder).pull());
  for (const char* name : {"models--lab--tiny/refs", ".locks"}) {
    std::filesystem::remove_all(folder / name);
    write(folder / name, "no folder");
  }
  const auto pulled = Attempt(fake, folder).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_TRUE(pulled->was_there);
  EXPECT_EQ(content_of(pulled->path), file.content);
  std::filesystem::remove(pulled->path);
  EXPECT_NE(Attempt(fake, folder).error().find("cannot create the folder"), std::string::npos)
      << "what must be written and cannot be is said";
}

// A revision is one part of an address, whatever it is called.
TEST(Download, RevisionsWithSlashes) {
  const FakeHub::File file = model(10);
  FakeHub fake({file});
  fake.revision = "refs%2Fpr%2F1";
  const Folder folder;
  const Request request{{"lab", "tiny"}, "refs/pr/1", ""};
  const Attempt attempt(fake, folder);
  const auto files = attempt.hub.list(request);
  ASSERT_TRUE(files) << files.error().message;
  const auto pulled = attempt.hub.pull(request, files->front(), {});
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(folder / "models--lab--tiny/refs/refs/pr/1"), kCommit);
  EXPECT_EQ(Cache(folder.path()).find(request).take(), pulled->path);
  for (const Incoming& incoming : fake.server().requests())
    EXPECT_EQ(incoming.path.find("refs/pr"), std::string::npos) << incoming.path;
}

// Sets variables of the environment and puts the old ones back.
class Environment {
 public:
  ~Environment() {
    for (const auto& [name, value] : old_) value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
  }
  void set(const char* name, const char* value) {
    old_.emplace(name, environment(name));
    value ? ::setenv(name, value, 1) : ::unsetenv(name);
  }

 private:
  std::map<const char*, std::optional<std::string>> old_;
};

// Cache and login lie in the same place, however it is named.
TEST(Hub, WhereThingsAreKept) {
  const Folder folder;
  struct Case {
    const char *hf_home, *xdg_cache, *place;
  };
  for (const auto& [hf_home, xdg_cache, place] : {Case{nullptr, nullptr, "/.cache/huggingface"},
                                                  {nullptr, "~/xdg", "/xdg/huggingface"},
                                                  {"~/hf", "~/xdg", "/hf"},
                                                  {"~", nullptr, ""}}) {
    Environment env;
    for (const char* name :
         {"HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT"})
      env.set(name, nullptr);
    env.set("HOME", folder.path().c_str());
    env.set("HF_HOME", hf_home);
    env.set("XDG_CACHE_HOME", xdg_cache);
    const std::string token = fmt::format("hf_of{}", place);
    write(folder.path() + place + "/token", token + "\n");
    EXPECT_EQ(Cache::from_environment().take().root(), folder.path() + place + "/hub");
    EXPECT_EQ(HubOptions::from_environment().take().token, token);
    env.set("HF_TOKEN_PATH", "~/other");
    write(folder / "other", "hf_other");
    EXPECT_EQ(HubOptions::from_environment().take().token, "hf_other");
  }
}

// Fewer bytes at once than asked for: an answer that servers may give.
TEST(Download, ServersThatGiveLessAtOnce) {
  const FakeHub::File file = model(3 * kChunk);
  FakeHub fake({file});
  fake.intercept = [&](const Incoming& incoming, Answer& answer) {
    const std::string range = incoming.header("range");
    if (incoming.method != "GET" || range.empty()) return false;
    const size_t first = std::stoull(range.substr(6)),
                 last = std::min<size_t>(first + 99, std::stoull(range.substr(range.find('-') + 1)));
    answer.reply(206, fmt::format("Content-Range: bytes {}-{}/{}\r\n", first, last, file.content.size()),
                 file.content.substr(first, last - first + 1));
    return true;
  };
  const Folder folder;
  const auto pulled = Attempt(fake, folder, [](HubOptions& o) {
                        o.download.first_pause = o.download.max_pause = std::chrono::seconds(30);
                      }).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(pulled->path), file.content);
}

// What is there but has another size is no copy of it.
TEST(Download, ADamagedBlobIsReplaced) {
  const FakeHub::File file = model(3 * kChunk);
  FakeHub fake({file});
  const Folder folder;
  write(blob_of(folder, file), "short");
  const auto pulled = Attempt(fake, folder).pull();
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(content_of(pulled->path), file.content);
}

TEST(HubHttp, Addresses) {
  EXPECT_TRUE(is_web_address("https://huggingface.co"));
  EXPECT_TRUE(is_web_address("http://127.0.0.1:80"));
  for (const char* bad : {"", "huggingface", "file:///x", "ftp://x", "https://", "https://user:pass@x"})
    EXPECT_FALSE(is_web_address(bad)) << bad;
  EXPECT_TRUE(is_same_origin("https://a.b/x", "https://A.B:443/y"));
  for (const char* other :
       {"http://a.b", "https://a.b:444", "https://a.c", "https://a.b.c", "https://a.b@c", "x"})
    EXPECT_FALSE(is_same_origin("https://a.b", other)) << other;
  EXPECT_EQ(url_escaped("a b/ä?#%.gguf"), "a%20b/%C3%A4%3F%23%25.gguf");
  EXPECT_EQ(url_escaped("/a//b/"), "/a//b/");
  EXPECT_EQ(url_escaped(""), "");
  EXPECT_EQ(url_escaped_name("refs/pr/1"), "refs%2Fpr%2F1");
}

}  // namespace
}  // namespace carat::hub
