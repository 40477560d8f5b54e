// Bad input through the program itself: one clear line on standard error, exit code 2, nothing left behind.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "cli/refused.h"
#include "gguf/reader.h"
#include "gguf/writer.h"
#include "model/synth.h"

namespace carat::cli {
namespace {

// The smallest file that is whole: some metadata, two tensors.
void write_small_file(const std::string& path) {
  gguf::Metadata metadata;
  metadata.set("general.architecture", std::string("gemma4"));
  metadata.set_texts("names", std::vector<std::string>{"a", "bc"});
  const std::vector<float> values(64, 0.5f);
  ASSERT_TRUE(gguf::write(path, metadata, {gguf::owned_f32("one.weight", {32, 1, 1, 1}, std::span(values).first(32)),
                                           gguf::owned_f32("two.weight", {32, 2, 1, 1}, values)}));
}

void write_model(const std::string& path) {
  const SynthShape shape{.like = "e2b", .n_layers = 5, .width_divisor = 24, .n_vocab = 600};
  ASSERT_TRUE(synthesize(shape, {.matrix_type = TensorType::F16, .embedding_type = TensorType::F16, .seed = 1}, path));
}

// The model again, with `change` made to its list of tensors and its metadata.
template <class Change>
void rewrite(const std::string& from, const std::string& to, Change&& change) {
  const gguf::File file = gguf::open(from).take();
  gguf::Metadata metadata = file.metadata;
  std::vector<gguf::TensorToWrite> tensors;
  for (const Tensor& tensor : file.tensors) tensors.push_back(gguf::existing(tensor));
  change(metadata, tensors);
  ASSERT_TRUE(gguf::write(to, metadata, tensors));
}

TEST(BadInput, AFileCutAtEveryLength) {
  const Folder folder;
  write_small_file(folder / "whole.gguf");
  const std::string whole = content(folder / "whole.gguf");
  ASSERT_EQ(carat({"quantize", folder / "whole.gguf", folder / "out.gguf", "BF16"}).code, 0);
  std::filesystem::remove(folder / "out.gguf");
  for (size_t n = 0; n < whole.size(); ++n) {
    overwrite(folder / "cut.gguf", whole.substr(0, n));
    expect_refused(carat({"quantize", folder / "cut.gguf", folder / "out.gguf", "BF16"}), folder / "cut.gguf");
    ASSERT_FALSE(HasFailure()) << n << " of " << whole.size() << " bytes";
  }
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"cut.gguf", "whole.gguf"}));
}

// A model is thousands of lengths: a stride through the program, every length through the same parser in
// gguf_test.
TEST(BadInput, AModelCutAnywhere) {
  const Folder folder;
  write_model(folder / "whole.gguf");
  const std::string whole = content(folder / "whole.gguf");
  // Behind the last tensor stands padding, without which a file is whole.
  const std::span<const std::byte> last = gguf::open(folder / "whole.gguf").take().tensors.back().bytes();
  const size_t n_needed = whole.size() - (32 - last.size() % 32) % 32;
  for (size_t n = 1; n < n_needed; n += n_needed / 61) {
    overwrite(folder / "cut.gguf", whole.substr(0, n));
    expect_refused(carat({"logits", folder / "cut.gguf", "--tokens", "2,5"}), folder / "cut.gguf");
    ASSERT_FALSE(HasFailure()) << n << " of " << whole.size() << " bytes";
  }
}

// Every command that reads a model refuses what is none, and names it.
TEST(BadInput, EveryCommandRefusesAWrongMagic) {
  const Folder folder;
  write_model(folder / "model.gguf");
  std::string bytes = content(folder / "model.gguf");
  bytes[0] = 'X';
  const std::string wrong = folder / "wrong.gguf", out = folder / "out.gguf", text = folder / "text.txt";
  overwrite(wrong, bytes);
  overwrite(text, "some text that is long enough to be scored\n");
  const std::vector<std::vector<std::string>> commands = {
      {"compare", wrong, "--suite", text, "--report", out, "--json", folder / "out.json"},
      {"run", wrong, "-p", "x"},
      {"quantize", wrong, out, "Q8_0"},
      {"perplexity", wrong, "--text", text},
      {"logits", wrong, "--tokens", "2"},
      {"bench", wrong},
      {"inspect", wrong},
      {"tokenize", wrong, "x"},
      {"train", out, "--from", wrong, "--tokens", "4096"},
  };
  for (const auto& command : commands) {
    SCOPED_TRACE(command.front());
    expect_refused(carat(command), wrong);
  }
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"model.gguf", "text.txt", "wrong.gguf"}));
}

TEST(BadInput, AnOverflowingTensorSize) {
  const Folder folder;
  write_small_file(folder / "whole.gguf");
  std::string bytes = content(folder / "whole.gguf");
  // After a tensor's name: u32 number of dimensions, then a u64 each.
  const std::string name = "two.weight";
  const size_t dimensions = bytes.find(name) + name.size() + 4;
  for (const uint64_t huge : {uint64_t{1} << 63, uint64_t{1} << 62, uint64_t{0xffffffffffffffff}, uint64_t{1} << 33}) {
    std::string changed = bytes;
    for (int i = 0; i < 8; ++i) changed[dimensions + 8 + static_cast<size_t>(i)] = static_cast<char>(huge >> (8 * i));
    overwrite(folder / "huge.gguf", changed);
    const Outcome outcome = carat({"quantize", folder / "huge.gguf", folder / "out.gguf", "Q8_0"});
    expect_refused(outcome, "huge.gguf");
    expect_refused(outcome, name);
  }
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"huge.gguf", "whole.gguf"}));
}

TEST(BadInput, EveryMissingTensorIsNamed) {
  const Folder folder;
  write_model(folder / "model.gguf");
  const gguf::File model = gguf::open(folder / "model.gguf").take();
  for (const Tensor& missing : model.tensors) {
    SCOPED_TRACE(missing.name);
    rewrite(folder / "model.gguf", folder / "less.gguf", [&](gguf::Metadata&, auto& tensors) {
      std::erase_if(tensors, [&](const auto& tensor) { return tensor.name == missing.name; });
    });
    const Outcome outcome = carat({"logits", folder / "less.gguf", "--tokens", "2,5"});
    // Without these the file is another valid model: no frequency divisors; keys for values in the only full layer
    // that owns any.
    if (missing.name == "rope_freqs.weight" || missing.name == "blk.4.attn_v.weight") continue;
    expect_refused(outcome, std::string(missing.name));
  }
}

TEST(BadInput, EveryWrongShapeIsNamed) {
  const Folder folder;
  write_model(folder / "model.gguf");
  const gguf::File model = gguf::open(folder / "model.gguf").take();
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const std::string name(model.tensors[i].name);
    SCOPED_TRACE(name);
    rewrite(folder / "model.gguf", folder / "wrong.gguf", [&](gguf::Metadata&, auto& tensors) {
      Shape shape = model.tensors[i].shape;
      shape[1] += 1;  // one more row, or a vector that became a matrix
      std::vector<float> values(static_cast<size_t>(shape[0] * shape[1] * shape[2] * shape[3]), 0.5f);
      tensors[i] = gguf::owned_f32(name, shape, values);
    });
    expect_refused(carat({"logits", folder / "wrong.gguf", "--tokens", "2,5"}), name);
  }
}

TEST(BadInput, MetadataThatMakesNoSense) {
  const Folder folder;
  write_model(folder / "model.gguf");
  const std::vector<std::pair<std::string, gguf::Value>> changes = {
      {"general.architecture", std::string("llama")},
      {"general.architecture", uint32_t{4}},
      {"gemma4.block_count", uint32_t{0}},
      {"gemma4.block_count", uint32_t{0xffffffff}},
      {"gemma4.block_count", std::string("five")},
      {"gemma4.embedding_length", uint32_t{0}},
      {"gemma4.embedding_length", uint32_t{0x7fffffff}},
      {"gemma4.attention.head_count", uint32_t{0}},
      {"gemma4.attention.key_length", uint32_t{3}},
      {"gemma4.attention.sliding_window", uint32_t{0}},
      {"gemma4.attention.shared_kv_layers", uint32_t{5}},
      {"gemma4.attention.layer_norm_rms_epsilon", -1.0f},
      {"gemma4.rope.freq_base", 0.0f},
  };
  for (const auto& [key, value] : changes) {
    SCOPED_TRACE(key);
    ASSERT_TRUE(gguf::open(folder / "model.gguf").take().metadata.contains(key)) << "the test changes nothing";
    rewrite(folder / "model.gguf", folder / "odd.gguf",
            [&, &key = key, &value = value](gguf::Metadata& metadata, auto&) { metadata.set(key, value); });
    expect_refused(carat({"logits", folder / "odd.gguf", "--tokens", "2,5"}), folder / "odd.gguf");
  }
}

TEST(BadInput, Requests) {
  const Folder folder;
  write_model(folder / "model.gguf");
  const std::string model = folder / "model.gguf", out = folder / "out.gguf";
  struct Case {
    std::vector<std::string> arguments;
    std::string says;
  };
  const std::vector<Case> cases = {
      {{}, "subcommand"},
      {{"frobnicate"}, "frobnicate"},
      {{"logits", model}, "--tokens"},
      {{"logits", model, "--tokens", ""}, "--tokens"},
      {{"logits", model, "--tokens", "2,600"}, "600"},
      {{"logits", model, "--tokens", "2,-1"}, "-1"},
      {{"logits", model, "--tokens", "2,x"}, "x"},
      {{"logits", model, "--tokens", "99999999999999999999"}, "99999999999999999999"},
      {{"quantize", model, out, "Q9_9"}, "Q9_9"},
      {{"quantize", model, folder / "no/such/folder/out.gguf", "Q8_0"}, "no/such/folder"},
      {{"quantize", model, out, "Q8_0", "--tensor-type", "("}, "("},
      {{"quantize", model, out, "Q8_0", "--tensor-type", "attn"}, "attn"},
      {{"run", folder / "none.gguf", "-p", "x"}, "none.gguf"},
      {{"synth", out, "--like", "e9z"}, "e9z"},
      {{"compare", model, "--suite", folder / "none.jsonl"}, "none.jsonl"},
      {{"compare", "--budget", "ram=lots"}, "lots"},
      {{"compare", "--kv", "q9"}, "q9"},
      {{"train", out, "--new", "lab-xl", "--tokens", "4096"}, "lab-xl"},
      {{"train", out, "--new", "lab-s"}, "--tokens"},
      {{"bench", model, "-p", "many"}, "many"},
  };
  for (const Case& wrong : cases) {
    SCOPED_TRACE(::testing::PrintToString(wrong.arguments));
    expect_refused(carat(wrong.arguments), wrong.says);
  }
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"model.gguf"}));
}

}  // namespace
}  // namespace carat::cli
