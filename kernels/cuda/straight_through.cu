// Rule straight-through: floating-point latent weights and Adam, the baseline to compare with.
//
// State: values and both moments [rows, pitch]. The definition stands at the head of the trainer's rule/straight_through.rs.
// Sums and powers have the host's order; logarithms are the card's own.

constexpr float BETA1 = 0.9f;
constexpr float BETA2 = 0.999f;
constexpr float EPSILON = 1e-10f;
constexpr float SMALLEST_MEAN = 1e-8f;
constexpr float SMALLEST_STEP = 1e-12f;
// Biases are counted in output steps, 32 of which make 1.
constexpr float BIAS_STEPS = 32.0f;

// Where a column of a stretch lies in shared memory: threads that begin 32 columns apart meet in no bank.
__device__ __forceinline__ int spread(int column) { return column + column / 32; }

// Weights as bfloat16, [rows, pitch]: with m the mean |w| of a group, T = clip(round(w/m), -1, 1), E = round(log2(m)), clamped.
extern "C" __global__ void expand(const float4 *values, int columns, int words, int words_per_block, uint4 *weights) {
    // At most 256 words a block.
    __shared__ float absolute[256 * WORD + 256 * WORD / 32];
    __shared__ float means[256 * WORD / GROUP + 1];
    __shared__ u32 magnitudes[256 * WORD / GROUP + 1];
    Place place(words, words_per_block);
    float own[WORD] = {};
    if (place.active) {
#pragma unroll
        for (int quarter = 0; quarter < 4; quarter++) {
            float4 vector = values[place.index(words) * 4 + quarter];
            own[4 * quarter] = vector.x, own[4 * quarter + 1] = vector.y;
            own[4 * quarter + 2] = vector.z, own[4 * quarter + 3] = vector.w;
        }
#pragma unroll
        for (int i = 0; i < WORD; i++) absolute[spread((int)threadIdx.x * WORD + i)] = fabsf(own[i]);
    }
    __syncthreads();
    int first_word = place.word - (int)threadIdx.x;
    // Columns of the stretch without padding; at least 1.
    int stretch = min(columns - first_word * WORD, words_per_block * WORD);
    for (int group = threadIdx.x; group * GROUP < stretch; group += blockDim.x) {
        int begin = group * GROUP, end = min(begin + GROUP, stretch);
        float sum = 0.0f;
        for (int column = begin; column < end; column++) sum += absolute[spread(column)];
        float mean = sum / (float)(end - begin) + SMALLEST_MEAN;
        means[group] = mean;
        magnitudes[group] = bf16_magnitude(clamp_exponent((int)rintf(log2f(mean))));
    }
    __syncthreads();
    if (!place.active) return;
    float of_means[GROUPS_OF_WORD];
    u32 of_magnitudes[GROUPS_OF_WORD];
#pragma unroll
    for (int i = 0; i < GROUPS_OF_WORD; i++) {
        of_means[i] = means[first_group(place.word) + i - first_group(first_word)];
        of_magnitudes[i] = magnitudes[first_group(place.word) + i - first_group(first_word)];
    }
    auto weight = [&](int i) {
        // Not a number in padding whose group has no mean: neither of the two.
        float ratio = rintf(own[i] / of_group(of_means, place.word, i));
        u32 magnitude = of_group(of_magnitudes, place.word, i);
        return ratio >= 1.0f ? magnitude : ratio <= -1.0f ? magnitude | 0x8000u : 0u;
    };
    u32 pairs[WORD / 2];
#pragma unroll
    for (int pair = 0; pair < WORD / 2; pair++) pairs[pair] = weight(2 * pair) | weight(2 * pair + 1) << 16;
    u64 index = place.index(words);
    weights[2 * index] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    weights[2 * index + 1] = make_uint4(pairs[4], pairs[5], pairs[6], pairs[7]);
}

// The same for int8 weights: E = ceil(log2(max |w| of the row / 127)), clamped, W = clip(round(w / 2^E), -127, 127); `units`
// receives the bits of each row's 2^E, 0 for a row of zeros. A warp a row; `vectors` of eight columns.
extern "C" __global__ void expand_int8(const float4 *values, u64 rows, int vectors, uint4 *weights, u32 *units) {
    u64 row = ((u64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    if (row >= rows) return;
    int lane = threadIdx.x % 32;
    const float4 *own = values + row * vectors * 2;
    float largest = 0.0f;
    for (int i = lane; i < 2 * vectors; i += 32) {
        float4 four = own[i];
        largest = fmaxf(largest, fmaxf(fmaxf(fabsf(four.x), fabsf(four.y)), fmaxf(fabsf(four.z), fabsf(four.w))));
    }
    for (int offset = 16; offset > 0; offset /= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(WHOLE_WARP, largest, offset));
    }
    // The logarithm rounded up, from the bits: as the host has it.
    u32 bits = __float_as_uint(largest / 127.0f + SMALLEST_STEP);
    int exponent = clamp_exponent((int)(bits >> 23) - 127 + ((bits & 0x7FFFFFu) != 0));
    float unit = power_of_two(exponent);
    bool used = false;
    for (int i = lane; i < vectors; i += 32) {
        float4 low = own[2 * i], high = own[2 * i + 1];
        float eight[CHUNK] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int j = 0; j < CHUNK; j++) {
            float weight = fminf(fmaxf(rintf(eight[j] / unit), -127.0f), 127.0f);
            used |= weight != 0.0f;
            eight[j] = weight * unit;
        }
        weights[row * vectors + i] = eight_bf16(eight);
    }
    used = __any_sync(WHOLE_WARP, used);
    if (lane == 0) units[row] = used ? bf16_magnitude(exponent) : 0u;
}

// base^exponent by squares, as the host does it.
__device__ float power(float base, int exponent) {
    float result = 1.0f;
    for (;;) {
        if (exponent & 1) result *= base;
        exponent >>= 1;
        if (exponent == 0) return result;
        base *= base;
    }
}

// The step's rates: learning rate and bias corrections.
struct Rates {
    float learning, first, second;

    __device__ Rates(const Step *step, float learning_rate) {
        int steps = (int)min(step->index, (u64)1000000) + 1;
        learning = learning_rate * step->lambda;
        first = 1.0f / (1.0f - power(BETA1, steps));
        second = 1.0f / (1.0f - power(BETA2, steps));
    }

    __device__ __forceinline__ void update(float gradient, float &value, float &mean, float &square) const {
        mean = BETA1 * mean + (1.0f - BETA1) * gradient;
        square = BETA2 * square + (1.0f - BETA2) * gradient * gradient;
        value -= learning * (mean * first) / (sqrtf(square * second) + EPSILON);
    }
};

// Adam over `vectors` times four weights.
extern "C" __global__ void update(const uint2 *gradient, const Step *step, float learning_rate, u64 vectors,
                                  float4 *values, float4 *means, float4 *squares) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= vectors) return;
    Rates rates(step, learning_rate);
    uint2 four = gradient[index];
    float4 value = values[index], mean = means[index], square = squares[index];
    rates.update(bf16_to_float((u16)four.x), value.x, mean.x, square.x);
    rates.update(bf16_to_float((u16)(four.x >> 16)), value.y, mean.y, square.y);
    rates.update(bf16_to_float((u16)four.y), value.z, mean.z, square.z);
    rates.update(bf16_to_float((u16)(four.y >> 16)), value.w, mean.w, square.w);
    values[index] = value, means[index] = mean, squares[index] = square;
}

// Adam over the biases, from their gradient in double precision.
extern "C" __global__ void update_biases(const double *gradient, const Step *step, float learning_rate, int rows,
                                         float *values, float *means, float *squares) {
    int row = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (row >= rows) return;
    Rates rates(step, learning_rate);
    rates.learning *= BIAS_STEPS;
    rates.update((float)gradient[row], values[row], means[row], squares[row]);
}
