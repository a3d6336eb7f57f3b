// Weights T·2^e as bfloat16, for rules whose state is trits and integer exponents, bent by correlations where there are some.

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
