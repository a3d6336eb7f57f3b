// RMS norm with a ternary weight of one row: y = x/sqrt(mean(x^2) + epsilon)*T*2^e. Means are taken in f64. One block of
// 256 threads a sample.

constexpr int THREADS = 256;

// Sum over a block, the same for every thread, in one order.
__device__ double block_sum(double value) {
    __shared__ double sums[THREADS];
    sums[threadIdx.x] = value;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}

// Outputs and x/rms, both [samples, K], and rms, [samples].
extern "C" __global__ void norm_forward(const float *input, const u32 *trits, const float *scales, u64 columns, u64 group,
                                        double epsilon, double *roots, float *normalized, float *output) {
    Shape shape{1, columns, group};
    u64 first = blockIdx.x * columns;
    double sum = 0.0;
    for (u64 column = threadIdx.x; column < columns; column += THREADS) {
        double x = (double)input[first + column];
        sum += x * x;
    }
    double root = sqrt(block_sum(sum) / (double)columns + epsilon);
    if (threadIdx.x == 0) roots[blockIdx.x] = root;
    for (u64 column = threadIdx.x; column < columns; column += THREADS) {
        float x = (float)((double)input[first + column] / root);
        normalized[first + column] = x;
        output[first + column] = x * shape.weight(trits, scales, 0, column);
    }
}

// gx = (dyw - x*mean(x*dyw))/rms with dyw = gy*W and x the normalised inputs.
extern "C" __global__ void norm_input_gradient(const float *output_gradient, const float *normalized, const double *roots,
                                               const u32 *trits, const float *scales, u64 columns, u64 group,
                                               float *input_gradient) {
    Shape shape{1, columns, group};
    u64 first = blockIdx.x * columns;
    double sum = 0.0;
    for (u64 column = threadIdx.x; column < columns; column += THREADS) {
        double weighted = (double)output_gradient[first + column] * (double)shape.weight(trits, scales, 0, column);
        sum += weighted * (double)normalized[first + column];
    }
    double mean = block_sum(sum) / (double)columns, root = roots[blockIdx.x];
    for (u64 column = threadIdx.x; column < columns; column += THREADS) {
        double weighted = (double)output_gradient[first + column] * (double)shape.weight(trits, scales, 0, column);
        input_gradient[first + column] = (float)((weighted - (double)normalized[first + column] * mean) / root);
    }
}

// Votes on the weight, [K]: the signs of the sums of gy*x over the samples, in their order, in f64. One thread a column.
extern "C" __global__ void norm_votes(const float *output_gradient, const float *normalized, u64 samples, u64 columns,
                                      i8 *votes) {
    u64 column = thread_index();
    if (column >= columns) return;
    double sum = 0.0;
    for (u64 sample = 0; sample < samples; sample++) {
        u64 index = sample * columns + column;
        sum += (double)output_gradient[index] * (double)normalized[index];
    }
    votes[column] = (i8)sign(sum);
}
