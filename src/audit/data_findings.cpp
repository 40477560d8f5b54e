// From counts to sentences. The thresholds are explained in docs/decisions/0005-lattice-audit.md.
#include "audit/data_findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace carat {
namespace {

// A stretch of zeros that long is no accident in quantized data.
constexpr uint64_t kHole = 64 << 10;
// From here on a tensor counts as lying on a lattice; ordinary weights have a share of 0.
constexpr double kOnLattice = 0.98;
constexpr int64_t kMinLatticeBlocks = 100;

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}
std::string percent(double value) {
  if (value > 0.999 && value < 1) return "99.9 %";  // "100 %" is said of all only
  return fmt::format("{:.{}f} %", 100 * value, value == 0 || value == 1 ? 0 : 1);
}

// One finding for all tensors of a kind: the first one's name, and how many more there are.
struct Group {
  int64_t n = 0;
  const TensorAudit* first = nullptr;
  void add(const TensorAudit& tensor) {
    if (n++ == 0) first = &tensor;
  }
  std::string others() const { return n > 1 ? fmt::format(" ({} tensors in all)", n) : std::string(); }
};

void add_not_finite(AuditReport& report) {
  Group group;
  for (const TensorAudit& tensor : report.tensors)
    if (tensor.scan.blocks.n_not_finite > 0) group.add(tensor);
  if (group.n == 0) return;
  const BlockCounts& blocks = group.first->scan.blocks;
  add_defect(report.findings, "not-finite",
             fmt::format("{} of {} blocks of {} ({}) are infinite or not a number, from block {} on{}",
                         blocks.n_not_finite, blocks.n_blocks, group.first->name,
                         type_name(group.first->type), blocks.first_not_finite, group.others()),
             "The file is damaged or was converted badly: answers turn into nonsense. Get it again, compare "
             "the SHA-256.");
}

// Bytes of zeros between other bytes that no healthy tensor has. Tables have rows of zeros for unused tokens, which are
// 2 % of the published vocabulary.
uint64_t largest_harmless_hole(const TensorAudit& tensor) {
  if (is_matrix_part(tensor.part)) return kHole;
  const bool is_table = tensor.part == Part::embedding || tensor.part == Part::head ||
                        tensor.part == Part::per_layer_embedding;
  return is_table ? std::max<uint64_t>(kHole, tensor.n_bytes / 8) : UINT64_MAX;
}

void add_zeros(AuditReport& report) {
  Group empty, holes;
  uint64_t n_hole_bytes = 0;
  int64_t n_zero = 0, n_blocks = 0;
  for (const TensorAudit& tensor : report.tensors) {
    const TensorScan& scan = tensor.scan;
    if (tensor.part == Part::other) continue;
    if (tensor.part != Part::norms) {
      n_zero += scan.blocks.n_zero;
      n_blocks += scan.blocks.n_blocks;
    }
    if (scan.blocks.n_blocks > 0 && scan.blocks.n_zero == scan.blocks.n_blocks) {
      empty.add(tensor);
    } else if (scan.n_zero_page_bytes >= largest_harmless_hole(tensor)) {
      holes.add(tensor);
      n_hole_bytes += scan.n_zero_page_bytes;
    }
  }
  if (empty.n > 0)
    add_defect(report.findings, "zero-tensor",
               fmt::format("{} holds nothing but zeros{}", empty.first->name, empty.others()),
               "Most likely a download or a copy that was cut short. Get the file again.");
  if (holes.n > 0)
    add_defect(report.findings, "hole",
               fmt::format("{} has a hole: {} kB of zeros between its weights{}", holes.first->name,
                           n_hole_bytes / 1000, holes.others()),
               "Most likely a download that was cut short. Get the file again, compare the SHA-256.");
  if (share(n_zero, n_blocks) >= 0.01 && empty.n == 0 && holes.n == 0)
    add_note(report.findings, "zero-blocks",
             fmt::format("{} of the blocks hold nothing but zeros", percent(share(n_zero, n_blocks))),
             "Common for unused tokens' embeddings; strange elsewhere.");
}

// The codes with which blocks' extremes stand, the most frequent first: "-8 (51.0 %), 7 (48.2 %)".
std::string extremes(const LatticeReport& lattice) {
  std::string text;
  std::array<int64_t, 16> counts = lattice.n_with_extreme;
  for (int shown = 0; shown < 3; ++shown) {
    const auto most = std::max_element(counts.begin(), counts.end());
    const int code = static_cast<int>(most - counts.begin()) - 8;
    if (*most == 0) break;
    text +=
        fmt::format("{}{} ({})", text.empty() ? "" : ", ", code, percent(share(*most, lattice.n_on_lattice)));
    *most = 0;
  }
  return text;
}

void add_lattice(AuditReport& report) {
  LatticeReport lattice;
  int64_t n_on = 0, n_all = 0;
  for (const TensorAudit& tensor : report.tensors) {
    const LatticeReport& own = tensor.scan.lattice;
    const int64_t n_zero = own.n_with_extreme[8];  // zeros lie on every lattice
    if (own.n_blocks - n_zero < kMinLatticeBlocks) continue;
    ++n_all;
    if (share(own.n_on_lattice - n_zero, own.n_blocks - n_zero) < kOnLattice) continue;
    ++n_on;
    lattice += own;
  }
  if (n_on == 0) return;
  const double kept = share(lattice.n_kept_by_reference, lattice.n_blocks);
  // What is measured is the lattice; where it comes from, the weights do not say.
  std::string advice =
      kept > 0.999
          ? "As checkpoints of quantization-aware training do, and weights decoded from a Q4_0 file. An "
            "ordinary Q4_0 conversion keeps them exactly; types with more bits only take more room."
          : fmt::format(
                "As checkpoints of quantization-aware training do. An ordinary Q4_0 conversion would "
                "keep {} of the blocks and damage the others: use a converter that keeps each "
                "block's own scale.",
                percent(kept));
  add_note(report.findings, "lattice",
           fmt::format("{} of {} matrices lie on a 4-bit lattice ({} of their blocks; extremes at {})", n_on,
                       n_all, percent(lattice.share()), extremes(lattice)),
           std::move(advice));
}

void add_codes(AuditReport& report) {
  const Q4_0Codes& codes = report.codes;
  switch (origin_of(codes)) {
    case ScaleOrigin::too_few:
      return;
    case ScaleOrigin::rederived:
      add_defect(
          report.findings, "rederived-scales",
          fmt::format("at least {} of the Q4_0 blocks lay on another 4-bit lattice before they were encoded",
                      percent(codes.rederived_share())),
          "As when a QAT checkpoint goes through an ordinary converter: that gives its blocks new scales "
          "and loses most of what the training had gained. Take the publisher's own Q4_0 file, or convert "
          "with the lattice kept.");
      return;
    case ScaleOrigin::own:
      add_note(
          report.findings, "own-scales",
          fmt::format("{} of the Q4_0 blocks have scales that ggml's encoders never choose",
                      percent(codes.share_of(codes.n_blocks - codes.n_with_minus_8 - codes.n_with_minus_7))),
          "The lattice of a quantization-aware training was kept, or another program searched the scales. "
          "Use the file as it "
          "is: encoding it again would lose that.");
      return;
    case ScaleOrigin::searched:
      add_note(report.findings, "searched-scales", "the Q4_0 scales were searched (importance matrix)",
               "An ordinary quantization of good make.");
      return;
    case ScaleOrigin::reference:
      add_note(report.findings, "reference-scales", "the Q4_0 scales are those of ggml's plain encoder",
               "An ordinary quantization, or a QAT lattice whose extremes stand at -8, which it keeps "
               "exactly: the codes do not "
               "tell which.");
  }
}

}  // namespace

void add_data_findings(AuditReport& report) {
  add_not_finite(report);
  add_zeros(report);
  add_lattice(report);
  add_codes(report);
}

}  // namespace carat
