// Which ISA runs: the forced one is the active one, wrong names are errors, null entries inherit, and ISA
// objects export nothing but their table.
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "support.h"

namespace carat::kernels_test {
namespace {

// Sets CARAT_ISA for a scope.
class ForcedIsa {
 public:
  explicit ForcedIsa(const char* name) {
    if (const char* old = std::getenv("CARAT_ISA")) old_ = old;
    ::setenv("CARAT_ISA", name, 1);
  }
  ~ForcedIsa() { old_ ? ::setenv("CARAT_ISA", old_->c_str(), 1) : ::unsetenv("CARAT_ISA"); }

 private:
  std::optional<std::string> old_;
};

TEST(Dispatch, TheForcedIsaIsTheActiveOne) {
  for (const Isa* isa : supported_isas()) {
    const ForcedIsa forced(std::string(isa->name).c_str());
    auto backend = make_cpu_backend({});
    ASSERT_TRUE(backend.has_value());
    const auto& cpu = dynamic_cast<const CpuBackend&>(**backend);
    EXPECT_EQ(cpu.isa_name(), isa->name);
    EXPECT_EQ(cpu.name(), "cpu " + std::string(isa->name) + ", 1 thread");
  }
}

TEST(Dispatch, TheBestSupportedIsaIsTheDefault) {
  ASSERT_TRUE(choose_isa("").has_value());
  EXPECT_EQ(*choose_isa(""), supported_isas().back());
}

TEST(Dispatch, UnknownNamesListTheKnownOnes) {
  const ForcedIsa forced("avx3");
  auto backend = make_cpu_backend({});
  ASSERT_FALSE(backend.has_value());
  for (const Isa& isa : isas()) EXPECT_NE(backend.error().message.find(isa.name), std::string::npos);
  EXPECT_NE(backend.error().message.find("avx3"), std::string::npos);
}

TEST(Dispatch, UnsupportedIsasAreErrors) {
  for (const Isa& isa : isas()) EXPECT_EQ(choose_isa(isa.name).has_value(), isa.supported());
  EXPECT_FALSE(make_cpu_backend({.n_threads = 0}).has_value());
}

void fake_divide(const float*, int64_t, float, float*) {}
void fake_products(const FloatDots&) {}

TEST(Dispatch, NullEntriesInheritFromTheParents) {
  KernelTable middle{}, top{};
  middle.name = "middle", top.name = "top";
  middle.divide = fake_divide;
  const Isa list[] = {isas()[0], {"middle", 0, 0, &middle}, {"top", 0, 1, &top}};
  const KernelTable resolved = resolve_kernels(list, 2);
  EXPECT_STREQ(resolved.name, "top");
  EXPECT_EQ(resolved.divide, fake_divide);
  EXPECT_EQ(resolved.softmax, isas()[0].kernels->softmax);
  EXPECT_EQ(resolved.int8_dots[0], isas()[0].kernels->int8_dots[0]);
  EXPECT_EQ(resolved.products_bf16_pairs, nullptr);
  middle.products_bf16_pairs = fake_products;
  EXPECT_EQ(resolve_kernels(list, 2).products_bf16_pairs, fake_products);
}

void fake_sister_divide(const float*, int64_t, float, float*) {}

// A list is not a chain: what stands between an ISA and its parent is none of its business.
TEST(Dispatch, NullEntriesDoNotInheritFromSisters) {
  KernelTable parent{}, sister{}, top{};
  parent.divide = fake_divide, sister.divide = fake_sister_divide;
  const Isa list[] = {isas()[0], {"parent", 1, 0, &parent}, {"sister", 3, 1, &sister}, {"top", 5, 1, &top}};
  EXPECT_EQ(resolve_kernels(list, 3).divide, fake_divide);
  EXPECT_EQ(resolve_kernels(list, 2).divide, fake_sister_divide);
}

// Calls visit(entry of table, entry of own) for every kernel of both.
template <class Visit>
void each_entry(const KernelTable& table, const KernelTable& own, const Visit& visit) {
#define CARAT_KERNEL(kernel, arguments) \
  visit(#kernel, reinterpret_cast<void*>(table.kernel), reinterpret_cast<void*>(own.kernel));
  CARAT_KERNELS(CARAT_KERNEL)
#undef CARAT_KERNEL
  for (int f = 0; f < kInt8FormatCount; ++f)
    visit("int8_dots", reinterpret_cast<void*>(table.int8_dots[f]), reinterpret_cast<void*>(own.int8_dots[f]));
  if (table.products_bf16_pairs != nullptr)  // the one entry that may stay null
    visit("products_bf16_pairs", reinterpret_cast<void*>(table.products_bf16_pairs),
          reinterpret_cast<void*>(own.products_bf16_pairs));
}

// Every kernel that an ISA ends up with belongs to an ISA whose needs are among its own.
TEST(Dispatch, EveryKernelNeedsOnlyWhatItsIsaHas) {
  for (size_t i = 0; i < isas().size(); ++i) {
    const KernelTable resolved = resolve_kernels(isas(), i);
    std::vector<int> n_owners;
    for (const Isa& owner : isas()) {
      size_t entry = 0;
      each_entry(resolved, *owner.kernels, [&](const char* kernel, void* used, void* own) {
        n_owners.resize(std::max(n_owners.size(), entry + 1));
        if (used == own) {
          ++n_owners[entry];
          EXPECT_EQ(owner.needs & ~isas()[i].needs, 0u)
              << isas()[i].name << " takes " << kernel << " from " << owner.name;
        }
        ++entry;
      });
    }
    for (const int n : n_owners) EXPECT_EQ(n, 1) << isas()[i].name;
  }
}

// Tests of products ask the table what activations are rounded to; so what the table has must be known.
TEST(Dispatch, OneIsaMultipliesBf16) {
  for (size_t i = 0; i < isas().size(); ++i)
    EXPECT_EQ(resolve_kernels(isas(), i).products_bf16_pairs != nullptr, isas()[i].name == "avx512bf16") << isas()[i].name;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// An object compiled with AVX-512 must not offer the linker an inline function that others could end up with.
TEST(Dispatch, IsaObjectsExportOneSymbol) {
  int n_objects = 0;
  for (const Isa& isa : isas()) {
    const std::string command = "nm --defined-only " CARAT_BINARY_DIR
                                "/CMakeFiles/carat_kernels.dir/src/kernels/cpu/isa_" +
                                std::string(isa.name) + ".cpp.o";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    int n_exported = 0;
    char line[1024], kind = 0, name[1024];
    unsigned long long address = 0;
    while (std::fgets(line, sizeof line, pipe) != nullptr) {
      if (std::sscanf(line, "%llx %c %1023s", &address, &kind, name) != 3) continue;
      // Capital letters are global; u is a unique global, v and w are weak.
      if ((kind >= 'A' && kind <= 'Z') || kind == 'u' || kind == 'v' || kind == 'w') {
        ++n_exported;
        EXPECT_NE(std::string(name).find("kKernels"), std::string::npos) << isa.name << " exports " << name;
      }
    }
    ASSERT_EQ(::pclose(pipe), 0) << command;
    EXPECT_EQ(n_exported, 1) << isa.name;
    ++n_objects;
  }
  EXPECT_EQ(n_objects, static_cast<int>(isas().size()));
}
#endif

}  // namespace
}  // namespace carat::kernels_test
