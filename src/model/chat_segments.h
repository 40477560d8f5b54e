// What a rendered conversation consists of: the template's markers, and text that keeps the memory of who
// wrote it, because only markers may become control tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace carat {

struct Segment {
  enum class Kind {
    marker,   // stands for one control token where the vocabulary has it
    written,  // by the template, a user, or a tool
    models,   // the model's own words, tool calls among them
  } kind;
  std::string text;
};

class Segments {
 public:
  void marker(std::string_view text) { list_.push_back({Segment::Kind::marker, std::string(text)}); }
  void written(std::string_view text) { add(Segment::Kind::written, text); }
  void models(std::string_view text) { add(Segment::Kind::models, text); }
  void append(Segments&& other) {
    for (Segment& segment : other.list_) list_.push_back(std::move(segment));
  }
  const std::vector<Segment>& list() const { return list_; }

 private:
  void add(Segment::Kind kind, std::string_view text) {
    if (text.empty()) return;
    if (list_.empty() || list_.back().kind != kind) list_.push_back({kind, {}});
    list_.back().text += text;
  }

  std::vector<Segment> list_;
};

}  // namespace carat
