// Who is paired with whom in contrasts.h, and the families of their tests.
#include "eval/contrasts.h"

#include <map>

#include "eval/pair_judgement.h"

namespace carat {
namespace {

using Quantity = Sample::Quantity;

class Rows {
 public:
  explicit Rows(const EvalReport& report) : report_(report) {}

  int n() const { return static_cast<int>(report_.rows.size()); }
  const ReportRow& operator[](int r) const { return report_.rows[static_cast<size_t>(r)]; }
  bool is_noise(int r) const { return (*this)[r].precision != report_.rows.front().precision; }

  // The same file under the KV type and precision of `like`; -1: none.
  int same_file(int r, const ReportRow& like) const {
    for (int i = 0; i < n(); ++i)
      if ((*this)[i].file == (*this)[r].file && same_conditions((*this)[i], like)) return i;
    return -1;
  }

  // Of the parent's quantized files, under the conditions of `like`, the one that is quantized like it.
  int quantized_like(int parent, const ReportRow& like) const {
    int found = -1;
    for (int i = 0; i < n(); ++i) {
      const ReportRow& row = (*this)[i];
      if (row.is_parent || row.parent < 0 || !same_conditions(row, like)) continue;
      if ((*this)[row.parent].file != (*this)[parent].file || row.family != (*this)[parent].family) continue;
      if (row.types == like.types) return i;
      if (row.main_type == like.main_type && found < 0) found = i;
    }
    return found;
  }

  // Unquantized controls under the conditions of `like`.
  std::vector<int> controls(const ReportRow& like) const {
    std::vector<int> found;
    for (int i = 0; i < n(); ++i)
      if ((*this)[i].family == Family::control && (*this)[i].is_parent && same_conditions((*this)[i], like))
        found.push_back(i);
    return found;
  }

 private:
  static bool same_conditions(const ReportRow& a, const ReportRow& b) {
    return a.kv == b.kv && a.precision == b.precision;
  }
  const EvalReport& report_;
};

// A seed of 0 is one that nobody stated. Averaging over controls is not offered: the difference between two runs
// of one recipe is as large as the effects that are to be told apart.
void pair_with_control(const Rows& rows, Recovery& recovery) {
  const ReportRow& twin = rows[recovery.qat];
  const std::vector<int> controls = rows.controls(twin);
  int n_of_seed = 0;
  for (const int c : controls)
    if (twin.seed != 0 && rows[c].seed == twin.seed) {
      recovery.control = c;
      ++n_of_seed;
    }
  if (controls.empty()) {
    recovery.pairing = Recovery::Pairing::none;
  } else if (n_of_seed == 1) {
    recovery.pairing = Recovery::Pairing::same_seed;
  } else if (controls.size() == 1) {
    recovery.pairing = Recovery::Pairing::only_one;
    recovery.control = controls.front();
  } else {
    recovery.pairing = Recovery::Pairing::ambiguous;
    recovery.control = -1;
  }
}

// Whether quantization did harm, beyond doubt: otherwise a share of it means nothing.
bool is_damaged(const Sample& sample, Quantity quantity, int quantized, int base) {
  constexpr double kDamageIsReal = 0.01;
  const Interval difference = sample.difference(quantity, quantized, base);
  const double harm = quantity == Quantity::right ? -difference.estimate : difference.estimate;
  return harm > 0 && p_value(difference) < kDamageIsReal;
}

}  // namespace

std::vector<Recovery> recoveries(const EvalReport& report, const Sample& sample) {
  std::vector<Recovery> result;
  if (report.reference < 0) return result;
  const Rows rows(report);
  const ReportRow& reference = rows[report.reference];
  const std::pair<Quantity, std::string> metrics[] = {
      {Quantity::nll, "nll"}, {Quantity::answer_nll, "answer_nll"}, {Quantity::right, "accuracy"}};
  for (int r = 0; r < rows.n(); ++r) {
    const ReportRow& row = rows[r];
    if (row.family != Family::qat || row.is_parent || row.precision != reference.precision ||
        row.kv != reference.kv)
      continue;
    Recovery pairing;
    pairing.qat = r;
    pair_with_control(rows, pairing);
    const int control = pairing.control;
    const int control_ptq = control < 0 ? -1 : rows.quantized_like(control, row);
    const bool is_original = reference.family == Family::original && reference.is_parent;
    const int original_ptq = is_original ? rows.quantized_like(report.reference, row) : -1;
    for (const auto& [quantity, name] : metrics) {
      if (report.n_answers == 0 && quantity != Quantity::nll) continue;
      Recovery recovery = pairing;
      recovery.metric = name;
      if (control_ptq >= 0) {
        recovery.honest = sample.recovery(quantity, r, control, control_ptq, control);
        recovery.honest_defined = is_damaged(sample, quantity, control_ptq, control);
      }
      if (original_ptq >= 0) {
        const int original = report.reference;
        recovery.naive = sample.recovery(quantity, r, original, original_ptq, original);
        recovery.naive_defined = is_damaged(sample, quantity, original_ptq, original);
      }
      if (recovery.honest || recovery.naive) result.push_back(recovery);
    }
  }
  return result;
}

std::vector<CacheEffect> cache_effects(const EvalReport& report, const Sample& sample) {
  std::vector<CacheEffect> result;
  if (report.reference < 0 || report.rows[static_cast<size_t>(report.reference)].family != Family::original)
    return result;
  const Rows rows(report);
  const ReportRow& first = rows[0];
  for (int r = 0; r < rows.n(); ++r) {
    const ReportRow& row = rows[r];
    if (row.family != Family::qat || row.kv == first.kv || rows.is_noise(r)) continue;
    CacheEffect effect;
    effect.qat = r;
    effect.qat_base = rows.same_file(r, first);
    effect.original = row.is_parent ? -1 : rows.quantized_like(report.reference, row);
    if (effect.original < 0) effect.original = rows.same_file(report.reference, row);
    if (effect.original >= 0) effect.original_base = rows.same_file(effect.original, first);
    if (effect.qat_base < 0 || effect.original_base < 0) continue;
    const auto contrast = [&](Quantity quantity) {
      return sample.difference_of_differences(quantity, effect.qat, effect.qat_base, effect.original,
                                              effect.original_base);
    };
    effect.accuracy = contrast(Quantity::right);
    effect.nll = contrast(nll_quantity(report));
    result.push_back(effect);
  }
  std::map<KvType, std::vector<CacheEffect*>> families;
  for (CacheEffect& effect : result) families[rows[effect.qat].kv].push_back(&effect);
  for (const auto& [kv, members] : families) {
    std::vector<PairFigures> figures;
    for (const CacheEffect* effect : members) figures.push_back({effect->accuracy, effect->nll});
    const std::vector<PairJudgement> judged = judge_pairs(report, figures);
    for (size_t i = 0; i < members.size(); ++i) {
      members[i]->accuracy_judgement = judged[i].accuracy;
      members[i]->nll_judgement = judged[i].nll;
      members[i]->verdict = judged[i].word.verdict;
      members[i]->n_more_items = judged[i].word.n_more_items;
    }
  }
  return result;
}

}  // namespace carat
