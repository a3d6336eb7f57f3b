// int8 weights: int16 latents that votes move, and an exponent for each row that stays.
//
// State: latents [rows, pitch], exponents [rows]. The definition stands at the head of the trainer's rule/int8.rs.

constexpr int VOTE = 16;
constexpr int LIMIT = 127 << 8;
constexpr float VOTE_GAIN = 4.0f;

__device__ __forceinline__ int weight_of(int latent) { return (latent + 128) >> 8; }

// Weights as bfloat16, [rows, pitch], and the bits of each row's unit, 0 for a row of zeros: which no smallest weight tells
// here. A warp a row; `vectors` of eight columns.
extern "C" __global__ void expand(const uint4 *latents, const i8 *exponents, u64 rows, int vectors, uint4 *weights,
                                  u32 *units) {
    u64 row = ((u64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= rows) return;
    int lane = threadIdx.x % 32;
    float scale = power_of_two(exponents[row]);
    bool used = false;
    for (int i = lane; i < vectors; i += 32) {
        Chunk chunk{latents[row * vectors + i]};
        float values[CHUNK];
#pragma unroll
        for (int j = 0; j < CHUNK; j++) {
            int weight = weight_of((int)(i16)(chunk.pair(j / 2) >> (16 * (j % 2))));
            used |= weight != 0;
            values[j] = (float)weight * scale;
        }
        weights[row * vectors + i] = eight_bf16(values);
    }
    used = __any_sync(WHOLE_WARP, used);
    if (lane == 0) units[row] = used ? bf16_magnitude(exponents[row]) : 0u;
}

// Eight latents after votes, `vote(i)`.
template <class Vote> __device__ __forceinline__ uint4 moved_latents(uint4 latents, Vote vote) {
    Chunk before{latents};
    u32 pairs[4];
#pragma unroll
    for (int pair = 0; pair < 4; pair++) {
        u32 moved = 0;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int latent = (int)(i16)(before.pair(pair) >> (16 * half));
            moved |= ((u32)min(max(latent - VOTE * vote(2 * pair + half), -LIMIT), LIMIT) & 0xFFFFu) << (16 * half);
        }
        pairs[pair] = moved;
    }
    return make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
}

// Latents after the votes of a gradient, bfloat16 [rows, pitch]. A thread takes eight of `count` vectors' columns.
extern "C" __global__ void update(const uint4 *gradient, const Scale *scale, const Step *step, u64 count, uint4 *latents) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count || !scale->votes) return;
    float factor = VOTE_GAIN * step->lambda * power_of_two(-scale->exponent);
    Chunk votes{gradient[index]};
    latents[index] = moved_latents(latents[index], [&](int i) {
        return vote_of((u16)(votes.pair(i / 2) >> (16 * (i % 2))), factor);
    });
}

// The same by the votes of all shards, int8 [rows, pitch].
extern "C" __global__ void apply(const uint2 *votes, u64 count, uint4 *latents) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    uint2 sums = votes[index];
    latents[index] = moved_latents(latents[index], [&](int i) {
        return (int)(i8)((i < 4 ? sums.x : sums.y) >> (8 * (i % 4)));
    });
}
