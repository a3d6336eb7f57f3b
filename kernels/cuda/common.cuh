// What every kernel shares: integer types, bfloat16 as bits, two-bit trits, reductions of one order.
//
// Matrices are row-major. On the card their rows are padded to a multiple of 16 columns, and the padding holds zeros, so
// that a thread always finds whole vectors and no kernel masks columns: a weight there has trit 0, gradient 0 and vote 0,
// and stays so. Trits lie 16 to a 32-bit word, two bits each, as two's complement: 0, 1 and 3 mean 0, 1 and -1.
//
// Compiled without contraction of products and sums (--fmad=false): float arithmetic gives what it gives on the host.

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

// Columns that share one word of trits; rows are padded to a multiple of it.
constexpr int WORD = 16;
constexpr u32 WHOLE_WARP = 0xFFFFFFFFu;

// Parameters of a step that change from step to step, in device memory: a captured graph reads them when it runs.
struct Step {
    float lambda;
    // Bits of what this part of the run does.
    u32 phase;
    // Updates done before this one.
    u64 index;
};

// Batch norms use the batch's own statistics in the forward pass.
constexpr u32 USES_BATCH = 1;
// Batch norms move their shifts.
constexpr u32 MOVES_SHIFTS = 2;

// No exponent of a scale.
constexpr int SILENT = -128;

// The scale of a layer's votes; `largest` and `shared` are state, the rest lasts until the votes are counted.
struct Scale {
    // Largest exponent so far; SILENT before the first.
    int largest;
    // Exponent that shards share, which those of the last update gave; SILENT where there was none.
    int shared;
    // Exponent of this step's scale.
    int exponent;
    // Whether there is one: not for a gradient of zeros.
    int votes;
    // Blocks that are done with their rows.
    u32 blocks;
};

__device__ __forceinline__ float bf16_to_float(u16 bits) { return __uint_as_float((u32)bits << 16); }

// The bfloat16 nearest to a float, ties to even.
__device__ __forceinline__ u16 float_to_bf16(float value) {
    u32 bits = __float_as_uint(value);
    // The card's own NaN would round up to a zero.
    if (value != value) return 0x7FC0;
    return (u16)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

__device__ __forceinline__ u32 two_bf16(float low, float high) {
    return (u32)float_to_bf16(low) | (u32)float_to_bf16(high) << 16;
}

// 2^exponent as float, by its bits; the exponent is clamped to -126..127.
__device__ __forceinline__ float power_of_two(int exponent) {
    exponent = min(max(exponent, -126), 127);
    return __uint_as_float((u32)(exponent + 127) << 23);
}

// The exponents that training and export use: 2^e stays a normal f16.
__device__ __forceinline__ int clamp_exponent(int exponent) { return min(max(exponent, -14), 15); }

// A correlation counts 2^13 to one exponent.
constexpr int CORRELATION_BITS = 13;

// The exponent that forward pass and export use: E bent by its correlation.
__device__ __forceinline__ int bent_exponent(int exponent, int correlation) {
    return clamp_exponent(exponent + ((correlation + (1 << (CORRELATION_BITS - 1))) >> CORRELATION_BITS));
}

// Trit number `index` (0 to 15) of a word.
__device__ __forceinline__ int trit_of(u32 word, int index) { return (int)(word << (30 - 2 * index)) >> 30; }

__device__ __forceinline__ u32 bf16_magnitude(int exponent) { return (u32)(exponent + 127) << 7; }

// Two weights T*2^e as bfloat16, from the 4 bits of two trits and the bits of 2^e.
__device__ __forceinline__ u32 two_weights(u32 codes, u32 magnitude) {
    // Halves 0, 1 and 3 of the table are what codes 0, 1 and 3 mean; a selector names its two bytes.
    u32 selectors = ((codes | codes << 6) & 0x0303u) * 0x22u + 0x1010u;
    return __byte_perm(magnitude << 16, (magnitude | 0x8000u) << 16, selectors);
}

// Adding it to a float of small magnitude leaves the nearest integer, halves to even, in the low bits: 128 more than it, so
// that a vote fills one unsigned byte.
constexpr float MAGIC = 12582912.0f + 128.0f;

// clip(round(d*factor), -limit, limit), halves to even, plus 128, in the low 16 bits. A limit of 0 makes 0 of everything.
__device__ __forceinline__ u32 vote_bits(float gradient, float factor, float limit) {
    return __float_as_uint(fminf(fmaxf(gradient * factor, -limit), limit) + MAGIC);
}

// The same as an integer, with the limit of votes.
__device__ __forceinline__ int vote_of(u16 gradient, float factor) {
    return (int)(vote_bits(bf16_to_float(gradient), factor, 127.0f) & 0xFFFFu) - 128;
}

// Four trits, the low 8 bits of `codes` and nothing else, as four signed bytes.
__device__ __forceinline__ u32 four_trits(u32 codes) {
    u32 selectors = (codes | codes << 4) & 0x0F0Fu;
    selectors = (selectors | selectors << 2) & 0x3333u;
    // Bytes 0, 1 and 3 of the table are what codes 0, 1 and 3 mean.
    return __byte_perm(0xFF000100u, 0u, selectors);
}

// Byte number `index` of a word.
__device__ __forceinline__ u32 byte_of(u32 word, int index) { return __byte_perm(word, 0u, 0x4440u | (u32)index); }

// 16 gradients, bfloat16.
struct Gradients {
    u32 pairs[8];

    __device__ __forceinline__ Gradients(const u16 *source)
        : Gradients(reinterpret_cast<const uint4 *>(source)[0], reinterpret_cast<const uint4 *>(source)[1]) {}

    __device__ __forceinline__ Gradients(uint4 low, uint4 high) {
        pairs[0] = low.x, pairs[1] = low.y, pairs[2] = low.z, pairs[3] = low.w;
        pairs[4] = high.x, pairs[5] = high.y, pairs[6] = high.z, pairs[7] = high.w;
    }

    __device__ __forceinline__ float value(int i) const {
        return __uint_as_float(i % 2 ? pairs[i / 2] & 0xFFFF0000u : pairs[i / 2] << 16);
    }

    __device__ __forceinline__ u16 at(int i) const { return (u16)(pairs[i / 2] >> (16 * (i % 2))); }
};

// Sum over a warp, the same on every lane.
template <class T> __device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(WHOLE_WARP, value, offset);
    return value;
}

__device__ __forceinline__ int clamp_int8(int value) { return min(max(value, -128), 127); }

#ifdef GROUP

// Which columns of which row a thread of a row kernel holds: one word, 16 columns. A block takes a stretch of one row that
// holds whole groups, `words_per_block` words of it, which the host chooses: rows in x, stretches in y. Threads beyond the
// row are not active but take part in sums.
struct Place {
    u64 row;
    int word;
    bool active;

    __device__ __forceinline__ Place(int words, int words_per_block)
        : row(blockIdx.x), word(blockIdx.y * words_per_block + threadIdx.x),
          active(threadIdx.x < words_per_block && word < words) {}

    // Number of the word in a matrix of `words` words a row.
    __device__ __forceinline__ u64 index(int words) const { return row * words + word; }
};

// Groups that one word may touch.
constexpr int GROUPS_OF_WORD = GROUP % WORD == 0 ? 1 : WORD % GROUP == 0 ? WORD / GROUP : (WORD + GROUP - 2) / GROUP + 1;

// The value of the group that column `i` of a word belongs to, out of those that the word touches.
template <class T>
__device__ __forceinline__ T of_group(const T (&values)[GROUPS_OF_WORD], int word, int i) {
    if (GROUP % WORD == 0) return values[0];
    if (WORD % GROUP == 0) return values[i / GROUP < GROUPS_OF_WORD ? i / GROUP : 0];
    int group = (word * WORD % GROUP + i) / GROUP;
    T value = values[0];
#pragma unroll
    for (int other = 1; other < GROUPS_OF_WORD; other++) value = group == other ? values[other] : value;
    return value;
}

// Number, in its row, of the first group that a word touches.
__device__ __forceinline__ int first_group(int word) { return word * WORD / GROUP; }

// Columns whose products are added before it matters which group they belong to.
constexpr int UNIT = GROUP % 4 == 0 ? 4 : 2;
constexpr int UNITS = WORD / UNIT;

// Adds the sums of units, `UNITS` a word, over the groups of the block's stretch of a row, and calls `finish(group, sum)`
// once for each group of the row. Integers: the order does not matter. Every thread of the block must call it.
template <class Finish>
__device__ __forceinline__ void sum_units(const Place &place, int words, int words_per_block, const int (&units)[UNITS],
                                          Finish finish) {
    if (WORD % GROUP == 0) {
        if (!place.active) return;
#pragma unroll
        for (int group = 0; group < GROUPS_OF_WORD; group++) {
            int sum = 0;
#pragma unroll
            for (int i = 0; i < (GROUP < WORD ? GROUP : WORD) / UNIT; i++) sum += units[group * (GROUP / UNIT) + i];
            finish(first_group(place.word) + group, sum);
        }
    } else if (GROUP == 32 || GROUP == 64) {
        int sum = 0;
        if (place.active) {
#pragma unroll
            for (int i = 0; i < UNITS; i++) sum += units[i];
        }
        sum += __shfl_xor_sync(WHOLE_WARP, sum, 1);
        if (GROUP == 64) sum += __shfl_xor_sync(WHOLE_WARP, sum, 2);
        if (place.active && place.word % (GROUP / WORD) == 0) finish(first_group(place.word), sum);
    } else {
        // At most 256 words a block.
        __shared__ int sums[256 * WORD / GROUP + 1];
        int first = place.word - (int)threadIdx.x;
        int count = (min(words - first, words_per_block) * WORD + GROUP - 1) / GROUP;
        for (int group = threadIdx.x; group < count; group += blockDim.x) sums[group] = 0;
        __syncthreads();
        if (place.active) {
            int column = (int)threadIdx.x * WORD, sum = 0;
#pragma unroll
            for (int i = 0; i < UNITS; i++) {
                sum += units[i];
                column += UNIT;
                if (i == UNITS - 1 || column % GROUP == 0) {
                    atomicAdd(&sums[(column - 1) / GROUP], sum);
                    sum = 0;
                }
            }
        }
        __syncthreads();
        for (int group = threadIdx.x; group < count; group += blockDim.x) finish(first_group(first) + group, sums[group]);
    }
}

// The same of `product(i)`, i = 0..15, for each column of a word.
template <class Product, class Finish>
__device__ __forceinline__ void sum_groups(const Place &place, int words, int words_per_block, Product product,
                                           Finish finish) {
    int units[UNITS] = {};
    if (place.active) {
#pragma unroll
        for (int i = 0; i < WORD; i++) units[i / UNIT] += product(i);
    }
    sum_units(place, words, words_per_block, units, finish);
}

#endif
