// What the state means: the scale 2^e of every group, and weights T*2^e.

// Scales [N, R]: the effective exponent in f64, 2^e rounded once to f32, not clamped. One thread a group of `count`.
extern "C" __global__ void find_scales(const i8 *exponents, const i64 *corr, u64 count, u64 group, u64 step,
                                       double strength, float *scales) {
    u64 index = thread_index();
    if (index >= count) return;
    scales[index] = (float)power(effective_exponent(exponents[index], corr[index], step, group, strength));
}

// Weights [N, K]. One thread a weight.
extern "C" __global__ void expand_weights(const u32 *trits, const float *scales, u64 rows, u64 columns, u64 group,
                                          float *weights) {
    Shape shape{rows, columns, group};
    u64 index = thread_index();
    if (index >= rows * columns) return;
    weights[index] = shape.weight(trits, scales, index / columns, index % columns);
}
