// What votes do to one group or one word of a ternary matrix, wherever the votes come from: `vote(column)` gives the one on
// a weight of the row at hand. Everything is a whole number and stays at the end of its type; a group or a word is one
// thread's, so that nothing depends on the order of threads.

__device__ __forceinline__ i8 saturated_int8(i64 value) { return (i8)(value < -128 ? -128 : value > 127 ? 127 : value); }

// a - b, which stops at the ends of int64.
__device__ __forceinline__ i64 saturated_difference(i64 a, i64 b) {
    i64 difference = (i64)((u64)a - (u64)b);
    // It wrapped where the signs of a and b differ and the result has not that of a.
    if (((a ^ b) & (a ^ difference)) < 0) return a < 0 ? (i64)(1ull << 63) : (i64)(~0ull >> 1);
    return difference;
}

// The score of a group: the sum of vote*trit.
template <class Vote>
__device__ __forceinline__ int score_of(const Shape &shape, const u32 *trits, u64 row, u64 group, Vote vote) {
    u64 end = min((group + 1) * shape.group, shape.columns);
    int score = 0;
    for (u64 column = group * shape.group; column < end; column++) score += vote(column) * shape.trit(trits, row, column);
    return score;
}

// corr -= s*c.
__device__ __forceinline__ void move_correlation(i64 *corr, int score, int count) {
    *corr = saturated_difference(*corr, (i64)score * count);
}

// a -= sgn(s)*c; then, for a threshold above 0, E moves by one where a has reached it, and a goes back by it.
__device__ __forceinline__ void move_exponent(i8 *exponent, i8 *accumulator, int score, int count, int threshold) {
    int moved = saturated_int8((i64)*accumulator - (i64)sign(score) * count);
    int step = threshold > 0 ? (moved >= threshold) - (moved <= -threshold) : 0;
    if (step) *exponent = (i8)clamp_int8(*exponent + step);
    // Within int8: no farther from 0 than `moved`.
    *accumulator = (i8)(moved - step * threshold);
}

// Where accumulators flip trits: one threshold for all weights or, where `by_group` is not null, one for each group; none
// below 0. `flat` below 0 and no others: nothing flips.
struct Thresholds {
    int flat;
    const i8 *by_group;

    __device__ __forceinline__ bool none() const { return !by_group && flat < 0; }
    __device__ __forceinline__ int of(u64 group) const { return by_group ? (int)by_group[group] : flat; }
};

// a -= v*c for the weights of a word; then, where a exceeds its threshold, T = sgn(a) and a = 0.
template <class Vote>
__device__ __forceinline__ void move_trits(const Shape &shape, u32 *trits, i8 *accumulators, u64 row, u64 word, int count,
                                           Thresholds thresholds, Vote vote) {
    u32 *place = trits + row * shape.words() + word;
    u32 before = *place, after = before;
    u64 first = word * WORD;
    for (int i = 0; i < WORD && first + i < shape.columns; i++) {
        u64 column = first + i;
        i8 *accumulator = accumulators + row * shape.columns + column;
        int moved = saturated_int8((i64)*accumulator - (i64)vote(column) * count);
        if (!thresholds.none()) {
            int threshold = thresholds.of(row * shape.groups() + column / shape.group);
            int direction = (moved > threshold) - (moved < -threshold);
            if (direction) after = with_trit(after, i, direction), moved = 0;
        }
        *accumulator = (i8)moved;
    }
    if (after != before) *place = after;
}
