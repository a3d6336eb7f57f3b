// Biases: gradient, votes, and rounding to what the accumulators count in.
//
// The definition stands at the head of the trainer's rule/bias.rs. Arrays are [padded rows], padding holds zeros.

// Samples whose gradients are added side by side, and pairs of rows that a block takes.
constexpr int LANES = 32;
constexpr int PAIRS = 16;

// The bias gradient, sums over the samples of `output`, [batch, pitch] bfloat16, and the squares of the `rows` that there
// are. Lane j of 32 takes samples j, j + 32, ..., then the lanes are added pairwise. Blocks of LANES*PAIRS threads.
extern "C" __global__ void sum_samples(const u16 *output, int batch, int pitch, int rows, double *sums, double *squares) {
    __shared__ double shared[LANES][2 * PAIRS];
    int lane = threadIdx.x / PAIRS, place = threadIdx.x % PAIRS * 2;
    int row = (int)blockIdx.x * 2 * PAIRS + place;
    double low = 0.0, high = 0.0;
    if (row < pitch) {
        const u32 *pairs = reinterpret_cast<const u32 *>(output + row);
        int stride = pitch / 2;
#pragma unroll 8
        for (int sample = lane; sample < batch; sample += LANES) {
            u32 two = pairs[(u64)sample * stride];
            low += (double)bf16_to_float((u16)two);
            high += (double)bf16_to_float((u16)(two >> 16));
        }
    }
    shared[lane][place] = low;
    shared[lane][place + 1] = high;
    for (int half = LANES / 2; half > 0; half /= 2) {
        __syncthreads();
        if (lane < half) {
            shared[lane][place] += shared[lane + half][place];
            shared[lane][place + 1] += shared[lane + half][place + 1];
        }
    }
    if (lane > 0) return;
    for (int i = 0; i < 2 && row + i < rows; i++) {
        double sum = shared[0][place + i];
        sums[row + i] = sum;
        squares[row + i] = sum * sum;
    }
}

constexpr float VOTE_GAIN = 4.0f;
constexpr int VOTE = 16;
constexpr int LIMIT = 1 << 20;

// Scale and votes of the biases, by one block.
extern "C" __global__ void move_biases(const double *gradients, const double *squares, int rows, const Step *step,
                                       Scale *scale, i32 *values) {
    __shared__ double shared[SHARE];
    double sum = ordered_sum(squares, rows, shared);
    if (threadIdx.x == 0) next_scale(scale, sum / (double)rows, OfShards{});
    __syncthreads();
    if (!scale->votes) return;
    double factor = (double)(VOTE_GAIN * step->lambda * power_of_two(-scale->exponent));
    for (int row = threadIdx.x; row < rows; row += blockDim.x) {
        int vote = (int)fmin(fmax(rint(gradients[row] * factor), -127.0), 127.0);
        values[row] = min(max(values[row] - VOTE * vote, -LIMIT), LIMIT);
    }
}

// Adds a shard's votes on biases to `votes`, where `adds` says that there are some already; its scale's exponent goes to
// `exponents`, as OfShards says. `gain` is that of a shard, at λ = 1. By one block.
extern "C" __global__ void vote_biases(const double *gradients, const double *squares, int rows, const Step *step, float gain,
                                       int limit, Scale *scale, i8 *exponents, int shards, int shard, int adds, i8 *votes) {
    __shared__ double shared[SHARE];
    double sum = ordered_sum(squares, rows, shared);
    if (threadIdx.x == 0) next_scale(scale, sum / (double)rows, OfShards{exponents, shards, shard, adds});
    __syncthreads();
    bool has_votes = scale->votes;
    double factor = has_votes ? (double)(gain * step->lambda * power_of_two(-scale->exponent)) : 0.0;
    for (int row = threadIdx.x; row < rows; row += blockDim.x) {
        // A gradient that is not finite has no votes.
        double vote = has_votes ? fmin(fmax(rint(gradients[row] * factor), -(double)limit), (double)limit) : 0.0;
        votes[row] = (i8)((adds ? votes[row] : 0) + (int)vote);
    }
}

// Biases after the votes of all shards, whose exponents these are. By one block.
extern "C" __global__ void apply_biases(const i8 *votes, const i8 *exponents, int shards, int rows, Scale *scale,
                                        i32 *values) {
    if (threadIdx.x == 0) follow_shards(scale, exponents, shards);
    for (int row = threadIdx.x; row < rows; row += blockDim.x) {
        values[row] = min(max(values[row] - VOTE * (int)votes[row], -LIMIT), LIMIT);
    }
}

// Squares of sums that have been added up elsewhere.
extern "C" __global__ void square(const double *sums, int rows, double *squares) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < rows) squares[row] = sums[row] * sums[row];
}

// The smallest magnitude of each row's weights, bfloat16 bits without sign; 0 for a row of zeros. `weights` is
// [rows, 8*vectors]; a warp a row.
extern "C" __global__ void find_smallest(const uint4 *weights, u64 rows, int vectors, u32 *smallest) {
    u64 row = ((u64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= rows) return;
    const u32 magnitudes = 0x7FFF7FFFu, ones = 0x00010001u;
    // Two at once, each one less than the magnitude: zeros are the largest.
    u32 least = 0xFFFFFFFFu;
#pragma unroll 4
    for (int i = threadIdx.x % 32; i < vectors; i += 32) {
        uint4 vector = weights[row * vectors + i];
        u32 low = __vminu2(__vsub2(vector.x & magnitudes, ones), __vsub2(vector.y & magnitudes, ones));
        u32 high = __vminu2(__vsub2(vector.z & magnitudes, ones), __vsub2(vector.w & magnitudes, ones));
        least = __vminu2(least, __vminu2(low, high));
    }
    least = __reduce_min_sync(WHOLE_WARP, min(least & 0xFFFFu, least >> 16));
    if (threadIdx.x % 32 == 0) smallest[row] = (least + 1) & 0xFFFFu;
}

// The biases in output steps, rounded to each row's unit by `round(value, unit)`, by one block. A row's unit is its own
// smallest exponent; the layer's where the layer's outputs are wide or the row is all zeros; 0 where the layer is.
template <class T, class Round>
__device__ void round_all(const u32 *smallest, int rows, bool wide, const T *values, float *rounded, Round round) {
    __shared__ u32 least;
    if (threadIdx.x == 0) least = 0xFFFFFFFFu;
    __syncthreads();
    u32 own = 0xFFFFFFFFu;
    for (int row = threadIdx.x; row < rows; row += blockDim.x) {
        u32 magnitude = smallest[row];
        if (magnitude != 0) own = min(own, magnitude);
    }
    atomicMin(&least, own);
    __syncthreads();
    int layer = least == 0xFFFFFFFFu ? 0 : unit_of(least);
    for (int row = threadIdx.x; row < rows; row += blockDim.x) {
        u32 magnitude = smallest[row];
        int unit = wide || magnitude == 0 ? layer : unit_of(magnitude);
        rounded[row] = (float)round(values[row], unit) * power_of_two(unit);
    }
}

// Biases in 1/256 of an output step.
extern "C" __global__ void round_biases(const u32 *smallest, int rows, int wide, const i32 *values, float *rounded) {
    round_all(smallest, rows, wide != 0, values, rounded, [](i32 value, int unit) { return scaled(value, -8 - unit); });
}

// Biases in output steps.
extern "C" __global__ void round_float_biases(const u32 *smallest, int rows, int wide, const float *values,
                                              float *rounded) {
    round_all(smallest, rows, wide != 0, values, rounded,
              [](float value, int unit) { return __float2int_rn(value * power_of_two(-unit)); });
}
