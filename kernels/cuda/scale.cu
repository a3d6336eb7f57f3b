// The scale of a layer's votes: a power of two that follows the root mean square of the gradient, with a floor.
//
// Squares of the gradient's bfloat16 values are added in double precision in one order, the host's: in a row, lane j of 32
// takes columns j, j + 32, ..., then the lanes are added pairwise, 16 and 16, 8 and 8, down to one; the sums of the rows are
// added the same way.

constexpr int FLOOR = 8;
// Loads of a thread on their way at once.
constexpr int AHEAD = 16;

// round(log2(sqrt(mean))) by the bits of `mean`, halves to even; false for 0 and for what is not finite.
__device__ bool rounded_log2_of_root(double mean, int *result) {
    u64 bits = (u64)__double_as_longlong(mean);
    int field = (int)(bits >> 52);
    // Also false for subnormal and negative numbers.
    if (field == 0 || field >= 2047) return false;
    int exponent = field - 1023;
    bool is_power = (bits & 0xFFFFFFFFFFFFFull) == 0;
    int low = exponent >> 1;
    *result = (exponent & 1) == 0 || (is_power && (low & 1) == 0) ? low : low + 1;
    return true;
}

__device__ void next_scale(Scale *scale, double mean) {
    int exponent;
    scale->votes = rounded_log2_of_root(mean, &exponent);
    if (scale->votes) {
        exponent = min(max(exponent, -126), 126);
        scale->largest = max(scale->largest, exponent);
        scale->exponent = max(exponent, scale->largest - FLOOR);
    }
}

// Pairwise sum of the lanes of a warp, 16 and 16 down to one; right on lane 0.
__device__ double add_lanes(double lane) {
    for (int half = 16; half > 0; half /= 2) lane += __shfl_down_sync(WHOLE_WARP, lane, half);
    return lane;
}

// The sum of `count` doubles in the order of the squares, by one warp; right on lane 0.
__device__ double ordered_sum(const double *values, u64 count) {
    u64 lane = threadIdx.x % 32;
    double sum = 0.0;
    for (u64 first = 0; first < count; first += 32 * AHEAD) {
        double next[AHEAD];
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            u64 index = first + 32 * i + lane;
            next[i] = index < count ? __ldcg(values + index) : 0.0;
        }
#pragma unroll
        for (int i = 0; i < AHEAD; i++) sum += next[i];
    }
    return add_lanes(sum);
}

// Half a warp a row; a thread takes two neighbouring columns of every 32. The block that ends last adds the rows and sets
// the scale. `gradient` is [rows, pitch], `row_squares` [rows], `weights` counts the gradient's values without padding.
extern "C" __global__ void find_scale(const u16 *gradient, u64 rows, int pitch, double weights, double *row_squares,
                                      Scale *scale) {
    u64 row = ((u64)blockIdx.x * blockDim.x + threadIdx.x) / 16;
    int place = threadIdx.x % 16;
    double even = 0.0, odd = 0.0;
    if (row < rows) {
        const u32 *pairs = reinterpret_cast<const u32 *>(gradient + row * pitch);
        int count = pitch / 2;
        for (int first = 0; first < count; first += 16 * AHEAD) {
            u32 next[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                int index = first + 16 * i + place;
                next[i] = index < count ? pairs[index] : 0u;
            }
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                // Squares of bfloat16 values are exact, so that fusing them with the sum changes nothing.
                double low = (double)bf16_to_float((u16)next[i]), high = (double)bf16_to_float((u16)(next[i] >> 16));
                even = fma(low, low, even);
                odd = fma(high, high, odd);
            }
        }
    }
    // Lanes 2p and 2p + 1 of the order are this thread's.
    for (int half = 8; half > 0; half /= 2) {
        even += __shfl_down_sync(WHOLE_WARP, even, half, 16);
        odd += __shfl_down_sync(WHOLE_WARP, odd, half, 16);
    }
    if (row < rows && place == 0) row_squares[row] = even + odd;

    __shared__ bool is_last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) is_last = atomicAdd(&scale->blocks, 1u) == gridDim.x - 1;
    __syncthreads();
    if (is_last && threadIdx.x < 32) {
        double sum = ordered_sum(row_squares, rows);
        if (threadIdx.x == 0) {
            scale->blocks = 0;
            next_scale(scale, sum / weights);
        }
    }
}
