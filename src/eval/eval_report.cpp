// Names of the report's words.
#include "eval/eval_report.h"

#include <cmath>

#include "base/check.h"

namespace carat {

std::string_view to_string(Family family) {
  switch (family) {
    case Family::original:
      return "original";
    case Family::qat:
      return "QAT";
    case Family::control:
      return "control";
  }
  CHECK(false);
}

std::string_view to_string(Comparison::Table table) {
  switch (table) {
    case Comparison::Table::parents:
      return "parents";
    case Comparison::Table::own_parent:
      return "own_parent";
    case Comparison::Table::truth:
      return "truth";
    case Comparison::Table::headline:
      return "headline";
    case Comparison::Table::kv:
      return "kv";
    case Comparison::Table::noise:
      return "noise";
  }
  CHECK(false);
}

std::string_view to_string(Recovery::Pairing pairing) {
  switch (pairing) {
    case Recovery::Pairing::none:
      return "none";
    case Recovery::Pairing::same_seed:
      return "same seed";
    case Recovery::Pairing::only_one:
      return "only control";
    case Recovery::Pairing::ambiguous:
      return "ambiguous";
  }
  CHECK(false);
}

std::string_view yardstick(Comparison::Table table) {
  switch (table) {
    case Comparison::Table::parents:
      return "A";
    case Comparison::Table::own_parent:
      return "B";
    case Comparison::Table::truth:
    case Comparison::Table::headline:
      return "C";
    case Comparison::Table::kv:
    case Comparison::Table::noise:
      return "";
  }
  CHECK(false);
}

std::vector<double> kld_shares() {
  std::vector<double> shares;
  for (int i = 0; i <= 32; ++i) shares.push_back(std::pow(10, -i / 8.0));
  return shares;
}

const Comparison* EvalReport::find(Comparison::Table table, int row, int other) const {
  for (const Comparison& c : comparisons)
    if (c.table == table && c.row == row && c.reference == other) return &c;
  return nullptr;
}

}  // namespace carat
