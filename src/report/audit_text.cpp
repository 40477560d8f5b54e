// The terminal's side of report/audit_text.h.
#include "report/audit_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "audit/identity.h"

namespace carat {
namespace {

std::string bytes_text(uint64_t n) {
  const auto bytes = static_cast<double>(n);
  if (n >= 1'000'000'000) return fmt::format("{:.2f} GB", bytes / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.1f} MB", bytes / 1e6);
  if (n >= 1000) return fmt::format("{:.1f} kB", bytes / 1e3);
  return fmt::format("{} B", n);
}

std::string count_text(int64_t n) {
  const auto count = static_cast<double>(n);
  if (n >= 1'000'000'000) return fmt::format("{:.2f} B", count / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.1f} M", count / 1e6);
  return fmt::format("{}", n);
}

std::string verdict(const AuditReport& report, const Style& style) {
  const int64_t n = report.n_defects();
  if (n == 0 && !report.is_scanned) return style.paint("no defects in the metadata (tensors not read)", "1;32");
  if (n == 0) return style.paint("healthy", "1;32");
  return style.paint(fmt::format("{} defect{}", n, n == 1 ? "" : "s"), "1;31");
}

std::string model_text(const AuditReport& report) {
  std::string text;
  if (report.architecture != "gemma4")
    text = report.architecture.empty() ? "unknown architecture" : report.architecture;
  else
    text = "Gemma 4";
  if (!report.published_size.empty()) {
    std::string size = report.published_size;
    std::transform(size.begin(), size.end(), size.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
    text += " " + size;
  } else if (report.architecture == "gemma4") {
    text += " of a shape that was never published";
  }
  if (!report.name.empty()) text += fmt::format(" (“{}”)", report.name);
  if (report.n_layers > 0) text += fmt::format(", {} layer{}", report.n_layers, report.n_layers == 1 ? "" : "s");
  return text + fmt::format(", {} weights", count_text(report.n_weights));
}

// The name is worth a word where it promises something else.
std::string types_text(const AuditReport& report) {
  const auto promised = type_of_label(report.label);
  if (!promised || report.parts.empty() || *promised == main_matrix_type(report.parts)) return report.types;
  return fmt::format("{} (its name says {})", report.types, printable(report.label));
}

std::string hash_text(const FileDigest& file) {
  if (file.sha256.empty()) return "not computed";
  if (file.expected.empty()) return file.sha256;
  return file.sha256 + (file.is_as_expected() ? " (as expected)" : " (NOT as expected)");
}

std::string vocabulary_text(const VocabularyFacts& facts) {
  std::string text = fmt::format("{} tokens", facts.n_tokens);
  if (facts.bos) text += fmt::format("; a text begins with {} ({})", facts.bos->text, facts.bos->token);
  for (size_t i = 0; i < facts.end_of_generation.size(); ++i)
    text += fmt::format("{}{} ({})", i == 0 ? "; an answer ends with " : ", ",
                        facts.end_of_generation[i].text, facts.end_of_generation[i].token);
  return text;
}

std::string template_text(const TemplateFacts& facts) {
  if (!facts.present) return "none";
  if (!facts.revision.empty())
    return fmt::format("Google's of {}{}", facts.revision, facts.same_as_ours ? ", as carat renders it" : "");
  return fmt::format("{} bytes, SHA-256 {}", facts.n_bytes, facts.sha256);
}

// Text in lines that all begin at column `indent`; the first line's blanks are the caller's.
std::string hanging(std::string_view text, int width, int indent) {
  std::string out;
  for (const char c : wrap(text, width - indent, 0)) {
    out += c;
    if (c == '\n') out.append(static_cast<size_t>(indent), ' ');
  }
  return out;
}

void add_line(std::string& out, std::string_view title, std::string_view text, const Style& style,
              int width) {
  out += "  " + style.paint(fmt::format("{:<10}", title), "1") + hanging(text, width, 12) + "\n";
}

// Of one file, or a line for each part of a split model.
void add_hashes(std::string& out, const AuditReport& report, const Style& style, int width) {
  const size_t n = report.files.size();
  for (size_t i = 0; i < n; ++i) {
    const std::string part = n > 1 ? fmt::format("part {} of {}: ", i + 1, n) : std::string();
    add_line(out, i == 0 ? "SHA-256" : "", part + hash_text(report.files[i]), style, width);
  }
}

std::string parts_table(const AuditReport& report, const Style& style) {
  TextTable table;
  for (const char* title : {"part", "tensors", "weights", "bytes", "share", "types"})
    table.add_column(title, std::string_view(title) == "part" || std::string_view(title) == "types"
                                ? Align::left
                                : Align::right);
  for (const PartFacts& facts : report.parts) {
    std::string types;
    for (const auto& type : facts.types)
      types += fmt::format("{}{}{}", types.empty() ? "" : ", ", type_name(type.type),
                           facts.types.size() > 1 ? fmt::format(" ×{}", type.n_tensors) : "");
    const double share = report.n_tensor_bytes > 0 ? 100.0 * static_cast<double>(facts.n_bytes) /
                                                         static_cast<double>(report.n_tensor_bytes)
                                                   : 0;
    table.add_row({std::string(name_of(facts.part)), fmt::format("{}", facts.n_tensors),
                   count_text(facts.n_elements), bytes_text(facts.n_bytes), fmt::format("{:.1f} %", share),
                   types});
  }
  return table.render(style);
}

std::string share_text(int64_t part, int64_t whole) {
  if (whole == 0) return "";
  if (part == whole) return "100 %";
  return fmt::format("{:.1f} %",
                     std::min(99.9, 100.0 * static_cast<double>(part) / static_cast<double>(whole)));
}

std::string tensors_table(const AuditReport& report, const Style& style) {
  TextTable table;
  table.add_column("tensor", Align::left);
  table.add_column("type", Align::left);
  for (const char* title : {"blocks", "zero", "not finite", "on lattice", "with -8", "lay elsewhere"})
    table.add_column(title, Align::right);
  for (const TensorAudit& tensor : report.tensors) {
    const TensorScan& scan = tensor.scan;
    table.add_row(
        {tensor.name, std::string(type_name(tensor.type)), fmt::format("{}", scan.blocks.n_blocks),
         fmt::format("{}", scan.blocks.n_zero), fmt::format("{}", scan.blocks.n_not_finite),
         share_text(scan.lattice.n_on_lattice, scan.lattice.n_blocks),
         share_text(scan.codes.n_with_minus_8, scan.codes.n_blocks),
         scan.codes.n_blocks > 0 ? fmt::format("{:.1f} %", 100 * scan.codes.rederived_share()) : ""});
  }
  return table.render(style);
}

std::string findings_text(const AuditReport& report, const Style& style, int width) {
  std::string out;
  for (const Finding& finding : report.findings) {
    const bool is_defect = finding.severity == Severity::defect;
    out += "\n  " + style.paint(is_defect ? "defect" : "note  ", is_defect ? "1;31" : "1") + "  " +
           hanging(printable(finding.what), width, 10) + "\n";
    if (!finding.advice.empty()) out += "          " + hanging(finding.advice, width, 10) + "\n";
  }
  return out;
}

}  // namespace

std::string render(const AuditReport& report, const Style& style, int width, bool all_tensors) {
  width = std::max(width, 40);
  std::string out = fmt::format("{}: {}\n\n", printable(report.path), verdict(report, style));
  add_line(out, "model", model_text(report), style, width);
  add_line(out, "types", types_text(report), style, width);
  const double bits = report.n_weights > 0 ? 8.0 * static_cast<double>(report.n_tensor_bytes) /
                                                 static_cast<double>(report.n_weights)
                                           : 0;
  add_line(out, "size", fmt::format("{}, {:.2f} bits per weight", bytes_text(report.n_bytes), bits), style,
           width);
  add_hashes(out, report, style, width);
  if (report.vocabulary.n_tokens > 0)
    add_line(out, "tokens", vocabulary_text(report.vocabulary), style, width);
  if (report.architecture == "gemma4")
    add_line(out, "template", template_text(report.chat_template), style, width);
  if (!report.parts.empty()) out.append("\n").append(parts_table(report, style));
  if (all_tensors && !report.tensors.empty()) out.append("\n").append(tensors_table(report, style));
  return out + findings_text(report, style, width);
}

}  // namespace carat
