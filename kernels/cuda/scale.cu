// The scale of a layer's votes, from its gradient.
//
// Squares of the gradient's bfloat16 values are added in double precision in one order, the host's: in a row, lane j of 32
// takes columns j, j + 32, ..., then the lanes are added pairwise, 16 and 16, 8 and 8, down to one; the sums of the rows are
// added the same way.

// Loads of a thread on their way at once.
constexpr int AHEAD = 16;

// Adds the square of a bfloat16 value, given its magnitude's bits 13 places up: as the high word of a double they mean 2^896
// times less, subnormal numbers included. All is exact but the sum, and faster than a conversion.
__device__ __forceinline__ double add_square(u32 high, double sum) {
    double value = __hiloint2double((int)high, 0) * __hiloint2double((1023 + 896) << 20, 0);
    return fma(value, value, sum);
}

// Half a warp a row; a thread takes two neighbouring columns of every 32. The block that ends last adds the rows and sets
// the scale. `gradient` is [rows, pitch], `row_squares` [rows], `weights` counts the gradient's values without padding. For a
// shard's gradient its exponent goes to `exponents`, as OfShards says, and the largest one so far stays as it is.
extern "C" __global__ void find_scale(const u16 *gradient, u64 rows, int pitch, double weights, double *row_squares,
                                      Scale *scale, i8 *exponents, int shards, int shard, int adds) {
    u64 row = ((u64)blockIdx.x * blockDim.x + threadIdx.x) / 16;
    int place = threadIdx.x % 16;
    double even = 0.0, odd = 0.0;
    // Bits 15 and 31 are set where a value was not finite.
    u32 not_finite = 0;
    if (row < rows) {
        const u32 *pairs = reinterpret_cast<const u32 *>(gradient + row * pitch);
        // This thread's pairs stand 16 apart.
        int count = (pitch / 2 - place + 15) / 16;
        pairs += place;
        u32 next[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++) next[i] = i < count ? pairs[16 * i] : 0u;
        for (int first = 0; first < count; first += AHEAD) {
            u32 now[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                now[i] = next[i];
                int index = first + AHEAD + i;
                next[i] = index < count ? pairs[16 * index] : 0u;
            }
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                even = add_square((now[i] & 0x7FFFu) << 13, even);
                odd = add_square(now[i] >> 3 & 0x0FFFE000u, odd);
                not_finite |= (now[i] & 0x7F807F80u) + 0x00800080u;
            }
        }
    }
    if (not_finite & 0x80008000u) even = __longlong_as_double(0x7FF0000000000000ll);
    // Lanes 2p and 2p + 1 of the order are this thread's.
    for (int half = 8; half > 0; half /= 2) {
        even += __shfl_down_sync(WHOLE_WARP, even, half, 16);
        odd += __shfl_down_sync(WHOLE_WARP, odd, half, 16);
    }
    if (row < rows && place == 0) row_squares[row] = even + odd;

    __shared__ double shared[SHARE];
    __shared__ bool is_last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) is_last = atomicAdd(&scale->blocks, 1u) == gridDim.x - 1;
    __syncthreads();
    if (is_last) {
        double sum = ordered_sum(row_squares, rows, shared);
        if (threadIdx.x == 0) {
            scale->blocks = 0;
            next_scale(scale, sum / weights, OfShards{exponents, shards, shard, adds});
        }
    }
}

// After the votes of all shards, whose exponents these are: one thread.
extern "C" __global__ void follow_scales(const i8 *exponents, int shards, Scale *scale) {
    follow_shards(scale, exponents, shards);
}
