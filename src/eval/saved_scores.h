// Saved scores: what a judgement has scored so far, in a file that is whole at any moment, so that hours of work outlive an
// interruption. It belongs to one request: facts tell whether that is the one at hand.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "eval/scores.h"

namespace carat {

// Names and values of whatever scores depend on, in a fixed order.
using ScoreFacts = std::vector<std::pair<std::string, std::string>>;

struct SavedScores {
  std::vector<uint8_t> done;  // [n_items] 1: all scores of the item are in
  LockstepScores scores;
};

// Replaces the file whole, or not at all.
Result<void> save_scores(const std::string& path, const ScoreFacts& facts, const SavedScores& saved);

// Takes up what the file holds; `saved` comes in the shape of the request, with nothing done, and stays so where there is
// no file. Safe on untrusted bytes. Errors: a file that is no such file, is damaged, or belongs to another request (the
// message names the first fact that differs).
Result<void> load_scores(const std::string& path, const ScoreFacts& facts, SavedScores& saved);

// What save_scores() writes and load_scores() reads, for those who carry it otherwise.
std::string scores_to_bytes(const ScoreFacts& facts, const SavedScores& saved);
Result<void> parse_scores(std::span<const std::byte> bytes, const std::string& path, const ScoreFacts& facts,
                          SavedScores& saved);

// Copies the scores of some items from one set into another of the same shape.
void copy_scores(const LockstepScores& from, std::span<const int64_t> items, LockstepScores& to);

}  // namespace carat
