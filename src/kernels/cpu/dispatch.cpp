// Detection asks cpuid for the instructions and xgetbv for the registers that the operating system saves: a
// CPU with AVX-512 under a kernel that does not save it would fault.
#include "kernels/cpu/dispatch.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <string>

namespace carat {

extern constinit const KernelTable kKernelsScalar;
#if defined(__x86_64__)
extern constinit const KernelTable kKernelsAvx2;
extern constinit const KernelTable kKernelsAvxVnni;
extern constinit const KernelTable kKernelsAvx512Vnni;
extern constinit const KernelTable kKernelsAvx512Bf16;
#endif

namespace {

#if defined(__x86_64__)

struct X86 {
  unsigned leaf1_ecx = 0, leaf7_ebx = 0, leaf7_ecx = 0, leaf7_1_eax = 0;
  uint64_t saved = 0;  // XCR0
};

X86 ask_x86() {
  X86 x;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d)) x.leaf1_ecx = c;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) x.leaf7_ebx = b, x.leaf7_ecx = c;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) x.leaf7_1_eax = a;
  if (x.leaf1_ecx & bit_OSXSAVE) {
    unsigned low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    x.saved = uint64_t{high} << 32 | low;
  }
  return x;
}

constexpr bool has_all(uint64_t word, uint64_t bits) { return (word & bits) == bits; }

uint32_t machine_features() {
  const X86 x = ask_x86();
  uint32_t features = 0;
  const bool avx2 = has_all(x.leaf1_ecx, bit_AVX | bit_FMA | bit_F16C) && has_all(x.leaf7_ebx, bit_AVX2) &&
                    has_all(x.saved, 0x6);  // xmm, ymm
  if (!avx2) return 0;
  features |= kHasAvx2;
#ifdef CARAT_EMULATED_ISAS  // a test's, made of AVX2 (tests/emulated/)
  return features | kHasAvxVnni | kHasAvx512Vnni | kHasAvx512Bf16;
#endif
  if (has_all(x.leaf7_1_eax, 1u << 4)) features |= kHasAvxVnni;
  if (has_all(x.leaf7_ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL) &&
      has_all(x.leaf7_ecx, bit_AVX512VNNI) && has_all(x.saved, 0xe6))  // and opmask, zmm
    features |= kHasAvx512Vnni;
  if (has_all(x.leaf7_1_eax, 1u << 5) && (features & kHasAvx512Vnni)) features |= kHasAvx512Bf16;
  return features;
}

#else

uint32_t machine_features() { return 0; }

#endif

// One line per instruction set. A parent needs nothing that its child does not: AVX-512 VNNI and AVX-VNNI are
// sisters.
constexpr Isa kIsas[] = {
    {"scalar", 0, -1, &kKernelsScalar},
#if defined(__x86_64__)
    {"avx2", kHasAvx2, 0, &kKernelsAvx2},
    {"avxvnni", kHasAvx2 | kHasAvxVnni, 1, &kKernelsAvxVnni},
    {"avx512vnni", kHasAvx2 | kHasAvx512Vnni, 1, &kKernelsAvx512Vnni},
    {"avx512bf16", kHasAvx2 | kHasAvx512Vnni | kHasAvx512Bf16, 3, &kKernelsAvx512Bf16},
#endif
};

template <class Function>
void inherit(Function& entry, Function from) {
  if (entry == nullptr) entry = from;
}

}  // namespace

bool Isa::supported() const {
  static const uint32_t features = machine_features();
  return (features & needs) == needs;
}

std::span<const Isa> isas() { return kIsas; }

KernelTable resolve_kernels(std::span<const Isa> list, size_t index) {
  CHECK(index < list.size());
  KernelTable table = *list[index].kernels;
  for (int next = list[index].parent; next >= 0; next = list[static_cast<size_t>(next)].parent) {
    CHECK(static_cast<size_t>(next) < index);
    index = static_cast<size_t>(next);
    const KernelTable& from = *list[index].kernels;
#define CARAT_KERNEL(kernel, arguments) inherit(table.kernel, from.kernel);
    CARAT_KERNELS(CARAT_KERNEL)
#undef CARAT_KERNEL
    for (int f = 0; f < kInt8FormatCount; ++f) inherit(table.int8_dots[f], from.int8_dots[f]);
    inherit(table.products_bf16_pairs, from.products_bf16_pairs);
  }
  return table;
}

Result<const Isa*> choose_isa(std::string_view forced) {
  const Isa* best = nullptr;
  std::string known;
  for (const Isa& isa : kIsas) {
    if (forced == isa.name) {
      if (!isa.supported()) return fail("CARAT_ISA={}: this machine does not have it", forced);
      return &isa;
    }
    if (isa.supported()) best = &isa;
    known += (known.empty() ? "" : ", ") + std::string(isa.name);
  }
  if (!forced.empty()) return fail("CARAT_ISA={}: unknown, expected one of {}", forced, known);
  return best;
}

}  // namespace carat
