// Whole audits of files that are healthy, and of files with one thing wrong each.
#include "audit/audit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "audit/identity.h"
#include "base/random.h"
#include "model/fake_file.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

// Has what examine_chat_template() looks for in a template of the small family.
constexpr const char* kTemplate =
    "<|turn>{{ m }}<turn|> add_generation_prompt <|think|> <|tool> <|tool_response> is none <|image|> <|audio|>";

// A small model with made-up weights, a vocabulary and a template.
struct Patient : FakeFile {
  explicit Patient(TensorType type = TensorType::BF16) : FakeFile(tiny_ple_config(), type) {
    file.path = "tiny-it.gguf";
    describe(vocabulary(), file.metadata);
    file.metadata.set("tokenizer.chat_template", std::string(kTemplate));
    Random random(1);
    for (size_t t = 0; t < file.tensors.size(); ++t) {
      auto* bytes = reinterpret_cast<uint16_t*>(data[t].data());
      for (size_t i = 0; i < data[t].size(); ++i) {
        const auto value = static_cast<float>(0.02 * random.normal());
        if (file.tensors[t].type == TensorType::F32)
          data[t][i] = value;
        else if (2 * i + 1 < 2 * data[t].size())
          bytes[2 * i] = f32_to_bf16(value),
                    bytes[2 * i + 1] = f32_to_bf16(static_cast<float>(0.02 * random.normal()));
      }
    }
    set_values("rope_freqs.weight", 1);
  }
  static Vocabulary vocabulary() { return sample_vocabulary(kMinSampleTokens); }

  // The vocabulary with one kind changed.
  void set_kind(const std::string& text, int kind) {
    Vocabulary changed = vocabulary();
    const auto at = std::find(changed.tokens.begin(), changed.tokens.end(), text) - changed.tokens.begin();
    changed.kinds[static_cast<size_t>(at)] = static_cast<TokenKind>(kind);
    describe(changed, file.metadata);
  }

  AuditReport report(int n_threads = 1) const {
    AuditOptions options;
    options.n_threads = n_threads;
    options.hash = false;
    auto report = audit(file, options, {});
    EXPECT_TRUE(report);
    return report.take();
  }
  // "defect token-type, note name"; without the note that the template is not Google's.
  std::string findings() const {
    std::string text;
    for (const Finding& finding : report().findings) {
      if (finding.severity == Severity::note && finding.id == "template") continue;
      text += (text.empty() ? "" : ", ") +
              std::string(finding.severity == Severity::defect ? "defect " : "note ") + finding.id;
      EXPECT_FALSE(finding.what.empty());
      EXPECT_EQ(finding.what.find('\n'), std::string::npos);
    }
    return text;
  }
};

TEST(Audit, AHealthyFile) {
  const Patient patient;
  EXPECT_EQ(patient.findings(), "");
  const AuditReport report = patient.report();
  EXPECT_EQ(report.n_defects(), 0);
  EXPECT_EQ(report.architecture, "gemma4");
  EXPECT_EQ(report.n_layers, 7);
  EXPECT_EQ(report.types, "BF16 in all matrices, embedding BF16, per-layer embedding BF16");
  EXPECT_EQ(report.vocabulary.n_tokens, kMinSampleTokens);
  EXPECT_EQ(report.vocabulary.bos->token, 2);
  ASSERT_EQ(report.vocabulary.end_of_generation.size(), 3u);
  EXPECT_EQ(report.vocabulary.end_of_generation[0].token, 1);
  EXPECT_EQ(report.vocabulary.end_of_generation[1].token, 50);
  EXPECT_EQ(report.vocabulary.end_of_generation[2].token, 106);
  EXPECT_TRUE(report.chat_template.present);
  // printf '%s' with kTemplate, through sha256sum
  EXPECT_EQ(report.chat_template.sha256, "08a0c7e1935f9ccdc571c68a1dd548850f5ab3150d0c4cf273ffd6a450acee54");
  EXPECT_FALSE(report.chat_template.same_as_ours);
  EXPECT_GT(report.lattice.n_blocks, 0);
  EXPECT_EQ(report.lattice.n_on_lattice, 0);
  EXPECT_EQ(patient.report(3).lattice.n_blocks, report.lattice.n_blocks);
}

TEST(Audit, TokenTypes) {
  for (const auto& [text, kind, expected] :
       {std::tuple("<eos>", 1, "defect token-type"),
        std::tuple("<|tool_response>", 4, "note tool-response-type"),  // as llama.cpp's converter has it
        std::tuple("<|tool_response>", 1, "defect tool-response-type"),
        std::tuple("<|tool_response>", 5, "defect tool-response-type"),
        std::tuple("<|turn>", 4, "defect token-type"), std::tuple("<turn|>", 1, "defect token-type"),
        std::tuple("<bos>", 1, "defect token-type"), std::tuple("<|tool_call>", 1, "defect token-type"),
        std::tuple("<|tool_call>", 3, ""), std::tuple("<|channel>", 4, ""),
        std::tuple("<0x41>", 1, "defect byte-tokens"), std::tuple("<unused7>", 1, "")}) {
    Patient patient;
    patient.set_kind(text, kind);
    EXPECT_EQ(patient.findings(), expected) << text << " " << kind;
  }
}

TEST(Audit, Metadata) {
  const auto with = [](auto&& change) {
    Patient patient;
    change(patient.file.metadata);
    return patient.findings();
  };
  using gguf::Metadata;
  EXPECT_EQ(with([](Metadata& m) { m.set("tokenizer.ggml.add_bos_token", false); }), "defect add-bos");
  EXPECT_EQ(with([](Metadata& m) { m.remove("tokenizer.ggml.add_bos_token"); }), "");
  EXPECT_EQ(with([](Metadata& m) { m.set("tokenizer.ggml.add_eos_token", true); }), "defect tokenizer-flag");
  EXPECT_EQ(with([](Metadata& m) { m.remove("tokenizer.chat_template"); }), "defect template-missing");
  EXPECT_EQ(with([](Metadata& m) { m.set("tokenizer.chat_template", std::string()); }),
            "defect template-missing");
  EXPECT_EQ(with([](Metadata& m) { m.set("tokenizer.chat_template", uint32_t{7}); }), "defect template-type");
  EXPECT_EQ(with([](Metadata& m) { m.set("tokenizer.chat_template", std::string("<|im_start|>")); }), "defect template");
  EXPECT_EQ(with([](Metadata& m) {  // the family of the large models, which think an empty thought first
              m.set("tokenizer.chat_template", std::string(kTemplate) + "<|channel>thought\\n<channel|>");
            }),
            "defect template");
  EXPECT_NE(with([](Metadata& m) { m.set("tokenizer.ggml.bos_token_id", uint32_t{1}); }).find("defect bos"),
            std::string::npos);
  EXPECT_NE(with([](Metadata& m) { m.remove("tokenizer.ggml.bos_token_id"); }).find("defect bos"),
            std::string::npos);
  EXPECT_NE(with([](Metadata& m) { m.set("tokenizer.ggml.eos_token_id", uint32_t{300}); }).find("defect eos"),
            std::string::npos);
  EXPECT_NE(with([](Metadata& m) {
              m.set("tokenizer.ggml.eos_token_id", uint32_t{1u << 30});
            }).find("defect special-id"),
            std::string::npos);
  EXPECT_NE(
      with([](Metadata& m) { m.remove("tokenizer.ggml.token_type"); }).find("defect token-types-missing"),
      std::string::npos);
  EXPECT_NE(with([](Metadata& m) {
              m.set("tokenizer.ggml.token_type", gguf::Array(std::vector<int32_t>{1, 2}));
            }).find("defect token-types-length"),
            std::string::npos);
  EXPECT_NE(with([](Metadata& m) { m.remove("tokenizer.ggml.merges"); }).find("defect merges"),
            std::string::npos);
  EXPECT_NE(with([](Metadata& m) {
              m.set("tokenizer.ggml.model", std::string("llama"));
            }).find("defect tokenizer-model"),
            std::string::npos);
  EXPECT_EQ(with([](Metadata& m) { m.remove("tokenizer.ggml.tokens"); }), "defect vocabulary");
  EXPECT_NE(with([](Metadata& m) { m.remove("gemma4.attention.sliding_window"); }).find("defect model"),
            std::string::npos);
  EXPECT_EQ(with([](Metadata& m) { m.set("general.architecture", std::string("clip")); }),
            "note architecture");
}

TEST(Audit, ABaseModelNeedsNoTemplate) {
  Patient patient;
  patient.file.path = "tiny.gguf";
  patient.file.metadata.remove("tokenizer.chat_template");
  EXPECT_EQ(patient.findings(), "note template-missing");
  for (const char* base : {"tiny-italian.gguf", "edit-items.gguf", "tiny-split-1.gguf"}) {
    patient.file.path = base;
    EXPECT_EQ(patient.findings(), "note template-missing") << base;
  }
  for (const char* instructed : {"tiny-it.gguf", "Tiny_IT_x.gguf", "it-tiny.gguf", "tiny-Instruct.gguf"}) {
    patient.file.path = instructed;
    EXPECT_EQ(patient.findings(), "defect template-missing") << instructed;
  }
  patient.file.path = "tiny.gguf";
  patient.file.metadata.set("general.name", std::string("Gemma 4 Tiny It"));
  EXPECT_EQ(patient.findings(), "defect template-missing");
}

TEST(Audit, DamagedTensors) {
  {
    Patient patient;
    reinterpret_cast<uint16_t*>(patient.data[patient.file.index.at("blk.1.ffn_up.weight")].data())[100] =
        0x7fc0;
    EXPECT_EQ(patient.findings(), "defect not-finite");
    EXPECT_NE(patient.report().findings[0].what.find("blk.1.ffn_up.weight"), std::string::npos);
    EXPECT_NE(patient.report().findings[0].what.find("block 3"), std::string::npos)
        << patient.report().findings[0].what;
  }
  {
    Patient patient;
    patient.set_values("blk.1.ffn_up.weight", 0);
    EXPECT_EQ(patient.findings(), "defect zero-tensor");
  }
  {
    Patient patient;
    patient.remove("blk.1.ffn_up.weight");
    EXPECT_EQ(patient.findings(), "defect model");
  }
}

TEST(Audit, QatMastersAreRecognized) {
  Patient patient;
  Random random(2);
  for (size_t t = 0; t < patient.file.tensors.size(); ++t) {
    if (patient.file.tensors[t].type != TensorType::BF16) continue;
    auto* bytes = reinterpret_cast<uint16_t*>(patient.data[t].data());
    const size_t n = static_cast<size_t>(patient.file.tensors[t].n_elements());
    for (size_t i = 0; i < n; ++i)
      bytes[i] = f32_to_bf16(0.01f * static_cast<float>(i % 32 == 0 ? 7 : random.below(14) - 6));
  }
  EXPECT_EQ(patient.findings(), "note lattice");
  const AuditReport report = patient.report();
  EXPECT_EQ(report.lattice.share(), 1);
  EXPECT_EQ(report.lattice.n_kept_by_reference, 0);
  const auto lattice = std::find_if(report.findings.begin(), report.findings.end(),
                                    [](const Finding& finding) { return finding.id == "lattice"; });
  ASSERT_NE(lattice, report.findings.end());
  EXPECT_NE(lattice->what.find("extremes at 7"), std::string::npos) << lattice->what;
  EXPECT_TRUE(lattice->advice.starts_with("As checkpoints of quantization-aware training do."))
      << lattice->advice;
}

// A Q4_0 file whose blocks have the codes that `code` makes, 8 added; the first one of each is -8 if
// `with_minus_8`.
std::string findings_of_codes(bool with_minus_8, const std::function<unsigned()>& code) {
  Patient patient(TensorType::Q4_0);
  for (size_t t = 0; t < patient.file.tensors.size(); ++t) {
    const Tensor& tensor = patient.file.tensors[t];
    if (tensor.type != TensorType::Q4_0) continue;
    auto* bytes = reinterpret_cast<uint8_t*>(patient.data[t].data());
    for (uint64_t at = 0; at < tensor.n_bytes(); at += 18) {
      bytes[at] = 0x00;
      bytes[at + 1] = 0x21;
      for (uint64_t i = 2; i < 18; ++i) bytes[at + i] = static_cast<uint8_t>(code() | code() << 4);
      if (with_minus_8) bytes[at + 2] &= 0xf0;
    }
  }
  return patient.findings();
}

TEST(Audit, WhoMadeTheScales) {
  Random random(3);
  const auto ordinary = [&] {
    return static_cast<unsigned>(std::clamp(std::nearbyint(3.5 * random.normal()), -8.0, 7.0) + 8);
  };
  const auto stretched = [&] {  // from a lattice with extreme 7
    return static_cast<unsigned>(
        std::clamp(std::nearbyint(8 * std::nearbyint(3 * random.normal()) / 7), -8.0, 7.0) + 8);
  };
  const auto narrow = [&] { return static_cast<unsigned>(random.below(13) + 2); };
  EXPECT_EQ(findings_of_codes(true, ordinary), "note reference-scales");
  EXPECT_EQ(findings_of_codes(true, stretched), "defect rederived-scales");
  EXPECT_EQ(findings_of_codes(false, narrow), "note own-scales");
}

TEST(Audit, Interrupted) {
  const Patient patient;
  interrupt_requested = true;
  const auto report = audit(patient.file, AuditOptions{}, {});
  interrupt_requested = false;
  EXPECT_FALSE(report);
}

TEST(Identity, Labels) {
  for (const auto& [name, label] :
       {std::pair("gemma-4-E4B-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        std::pair("gemma-4-E2B_q4_0-it.gguf", "q4_0"), std::pair("gemma-4-12b-it-qat-q4_0.gguf", "q4_0"),
        std::pair("m-BF16-00001-of-00002.gguf", "BF16"), std::pair("m-IQ2_M.gguf", "IQ2_M"),
        std::pair("m-IQ3_XXS.gguf", "IQ3_XXS"), std::pair("m.Q6_K.gguf", "Q6_K"),
        std::pair("m-MXFP4_MOE.gguf", "MXFP4_MOE"), std::pair("gemma-4.gguf", ""), std::pair("", ""),
        std::pair("m-Q4_0_4_4.gguf", ""), std::pair("F16Q4_0x.gguf", ""),
        std::pair("m-f16-q8_0.gguf", "q8_0")})
    EXPECT_EQ(quantization_label(name), label) << name;
  EXPECT_EQ(type_of_label("UD-Q4_K_XL"), TensorType::Q4_K);
  EXPECT_EQ(type_of_label("q4_0"), TensorType::Q4_0);
  EXPECT_EQ(type_of_label("IQ2_M"), TensorType::IQ2_S);
  EXPECT_EQ(type_of_label("UD-Q8_K_XL"), TensorType::Q8_0);
  EXPECT_EQ(type_of_label(""), std::nullopt);
  EXPECT_EQ(type_of_label("hello"), std::nullopt);
}

TEST(Identity, NamesAreCompared) {
  Patient patient;
  patient.file.path = "tiny-it-UD-Q4_K_XL.gguf";
  EXPECT_EQ(patient.findings(), "note name");
  patient.file.path = "tiny-it-BF16.gguf";
  EXPECT_EQ(patient.findings(), "");
  patient.file.metadata.set("general.file_type", uint32_t{15});
  EXPECT_EQ(patient.findings(), "note file-type");
  patient.file.metadata.set("general.file_type", uint32_t{32});
  EXPECT_EQ(patient.findings(), "");
  Patient eight(TensorType::Q8_0);
  for (auto& values : eight.data)
    std::fill(values.begin(), values.end(), 0.01f);  // any bytes that are finite
  eight.file.path = "tiny-it-UD-Q8_K_XL.gguf";
  EXPECT_EQ(eight.findings(), "");
  eight.file.path = "tiny-it-UD-Q4_K_XL.gguf";
  EXPECT_EQ(eight.findings(), "note name");
}

TEST(Parts, EveryTensorOfTheArchitectureHasOne) {
  for (const Config& config : {tiny_ple_config(), tiny_dense_config(), tiny_moe_config()})
    for (const TensorSlot& slot : tensor_slots(config)) {
      const Part part = part_of(slot.name);
      switch (slot.role) {
        case TensorRole::token_embedding:
          EXPECT_EQ(part, Part::embedding) << slot.name;
          break;
        case TensorRole::per_layer_embedding:
          EXPECT_EQ(part, Part::per_layer_embedding) << slot.name;
          break;
        case TensorRole::matrix:
          EXPECT_TRUE(is_matrix_part(part) && part != Part::experts) << slot.name;
          break;
        case TensorRole::expert_matrix:
          EXPECT_EQ(part, Part::experts) << slot.name;
          break;
        case TensorRole::norm:
          EXPECT_EQ(part, Part::norms) << slot.name;
          break;
        case TensorRole::router:
        case TensorRole::scale:
        case TensorRole::table:
          EXPECT_EQ(part, Part::other) << slot.name;
          break;
      }
    }
}

TEST(Parts, Words) {
  std::vector<float> nothing(1 << 20);
  const auto* data = reinterpret_cast<const std::byte*>(nothing.data());
  const Tensor embedding{"token_embd.weight", TensorType::Q6_K, {256, 10, 1, 1}, data};
  const Tensor q{"blk.0.attn_q.weight", TensorType::Q4_0, {256, 100, 1, 1}, data};
  const Tensor norm{"output_norm.weight", TensorType::F32, {256, 1, 1, 1}, data};
  const Tensor proj{"per_layer_model_proj.weight", TensorType::F16, {256, 1, 1, 1}, data};
  EXPECT_EQ(describe_types(parts_of(std::vector{embedding, q, norm})),
            "Q4_0 in all matrices, embedding Q6_K");
  EXPECT_EQ(describe_types(parts_of(std::vector{q, proj})), "Q4_0 97 % + F16 3 % of the matrices");
  EXPECT_EQ(describe_types(parts_of(std::vector{norm})), "F32 in all tensors");
  EXPECT_EQ(describe_types(parts_of({})), "no tensors");
}

}  // namespace
}  // namespace carat
