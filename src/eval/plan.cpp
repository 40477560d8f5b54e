// The order of rows and the tables of comparisons.
#include "eval/plan.h"

namespace carat {
namespace {

bool same_conditions(const ReportRow& a, const ReportRow& b) {
  return a.kv == b.kv && a.precision == b.precision;
}

class Planner {
 public:
  explicit Planner(std::vector<ReportRow> rows) { plan_.rows = std::move(rows); }

  Plan make() {
    plan_.reference = find_reference();
    own_parents();
    parents_against_reference();
    truth();
    headline();
    twins();
    return std::move(plan_);
  }

 private:
  int n_rows() const { return static_cast<int>(plan_.rows.size()); }
  const ReportRow& row(int i) const { return plan_.rows[static_cast<size_t>(i)]; }
  // Rows whose precision differs from the first row's exist for the noise floor alone.
  bool is_noise(int i) const { return row(i).precision != row(0).precision; }

  int find_reference() const {
    const auto find = [&](auto&& wanted) {
      for (int i = 0; i < n_rows(); ++i)
        if (wanted(row(i))) return i;
      return -1;
    };
    const int parent = find([](const ReportRow& r) { return r.is_parent && r.family == Family::original; });
    if (parent >= 0) return parent;
    const int original = find([](const ReportRow& r) { return r.family == Family::original; });
    return original >= 0 ? original : 0;
  }

  // The reference's file under the conditions of row i.
  int reference_for(int i) const {
    for (int j = 0; j < n_rows(); ++j)
      if (row(j).file == row(plan_.reference).file && same_conditions(row(i), row(j))) return j;
    return -1;
  }

  int add_pair(int model, int reference) {
    for (size_t p = 0; p < plan_.pairs.size(); ++p)
      if (plan_.pairs[p].model == model && plan_.pairs[p].reference == reference) return static_cast<int>(p);
    plan_.pairs.push_back({model, reference});
    return static_cast<int>(plan_.pairs.size()) - 1;
  }

  void own_parents() {
    plan_.own_parent_pair.assign(plan_.rows.size(), -1);
    for (int i = 0; i < n_rows(); ++i) {
      const int parent = row(i).parent;
      if (parent < 0 || parent == i || is_noise(i)) continue;
      plan_.own_parent_pair[static_cast<size_t>(i)] = add_pair(i, parent);
      plan_.comparisons.push_back({Comparison::Table::own_parent, i, parent});
    }
  }

  void parents_against_reference() {
    for (int i = 0; i < n_rows(); ++i) {
      const int reference = reference_for(i);
      if (!row(i).is_parent || is_noise(i) || reference < 0 || row(i).family == row(reference).family)
        continue;
      plan_.comparisons.push_back(
          {Comparison::Table::parents, i, reference, add_pair(i, reference), add_pair(reference, i)});
    }
  }

  void truth() {
    for (int i = 0; i < n_rows(); ++i) {
      const int reference = reference_for(i);
      if (is_noise(i) || reference < 0 || reference == i) continue;
      plan_.comparisons.push_back({Comparison::Table::truth, i, reference});
    }
  }

  // What people ask: the QAT file or that other one, under equal conditions.
  void headline() {
    for (int i = 0; i < n_rows(); ++i)
      for (int j = 0; j < n_rows(); ++j) {
        const ReportRow &a = row(i), &b = row(j);
        if (is_noise(i) || is_noise(j) || !same_conditions(a, b) || a.is_parent || b.is_parent) continue;
        if (a.family == Family::qat && b.family == Family::original)
          plan_.comparisons.push_back({Comparison::Table::headline, i, j});
      }
  }

  // The same file with another KV type, or through another engine.
  void twins() {
    for (int i = 0; i < n_rows(); ++i)
      for (int j = 0; j < i; ++j) {
        if (row(i).file != row(j).file || row(j).precision != row(0).precision || row(j).kv != row(0).kv)
          continue;
        const auto table = is_noise(i) ? Comparison::Table::noise : Comparison::Table::kv;
        if (is_noise(i) && row(i).kv != row(j).kv) continue;
        plan_.comparisons.push_back({table, i, j, add_pair(i, j)});
      }
  }

  Plan plan_;
};

}  // namespace

Plan make_plan(std::vector<ReportRow> rows) { return Planner(std::move(rows)).make(); }

}  // namespace carat
