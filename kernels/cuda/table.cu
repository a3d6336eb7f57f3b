// Embeddings in f32: rows of a ternary table, and the votes on them.
//
// The gradient of a row is the sum of gy over the positions that looked it up, in f64, in the order of the positions, so
// that the sign of a sum near 0 is always the same. `positions` are sorted by row and then by themselves; those of row n
// lie from `starts[n]` to `starts[n + 1]`.

// Rows T*2^e, [count, K], of the indices. One thread a value.
extern "C" __global__ void table_rows(const u64 *indices, u64 count, const u32 *trits, const float *scales, u64 rows,
                                      u64 columns, u64 group, float *output) {
    Shape shape{rows, columns, group};
    u64 index = thread_index();
    if (index >= count * columns) return;
    output[index] = shape.weight(trits, scales, indices[index / columns], index % columns);
}

struct Lookups {
    const u64 *starts, *positions;
    // [positions, K].
    const float *output_gradient;
    u64 columns;

    __device__ __forceinline__ int vote(u64 row, u64 column) const {
        double sum = 0.0;
        for (u64 i = starts[row]; i < starts[row + 1]; i++) sum += (double)output_gradient[positions[i] * columns + column];
        return sign(sum);
    }
};

// The votes, [N, K]. One thread a weight.
extern "C" __global__ void table_votes(const u64 *starts, const u64 *positions, const float *output_gradient, u64 rows,
                                       u64 columns, i8 *votes) {
    Lookups lookups{starts, positions, output_gradient, columns};
    u64 index = thread_index();
    if (index >= rows * columns) return;
    votes[index] = (i8)lookups.vote(index / columns, index % columns);
}

// Correlations move by the votes, which count `count` times and are not stored. One thread a group.
extern "C" __global__ void table_correlation(const u64 *starts, const u64 *positions, const float *output_gradient,
                                             u64 rows, u64 columns, u64 group, const u32 *trits, int count, i64 *corr) {
    Shape shape{rows, columns, group};
    Lookups lookups{starts, positions, output_gradient, columns};
    u64 index = thread_index();
    if (index >= rows * shape.groups()) return;
    u64 row = index / shape.groups();
    // Nobody looked it up, nobody votes.
    if (starts[row] == starts[row + 1]) return;
    auto vote = [&](u64 column) { return lookups.vote(row, column); };
    move_correlation(corr + index, score_of(shape, trits, row, index % shape.groups(), vote), count);
}
