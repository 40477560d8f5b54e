// Utf8Stream: tokens can end in the middle of a character; a terminal or a client must get whole ones.
#pragma once

#include <string>
#include <string_view>

namespace carat {

class Utf8Stream {
 public:
  // Adds bytes and returns all whole characters so far. Bytes that can never become a character are passed on
  // as they are.
  std::string push(std::string_view bytes);
  // What is left at the end.
  std::string flush();

 private:
  std::string pending_;
};

}  // namespace carat
