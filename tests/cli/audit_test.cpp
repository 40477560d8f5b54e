// carat audit as people and scripts use it: what it prints, and what it ends with.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "cli/refused.h"

namespace carat::cli {
namespace {

std::string lab_model(const char* name) { return std::string(CARAT_SOURCE_DIR) + "/models/" + name; }

// The columns that a terminal gives a line of ASCII and box drawing.
size_t columns(const std::string& line) {
  size_t n = 0;
  for (const char c : line) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}

TEST(AuditCommand, AHealthyFile) {
  const Outcome outcome = carat({"audit", lab_model("lab-s.gguf")});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(outcome.out.find("lab-s.gguf: healthy\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find(sha256_hex(content(lab_model("lab-s.gguf")))), std::string::npos);
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);)
    if (line.find('/') == std::string::npos) {
      EXPECT_LE(columns(line), 100u) << line;
    }
}

TEST(AuditCommand, Json) {
  const Outcome outcome = carat({"audit", "--json", "-t", "2", lab_model("lab-m-qat-1.gguf")});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["healthy"], true);
  EXPECT_EQ(json["sha256"], sha256_hex(content(lab_model("lab-m-qat-1.gguf"))));
  EXPECT_EQ(json["q4_0_codes"]["origin"], "reference");
  EXPECT_EQ(json["vocabulary"]["bos"]["text"], "<bos>");
  uint64_t bytes = 0;
  for (const auto& part : json["parts"]) bytes += part["bytes"].get<uint64_t>();
  EXPECT_EQ(bytes, json["tensor_bytes"]);
  EXPECT_EQ(json["tensors"].size(), 85u);
  Outcome one = carat({"audit", "--json", "-t", "1", lab_model("lab-m-qat-1.gguf")});
  auto with_one = nlohmann::json::parse(one.out), with_two = json;
  with_one.erase("seconds");
  with_two.erase("seconds");
  EXPECT_EQ(with_one, with_two);
}

TEST(AuditCommand, DefectsEndWithOne) {
  const Folder folder;
  std::string bytes = content(lab_model("lab-s.gguf"));
  bytes[bytes.size() - 40000] = '\x80';  // BF16 in the last layer's FFN: infinity, if the byte before fits
  bytes[bytes.size() - 39999] = '\x7f';
  overwrite(folder / "broken.gguf", bytes);
  const Outcome outcome = carat({"audit", folder / "broken.gguf"});
  EXPECT_EQ(outcome.code, 1) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("broken.gguf: 1 defect\n"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("infinite or not a number"), std::string::npos) << outcome.out;
  EXPECT_EQ(carat({"audit", "--no-scan", folder / "broken.gguf"}).code, 0);
}

TEST(AuditCommand, HashesAreCompared) {
  const std::string hash = sha256_hex(content(lab_model("lab-s.gguf")));
  std::string upper = hash;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(carat({"audit", "--sha256", hash, lab_model("lab-s.gguf")}).code, 0);
  EXPECT_EQ(carat({"audit", "--sha256", upper, lab_model("lab-s.gguf")}).code, 0);
  EXPECT_EQ(carat({"audit", "--sha256", std::string(64, '0'), lab_model("lab-s.gguf")}).code, 1);
  expect_refused(carat({"audit", "--sha256", "abc", lab_model("lab-s.gguf")}), "--sha256");
  // In a cache of downloads the name is the hash.
  const Folder folder;
  std::filesystem::create_directories(folder / "blobs");
  std::filesystem::copy(lab_model("lab-s.gguf"), folder / "blobs/" + std::string(64, 'a'));
  std::filesystem::create_symlink("blobs/" + std::string(64, 'a'), folder / "m.gguf");
  EXPECT_EQ(carat({"audit", folder / "m.gguf"}).code, 1);
  std::filesystem::rename(folder / "blobs/" + std::string(64, 'a'), folder / "blobs/" + hash);
  std::filesystem::remove(folder / "m.gguf");
  std::filesystem::create_symlink("blobs/" + hash, folder / "m.gguf");
  EXPECT_EQ(carat({"audit", folder / "m.gguf"}).code, 0);
}

TEST(AuditCommand, WhatIsNotReadable) {
  const Folder folder;
  overwrite(folder / "empty.gguf", "");
  overwrite(folder / "text.gguf", "hello");
  overwrite(folder / "cut.gguf", content(lab_model("lab-s.gguf")).substr(0, 600000));
  for (const char* name : {"empty.gguf", "text.gguf", "cut.gguf", "missing.gguf"})
    expect_refused(carat({"audit", folder / name}), folder / name);
  expect_refused(carat({"audit", "hf:nobody/nothing:Q4_0"}), "carat pull nobody/nothing:Q4_0");
  expect_refused(carat({"audit", "hf:nonsense"}), "OWNER/REPO");
}

}  // namespace
}  // namespace carat::cli
