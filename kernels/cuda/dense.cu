// Updates by a matrix of votes, int8 [N, K], and flips that need none. One thread a group or a word.

// Correlations move by the votes, which count `count` times.
extern "C" __global__ void dense_correlation(const i8 *votes, u64 rows, u64 columns, u64 group, const u32 *trits,
                                             int count, i64 *corr) {
    Shape shape{rows, columns, group};
    u64 index = thread_index();
    if (index >= rows * shape.groups()) return;
    u64 row = index / shape.groups();
    const i8 *own = votes + row * columns;
    int score = score_of(shape, trits, row, index % shape.groups(), [&](u64 column) { return (int)own[column]; });
    move_correlation(corr + index, score, count);
}

// Accumulators of exponents, and exponents where `threshold` is above 0.
extern "C" __global__ void dense_exponents(const i8 *votes, u64 rows, u64 columns, u64 group, const u32 *trits, int count,
                                           int threshold, i8 *exponents, i8 *accumulators) {
    Shape shape{rows, columns, group};
    u64 index = thread_index();
    if (index >= rows * shape.groups()) return;
    u64 row = index / shape.groups();
    const i8 *own = votes + row * columns;
    int score = score_of(shape, trits, row, index % shape.groups(), [&](u64 column) { return (int)own[column]; });
    move_exponent(exponents + index, accumulators + index, score, count, threshold);
}

// Accumulators of trits, and trits where there are thresholds. Null `votes` are votes of 0: what is stored already flips.
extern "C" __global__ void dense_trits(const i8 *votes, u64 rows, u64 columns, u64 group, int count, int threshold,
                                       const i8 *thresholds, u32 *trits, i8 *accumulators) {
    Shape shape{rows, columns, group};
    u64 index = thread_index();
    if (index >= rows * shape.words()) return;
    u64 row = index / shape.words(), word = index % shape.words();
    const i8 *own = votes ? votes + row * columns : nullptr;
    auto vote = [&](u64 column) { return own ? (int)own[column] : 0; };
    move_trits(shape, trits, accumulators, row, word, count, Thresholds{threshold, thresholds}, vote);
}
