// Rule latent: trits and exponents are made from int16 latents; votes move momenta, momenta latents.
//
// State: latents and momenta [rows, pitch], second moments of rows and of columns. The definition stands at the head of the
// trainer's rule/latent.rs; all floats here are made in the same operations, in the same order, so that the integers are
// the same.

constexpr float LATENT_UNIT = 4096.0f;
constexpr float VOTE_GAIN = 16.0f;
constexpr float STEP = 256.0f;
constexpr double MOMENT_UNIT = 4096.0;
constexpr double MOMENT_MEMORY = 128.0;
constexpr float EPSILON = 0.1f;
constexpr float LATENT_LIMIT = 32767.0f;

// 16 integers of 16 bits.
struct Integers {
    u32 pairs[8];

    __device__ __forceinline__ int at(int i) const { return (int)(i16)(pairs[i / 2] >> (16 * (i % 2))); }

    __device__ __forceinline__ void load(const uint4 *source) {
        uint4 low = source[0], high = source[1];
        pairs[0] = low.x, pairs[1] = low.y, pairs[2] = low.z, pairs[3] = low.w;
        pairs[4] = high.x, pairs[5] = high.y, pairs[6] = high.z, pairs[7] = high.w;
    }

    __device__ __forceinline__ void store(uint4 *destination) const {
        destination[0] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
        destination[1] = make_uint4(pairs[4], pairs[5], pairs[6], pairs[7]);
    }
};

// round(log2(value)) of a positive normal number by its bits: the square root of 2 parts one power from the next.
__device__ __forceinline__ int rounded_log2(double value) {
    u64 bits = (u64)__double_as_longlong(value);
    return (int)(bits >> 52) - 1023 + ((bits & 0xFFFFFFFFFFFFFull) >= 0x6A09E667F3BCDull);
}

// The same of a float: the smallest one above the square root of 2 has these low bits.
__device__ __forceinline__ int rounded_log2(float value) {
    u32 bits = __float_as_uint(value);
    return (int)(bits >> 23) - 127 + ((bits & 0x7FFFFFu) >= 0x3504F4u);
}

// Weights as bfloat16, [rows, pitch]. With a the mean |L| of a group of `count` weights: T = clip(round(L/a), -1, 1), which is
// sgn(L) where 2*|L|*count exceeds the group's sum; E = round(log2(a*deviation/4096)), clamped.
extern "C" __global__ void expand(const uint4 *latent, float deviation, int columns, int words, int words_per_block,
                                  uint4 *weights) {
    // At most 256 words a block. |L| above the limit gives a trit.
    __shared__ int limits[256 * WORD / GROUP + 1];
    __shared__ u32 magnitudes[256 * WORD / GROUP + 1];
    Place place(words, words_per_block);
    Integers latents = {};
    if (place.active) latents.load(latent + 2 * place.index(words));
    int first = first_group(place.word - (int)threadIdx.x);
    sum_groups(place, words, words_per_block, [&](int i) { return abs(latents.at(i)); }, [&](int group, int sum) {
        // The padding of a row holds zeros and does not count.
        int count = max(min(GROUP, columns - group * GROUP), 1);
        double mean = fmax((double)sum / (double)count, 1.0);
        double scale = mean * (double)deviation / (double)LATENT_UNIT;
        limits[group - first] = sum / (2 * count);
        magnitudes[group - first] = bf16_magnitude(clamp_exponent(rounded_log2(scale)));
    });
    __syncthreads();
    if (!place.active) return;
    int of_limits[GROUPS_OF_WORD];
    u32 of_magnitudes[GROUPS_OF_WORD];
#pragma unroll
    for (int i = 0; i < GROUPS_OF_WORD; i++) {
        of_limits[i] = limits[first_group(place.word) + i - first];
        of_magnitudes[i] = magnitudes[first_group(place.word) + i - first];
    }
    auto weight = [&](int i) {
        int value = latents.at(i);
        u32 magnitude = of_group(of_magnitudes, place.word, i);
        return abs(value) > of_group(of_limits, place.word, i) ? magnitude | (value < 0 ? 0x8000u : 0u) : 0u;
    };
    Integers result;
#pragma unroll
    for (int pair = 0; pair < WORD / 2; pair++) result.pairs[pair] = weight(2 * pair) | weight(2 * pair + 1) << 16;
    result.store(weights + 2 * place.index(words));
}

// The votes of a word from its gradients.
struct GradientVotes {
    const u16 *gradient;
    float factor;

    __device__ __forceinline__ GradientVotes(const void *source, const Scale *scale)
        : gradient((const u16 *)source), factor(VOTE_GAIN * power_of_two(-scale->exponent)) {}

    struct Word {
        Gradients gradients;
        float factor;
        __device__ __forceinline__ int at(int i) const { return vote_of(gradients.at(i), factor); }
    };

    __device__ __forceinline__ Word word(u64 index) const { return {Gradients(gradient + index * WORD), factor}; }
};

// The sums of the votes of all shards, int8.
struct ShardVotes {
    const uint4 *sums;

    __device__ __forceinline__ ShardVotes(const void *source, const Scale *) : sums((const uint4 *)source) {}

    struct Word {
        u32 quarters[4];
        __device__ __forceinline__ int at(int i) const { return (i8)(quarters[i / 4] >> (8 * (i % 4))); }
    };

    __device__ __forceinline__ Word word(u64 index) const {
        uint4 vector = sums[index];
        return {{vector.x, vector.y, vector.z, vector.w}};
    }
};

// Rows that a block adds up.
constexpr int SUMMED_ROWS = 32;

// Adds the squares of votes to the sums of rows and of columns, which hold zeros. Integers: the order does not matter. Blocks
// take SUMMED_ROWS rows in x, stretches of a word a thread in y.
template <class Votes>
__device__ __forceinline__ void square_all(const void *source, const Scale *scale, u64 rows, int words, u64 *row_sums,
                                           u64 *column_sums, u64 *total) {
    if (!scale->votes) return;
    // What `follow_rows` adds up.
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) *total = 0;
    Votes votes(source, scale);
    int word = (int)(blockIdx.y * blockDim.x + threadIdx.x);
    bool active = word < words;
    u64 first = (u64)blockIdx.x * SUMMED_ROWS;
    int count = (int)min(rows - first, (u64)SUMMED_ROWS);
    u32 of_columns[WORD] = {};
#pragma unroll 4
    for (int i = 0; i < count; i++) {
        u32 of_row = 0;
        if (active) {
            auto of_word = votes.word((first + i) * words + word);
#pragma unroll
            for (int column = 0; column < WORD; column++) {
                int vote = of_word.at(column);
                u32 square = (u32)(vote * vote);
                of_columns[column] += square;
                of_row += square;
            }
        }
        of_row = __reduce_add_sync(WHOLE_WARP, of_row);
        if (threadIdx.x % 32 == 0 && of_row != 0) atomicAdd(&row_sums[first + i], (u64)of_row);
    }
    if (!active) return;
#pragma unroll
    for (int column = 0; column < WORD; column++) {
        if (of_columns[column] != 0) atomicAdd(&column_sums[(u64)word * WORD + column], (u64)of_columns[column]);
    }
}

extern "C" __global__ void square_votes(const u16 *gradient, const Scale *scale, u64 rows, int words, u64 *row_sums,
                                        u64 *column_sums, u64 *total) {
    square_all<GradientVotes>(gradient, scale, rows, words, row_sums, column_sums, total);
}

extern "C" __global__ void square_shard_votes(const uint4 *votes, const Scale *scale, u64 rows, int words, u64 *row_sums,
                                              u64 *column_sums, u64 *total) {
    square_all<ShardVotes>(votes, scale, rows, words, row_sums, column_sums, total);
}

// A moment after this step's sum over `count` votes, whose place it clears for the next step.
__device__ int followed(int moment, u64 *sum, u64 count) {
    double target = (double)*sum * MOMENT_UNIT / (double)count;
    *sum = 0;
    return moment + (int)rint((target - (double)moment) / MOMENT_MEMORY);
}

// The rows' moments, their sum, and the root that each row has in a weight's.
extern "C" __global__ void follow_rows(const Scale *scale, u64 rows, u64 columns, u64 *row_sums, i32 *moments, u64 *total,
                                       float *roots) {
    if (!scale->votes) return;
    u64 row = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    i64 moment = 0;
    if (row < rows) {
        moment = followed(moments[row], &row_sums[row], columns);
        moments[row] = (i32)moment;
        roots[row] = (float)sqrt((double)moment / MOMENT_UNIT);
    }
    moment = warp_sum(moment);
    if (threadIdx.x % 32 == 0) atomicAdd(total, (u64)moment);
}

// The same for columns, whose roots are divided by the mean of the rows'.
extern "C" __global__ void follow_columns(const Scale *scale, u64 rows, u64 columns, u64 *column_sums, i32 *moments,
                                          const u64 *total, float *roots) {
    if (!scale->votes) return;
    u64 column = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    // A sum below 2^53, exact in double precision.
    double mean = (double)(i64)*total / (double)rows;
    int moment = followed(moments[column], &column_sums[column], rows);
    moments[column] = moment;
    roots[column] = mean > 0.0 ? (float)sqrt((double)moment / mean) : 0.0f;
}

// m + round((16*q - m)/8).
__device__ __forceinline__ int followed_momentum(int momentum, int vote) {
    return momentum + (int)rintf((float)(16 * vote - momentum) / 8.0f);
}

// L - round(256*lambda*(m/16)/2^round(log2(root + 0.1))), clipped.
__device__ __forceinline__ int moved_latent(int latent, int momentum, float root, float lambda) {
    float scale = power_of_two(-rounded_log2(root + EPSILON));
    float change = rintf(STEP * lambda * ((float)momentum / 16.0f) * scale);
    return (int)fminf(fmaxf((float)latent - change, -LATENT_LIMIT), LATENT_LIMIT);
}

// Momenta and latents, by this step's moments.
template <class Votes>
__device__ __forceinline__ void move_all(const void *source, const Scale *scale, const Step *step, const float *row_roots,
                                         const float4 *column_roots, int words, int words_per_block, uint4 *momentum,
                                         uint4 *latent) {
    if (!scale->votes) return;
    Place place(words, words_per_block);
    if (!place.active) return;
    u64 index = place.index(words);
    auto votes = Votes(source, scale).word(index);
    Integers momenta, latents;
    momenta.load(momentum + 2 * index);
    latents.load(latent + 2 * index);
    float lambda = step->lambda, of_row = row_roots[place.row];
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        float4 vector = column_roots[(u64)place.word * 4 + quarter];
        float of_columns[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
        for (int pair = 0; pair < 2; pair++) {
            u32 moved_momenta = 0, moved_latents = 0;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int i = 4 * quarter + 2 * pair + half;
                int moved = followed_momentum(momenta.at(i), votes.at(i));
                float root = of_row * of_columns[2 * pair + half];
                moved_momenta |= ((u32)moved & 0xFFFFu) << (16 * half);
                moved_latents |= ((u32)moved_latent(latents.at(i), moved, root, lambda) & 0xFFFFu) << (16 * half);
            }
            momenta.pairs[2 * quarter + pair] = moved_momenta;
            latents.pairs[2 * quarter + pair] = moved_latents;
        }
    }
    momenta.store(momentum + 2 * index);
    latents.store(latent + 2 * index);
}

extern "C" __global__ void update(const u16 *gradient, const Scale *scale, const Step *step, const float *row_roots,
                                  const float4 *column_roots, int words, int words_per_block, uint4 *momentum,
                                  uint4 *latent) {
    move_all<GradientVotes>(gradient, scale, step, row_roots, column_roots, words, words_per_block, momentum, latent);
}

// The same by the votes of all shards.
extern "C" __global__ void apply(const uint4 *votes, const Scale *scale, const Step *step, const float *row_roots,
                                 const float4 *column_roots, int words, int words_per_block, uint4 *momentum,
                                 uint4 *latent) {
    move_all<ShardVotes>(votes, scale, step, row_roots, column_roots, words, words_per_block, momentum, latent);
}
