// The lab family: the two shapes that are trained and shipped, and every number that goes into making them,
// so that anybody can make them again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lab/language.h"
#include "lab/rows.h"
#include "model/config.h"
#include "tensor/type.h"

namespace carat::lab {

inline constexpr int kVocabularySize = 512;
inline constexpr uint64_t kVocabularySeed = 1;  // of the text on which the vocabulary is trained
inline constexpr int kVocabularyDocuments = 20000;
inline constexpr uint64_t kTestSeed = 20000;
inline constexpr int kTestDocumentsPerKind = 250;  // about 8900 answers, 102000 tokens

// One training run and the file it leaves.
struct TrainingRun {
  std::string file;                      // in the models folder
  std::string parent;                    // file it starts from and is distilled from; empty: from scratch
  std::optional<TensorType> fake_quant;  // quantization-aware: weights are projected onto this type's lattice
  TensorType stored_as;  // of matrices and tables; a lattice type stores its own lattice exactly
  int64_t n_tokens;
  double learning_rate;
  int64_t warmup_steps;
  double weight_decay;
  double distill_weight;  // share of KL(parent || student) in the loss
  uint64_t seed;
  double curriculum_end;  // RowOptions
  // The repository has room for 25 MB: second seeds of the larger model are made by whoever wants them, and judged where
  // their files are found.
  bool is_shipped = true;
};

struct FamilyModel {
  std::string name;
  Config config;
  std::vector<TrainingRun> runs;  // the parent first
  // Test documents per kind with which the demonstration stays near a minute on two cores.
  int n_test_documents = kTestDocumentsPerKind;
};

// "lab-s": rows are multiples of 32 only, so small and so densely taught that 4 bits show in its answers.
FamilyModel lab_s();
// "lab-m": every row is a multiple of 256, so that every format can hold it; at 4 bits expect ties, at 2 bits
// not.
FamilyModel lab_m();
std::vector<FamilyModel> family();

// The language that the family speaks: Language's own defaults, world 1.
Language family_language();

// The tokenizer's metadata, trained afresh from the constants above (under a second).
gguf::Metadata family_vocabulary();

// Parameters of a config: matrices, tables, gains and scales (not rope_freqs, which are constants).
int64_t n_parameters(const Config& config);

}  // namespace carat::lab
