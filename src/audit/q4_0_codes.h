// What the codes of a Q4_0 tensor tell about who made its scales (docs/decisions/0005-lattice-audit.md).
// ggml's encoder gives every block's extreme element the code -8; its weighted search gives it -8 or -7.
// Codes that look otherwise were kept from a training lattice, or searched by somebody else. And where values
// that lay on a lattice with an extreme other than 8 were encoded again, codes are missing that ordinary
// weights would use.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace carat {

struct Q4_0Codes {
  int64_t n_blocks = 0;           // zeros apart
  int64_t n_with_minus_8 = 0;     // what ggml's encoder makes
  int64_t n_with_minus_7 = 0;     // … and not -8: what its weighted search makes besides
  int64_t n_negative_scales = 0;  // about half of what ggml's encoder makes
  // Of the blocks with -8: those in which no element has the magnitude m (for 7: none has -7, since the
  // encoder writes +8 as +7).
  std::array<int64_t, 8> n_without{};

  Q4_0Codes& operator+=(const Q4_0Codes& other);

  // A lower bound of the share of blocks whose values lay on a lattice with extreme 5, 6 or 7 before they
  // were encoded again. Presumes that in ordinary weights larger codes are not more frequent than smaller
  // ones. 0 for no blocks.
  double rederived_share() const;
  double share_of(int64_t n) const {
    return n_blocks > 0 ? static_cast<double>(n) / static_cast<double>(n_blocks) : 0;
  }
};

// Safe on any bytes: whole blocks of 18 bytes are looked at.
Q4_0Codes count_q4_0_codes(std::span<const std::byte> blocks);

enum class ScaleOrigin {
  too_few,    // blocks to say anything
  reference,  // ggml's encoder, from ordinary weights or from a lattice with extreme -8: the codes do not
              // tell
  rederived,  // ggml's encoder, from weights that lay on another lattice: they were damaged
  searched,   // a weighted search (importance matrix)
  own,        // neither: a training lattice that was kept, or another program's search
};

std::string_view name_of(ScaleOrigin origin);
ScaleOrigin origin_of(const Q4_0Codes& codes);

}  // namespace carat
