// Rule flip-correlation: votes, flips and correlations; and integrating correlation, which is the same without flips.
//
// State: trits [rows, words], flips [rows, pitch], exponents and correlations [rows, groups]. The definition stands at the
// head of the trainer's rule/flip_correlation.rs.

constexpr int FLIP_THRESHOLD = 63;
constexpr int CORRELATION_LIMIT = 4 << CORRELATION_BITS;

__device__ __forceinline__ float vote_factor(float gain, const Step *step, const Scale *scale) {
    return gain * step->lambda * power_of_two(-scale->exponent);
}

// How far one vote moves a correlation: max(1, round(first·λ)).
__device__ __forceinline__ int correlation_step(float first, const Step *step) {
    return (int)fmaxf(rintf(first * step->lambda), 1.0f);
}

// The votes of four columns, each plus 128, two to a word.
struct Votes {
    u32 low, high;

    __device__ __forceinline__ Votes(const Gradients &gradients, int first, float factor, float limit) {
        u32 bits[4];
#pragma unroll
        for (int i = 0; i < 4; i++) bits[i] = vote_bits(gradients.value(first + i), factor, limit);
        low = __byte_perm(bits[0], bits[1], 0x5410u);
        high = __byte_perm(bits[2], bits[3], 0x5410u);
    }

    // Of four signed bytes.
    __device__ __forceinline__ explicit Votes(u32 bytes) {
        u32 unsigned_bytes = bytes ^ 0x80808080u;
        low = __byte_perm(unsigned_bytes, 0u, 0x4140u);
        high = __byte_perm(unsigned_bytes, 0u, 0x4342u);
    }

    // As four signed bytes.
    __device__ __forceinline__ u32 bytes() const { return __byte_perm(low, high, 0x6420u) ^ 0x80808080u; }
};

// A number in both halves of a word.
__device__ __forceinline__ constexpr u32 twice(u32 half) { return half << 16 | half; }

// Each byte's highest bit in all of its bits.
__device__ __forceinline__ u32 spread_signs(u32 bytes) {
    u32 result;
    asm("prmt.b32 %0, %1, 0, 0xBA98;" : "=r"(result) : "r"(bytes));
    return result;
}

// What becomes of four columns: their flips move by the votes, back to 0 where they pass the threshold. The highest bit of a
// byte of `up` is set where a trit moves up, that of `not_down` where it does not move down.
__device__ __forceinline__ u32 move_flips(u32 flips, const Votes &votes, u32 *up, u32 *not_down) {
    // Two columns a word, 16 bits each, 256 more than the moved flip. What would saturate at int8 has passed the threshold.
    u32 unsigned_flips = flips ^ 0x80808080u;
    u32 low = __byte_perm(unsigned_flips, 0u, 0x4140u) + twice(256) - votes.low;
    u32 high = __byte_perm(unsigned_flips, 0u, 0x4342u) + twice(256) - votes.high;
    constexpr u32 ABOVE = twice(0x8000 - (256 + FLIP_THRESHOLD + 1)), INSIDE = twice(0x8000 - (256 - FLIP_THRESHOLD));
    *up = __byte_perm(low + ABOVE, high + ABOVE, 0x7531u);
    *not_down = __byte_perm(low + INSIDE, high + INSIDE, 0x7531u);
    return __byte_perm(low, high, 0x6420u) & ~spread_signs(*up | ~*not_down);
}

// The highest bits of the bytes of four words as a mask of a word of trits: the lower bit of each trit.
__device__ __forceinline__ u32 trit_mask(const u32 (&flags)[4]) {
    u32 tops[4];
#pragma unroll
    for (int i = 0; i < 4; i++) tops[i] = (flags[i] >> 7 & 0x01010101u) * (1u << 24 | 1u << 18 | 1u << 12 | 1u << 6);
    return __byte_perm(__byte_perm(tops[0], tops[1], 0x0073u), __byte_perm(tops[2], tops[3], 0x0073u), 0x5410u);
}

// Trits one up where `up` says so, one down where `down` does, within -1 and 1.
__device__ __forceinline__ u32 move_trits(u32 trits, u32 up, u32 down) {
    const u32 lower = 0x55555555u;
    u32 used = trits & lower, negative = trits >> 1 & lower, stays = ~(up | down);
    // Down: 0 and -1 become -1, 1 becomes 0. Up: 0 and 1 become 1, -1 becomes 0.
    u32 down_used = down & (~used | negative), up_used = up & ~negative;
    return (used & stays | up_used | down_used) | (negative & stays | down_used) << 1;
}

// Adds votes times trits of four columns to the units that they are.
__device__ __forceinline__ void add_products(const Votes &votes, u32 trits, int quarter, int (&units)[UNITS]) {
    int bytes = (int)votes.bytes();
    u32 four = four_trits(byte_of(trits, quarter));
    if (UNIT == 4) {
        units[quarter] = __dp4a(bytes, (int)four, 0);
    } else {
        units[2 * quarter % UNITS] = __dp4a(bytes, (int)(four & 0xFFFFu), 0);
        units[(2 * quarter + 1) % UNITS] = __dp4a(bytes, (int)(four & 0xFFFF0000u), 0);
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

// What turns gradients into votes. Where nobody votes, and for threads that are not active, the limit is 0, votes are 0 and
// nothing moves. There is no way round the work for them: the compiler would put off the loads until it knows, and every
// thread would wait for memory twice.
struct Voting {
    float factor, limit;
    int move;

    __device__ __forceinline__ Voting(const Scale *scale, const Step *step, float gain, float first_step, bool active) {
        bool votes = scale->votes;
        factor = votes ? vote_factor(gain, step, scale) : 0.0f;
        limit = votes && active ? 127.0f : 0.0f;
        move = correlation_step(first_step, step);
    }
};

// Flips and correlations by the votes of a word, `votes_of(quarter)`; nothing but correlations is written where `writes` is
// false. `step` is how far one vote moves a correlation.
template <class VotesOf>
__device__ __forceinline__ void move_all(const Place &place, int words, int words_per_block, int step, bool writes,
                                         u32 word, uint4 vector, u64 index, u32 *trits, uint4 *flips,
                                         Correlations &of_groups, VotesOf votes_of) {
    u32 quarters[4] = {vector.x, vector.y, vector.z, vector.w};
    u32 up[4], not_down[4];
    int units[UNITS];
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        Votes votes = votes_of(quarter);
        add_products(votes, word, quarter, units);
        quarters[quarter] = move_flips(quarters[quarter], votes, &up[quarter], &not_down[quarter]);
    }
    if (writes) {
        flips[index] = make_uint4(quarters[0], quarters[1], quarters[2], quarters[3]);
        u32 any_up = up[0] | up[1] | up[2] | up[3], no_down = not_down[0] & not_down[1] & not_down[2] & not_down[3];
        if ((any_up | ~no_down) & 0x80808080u) {
            trits[index] = move_trits(word, trit_mask(up), trit_mask(not_down) ^ 0x55555555u);
        }
    }
    sum_units(place, words, words_per_block, units, [&](int group, int score) { of_groups.move(group, step, score); });
}

// Votes, flips and correlations. `gain` and `first_step` are those at λ = 1.
extern "C" __global__ void __launch_bounds__(256, 4)
    update(const u16 *gradient, const Scale *scale, const Step *step, float gain, float first_step, int words,
           int words_per_block, int groups, u32 *trits, uint4 *flips, i32 *correlations) {
    Place place(words, words_per_block);
    Correlations of_groups(correlations, place, groups);
    u64 index = place.active ? place.index(words) : 0;
    Gradients gradients(gradient + index * WORD);
    uint4 vector = flips[index];
    u32 word = trits[index];
    Voting voting(scale, step, gain, first_step, place.active);
    move_all(place, words, words_per_block, voting.move, voting.limit > 0.0f, word, vector, index, trits, flips, of_groups,
             [&](int quarter) { return Votes(gradients, 4 * quarter, voting.factor, voting.limit); });
}

// The same by the votes of all shards, int8 [rows, pitch], whose exponents these are. Both are the sums of `parts` parts,
// `stride` words apart.
extern "C" __global__ void __launch_bounds__(256, 4)
    apply(const uint4 *votes, const i8 *exponents, int shards, int parts, u64 stride, Scale *scale, const Step *step,
          float first_step, int words, int words_per_block, int groups, u32 *trits, uint4 *flips, i32 *correlations) {
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) {
        follow_shards(scale, exponents, shards, parts, stride * sizeof(uint4));
    }
    Place place(words, words_per_block);
    Correlations of_groups(correlations, place, groups);
    u64 index = place.active ? place.index(words) : 0;
    uint4 vector = flips[index];
    u32 word = trits[index];
    u32 quarters[4] = {};
    for (int part = 0; place.active && part < parts; part++) {
        uint4 more = votes[index + part * stride];
        quarters[0] = __vadd4(quarters[0], more.x);
        quarters[1] = __vadd4(quarters[1], more.y);
        quarters[2] = __vadd4(quarters[2], more.z);
        quarters[3] = __vadd4(quarters[3], more.w);
    }
    move_all(place, words, words_per_block, correlation_step(first_step, step), place.active, word, vector, index, trits,
             flips, of_groups, [&](int quarter) { return Votes(quarters[quarter]); });
}

// The same without flips: rule integrating-correlation.
extern "C" __global__ void __launch_bounds__(256, 4)
    update_correlations(const u16 *gradient, const Scale *scale, const Step *step, float gain, float first_step,
                        int words, int words_per_block, int groups, const u32 *trits, i32 *correlations) {
    Place place(words, words_per_block);
    Correlations of_groups(correlations, place, groups);
    u64 index = place.active ? place.index(words) : 0;
    Gradients gradients(gradient + index * WORD);
    u32 word = trits[index];
    Voting voting(scale, step, gain, first_step, place.active);
    int units[UNITS];
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        add_products(Votes(gradients, 4 * quarter, voting.factor, voting.limit), word, quarter, units);
    }
    sum_units(place, words, words_per_block, units,
              [&](int group, int score) { of_groups.move(group, voting.move, score); });
}

// Correlations after the scores of all shards, [rows, groups]: `count` of both.
extern "C" __global__ void apply_scores(const i32 *scores, const Step *step, float first_step, u64 count,
                                        i32 *correlations) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    i32 moved = correlations[index] - correlation_step(first_step, step) * scores[index];
    correlations[index] = min(max(moved, -CORRELATION_LIMIT), CORRELATION_LIMIT);
}
