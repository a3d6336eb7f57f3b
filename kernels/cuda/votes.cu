// Votes of one shard of a batch on the weights of a layer, added to those of others.
//
// The definition stands at the head of the trainer's rule/ballot.rs. A thread takes a word, 16 columns of a row, of `words`.

// Adds four times four signed bytes; `adds` says that there are some already.
__device__ __forceinline__ void add_votes(uint4 *sums, u64 index, int adds, const u32 (&bytes)[4]) {
    uint4 before = adds ? sums[index] : make_uint4(0, 0, 0, 0);
    sums[index] = make_uint4(__vadd4(before.x, bytes[0]), __vadd4(before.y, bytes[1]), __vadd4(before.z, bytes[2]),
                             __vadd4(before.w, bytes[3]));
}

// Mixes 32 bits.
__device__ __forceinline__ u32 mixed(u32 bits) {
    bits = (bits ^ bits >> 16) * 0x7FEB352Du;
    bits = (bits ^ bits >> 15) * 0x846CA68Bu;
    return bits ^ bits >> 16;
}

// The chance that a vote is moved by before it is rounded, from 16 bits.
__device__ __forceinline__ float chance_of(u32 bits) { return (float)(2 * (int)bits - 65535) / 131072.0f; }

// Magnitude votes. `gain` is that of a shard, at λ = 1; `scheduled` says that it goes with λ. `shard` is negative where there
// is but one, whose votes are not left to chance. `row_words` words are a row.
extern "C" __global__ void __launch_bounds__(256)
    vote(const u16 *gradient, const Scale *scale, const Step *step, float gain, int scheduled, int limit, int shard,
         int row_words, u64 words, int adds, uint4 *sums) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= words) return;
    Gradients gradients(gradient + index * WORD);
    bool votes = scale->votes;
    float factor = votes ? gain * (scheduled ? step->lambda : 1.0f) * power_of_two(-scale->exponent) : 0.0f;
    float bound = votes ? (float)limit : 0.0f;
    u32 row = (u32)(index / row_words), pair = (u32)(index - (u64)row * row_words) * (WORD / 2);
    u64 update = step->index;
    u32 of_row = mixed(mixed(mixed((u32)update ^ (u32)(update >> 32)) ^ (u32)shard) ^ row);
    u32 bytes[4];
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        u32 bits[4];
#pragma unroll
        for (int i = 0; i < 4; i += 2) {
            u32 drawn = mixed(of_row + (pair + 2 * quarter + i / 2) * 0x9E3779B9u);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float value = fminf(fmaxf(gradients.value(4 * quarter + i + half) * factor, -bound), bound);
                if (shard >= 0 && votes) value += chance_of(half ? drawn >> 16 : drawn & 0xFFFFu);
                bits[i + half] = __float_as_uint(value + MAGIC);
            }
        }
        u32 low = __byte_perm(bits[0], bits[1], 0x0040u), high = __byte_perm(bits[2], bits[3], 0x0040u);
        bytes[quarter] = __byte_perm(low, high, 0x5410u) ^ 0x80808080u;
    }
    add_votes(sums, index, adds, bytes);
}

// Sign votes.
extern "C" __global__ void __launch_bounds__(256) vote_signs(const u16 *gradient, u64 words, int adds, uint4 *sums) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= words) return;
    Gradients gradients(gradient + index * WORD);
    u32 bytes[4] = {};
#pragma unroll
    for (int i = 0; i < WORD; i++) {
        float value = gradients.value(i);
        bytes[i / 4] |= (u32)((value > 0.0f) - (value < 0.0f) & 0xFF) << (8 * (i % 4));
    }
    add_votes(sums, index, adds, bytes);
}

// Adds parts of int8, `stride` words apart, to the first of them: `count` of each.
extern "C" __global__ void __launch_bounds__(256) add_parts(uint4 *words, u64 count, int parts, u64 stride) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    for (int part = 1; part < parts; part++) {
        uint4 more = words[index + part * stride];
        u32 bytes[4] = {more.x, more.y, more.z, more.w};
        add_votes(words, index, 1, bytes);
    }
}
