// Formats that Carat reads but does not write: files of them run and are shown; whatever would have to encode one
// refuses it by name, before any work.
#include <gtest/gtest.h>

#include "cli/refused.h"

namespace carat::cli {
namespace {

struct Types : testing::Test {
  Folder folder;
  std::string model = folder / "low.gguf", out = folder / "out.gguf";

  void SetUp() override {
    const auto outcome = carat({"synth", model, "--like", "12b", "--layers", "6", "--width-divisor", "15", "--vocab",
                                "600", "--type", "IQ2_XXS"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
};

TEST_F(Types, WithoutAnEncoderRun) {
  const auto shown = carat({"inspect", model});
  EXPECT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.out.find("IQ2_XXS"), std::string::npos) << shown.out;
  for (const char* precision : {"--exact", "--threads=1"}) {
    const auto outcome = carat({"logits", model, "--tokens", "2,300,337", precision});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }
  EXPECT_EQ(carat({"quantize", model, out, "F32"}).code, 0);
}

TEST_F(Types, WithoutAnEncoderAreNotWritten) {
  const std::string source = folder / "source.gguf";
  ASSERT_EQ(carat({"quantize", model, source, "BF16"}).code, 0);
  const auto before = folder.names();
  for (const std::string type : {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"}) {
    SCOPED_TRACE(type);
    expect_refused(carat({"quantize", source, out, type}), type);
    expect_refused(carat({"quantize", source, out, "Q8_0", "--tensor-type", "ffn_down=" + type}), type);
    expect_refused(carat({"quantize", source, out, "Q8_0", "--token-embedding-type", type}), type);
    expect_refused(carat({"train", out, "--from", source, "--tokens", "100", "--qat", type}), type);
    expect_refused(carat({"train", out, "--from", source, "--tokens", "100", "--type", type}), type);
    expect_refused(carat({"logits", source, "--tokens", "2", "--kv", type}), type);
  }
  EXPECT_EQ(folder.names(), before);
}

TEST_F(Types, TernaryOnesAreWritten) {
  const std::string source = folder / "source.gguf";
  ASSERT_EQ(carat({"quantize", model, source, "BF16"}).code, 0);
  for (const std::string type : {"TQ1_0", "TQ2_0", "Q1_0", "Q2_0"}) {
    const auto outcome = carat({"quantize", source, out, type});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(carat({"inspect", out}).out.find(type), std::string::npos);
  }
}

}  // namespace
}  // namespace carat::cli
