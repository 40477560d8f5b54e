// Fills a KernelTable with this object's instances of the algorithms.
namespace carat {
namespace {

constexpr KernelTable make_table(const char* name) {
  return {
      .name = name,
      .dots_f32 = float_dots<F32Row>,
      .dots_f16 = float_dots<F16Row>,
      .dots_bf16 = float_dots<Bf16Row>,
      .products_f32 = float_products<F32Words>,
      .products_f16 = float_products<F16Words>,
      .products_bf16 = float_products<Bf16Words>,
      .weighted_sum_f32 = weighted_sum<F32Row>,
      .weighted_sum_f16 = weighted_sum<F16Row>,
      .weighted_sum_bf16 = weighted_sum<Bf16Row>,
      .decode_f32 = decode_cells<F32Cells>,
      .decode_f16 = decode_cells<F16Cells>,
      .decode_bf16 = decode_cells<Bf16Cells>,
      .decode_q8_0 = decode_cells<Q8_0Cells>,
      .decode_q5_0 = decode_cells<Q5_0Cells>,
      .decode_q4_0 = decode_cells<Q4_0Cells>,
      .turn_rows = turn_rows,
      .mix = mix,
      .softmax = softmax,
      .blend = blend,
      .divide = divide,
      .quantize_row = quantize_row,
      .screen_rows = screen_rows,
      .rms_norm = rms_norm,
      .add_rms_norm = add_rms_norm,
      .add_scale = add_scale,
      .accumulate = accumulate,
      .rotate = rotate,
      .geglu = geglu,
      .soft_cap = soft_cap,
      .exponential = exponential_row,
      .to_f16 = to_f16,
      .to_bf16 = to_bf16,
      .peak_int8 = peak_int8,
      .peak_bf16 = peak_f32,  // values are widened and take the fma of floats
      .peak_f32 = peak_f32,
      .int8_dots =
          {
#define CARAT_FORMAT(format) int8_dots<format>,
              CARAT_INT8_FORMATS(CARAT_FORMAT)
#undef CARAT_FORMAT
          },
  };
}

}  // namespace
}  // namespace carat
