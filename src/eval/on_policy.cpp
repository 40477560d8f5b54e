// One session writes text after text.
#include "eval/on_policy.h"

#include <algorithm>
#include <set>

#include "base/random.h"
#include "engine/generate.h"

namespace carat {
namespace {

using Prompt = std::vector<Token>;

// Beginnings from all over the suite: its categories may stand one behind the other.
std::vector<std::pair<std::string, Prompt>> choose_prompts(const Suite& suite,
                                                           const OnPolicyOptions& options) {
  std::vector<size_t> order(suite.items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  Random random(mix64(options.seed ^ 0x70726f6d7074));
  random.shuffle(order);
  std::vector<std::pair<std::string, Prompt>> prompts;
  std::set<Prompt> seen;
  for (const size_t i : order) {
    const SuiteItem& item = suite.items[i];
    if (static_cast<int64_t>(prompts.size()) == options.n_texts) break;
    if (item.first_scored > options.longest_prompt) continue;
    Prompt prompt(item.tokens.begin(), item.tokens.begin() + item.first_scored);
    if (seen.insert(prompt).second) prompts.emplace_back(item.category, std::move(prompt));
  }
  return prompts;
}

}  // namespace

Result<Suite> continue_prompts(const ModelUnderTest& parent, const Suite& suite,
                               const OnPolicyOptions& options, int n_threads, const Progress& progress) {
  const auto prompts = choose_prompts(suite, options);
  if (prompts.empty())
    return fail("suite {}: no item has a beginning of at most {} tokens", suite.name, options.longest_prompt);
  size_t longest = 0;
  for (const auto& [category, prompt] : prompts) longest = std::max(longest, prompt.size());

  auto backend = TRY(make_cpu_backend({.n_threads = n_threads, .precision = parent.precision}));
  const int64_t n_positions = static_cast<int64_t>(longest) + options.max_tokens;
  const auto session = TRY(
      Session::create(parent.model, std::move(backend), {.n_positions = n_positions, .kv_type = parent.kv}));
  GenerateOptions generate{.max_tokens = options.max_tokens};
  generate.sampler.temperature = 1;
  generate.sampler.top_k = 0;
  generate.sampler.top_p = 1;

  Suite written;
  written.name = fmt::format("continuations by {}", parent.model->file.path);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto& [category, prompt] = prompts[i];
    generate.sampler.seed = mix64(options.seed + i);
    const Generation text = TRY(session->generate(prompt, generate));
    if (interrupted()) return fail("interrupted");
    if (progress) progress(i + 1, prompts.size(), "parent writes");
    if (text.tokens.empty()) continue;  // a prompt that fills the context
    SuiteItem item;
    item.category = category;
    item.tokens = prompt;
    item.tokens.insert(item.tokens.end(), text.tokens.begin(), text.tokens.end());
    item.first_scored = static_cast<int>(prompt.size());
    written.items.push_back(std::move(item));
  }
  if (written.items.empty()) return fail("{}: wrote nothing", written.name);
  return written;
}

}  // namespace carat
