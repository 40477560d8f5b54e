// Puts the checks together: the hash in a thread of its own while the pool scans the tensors, then what the
// counts mean.
#include "audit/audit.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "audit/data_findings.h"
#include "audit/identity.h"
#include "base/sha256.h"
#include "gguf/layout.h"
#include "model/config.h"
#include "model/weights.h"

namespace carat {
namespace {

std::string text_or_empty(const gguf::Metadata& metadata, std::string_view key) {
  const auto text = metadata.text(key);
  return text ? gguf::printable(*text) : std::string();
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::string file_name_of(const std::string& path) { return std::filesystem::path(path).filename().string(); }

// A download cache names its files by their hash, and links to them.
std::string hash_by_place(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  if (error || real.parent_path().filename() != "blobs" || !is_sha256(real.filename().string())) return {};
  return real.filename().string();
}

void describe(const gguf::File& file, AuditReport& report) {
  report.path = file.path;
  report.n_bytes = file.n_bytes;
  for (const gguf::Part& part : file.parts) report.files.push_back({part.path, part.n_bytes, {}, {}});
  report.architecture = text_or_empty(file.metadata, "general.architecture");
  report.name = text_or_empty(file.metadata, "general.name");
  report.label = quantization_label(file_name_of(file.path));
  report.parts = parts_of(file.tensors);
  report.types = describe_types(report.parts);
  for (const PartFacts& facts : report.parts) {
    report.n_weights += facts.n_elements;
    report.n_tensor_bytes += facts.n_bytes;
  }
  for (const Tensor& tensor : file.tensors)
    report.tensors.push_back({gguf::printable(tensor.name), tensor.type, part_of(tensor.name), tensor.n_bytes(), {}});
}

// What only a Gemma 4 language model has.
void check_model(const gguf::File& file, AuditReport& report) {
  const auto layers = file.metadata.integer_or("gemma4.block_count", 0, 1 << 20, 0);
  report.n_layers = layers ? *layers : 0;
  report.published_size = published_size_of(file);
  const auto config = read_config(file);
  std::string refusal = config ? "" : config.error().message;
  if (config)
    if (const auto weights = find_weights(file, *config); !weights) refusal = weights.error().message;
  // Its path is the report's title.
  if (refusal.starts_with(file.path + ": ")) refusal.erase(0, file.path.size() + 2);
  if (!refusal.empty())
    add_defect(
        report.findings, "model", fmt::format("carat cannot run it: {}", refusal),
        "The file is incomplete, was made for another program, or holds what carat does not know yet.");
  report.vocabulary = check_vocabulary(file.metadata, report.findings);
  report.chat_template = check_template(file.metadata, config ? &*config : nullptr,
                                        lower(report.name + " " + file_name_of(file.path)), report.findings);
}

// Hashing runs beside the scan; both count towards one progress.
class Work {
 public:
  Work(const gguf::File& file, const AuditOptions& options, const Progress& progress)
      : file_(file), options_(options), progress_(progress) {
    if (options.hash)
      for (const gguf::Part& part : file.parts) total_ += bytes_of(part).size();
    if (options.scan)
      for (const Tensor& tensor : file.tensors) total_ += tensor.n_bytes();
  }

  // False: interrupted.
  bool run(AuditReport& report) {
    std::jthread hashing;
    if (options_.hash)
      hashing = std::jthread([&] {
        hash_files(report.files);
        hash_ended_ = true;
      });
    const bool scanned = !options_.scan || scan(report);
    while (options_.hash && !hash_ended_) {
      say();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    if (hashing.joinable()) hashing.join();
    return scanned && !interrupted();
  }

 private:
  static std::span<const std::byte> bytes_of(const gguf::Part& part) {
    return part.mapping ? part.mapping->bytes() : std::span<const std::byte>();
  }
  // Stops early when interrupted.
  void hash_files(std::vector<FileDigest>& digests) {
    uint64_t before = 0;
    for (size_t i = 0; i < digests.size(); ++i) {
      const auto bytes = bytes_of(file_.parts[i]);
      const auto hash =
          sha256_hex(bytes, [&](uint64_t done, uint64_t, std::string_view) { hashed_ = before + done; });
      if (!hash) return;
      digests[i].sha256 = *hash;
      before += bytes.size();
    }
  }
  void say() const {
    if (progress_) progress_(scanned_ + hashed_, total_, "auditing");
  }
  bool scan(AuditReport& report) {
    ThreadPool pool(options_.n_threads);
    const auto scans = scan_tensors(file_.tensors, pool, [&](uint64_t n_bytes) {
      scanned_ = n_bytes;
      say();
    });
    if (scans.size() != file_.tensors.size()) return false;
    for (size_t i = 0; i < scans.size(); ++i) {
      report.tensors[i].scan = scans[i];
      report.lattice += scans[i].lattice;
      report.codes += scans[i].codes;
    }
    return true;
  }

  const gguf::File& file_;
  const AuditOptions& options_;
  const Progress& progress_;
  uint64_t total_ = 0, scanned_ = 0;
  std::atomic<uint64_t> hashed_{0};
  std::atomic<bool> hash_ended_{false};
};

void check_hashes(AuditReport& report) {
  for (const FileDigest& file : report.files) {
    if (file.sha256.empty() || file.expected.empty() || file.is_as_expected()) continue;
    const std::string whose =
        report.files.size() > 1 ? " of " + gguf::printable(file_name_of(file.path)) : std::string();
    add_defect(
        report.findings, "sha256",
        fmt::format("the SHA-256{} is {}, expected {}", whose, file.sha256, file.expected),
        "The file is not the one that was published, or was damaged on the way. Delete it and get it again.");
  }
}

}  // namespace

int64_t AuditReport::n_defects() const {
  return std::count_if(findings.begin(), findings.end(),
                       [](const Finding& f) { return f.severity == Severity::defect; });
}

Result<AuditReport> audit(const gguf::File& file, const AuditOptions& options, const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  AuditReport report;
  describe(file, report);
  if (!options.expected_sha256.empty() && report.files.size() > 1)
    return fail("{}: one SHA-256 is expected, but the model has {} files", file.path, report.files.size());
  for (FileDigest& digest : report.files)
    digest.expected = options.expected_sha256.empty() ? hash_by_place(digest.path) : options.expected_sha256;
  if (!Work(file, options, progress).run(report)) return fail("{}: interrupted", file.path);
  report.is_scanned = options.scan;
  check_hashes(report);
  if (report.architecture == "gemma4")
    check_model(file, report);
  else
    add_note(
        report.findings, "architecture",
        fmt::format("this is no Gemma 4 language model (general.architecture is '{}')", report.architecture),
        "Only its bytes were checked: not its vocabulary, not its template.");
  check_names(file, report.label, report.parts, report.findings);
  if (options.scan) add_data_findings(report);
  std::stable_sort(report.findings.begin(), report.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace carat
