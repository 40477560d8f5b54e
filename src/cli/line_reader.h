// LineReader: lines of standard input, given up at the first Ctrl-C.
#pragma once

#include <optional>
#include <string>

namespace carat::cli {

class LineReader {
 public:
  // Without the line feed. nullopt: the input has ended, or interrupted().
  std::optional<std::string> next();

 private:
  // False: nothing more will come.
  bool fill();

  std::string waiting_;  // read, not yet handed out
};

}  // namespace carat::cli
