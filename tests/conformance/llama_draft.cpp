// An assistant's first draft step as llama.cpp computes it: the yardstick for `carat logits --draft`. node-llama-cpp does
// not reach this far, so its library is called directly: draft.mjs compiles this against the package's binaries.
//
//   llama_draft CPU_BACKEND.so TARGET.gguf ASSISTANT.gguf 2,500,600   prints {"rows":[{"pos":N,"after":ID,"top":[[id,logprob],...]}]}
//
// There is no header in the package. Parameter structs are passed as bytes that the library fills with its defaults; the
// few fields that matter are found from the end, and the size is checked to be that of the version in package.json.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

struct llama_context;

namespace {

constexpr size_t kContextParamsBytes = 160;

struct Bytes {  // larger than any parameter struct: passed in memory, of which the library reads its own part
  alignas(8) unsigned char b[512];

  template <class T>
  void put(size_t at, T value) {
    std::memcpy(b + at, &value, sizeof value);
  }
};

struct Batch {
  int32_t n_tokens;
  int32_t* token;
  float* embd;
  int32_t* pos;
  int32_t* n_seq_id;
  int32_t** seq_id;
  int8_t* logits;
};

}  // namespace

extern "C" {
void* ggml_backend_load(const char*);
void llama_backend_init();
void llama_log_set(void (*)(int, const char*, void*), void*);
Bytes llama_model_default_params();
Bytes llama_context_default_params();
void* llama_model_load_from_file(const char*, Bytes);
llama_context* llama_init_from_model(void*, Bytes);
int32_t llama_decode(llama_context*, Batch);
float* llama_get_logits_ith(llama_context*, int32_t);
int32_t llama_model_n_embd(const void*);
const void* llama_model_get_vocab(const void*);
int32_t llama_vocab_n_tokens(const void*);
}
// The interface of the speculative decoder, in C++.
void llama_set_embeddings_nextn(llama_context*, bool, bool);
float* llama_get_embeddings_nextn_ith(llama_context*, int);

namespace {

[[noreturn]] void stop(const char* why) {
  std::fprintf(stderr, "llama_draft: %s\n", why);
  std::exit(1);
}

// The bytes that the library writes: those that differ from both of two fills would be chance beyond the struct's end.
Bytes context_defaults() {
  const auto fill = reinterpret_cast<void (*)(Bytes*)>(reinterpret_cast<void*>(&llama_context_default_params));
  Bytes a, b;
  std::memset(a.b, 0xaa, sizeof a.b);
  std::memset(b.b, 0x55, sizeof b.b);
  fill(&a);
  fill(&b);
  size_t size = sizeof a.b;
  while (size > 0 && a.b[size - 1] == 0xaa && b.b[size - 1] == 0x55) --size;
  if (size != kContextParamsBytes) stop("another version of llama.cpp: its parameters have another size");
  return a;
}

llama_context* make_context(void* model, llama_context* other, uint32_t n) {
  constexpr size_t end = kContextParamsBytes;
  Bytes params = context_defaults();
  for (const size_t at : {0, 4, 8}) params.put(at, n);  // positions, rows of a call, rows of a piece
  params.put(end - 108, int32_t{0});                    // no flash attention
  params.put(end - 56, int32_t{0});                     // keys in F32
  params.put(end - 52, int32_t{0});                     // values in F32
  params.put(end - 8, other);
  llama_context* context = llama_init_from_model(model, params);
  if (context == nullptr) stop("no context");
  return context;
}

std::vector<int32_t> parse(const char* text) {
  std::vector<int32_t> tokens;
  for (char* at = const_cast<char*>(text); *at != '\0'; at += *at == ',') tokens.push_back(static_cast<int32_t>(std::strtol(at, &at, 10)));
  return tokens;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) stop("want CPU_BACKEND.so TARGET.gguf ASSISTANT.gguf TOKENS");
  llama_log_set([](int, const char*, void*) {}, nullptr);
  if (ggml_backend_load(argv[1]) == nullptr) stop("no such backend");
  llama_backend_init();
  void* target = llama_model_load_from_file(argv[2], llama_model_default_params());
  void* assistant = llama_model_load_from_file(argv[3], llama_model_default_params());
  if (target == nullptr || assistant == nullptr) stop("a model does not load");
  std::vector<int32_t> tokens = parse(argv[4]);
  const int32_t n = static_cast<int32_t>(tokens.size());
  // The second context shares the first one's cells and empties them: before anything is decoded.
  llama_context* main_context = make_context(target, nullptr, static_cast<uint32_t>(n + 64));
  llama_context* draft_context = make_context(assistant, main_context, static_cast<uint32_t>(n + 64));
  llama_set_embeddings_nextn(main_context, true, false);
  llama_set_embeddings_nextn(draft_context, true, false);

  int32_t sequence = 0, one = 1;
  int32_t* sequences = &sequence;
  std::vector<int32_t> positions, counts(tokens.size(), 1);
  std::vector<int32_t*> ids(tokens.size(), &sequence);
  std::vector<int8_t> wanted(tokens.size(), 1);
  for (int32_t i = 0; i < n; ++i) positions.push_back(i);
  if (llama_decode(main_context, {n, tokens.data(), nullptr, positions.data(), counts.data(), ids.data(), wanted.data()}) != 0)
    stop("the target does not compute");
  const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(target));
  const float* logits = llama_get_logits_ith(main_context, n - 1);
  int32_t token = static_cast<int32_t>(std::max_element(logits, logits + n_vocab) - logits), position = n;
  const float* state = llama_get_embeddings_nextn_ith(main_context, n - 1);
  std::vector<float> hidden(state, state + llama_model_n_embd(target));
  if (llama_decode(draft_context, {1, &token, hidden.data(), &position, &one, &sequences, wanted.data()}) != 0)
    stop("the assistant does not compute");

  const float* draft = llama_get_logits_ith(draft_context, 0);
  const double peak = *std::max_element(draft, draft + n_vocab);
  double sum = 0;
  for (int32_t i = 0; i < n_vocab; ++i) sum += std::exp(draft[i] - peak);
  std::printf("{\"rows\":[{\"pos\":%d,\"after\":%d,\"top\":[", n, token);
  for (int32_t i = 0; i < n_vocab; ++i)
    std::printf("%s[%d,%.6f]", i == 0 ? "" : ",", i, static_cast<double>(draft[i]) - peak - std::log(sum));
  std::printf("]}]}\n");
}
