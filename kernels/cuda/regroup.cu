// The same matrix in groups of another size; one thread a new group. The definition stands at the head of the trainer's
// ternary/regroup.rs.

// E from the trits alone: the truncated logarithm of the mean |T|, a short group divided by the full size.
extern "C" __global__ void exponents_of_trits(const u32 *trits, u64 rows, u64 columns, u64 group, i8 *exponents) {
    Shape shape{rows, columns, group};
    u64 index = thread_index();
    if (index >= rows * shape.groups()) return;
    u64 row = index / shape.groups(), first = index % shape.groups() * group;
    u64 end = min(first + group, columns);
    int sum = 0;
    for (u64 column = first; column < end; column++) sum += shape.trit(trits, row, column) != 0;
    exponents[index] = (i8)truncated_logarithm((double)sum / (double)group);
}

// The E of int8 whose 2^E is nearest to `scale`; the smaller of two as near.
__device__ int nearest_exponent(double scale) {
    if (!(scale > 0.0)) return -128;
    if (isinf(scale)) return 127;
    int low = ilogb(scale);
    return clamp_int8(low + (scalbn(scale, -low) > 1.5));
}

__device__ i64 saturated_int64(double value) {
    if (value >= 9223372036854775808.0) return (i64)(~0ull >> 1);
    if (value < -9223372036854775808.0) return (i64)(1ull << 63);
    return (i64)value;
}

// The correlation that brings 2^(exponent + corr*count) nearest to `scale`.
__device__ i64 remainder_of(double scale, int exponent, double count) {
    double exact = (log2(scale) - (double)exponent) / count;
    if (!isfinite(exact)) return 0;
    double low = floor(exact), high = ceil(exact);
    double below = fabs(power((double)exponent + low * count) - scale);
    double above = fabs(power((double)exponent + high * count) - scale);
    return saturated_int64(above < below ? high : low);
}

// E and correlation that keep the weights: the mean scale of a group's non-zero weights or, of a group of zeros, the mean of
// the exponents it comes from. `count` is what one count of the new correlations adds to an exponent.
extern "C" __global__ void regroup_weights(const u32 *trits, const i8 *old_exponents, const i64 *old_corr, u64 rows,
                                           u64 columns, u64 old_group, u64 group, u64 step, double strength, double count,
                                           i8 *exponents, i64 *corr) {
    Shape shape{rows, columns, group}, old{rows, columns, old_group};
    u64 index = thread_index();
    if (index >= rows * shape.groups()) return;
    u64 row = index / shape.groups(), first = index % shape.groups() * group;
    u64 end = min(first + group, columns);
    double scales = 0.0, sum = 0.0;
    int used = 0;
    for (u64 column = first; column < end; column++) {
        u64 from = row * old.groups() + column / old_group;
        double exponent = effective_exponent(old_exponents[from], old_corr[from], step, old_group, strength);
        sum += exponent;
        if (shape.trit(trits, row, column)) scales += power(exponent), used++;
    }
    if (used == 0) {
        double mean = rint(sum / (double)(end - first));
        exponents[index] = (i8)(int)fmin(fmax(mean, -128.0), 127.0);
        corr[index] = 0;
        return;
    }
    double scale = scales / (double)used;
    int exponent = nearest_exponent(scale);
    exponents[index] = (i8)exponent;
    corr[index] = step == 0 ? 0 : remainder_of(scale, exponent, count);
}
