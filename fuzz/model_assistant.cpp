// Any bytes as an assistant: they are refused in one line, or checked against a small target, and where the
// two fit, a draft step runs with both heads.
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/drafter.h"
#include "model/forward.h"
#include "model/synth.h"

namespace {

using namespace carat;

void check_message(const std::string& message) {
  CHECK(!message.empty());
  for (const char c : message) CHECK(c >= 0x20 && c < 0x7f);
}

// The target of the seeds, with three cached positions.
struct Target {
  Target() {
    const auto path = std::filesystem::temp_directory_path() / fmt::format("carat-fuzz-{}.gguf", ::getpid());
    const SynthShape shape{.like = "e2b", .n_layers = 5, .width_divisor = 32, .n_vocab = 512};
    synthesize(shape, {}, path.string()).take();
    model = open_model(path.string()).take();
    std::filesystem::remove(path);  // the mapping stays
    backend = make_cpu_backend({}).take();
    cache = std::make_unique<KvCache>(
        KvCache::create(model->config, {.n_positions = 3, .max_batch = 3}, *backend).take());
    Forward forward = Forward::create(model, *backend, {.max_rows = 3}).take();
    const std::vector<Token> tokens = {2, 300, 301};
    const auto state = prefill(forward, *cache, tokens);
    hidden.assign(state.begin(), state.end());
  }

  std::shared_ptr<const Model> model;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<KvCache> cache;
  std::vector<float> hidden;
};

void run_a_step(const std::shared_ptr<const Assistant>& assistant) {
  static const Target target;
  std::vector<float> logits(static_cast<size_t>(target.model->config.n_vocab));
  for (const DraftHead head : {DraftHead::full, DraftHead::ordered}) {
    auto drafter = Drafter::create(assistant, target.model, *target.backend, {.head = head});
    if (!drafter) {
      check_message(drafter.error().message);
      continue;
    }
    (void)drafter->step(*target.cache, 300, target.hidden, logits.data());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = gguf::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  if (!file) return 0;
  const auto assistant = make_assistant(file.take());
  if (!assistant) {
    CHECK(assistant.error().message.rfind("fuzz: ", 0) == 0);
    check_message(assistant.error().message);
    return 0;
  }
  const Config& config = (*assistant)->config.network;
  if (config.n_layers() > 64 || config.n_vocab > 1 << 16) return 0;
  run_a_step(*assistant);
  return 0;
}
