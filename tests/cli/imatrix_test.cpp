// carat imatrix and what quantize does with its files, error-compensating rounding and lattices, through the
// program.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/refused.h"

namespace carat::cli {
namespace {

struct Calibration : testing::Test {
  Folder folder;
  std::string model = folder / "model.gguf", text = folder / "text.txt", out = folder / "out.gguf",
              imatrix = folder / "i.gguf";

  void SetUp() override {
    const auto made = carat({"synth", model, "--like", "e2b", "--layers", "5", "--width-divisor", "24",
                             "--vocab", "600", "--type", "BF16"});
    ASSERT_EQ(made.code, 0) << made.err;
    std::string words;
    for (int i = 0; i < 3000; ++i) words += static_cast<char>("abcdefgh \n"[i * 7919 % 10]);
    overwrite(text, words);
  }
};

TEST_F(Calibration, BothFormatsQuantizeAlike) {
  const std::string older = folder / "i.dat", b = folder / "b.gguf";
  const auto first = carat({"imatrix", model, text, "-o", imatrix, "-c", "64"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_NE(first.out.find("pieces of 64 tokens"), std::string::npos) << first.out;
  ASSERT_EQ(carat({"imatrix", model, text, "-o", older, "-c", "64", "--output-format", "dat"}).code, 0);
  const auto outcome = carat({"quantize", model, out, "Q4_0", "--imatrix", imatrix, "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_GT(nlohmann::json::parse(outcome.out)["n_tensors_with_importance"], 30);
  ASSERT_EQ(carat({"quantize", model, b, "Q4_0", "--imatrix", older}).code, 0);
  const auto first_difference = [](const std::string& x, const std::string& y) {
    return std::distance(x.rbegin(), std::mismatch(x.rbegin(), x.rend(), y.rbegin(), y.rend()).first);
  };
  // The same tensors; the keys that name the importance differ.
  EXPECT_GT(first_difference(content(out), content(b)), static_cast<ptrdiff_t>(content(out).size() / 2));
  EXPECT_NE(carat({"inspect", out}).out.find("quantize.imatrix.file"), std::string::npos);
  ASSERT_EQ(carat({"quantize", model, b, "Q4_0"}).code, 0);
  EXPECT_LT(first_difference(content(out), content(b)), static_cast<ptrdiff_t>(content(out).size() / 2));
}

TEST_F(Calibration, MistakesAreRefused) {
  overwrite(imatrix, "no importance matrix");
  expect_refused(carat({"imatrix", model, text}), "--out");
  expect_refused(carat({"imatrix", model, "-o", out}), "which text");
  expect_refused(carat({"imatrix", model, text, "-o", text}), "text.txt");
  expect_refused(carat({"imatrix", model, text, "-o", model}), "model.gguf");
  expect_refused(carat({"imatrix", model, text, "-o", out, "-c", "4096"}), "expected at least");
  expect_refused(carat({"imatrix", model, text, "-o", out, "--output-format", "json"}), "--output-format");
  expect_refused(carat({"quantize", model, out, "Q4_0", "--imatrix", imatrix}), "i.gguf");
  expect_refused(carat({"quantize", model, out, "Q4_0", "--imatrix", folder / "none"}), "none");
  expect_refused(carat({"quantize", model, out, "Q4_0", "--lattice", "on"}), "--lattice");
  expect_refused(carat({"quantize", model, out, "Q4_0", "--gptq"}), "which text");
  expect_refused(carat({"quantize", model, out, "Q4_0", "--calibrate", text}), "--calibrate");
  expect_refused(carat({"quantize", model, out, "Q4_0", "--kv", "q8_0"}), "--kv");
  expect_refused(carat({"quantize", model, out, "Q4_0", "--gptq", "--calibrate", text, "--kv", "q3"}), "q3");
  expect_refused(carat({"quantize", model, out, "Q4_0", "--gptq", "--calibrate", text, "--tune-tokens", "9"}),
                 "--tune-tokens");
  expect_refused(carat({"quantize", model, out, "Q4_0", "--tune", "--calibrate", text}), "no text has");
}

TEST_F(Calibration, CompensationChangesCodesOnly) {
  const std::string plain = folder / "plain.gguf";
  const auto outcome = carat({"quantize", model, out, "Q4_0", "--gptq", "--calibrate", text, "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_GT(json["n_compensated"], 30);
  EXPECT_LT(json["compensated_error"], 0.7 * json["plain_error"].get<double>());
  ASSERT_EQ(carat({"quantize", model, plain, "Q4_0"}).code, 0);
  EXPECT_EQ(content(out).size(), content(plain).size());
  EXPECT_NE(content(out), content(plain));
  EXPECT_EQ(carat({"logits", out, "--tokens", "2,300,337"}).code, 0);
}

// The lab's smallest model, tuned for a moment: nearer to the original, in as many bytes.
TEST_F(Calibration, TuningKeepsTheFormat) {
  const std::string lab = std::string(CARAT_SOURCE_DIR) + "/models/lab-s.gguf", plain = folder / "plain.gguf";
  const auto outcome = carat({"quantize", lab, out, "Q4_0", "--tune", "--tune-tokens", "20000", "--chunks", "8", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_GT(json["n_tuned"], 40);
  EXPECT_LT(json["kld_after_tuning"], json["kld_before_tuning"]);
  ASSERT_EQ(carat({"quantize", lab, plain, "Q4_0"}).code, 0);
  EXPECT_EQ(content(out).size(), content(plain).size());
  EXPECT_EQ(carat({"logits", out, "--tokens", "2,300,337"}).code, 0);

  const auto by_layers = carat({"quantize", lab, out, "Q4_0", "--tune", "--tune-by", "layers", "--tune-tokens", "20000",
                                "--chunks", "8", "--json"});
  ASSERT_EQ(by_layers.code, 0) << by_layers.err;
  const auto layers = nlohmann::json::parse(by_layers.out);
  ASSERT_EQ(layers["layers"].size(), 5u);
  for (const auto& layer : layers["layers"]) EXPECT_LE(layer["error_after"], layer["error_before"]);
  EXPECT_GT(layers["n_tuned"], 20);
  EXPECT_FALSE(layers.contains("kld_after_tuning"));
  EXPECT_EQ(content(out).size(), content(plain).size());
}

// The lab's twin: stored in 16 bits, its codes are found again.
TEST_F(Calibration, LatticesAreKept) {
  const std::string twin = std::string(CARAT_SOURCE_DIR) + "/models/lab-s-qat-1.gguf",
                    plain = folder / "plain.gguf", kept = folder / "kept.gguf";
  ASSERT_EQ(carat({"quantize", twin, plain, "BF16"}).code, 0);
  const auto outcome = carat({"quantize", plain, kept, "Q4_0", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_GT(json["n_lattice_tensors"], 30);
  EXPECT_EQ(json["n_lattice_blocks_kept"], json["n_lattice_blocks"]);
  const auto off = carat({"quantize", plain, out, "Q4_0", "--lattice", "off", "--json"});
  ASSERT_EQ(off.code, 0) << off.err;
  EXPECT_EQ(nlohmann::json::parse(off.out)["n_lattice_tensors"], 0);
}

}  // namespace
}  // namespace carat::cli
