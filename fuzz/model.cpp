// Any bytes as a model: config, weights and tokenizer refuse them in one line, or text is encoded and, where the model
// is small, one token runs through the whole network.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/forward.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace {

using namespace carat;

constexpr int64_t kMaxBytes = 16 << 20;  // of scratch and cache

void check_message(const std::string& message) {
  CHECK(!message.empty());
  for (const char c : message) CHECK(c >= 0x20 && c < 0x7f);
}

void encode_and_decode(const Tokenizer& tokenizer) {
  for (const std::string_view text : {"a b\n\n<|channel>x<bos>", "\n", "\xff\xe2\x82 \xf0\x9f\x98\x80"}) {
    for (const bool special : {false, true}) {
      const std::vector<Token> tokens = tokenizer.encode(text, {.add_bos = true, .parse_special = special});
      CHECK(!tokens.empty());
      for (const Token token : tokens) CHECK(token >= 0 && token < tokenizer.n_tokens());
      if (!special)
        for (size_t i = 1; i < tokens.size(); ++i)
          CHECK(tokens[i] != tokenizer.bos() && !tokenizer.is_end_of_generation(tokens[i]));
      (void)tokenizer.decode(tokens, special);
    }
  }
}

void run_one_token(const std::shared_ptr<const Model>& model) {
  const Config& config = model->config;
  const KvCache::Shape shape{.n_positions = 1, .max_batch = 1};
  if (Forward::bytes_needed(config, 1) > kMaxBytes || KvCache::bytes_needed(config, shape) > kMaxBytes ||
      config.n_layers() > 64 || config.n_vocab > 1 << 16)
    return;
  static const auto backend = make_cpu_backend({}).take();
  auto cache = KvCache::create(config, shape, *backend);
  if (!cache) return check_message(cache.error().message);
  Forward forward = Forward::create(model, *backend, {.max_rows = 1}).take();
  const Token token = model->tokenizer.bos();
  const Chunk chunk{&*cache, {&token, 1}};
  std::vector<float> logits(static_cast<size_t>(config.n_vocab));
  forward.logits(forward.run({&chunk, 1}, Rows::last), 1, logits.data());
  (void)log_softmax(logits);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = gguf::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  if (!file) return 0;
  const auto model = make_model(file.take());
  if (!model) {
    CHECK(model.error().message.rfind("fuzz: ", 0) == 0);
    check_message(model.error().message);
    return 0;
  }
  encode_and_decode((*model)->tokenizer);
  run_one_token(*model);
  return 0;
}
