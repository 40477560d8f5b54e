// Runs the real program as a user would, and a folder for what it writes.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace carat::cli {

struct Outcome {
  int code = -1;  // exit code; 128 + the signal that ended it
  std::string out, err;
};

// A folder of its own for each test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "carat_cli_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  // Names of everything in it, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::filesystem::path path_;
};

inline std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Where a program reads and writes other than /dev/null and the files in its folder.
struct Streams {
  std::string in, out;
};

// A started program; its output goes to two files in `folder`.
class Program {
 public:
  Program(const Folder& outputs, std::vector<std::string> arguments, const Streams& streams = {})
      : out_(outputs / "stdout"), err_(outputs / "stderr") {
    arguments.insert(arguments.begin(), CARAT_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    overwrite(err_, "");  // what an earlier program said is not this one's
    pid_ = ::fork();
    if (pid_ == 0) {
      // A pipe opened for both never ends.
      ::dup2(streams.in.empty() ? ::open("/dev/null", O_RDONLY) : ::open(streams.in.c_str(), O_RDWR), 0);
      const std::string& out = streams.out.empty() ? out_ : streams.out;
      ::dup2(::open(out.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644), 1);
      ::dup2(::open(err_.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644), 2);
      ::execv(CARAT_PROGRAM, argv.data());
      ::_exit(127);
    }
  }
  void signal(int number) const { ::kill(pid_, number); }
  std::string err_so_far() const { return content(err_); }
  bool has_ended() {
    if (!ended_) ended_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
    return ended_;
  }
  Outcome wait() {
    if (!ended_) ::waitpid(pid_, &status_, 0);
    ended_ = true;
    return {WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_), content(out_), content(err_)};
  }

 private:
  std::string out_, err_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

inline Outcome carat(std::vector<std::string> arguments) {
  const Folder outputs;
  return Program(outputs, std::move(arguments)).wait();
}

}  // namespace carat::cli
