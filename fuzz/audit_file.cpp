// Any bytes that are a GGUF file can be audited, whatever they claim, and the findings are printable lines.
#include "audit/audit.h"

#include <cstdint>

#include "audit/identity.h"
#include "base/check.h"
#include "gguf/reader.h"

using namespace carat;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = gguf::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  if (!file) {
    quantization_label({reinterpret_cast<const char*>(data), size < 200 ? size : 200});
    return 0;
  }
  AuditOptions options;
  options.hash = false;
  const auto report = audit(*file, options, {});
  CHECK(report.has_value());
  for (const Finding& finding : report->findings)
    for (const char c : finding.what) CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  return 0;
}
