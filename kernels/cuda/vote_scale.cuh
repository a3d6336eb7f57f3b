// The scale of votes: a power of two that follows the root mean square of a gradient, with a floor.

constexpr int FLOOR = 8;

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

// Where a shard's exponent goes, among those of all: null where the gradient is a whole batch's. `adds` says that there are
// some already; the others are 0 otherwise.
struct OfShards {
    i8 *exponents;
    int shards, shard, adds;

    __device__ void set(int exponent) const {
        for (int other = 0; !adds && other < shards; other++) exponents[other] = 0;
        exponents[shard] = (i8)exponent;
    }
};

// The scale for a gradient of this mean square. A shard's votes take the one that shards share, if there is one; largest and
// shared exponents follow when all shards are known. A gradient without exponent has no votes.
__device__ void next_scale(Scale *scale, double mean, const OfShards &of_shards) {
    int exponent;
    scale->votes = rounded_log2_of_root(mean, &exponent);
    exponent = scale->votes ? min(max(exponent, -126), 126) : SILENT;
    if (of_shards.exponents) of_shards.set(exponent);
    if (!scale->votes) return;
    if (!of_shards.exponents) scale->largest = max(scale->largest, exponent);
    bool shares = of_shards.exponents && scale->shared != SILENT;
    scale->exponent = max(shares ? scale->shared : exponent, scale->largest - FLOOR);
}

// Takes the exponents of all shards for the largest so far and for the one that they share next, and notes whether any of them
// votes. They are the sums of `parts` parts, `stride` bytes apart. One thread.
__device__ void follow_shards(Scale *scale, const i8 *exponents, int shards, int parts = 1, u64 stride = 0) {
    int largest = SILENT;
    double squares = 0.0;
    for (int shard = 0; shard < shards; shard++) {
        int exponent = 0;
        for (int part = 0; part < parts; part++) exponent += exponents[shard + part * stride];
        largest = max(largest, exponent);
        if (exponent != SILENT) squares += __longlong_as_double((long long)(1023 + 2 * exponent) << 52);
    }
    int shared;
    if (shards > 1 && rounded_log2_of_root(squares / (double)shards, &shared)) scale->shared = min(max(shared, -126), 126);
    scale->votes = largest != SILENT;
    scale->largest = max(scale->largest, largest);
}

// Pairwise sum of the lanes of a warp, 16 and 16 down to one; right on lane 0.
__device__ double add_lanes(double lane) {
    for (int half = 16; half > 0; half /= 2) lane += __shfl_down_sync(WHOLE_WARP, lane, half);
    return lane;
}

// Doubles that a block brings to shared memory at once.
constexpr int SHARE = 4096;

// The sum of `count` doubles in the order of the squares, by one block; right on thread 0.
__device__ double ordered_sum(const double *values, u64 count, double *shared) {
    double sum = 0.0;
    for (u64 first = 0; first < count; first += SHARE) {
        int part = (int)min(count - first, (u64)SHARE);
        int end = (part + 31) / 32 * 32;
#pragma unroll 8
        for (int i = threadIdx.x; i < end; i += blockDim.x) shared[i] = i < part ? __ldcg(values + first + i) : 0.0;
        __syncthreads();
        if (threadIdx.x < 32) {
#pragma unroll 8
            for (int i = threadIdx.x; i < end; i += 32) sum += shared[i];
        }
        __syncthreads();
    }
    return threadIdx.x < 32 ? add_lanes(sum) : 0.0;
}
