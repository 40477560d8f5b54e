// The health check of a model file: what it is, whether it is whole, and what is wrong with it. Nothing here
// needs the model to load: what a loader refuses or repairs is what has to be reported.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "audit/finding.h"
#include "audit/parts.h"
#include "audit/q4_0_codes.h"
#include "audit/template_check.h"
#include "audit/tensor_scan.h"
#include "audit/vocabulary_check.h"
#include "base/progress.h"
#include "base/result.h"
#include "gguf/reader.h"

namespace carat {

struct AuditOptions {
  int n_threads = 1;
  bool hash = true;  // of each file
  bool scan = true;  // of the tensors' data
  // What the hash should be, of a model in one file; empty: whatever the files' places in a download cache
  // say.
  std::string expected_sha256;
};

// One file of the model: several if it is split.
struct FileDigest {
  std::string path;
  uint64_t n_bytes = 0;
  std::string sha256;    // empty: not asked for
  std::string expected;  // what it was compared with; empty: nothing

  bool is_as_expected() const { return sha256 == expected; }
};

struct TensorAudit {
  std::string name;  // printable
  TensorType type;
  Part part;
  uint64_t n_bytes = 0;
  TensorScan scan;
};

struct AuditReport {
  std::string path;
  uint64_t n_bytes = 0;
  std::vector<FileDigest> files;  // at least one

  std::string architecture, name;  // of the metadata; printable
  std::string published_size;      // "e4b"; empty: no published shape
  std::string label;               // of the file's name: "UD-Q4_K_XL"
  std::string types;               // what it really is, in words
  int64_t n_layers = 0;            // 0: unknown
  int64_t n_weights = 0;
  uint64_t n_tensor_bytes = 0;

  std::vector<PartFacts> parts;
  bool is_scanned = false;           // the tensors' data was looked at
  std::vector<TensorAudit> tensors;  // as in the file
  LatticeReport lattice;             // over all matrices that may lie on one
  Q4_0Codes codes;                   // over all Q4_0 tensors
  VocabularyFacts vocabulary;
  TemplateFacts chat_template;

  Findings findings;  // defects first
  double seconds = 0;
  int64_t n_defects() const;
};

// Errors: interrupted; one expected hash for several files. The file has been opened, so it is at least a
// GGUF file.
Result<AuditReport> audit(const gguf::File& file, const AuditOptions& options, const Progress& progress);

}  // namespace carat
