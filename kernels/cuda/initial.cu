// The first state of a ternary matrix, from standard normal numbers [N, K]: w = normal*deviation.

// T = sgn(w)*[|w| > threshold]. One thread a word.
extern "C" __global__ void initial_trits(const float *normals, u64 rows, u64 columns, float deviation, float threshold,
                                         u32 *trits) {
    Shape shape{rows, columns, 1};
    u64 index = thread_index();
    if (index >= rows * shape.words()) return;
    u64 row = index / shape.words(), first = index % shape.words() * WORD;
    u32 word = 0;
    for (int i = 0; i < WORD && first + i < columns; i++) {
        float weight = normals[row * columns + first + i] * deviation;
        word = with_trit(word, i, (weight > threshold) - (weight < -threshold));
    }
    trits[index] = word;
}

// E: the logarithm of a group's mean |w|, added in f64 in the order of the columns. `compatible`: truncated, and a short
// group is divided by the full size. One thread a group.
extern "C" __global__ void initial_exponents(const float *normals, u64 rows, u64 columns, u64 group, float deviation,
                                             int compatible, i8 *exponents) {
    Shape shape{rows, columns, group};
    u64 index = thread_index();
    if (index >= rows * shape.groups()) return;
    u64 row = index / shape.groups(), first = index % shape.groups() * group;
    u64 end = min(first + group, columns);
    double sum = 0.0;
    for (u64 column = first; column < end; column++) sum += (double)fabsf(normals[row * columns + column] * deviation);
    double mean = sum / (double)(compatible ? group : end - first);
    exponents[index] = (i8)(compatible ? truncated_logarithm(mean) : nearest_logarithm(mean));
}
