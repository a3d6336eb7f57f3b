// Rule flip-correlation: T·2^e forward, votes, flips and correlation backward; and integrating correlation, which is the
// same without flips.
//
// State: trits [rows, words], flips [rows, pitch], exponents and correlations [rows, groups]. The definition stands at the
// head of the trainer's rule/flip_correlation.rs.

constexpr int FLIP_THRESHOLD = 63;
constexpr int CORRELATION_BITS = 13;
constexpr int CORRELATION_LIMIT = 4 << CORRELATION_BITS;

// The exponent that forward pass and export use: E bent by its correlation.
__device__ __forceinline__ int bent_exponent(int exponent, int correlation) {
    return clamp_exponent(exponent + ((correlation + (1 << (CORRELATION_BITS - 1))) >> CORRELATION_BITS));
}

// Columns of a thread that writes weights, and of them those that surely share a group.
constexpr int CHUNK = 8;
constexpr int SHARED = GROUP % 8 == 0 ? 8 : UNIT;
// Rows that a thread takes, all loads before the first use.
constexpr int EXPAND_ROWS = 2;

// Weights as bfloat16, [rows, pitch], for a multiple of EXPAND_ROWS rows; two threads a word. A null `correlations` leaves the
// exponents as they are, clamped.
extern "C" __global__ void expand(const u16 *trits, const i8 *exponents, const i32 *correlations, int words,
                                  int words_per_block, int groups, uint4 *weights) {
    constexpr int SCALES = CHUNK / SHARED;
    u64 row = (u64)blockIdx.x * EXPAND_ROWS;
    int chunk = blockIdx.y * words_per_block * 2 + threadIdx.x;
    if (threadIdx.x >= words_per_block * 2 || chunk >= words * 2) return;
    u32 codes[EXPAND_ROWS];
    int of_groups[EXPAND_ROWS][SCALES], bends[EXPAND_ROWS][SCALES];
#pragma unroll
    for (int r = 0; r < EXPAND_ROWS; r++) {
        codes[r] = trits[(row + r) * words * 2 + chunk];
#pragma unroll
        for (int scale = 0; scale < SCALES; scale++) {
            u64 group = (row + r) * groups + (chunk * CHUNK + scale * SHARED) / GROUP;
            of_groups[r][scale] = exponents[group];
            bends[r][scale] = correlations ? correlations[group] : 0;
        }
    }
#pragma unroll
    for (int r = 0; r < EXPAND_ROWS; r++) {
        u32 pairs[4];
#pragma unroll
        for (int scale = 0; scale < SCALES; scale++) {
            u32 magnitude = bf16_magnitude(bent_exponent(of_groups[r][scale], bends[r][scale]));
#pragma unroll
            for (int pair = 0; pair < SHARED / 2; pair++) {
                int place = scale * (SHARED / 2) + pair;
                pairs[place] = two_weights(codes[r] >> (4 * place) & 15u, magnitude);
            }
        }
        weights[(row + r) * words * 2 + chunk] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    }
}

__device__ __forceinline__ float vote_factor(float gain, const Step *step, const Scale *scale) {
    return gain * step->lambda * power_of_two(-scale->exponent);
}

// How far one vote moves a correlation: max(1, round(first·λ)).
__device__ __forceinline__ int correlation_step(float first, const Step *step) {
    return (int)fmaxf(rintf(first * step->lambda), 1.0f);
}

// What becomes of four columns: their flips move by the votes, back to 0 where they pass the threshold. Returns the moved
// flips; adds bits to `passed` for those that did, lowest first, and shifts the signs of all into `signs`, first one highest.
__device__ __forceinline__ u32 move_flips(u32 flips, const u32 (&votes)[4], int first, u32 *passed, u32 *signs) {
    int kept[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        // What would saturate at int8 has passed the threshold.
        int moved = (int)(i8)(flips >> (8 * i)) + (MAGIC_BITS - (int)votes[i]);
        bool passes = (u32)(moved + FLIP_THRESHOLD) > 2u * FLIP_THRESHOLD;
        kept[i] = passes ? 0 : moved;
        if (passes) *passed |= 1u << (first + i);
        *signs = __funnelshift_l((u32)moved, *signs, 1);
    }
    return low_bytes(kept[0], kept[1], kept[2], kept[3]);
}

// Moves the trits whose flips have passed: down by one where the flip is negative, else up, within -1 and 1.
__device__ __forceinline__ u32 move_trits(u32 trits, u32 passed, u32 signs) {
    while (passed) {
        int i = __ffs(passed) - 1;
        passed &= passed - 1;
        int direction = signs >> (WORD - 1 - i) & 1u ? -1 : 1;
        int trit = min(max(trit_of(trits, i) + direction, -1), 1);
        trits = (trits & ~(3u << (2 * i))) | ((u32)trit & 3u) << (2 * i);
    }
    return trits;
}

// Adds votes times trits of four columns to the units that they are.
__device__ __forceinline__ void add_products(const u32 (&votes)[4], u32 trits, int quarter, int (&units)[UNITS]) {
    u32 bytes = low_bytes(votes[0], votes[1], votes[2], votes[3]), four = four_trits(byte_of(trits, quarter));
    if (UNIT == 4) {
        units[quarter] = __dp4a((int)bytes, (int)four, 0);
    } else {
        units[2 * quarter % UNITS] = __dp4a((int)bytes, (int)(four & 0xFFFFu), 0);
        units[(2 * quarter + 1) % UNITS] = __dp4a((int)bytes, (int)(four & 0xFFFF0000u), 0);
    }
}

// Correlations that a thread itself moves, loaded before anything waits: those of the groups of its word, where it alone or
// it for its neighbours adds them up. For other group sizes the block does, and loads them late.
struct Correlations {
    static constexpr bool OWN = WORD % GROUP == 0 || GROUP == 32 || GROUP == 64;
    i32 values[GROUPS_OF_WORD];
    i32 *row;
    int first;

    __device__ __forceinline__ Correlations(i32 *correlations, const Place &place, int groups)
        : row(correlations + place.row * groups), first(first_group(place.word)) {
        if (!OWN || !place.active || GROUP > WORD && place.word % (GROUP / WORD) != 0) return;
#pragma unroll
        for (int i = 0; i < GROUPS_OF_WORD; i++) values[i] = row[first + i];
    }

    // The correlation of a group after votes of this score.
    __device__ __forceinline__ void move(int group, int step, int score) {
        i32 moved = (OWN ? values[group - first] : row[group]) - step * score;
        row[group] = min(max(moved, -CORRELATION_LIMIT), CORRELATION_LIMIT);
    }
};

// Where nobody votes, votes are 0 and nothing moves. There is no way round the work for such updates, nor for threads that
// are not active: the compiler would put off the loads until it knows, and every thread would wait for memory twice.
__device__ __forceinline__ float factor_or_zero(float gain, const Step *step, const Scale *scale, bool votes) {
    return votes ? vote_factor(gain, step, scale) : 0.0f;
}

// Votes, flips and correlations. `gain` and `first_step` are those at λ = 1.
extern "C" __global__ void __launch_bounds__(256, 4) update(const u16 *gradient, const Scale *scale, const Step *step, float gain,
                                  float first_step, int words, int words_per_block, int groups, u32 *trits, uint4 *flips,
                                  i32 *correlations) {
    Place place(words, words_per_block);
    Correlations of_groups(correlations, place, groups);
    u64 index = place.active ? place.index(words) : 0;
    Gradients gradients(gradient + index * WORD);
    uint4 vector = flips[index];
    u32 word = trits[index];
    bool votes_count = scale->votes;
    float factor = factor_or_zero(gain, step, scale, votes_count);
    int move = correlation_step(first_step, step);
    gradients.keep(place.active && votes_count);
    u32 quarters[4] = {vector.x, vector.y, vector.z, vector.w};
    u32 passed = 0, signs = 0;
    int units[UNITS];
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        u32 votes[4];
#pragma unroll
        for (int i = 0; i < 4; i++) votes[i] = vote_bits(gradients.value(4 * quarter + i), factor);
        add_products(votes, word, quarter, units);
        quarters[quarter] = move_flips(quarters[quarter], votes, 4 * quarter, &passed, &signs);
    }
    if (place.active && votes_count) {
        flips[index] = make_uint4(quarters[0], quarters[1], quarters[2], quarters[3]);
        if (passed) trits[index] = move_trits(word, passed, signs);
    }
    sum_units(place, words, words_per_block, units,
              [&](int group, int score) { of_groups.move(group, move, score); });
}

// The same without flips: rule integrating-correlation.
extern "C" __global__ void __launch_bounds__(256, 4) update_correlations(const u16 *gradient, const Scale *scale, const Step *step, float gain,
                                               float first_step, int words, int words_per_block, int groups,
                                               const u32 *trits, i32 *correlations) {
    Place place(words, words_per_block);
    Correlations of_groups(correlations, place, groups);
    u64 index = place.active ? place.index(words) : 0;
    Gradients gradients(gradient + index * WORD);
    u32 word = trits[index];
    bool votes_count = scale->votes;
    float factor = factor_or_zero(gain, step, scale, votes_count);
    int move = correlation_step(first_step, step);
    gradients.keep(place.active && votes_count);
    int units[UNITS];
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        u32 votes[4];
#pragma unroll
        for (int i = 0; i < 4; i++) votes[i] = vote_bits(gradients.value(4 * quarter + i), factor);
        add_products(votes, word, quarter, units);
    }
    sum_units(place, words, words_per_block, units,
              [&](int group, int score) { of_groups.move(group, move, score); });
}
