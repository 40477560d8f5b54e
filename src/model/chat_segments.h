// What a rendered conversation consists of: the template's markers, and text that keeps the memory of who
// wrote it, because only markers may become control tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace carat {

struct ChatSegment {
  enum class Kind {
    marker,   // stands for one control token where the vocabulary has it
    written,  // by the template, a user, or a tool
    models,   // the model's own words, tool calls among them
  } kind;
  std::string text;
};

class Segments {
 public:
  void marker(std::string_view text) { list_.push_back({ChatSegment::Kind::marker, std::string(text)}); }
  void written(std::string_view text) { add(ChatSegment::Kind::written, text); }
  void models(std::string_view text) { add(ChatSegment::Kind::models, text); }
  void append(Segments&& other) {
    for (ChatSegment& segment : other.list_) list_.push_back(std::move(segment));
  }
  const std::vector<ChatSegment>& list() const { return list_; }

 private:
  void add(ChatSegment::Kind kind, std::string_view text) {
    if (text.empty()) return;
    if (list_.empty() || list_.back().kind != kind) list_.push_back({kind, {}});
    list_.back().text += text;
  }

  std::vector<ChatSegment> list_;
};

}  // namespace carat
