// Shift batch norm, and the requantisation of convolutions without one.
//
// The definition stands at the head of the trainer's rule/batch_norm.rs. Sums of a layer are [rows, pitch] float, a row for
// each window of each sample, a column for each channel. Arrays of channels are [pitch]; those of the padding hold zeros.

// What a channel's sums are multiplied by and what is added, and what gradients need; `Channel` of the host.
struct Channel {
    float scale, offset;
    // Of the batch: mean, and what a distance from it is multiplied by to be a normal one.
    float mean, inverse;
    // Mean of the gradient, and of its product with the normed sums.
    float mean_gradient, mean_product;
    // Unit of the row's weights before the shift.
    int unit;
    int unused;
};

// Of a batch: mean and variance of a channel's sums.
struct Moments {
    double mean, variance;
};

constexpr int FRACTION_BITS = 8;
constexpr double UNIT = 256.0;
constexpr double MEMORY = 16.0;
constexpr double EPSILON = 1e-6;
constexpr double TARGET = 24.0;
constexpr int LARGEST_STEP = 12;
constexpr int LARGEST_SHIFT = 64;
constexpr i64 LARGEST_VARIANCE = 1ll << 52;

// The power of two that brings a channel nearest to the target.
__device__ int distance_to_target(double variance) {
    int logarithm;
    return rounded_log2_of_root(variance / (TARGET * TARGET), &logarithm) ? -logarithm : LARGEST_STEP;
}

// Puts the shifts in force into the weights, bfloat16 [rows, 8*vectors], and sets the channels to their running values. A
// warp a row; `smallest` has the bits of each row's unit, 0 for a row of zeros, whose unit is the layer's.
extern "C" __global__ void fold(uint4 *weights, u64 rows, int vectors, const u32 *smallest, const i8 *shifts,
                                const i32 *means, const i32 *biases, Channel *channels) {
    u64 row = ((u64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= rows) return;
    int lane = threadIdx.x % 32;
    u32 magnitude = smallest[row];
    if (magnitude == 0) {
        u32 least = 0xFFFFFFFFu;
        for (u64 other = lane; other < rows; other += 32) {
            // Zeros are the largest.
            least = min(least, smallest[other] - 1u);
        }
        magnitude = __reduce_min_sync(WHOLE_WARP, least) + 1u;
    }
    int unit = magnitude == 0 ? 0 : unit_of(magnitude);
    int shift = min((int)shifts[row], -1 - unit);
    float factor = power_of_two(shift);
    for (int i = lane; i < vectors; i += 32) {
        Chunk chunk{weights[row * vectors + i]};
        float values[CHUNK];
#pragma unroll
        for (int j = 0; j < CHUNK; j++) values[j] = chunk.value(j) * factor;
        weights[row * vectors + i] = eight_bf16(values);
    }
    if (lane > 0) return;
    int after = unit + shift;
    float offset = (float)scaled((i64)biases[row] - (i64)means[row], -FRACTION_BITS - after) * power_of_two(after);
    Channel &channel = channels[row];
    channel.scale = 1.0f, channel.offset = offset, channel.unit = unit;
}

// Channels of a layer without norm: its rounded biases, which may be null.
extern "C" __global__ void plain(const float *biases, int rows, Channel *channels) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < rows) channels[row] = {1.0f, biases ? biases[row] : 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0, 0};
}

// Calls `finish(column, sum and sum of squares)` for every channel.
template <class Finish>
__device__ __forceinline__ void sum_channels(const float4 *sums, u64 rows, int pitch, int tile, int own, Pair *partial,
                                             u32 *blocks, Finish finish) {
    Strip strip(pitch / 4, tile);
    Pair of_columns[4] = {};
    if (strip.active) {
        const float4 *values = sums + strip.vector;
        u64 vectors = pitch / 4, row_step = strip.row_step();
#pragma unroll 4
        for (u64 row = strip.first_row(); row < rows; row += row_step) {
            float4 v = values[row * vectors];
            double a = v.x, b = v.y, c = v.z, d = v.w;
            of_columns[0].first += a, of_columns[0].second += a * a;
            of_columns[1].first += b, of_columns[1].second += b * b;
            of_columns[2].first += c, of_columns[2].second += c * c;
            of_columns[3].first += d, of_columns[3].second += d * d;
        }
    }
    leave_sums(strip, tile, pitch, of_columns, partial);
    if (!is_last_block(blocks)) return;
    add_blocks(partial, pitch, [&](int column, Pair sum) {
        if (column < own) finish(column, sum);
    });
}

// Mean and variance of a channel from its sums over `rows` rows; `batch` says that the channel is set to them.
__device__ __forceinline__ void take_moments(Pair sum, u64 rows, bool batch, i32 bias, Moments &moments, Channel &channel) {
    double mean = sum.first / (double)rows;
    double variance = fmax(sum.second / (double)rows - mean * mean, 0.0);
    moments = {mean, variance};
    channel.mean = (float)mean;
    channel.inverse = (float)(1.0 / sqrt(variance + EPSILON));
    if (!batch) return;
    double scale = (double)power_of_two(distance_to_target(variance + EPSILON));
    channel.scale = (float)scale;
    channel.offset = (float)((double)bias / UNIT - mean * scale);
}

// Mean and variance of every channel; where the step's phase says so, the channels are set to them. `only`: they are not,
// whatever the step.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
    statistics(const float4 *sums, u64 rows, int pitch, int tile, int own, const i32 *biases, const Step *step, int only,
               Pair *partial, u32 *blocks, Moments *moments, Channel *channels) {
    bool batch = !only && (step->phase & USES_BATCH) != 0;
    sum_channels(sums, rows, pitch, tile, own, partial, blocks, [&](int column, Pair sum) {
        take_moments(sum, rows, batch, biases[column], moments[column], channels[column]);
    });
}

// Sums of two columns over shards: integers that add up to the same in any order.
struct IntegerPair {
    i64 first, second;
};

// Bits behind the point of sums, of sums of squares, and of those of gradients.
constexpr int SUM_BITS = 16, SQUARE_BITS = 8, GRADIENT_BITS = 44;

// A sum as an integer, within limits that 127 shards keep.
__device__ __forceinline__ i64 integer_of(double sum, int bits) {
    const double limit = 72057594037927936.0;
    return (i64)fmin(fmax(rint(sum * (double)(1ull << bits)), -limit), limit);
}

__device__ __forceinline__ Pair pair_of(IntegerPair sums, int first_bits, int second_bits) {
    return {(double)sums.first / (double)(1ull << first_bits), (double)sums.second / (double)(1ull << second_bits)};
}

// Adds a shard's sums; `adds` says that there are some already.
__device__ __forceinline__ void add_integers(IntegerPair &total, Pair sum, int first_bits, int second_bits, int adds) {
    i64 first = integer_of(sum.first, first_bits), second = integer_of(sum.second, second_bits);
    total = adds ? IntegerPair{total.first + first, total.second + second} : IntegerPair{first, second};
}

// The statistics of one shard, as integers, added to those of others.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
    shard_statistics(const float4 *sums, u64 rows, int pitch, int tile, int own, int adds, Pair *partial, u32 *blocks,
                     IntegerPair *totals) {
    sum_channels(sums, rows, pitch, tile, own, partial, blocks, [&](int column, Pair sum) {
        add_integers(totals[column], sum, SUM_BITS, SQUARE_BITS, adds);
    });
}

// Mean and variance of every channel from the sums of all shards, `rows` rows in all; otherwise as `statistics`.
extern "C" __global__ void take_statistics(const IntegerPair *totals, u64 rows, int own, const i32 *biases, const Step *step,
                                           int only, Moments *moments, Channel *channels) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= own) return;
    bool batch = !only && (step->phase & USES_BATCH) != 0;
    Pair sum = pair_of(totals[column], SUM_BITS, SQUARE_BITS);
    take_moments(sum, rows, batch, biases[column], moments[column], channels[column]);
}

// int8 activations, bfloat16 [rows, pitch], from sums.
extern "C" __global__ void normalize(const float4 *sums, u64 rows, int pitch, int tile, int relu, const Channel *channels,
                                     uint2 *activations) {
    Strip strip(pitch / 4, tile);
    if (!strip.active) return;
    float scales[4], offsets[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const Channel &channel = channels[strip.vector * 4 + i];
        scales[i] = channel.scale, offsets[i] = channel.offset;
    }
    float least = relu ? 0.0f : -128.0f;
    u64 vectors = pitch / 4, row_step = strip.row_step();
#pragma unroll 4
    for (u64 row = strip.first_row(); row < rows; row += row_step) {
        u64 index = row * vectors + strip.vector;
        float4 v = sums[index];
        float values[4] = {v.x, v.y, v.z, v.w}, results[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float y = values[i] * scales[i] + offsets[i];
            results[i] = floorf(fminf(fmaxf(y + 0.5f, least), 127.0f));
        }
        activations[index] = make_uint2(two_bf16(results[0], results[1]), two_bf16(results[2], results[3]));
    }
}

// Whether a gradient passes the rounding of y.
__device__ __forceinline__ bool passes(float y, bool relu) { return (relu ? 0.0f : -128.5f) < y && y < 127.5f; }

// The running statistics of a channel after an update.
__device__ void follow(const Moments &moments, int unit, bool moves_shifts, i8 *shift, i32 *mean, i64 *variance) {
    double mean_change = floor((UNIT * moments.mean - (double)*mean) / MEMORY + 0.5);
    mean_change = fmin(fmax(mean_change, -2147483648.0), 2147483647.0);
    i64 new_mean = min(max((i64)*mean + (i64)mean_change, -2147483648ll), 2147483647ll);
    double variance_change = rint((UNIT * moments.variance - (double)*variance) / MEMORY);
    // Far beyond the limit there is no sum to overflow.
    variance_change = fmin(fmax(variance_change, -1e18), 1e18);
    i64 new_variance = min(max(*variance + (i64)variance_change, 0ll), LARGEST_VARIANCE);
    if (moves_shifts) {
        int old = *shift, room = max(-1 - unit - old, 0);
        int step = distance_to_target((double)new_variance / UNIT);
        step = min(min(max(step, -LARGEST_STEP), LARGEST_STEP), room);
        step = min(max(old + step, -LARGEST_SHIFT), LARGEST_SHIFT) - old;
        *shift = (i8)(old + step);
        new_mean = scaled(new_mean, step);
        new_variance = min((i64)rint(scalbn((double)new_variance, 2 * step)), LARGEST_VARIANCE);
    }
    *mean = (i32)new_mean;
    *variance = new_variance;
}

// Calls `finish(column, sums)` for every channel: of the gradient that passes, bfloat16 [rows, pitch], and of its product with
// the normed sums.
template <class Finish>
__device__ __forceinline__ void sum_gradients(const float4 *sums, const uint2 *gradient, u64 rows, int pitch, int tile, int own,
                                              int relu, Pair *partial, u32 *blocks, const Channel *channels,
                                              Finish finish) {
    Strip strip(pitch / 4, tile);
    Pair of_columns[4] = {};
    if (strip.active) {
        Channel own_channels[4];
#pragma unroll
        for (int i = 0; i < 4; i++) own_channels[i] = channels[strip.vector * 4 + i];
        u64 vectors = pitch / 4, row_step = strip.row_step();
#pragma unroll 4
        for (u64 row = strip.first_row(); row < rows; row += row_step) {
            u64 index = row * vectors + strip.vector;
            float4 v = sums[index];
            uint2 two = gradient[index];
            float values[4] = {v.x, v.y, v.z, v.w};
            u32 pairs[2] = {two.x, two.y};
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const Channel &channel = own_channels[i];
                float g = bf16_to_float((u16)(pairs[i / 2] >> (16 * (i % 2))));
                g = passes(values[i] * channel.scale + channel.offset, relu != 0) ? g : 0.0f;
                float normed = (values[i] - channel.mean) * channel.inverse;
                of_columns[i].first += (double)g, of_columns[i].second += (double)(g * normed);
            }
        }
    }
    leave_sums(strip, tile, pitch, of_columns, partial);
    if (!is_last_block(blocks)) return;
    add_blocks(partial, pitch, [&](int column, Pair sum) {
        if (column < own) finish(column, sum);
    });
}

// What becomes of the sums of a channel's gradients over `rows` rows, and of its running statistics.
__device__ __forceinline__ void take_gradients(Pair sum, u64 rows, bool moves_shifts, const Moments &moments,
                                               Channel &channel, i8 *shift, i32 *mean, i64 *variance) {
    channel.mean_gradient = (float)(sum.first / (double)rows);
    channel.mean_product = (float)(sum.second / (double)rows);
    follow(moments, channel.unit, moves_shifts, shift, mean, variance);
}

// Sums over every channel of the gradient that passes and of its product with the normed sums. They go to `gradients` and
// their squares to `squares`, from which biases learn; with a norm, `moments` not null, their means to the channels, and the
// running statistics follow the batch.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
    gradient_sums(const float4 *sums, const uint2 *gradient, u64 rows, int pitch, int tile, int own, int relu,
                  const Step *step, Pair *partial, u32 *blocks, const Moments *moments, Channel *channels, i8 *shifts,
                  i32 *means, i64 *variances, double *gradients, double *squares) {
    bool moves_shifts = (step->phase & MOVES_SHIFTS) != 0;
    auto finish = [&](int column, Pair sum) {
        gradients[column] = sum.first;
        squares[column] = sum.first * sum.first;
        if (!moments) return;
        take_gradients(sum, rows, moves_shifts, moments[column], channels[column], shifts + column, means + column,
                       variances + column);
    };
    sum_gradients(sums, gradient, rows, pitch, tile, own, relu, partial, blocks, channels, finish);
}

// The same sums of one shard, from which it votes on biases; as integers added to those of others in `totals`, where that is
// not null.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS)
    shard_gradient_sums(const float4 *sums, const uint2 *gradient, u64 rows, int pitch, int tile, int own, int relu, int adds,
                        Pair *partial, u32 *blocks, const Channel *channels, IntegerPair *totals, double *gradients,
                        double *squares) {
    auto finish = [&](int column, Pair sum) {
        gradients[column] = sum.first;
        squares[column] = sum.first * sum.first;
        if (totals) add_integers(totals[column], sum, GRADIENT_BITS, GRADIENT_BITS, adds);
    };
    sum_gradients(sums, gradient, rows, pitch, tile, own, relu, partial, blocks, channels, finish);
}

// What becomes of the sums of all shards, `rows` rows in all.
extern "C" __global__ void take_gradient_sums(const IntegerPair *totals, u64 rows, int own, const Step *step,
                                              const Moments *moments, Channel *channels, i8 *shifts, i32 *means,
                                              i64 *variances) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= own) return;
    bool moves_shifts = (step->phase & MOVES_SHIFTS) != 0;
    Pair sum = pair_of(totals[column], GRADIENT_BITS, GRADIENT_BITS);
    take_gradients(sum, rows, moves_shifts, moments[column], channels[column], shifts + column, means + column,
                   variances + column);
}

// The gradient with respect to activations, bfloat16 [rows, pitch], becomes the one with respect to sums, in place.
extern "C" __global__ void sum_gradient(const float4 *sums, u64 rows, int pitch, int tile, int relu,
                                        const Channel *channels, uint2 *gradient) {
    Strip strip(pitch / 4, tile);
    if (!strip.active) return;
    Channel own_channels[4];
#pragma unroll
    for (int i = 0; i < 4; i++) own_channels[i] = channels[strip.vector * 4 + i];
    u64 vectors = pitch / 4, row_step = strip.row_step();
#pragma unroll 4
    for (u64 row = strip.first_row(); row < rows; row += row_step) {
        u64 index = row * vectors + strip.vector;
        float4 v = sums[index];
        uint2 two = gradient[index];
        float values[4] = {v.x, v.y, v.z, v.w}, results[4];
        u32 pairs[2] = {two.x, two.y};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const Channel &channel = own_channels[i];
            float g = bf16_to_float((u16)(pairs[i / 2] >> (16 * (i % 2))));
            g = passes(values[i] * channel.scale + channel.offset, relu != 0) ? g : 0.0f;
            float normed = (values[i] - channel.mean) * channel.inverse;
            results[i] = (g - channel.mean_gradient - normed * channel.mean_product) * channel.scale;
        }
        gradient[index] = make_uint2(two_bf16(results[0], results[1]), two_bf16(results[2], results[3]));
    }
}
