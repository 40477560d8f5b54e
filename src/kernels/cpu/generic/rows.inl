// Kernels on single rows: norms, rotary embedding, activations, conversions. A row's result depends on it
// alone.
namespace carat {
namespace {

inline float inverse_rms(const float* x, int64_t n, float eps) {
  Floats squares = zero();
  each_sixteen(n, [&](int64_t i, int64_t m) {
    const Floats v = load_n(x + i, m);
    squares = fma(v, v, squares);
  });
  return 1.0f / square_root(sum(squares) / static_cast<float>(n) + eps);
}

inline Floats normed(const float* x, const float* weight, Floats scale, int64_t i, int64_t n) {
  const Floats v = mul(load_n(x + i, n), scale);
  return weight == nullptr ? v : mul(v, load_n(weight + i, n));
}

void rms_norm(const float* x, const float* weight, int64_t n, float eps, float* out) {
  const Floats scale = set1(inverse_rms(x, n, eps));
  each_sixteen(n, [&](int64_t i, int64_t m) { store_n(out + i, normed(x, weight, scale, i, m), m); });
}

void add_rms_norm(const float* x, const float* weight, int64_t n, float eps, float* h) {
  const Floats scale = set1(inverse_rms(x, n, eps));
  each_sixteen(n, [&](int64_t i, int64_t m) {
    store_n(h + i, add(load_n(h + i, m), normed(x, weight, scale, i, m)), m);
  });
}

void add_scale(float* x, const float* y, int64_t n, float scale) {
  const Floats factor = set1(scale);
  each_sixteen(n, [&](int64_t i, int64_t m) {
    Floats v = load_n(x + i, m);
    if (y != nullptr) v = add(v, load_n(y + i, m));
    store_n(x + i, mul(v, factor), m);
  });
}

void accumulate(const float* x, int64_t n, float a, bool first, float* out) {
  const Floats factor = set1(a);
  each_sixteen(n, [&](int64_t i, int64_t m) {
    const Floats v = load_n(x + i, m);
    store_n(out + i, first ? mul(v, factor) : fma(v, factor, load_n(out + i, m)), m);
  });
}

void divide(const float* x, int64_t n, float divisor, float* out) {
  const Floats d = set1(divisor);
  each_sixteen(n, [&](int64_t i, int64_t m) { store_n(out + i, div(load_n(x + i, m), d), m); });
}

void rotate(float* x, int64_t half, const float* cosine, const float* sine) {
  each_sixteen(half, [&](int64_t i, int64_t m) {
    const Floats a = load_n(x + i, m), b = load_n(x + half + i, m);
    const Floats c = load_n(cosine + i, m), s = load_n(sine + i, m);
    store_n(x + i, fnma(b, s, mul(a, c)), m);
    store_n(x + half + i, fma(a, s, mul(b, c)), m);
  });
}

void geglu(const float* gate, const float* up, int64_t n, float* out) {
  each_sixteen(n, [&](int64_t i, int64_t m) {
    store_n(out + i, mul(gelu(load_n(gate + i, m)), load_n(up + i, m)), m);
  });
}

void soft_cap(float* x, int64_t n, float cap) {
  const Floats c = set1(cap);
  each_sixteen(n, [&](int64_t i, int64_t m) {
    store_n(x + i, mul(c, hyperbolic_tangent(div(load_n(x + i, m), c))), m);
  });
}

void exponential_row(float* x, int64_t n) {
  each_sixteen(n, [&](int64_t i, int64_t m) { store_n(x + i, exponential(load_n(x + i, m)), m); });
}

void to_f16(const float* x, int64_t n, uint16_t* out) {
  each_sixteen(n, [&](int64_t i, int64_t m) { store_f16_part(out + i, load_n(x + i, m), m); });
}

void to_bf16(const float* x, int64_t n, uint16_t* out) {
  each_sixteen(n, [&](int64_t i, int64_t m) { store_bf16_part(out + i, load_n(x + i, m), m); });
}

}  // namespace
}  // namespace carat
