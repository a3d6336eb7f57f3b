// From accumulators to activations and back.
//
// Values are in output steps, sample after sample: [batch, pitch]. int8 activations are bfloat16 that hold integers:
// rounding is floor(y + 1/2), saturation at int8, ReLU the lower clamp: what the runtime computes. Their gradient passes
// where 0 < y < 127.5 with ReLU, -128.5 < y < 127.5 without. Float activations are not saturated.
// One block a sample.

enum Norm { NONE = 0, SHIFT = 1, RMS = 2 };

// Root mean square of an RMS norm's outputs, in output steps: 1.
constexpr float RMS_TARGET = 32.0f;

struct Nonlinearity {
    bool relu, continuous;

    __device__ __forceinline__ float apply(float y) const {
        if (continuous) return relu && !(y > 0.0f) ? 0.0f : y;
        return floorf(fminf(fmaxf(y + 0.5f, relu ? 0.0f : -128.0f), 127.0f));
    }

    __device__ __forceinline__ bool passes(float y) const {
        if (continuous) return !relu || y > 0.0f;
        return (relu ? 0.0f : -128.5f) < y && y < 127.5f;
    }
};

// Sum over a block, the same for every thread, in one order.
__device__ double block_sum(double value) {
    __shared__ double sums[32];
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    double sum = 0.0;
    for (int warp = 0; warp < blockDim.x / 32; warp++) sum += sums[warp];
    return sum;
}

// The largest power of two that brings the sum of `length` magnitudes to at most 27*length; 1 for a sum of 0.
__device__ float shift_scale(double sum, int length) {
    if (!(sum > 0.0) || isinf(sum)) return 1.0f;
    double target = 27.0 * (double)length;
    int estimate = (int)(__double2hiint(target) >> 20) - (int)(__double2hiint(sum) >> 20);
    // Products with powers of two are exact.
    int exponent = scalbn(sum, estimate) <= target ? estimate : estimate - 1;
    return scalbnf(1.0f, exponent);
}

// What brings `length` values with this sum of squares to the target root mean square; 0 for a sum of 0.
__device__ float rms_scale(double sum, int length) {
    return sum > 0.0 ? (float)((double)RMS_TARGET * sqrt((double)length / sum)) : 0.0f;
}

__device__ __forceinline__ float4 with_bias(float4 y, const float *bias, int vector) {
    if (bias) {
        float4 b = reinterpret_cast<const float4 *>(bias)[vector];
        y.x += b.x, y.y += b.y, y.z += b.z, y.w += b.w;
    }
    return y;
}

// Accumulators [batch, pitch] to activations [batch, pitch] and, for norms, what each sample was multiplied by, [batch].
// `bias` may be null, and so may `bytes`, to which int8 activations go as such.
extern "C" __global__ void activate(const float *accumulators, const float *bias, int features, int pitch, int norm,
                                    int relu, int continuous, float *scales, u16 *activations, char4 *bytes) {
    const float4 *y = reinterpret_cast<const float4 *>(accumulators + (u64)blockIdx.x * pitch);
    uint2 *output = reinterpret_cast<uint2 *>(activations + (u64)blockIdx.x * pitch);
    int vectors = pitch / 4;
    float scale = 1.0f;
    if (norm != NONE) {
        double sum = 0.0;
        for (int i = threadIdx.x; i < vectors; i += blockDim.x) {
            float4 v = y[i];
            double a = v.x, b = v.y, c = v.z, d = v.w;
            sum += norm == SHIFT ? (fabs(a) + fabs(b)) + (fabs(c) + fabs(d)) : (a * a + b * b) + (c * c + d * d);
        }
        sum = block_sum(sum);
        scale = norm == SHIFT ? shift_scale(sum, features) : rms_scale(sum, features);
        if (threadIdx.x == 0) scales[blockIdx.x] = scale;
    }
    Nonlinearity function{relu != 0, continuous != 0};
    for (int i = threadIdx.x; i < vectors; i += blockDim.x) {
        float4 v = with_bias(y[i], bias, i);
        float a = function.apply(v.x * scale), b = function.apply(v.y * scale);
        float c = function.apply(v.z * scale), d = function.apply(v.w * scale);
        output[i] = make_uint2(two_bf16(a, b), two_bf16(c, d));
        if (bytes) bytes[(u64)blockIdx.x * vectors + i] = make_char4((int)a, (int)b, (int)c, (int)d);
    }
}

// The gradient with respect to the activations, [batch, pitch] bfloat16, becomes the one with respect to the
// accumulators, in place. For an RMS norm that is (g - x*mean(x*g))*scale, x the normalised values with a mean square of 1.
extern "C" __global__ void activation_gradient(const float *accumulators, const float *bias, const float *scales,
                                               int features, int pitch, int norm, int relu, int continuous,
                                               u16 *gradient) {
    const float4 *y = reinterpret_cast<const float4 *>(accumulators + (u64)blockIdx.x * pitch);
    uint2 *g = reinterpret_cast<uint2 *>(gradient + (u64)blockIdx.x * pitch);
    int vectors = pitch / 4;
    float scale = norm == NONE ? 1.0f : scales[blockIdx.x];
    Nonlinearity function{relu != 0, continuous != 0};
    double sum = 0.0;
    if (norm == RMS) {
        for (int i = threadIdx.x; i < vectors; i += blockDim.x) {
            float4 v = y[i];
            uint2 two = g[i];
            float values[4] = {v.x, v.y, v.z, v.w};
            u32 pairs[2] = {two.x, two.y};
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float x = values[j] * scale;
                float slope = function.passes(x) ? bf16_to_float((u16)(pairs[j / 2] >> (16 * (j % 2)))) : 0.0f;
                sum += (double)slope * (double)x;
            }
        }
        sum = block_sum(sum);
    }
    float mean = (float)(sum / ((double)RMS_TARGET * RMS_TARGET * features));
    for (int i = threadIdx.x; i < vectors; i += blockDim.x) {
        float4 v = with_bias(y[i], bias, i);
        uint2 two = g[i];
        float values[4] = {v.x, v.y, v.z, v.w};
        u32 pairs[2] = {two.x, two.y};
        float results[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float x = values[j] * scale;
            float slope = function.passes(x) ? bf16_to_float((u16)(pairs[j / 2] >> (16 * (j % 2)))) : 0.0f;
            results[j] = (norm == RMS ? slope - x * mean : slope) * scale;
        }
        g[i] = make_uint2(two_bf16(results[0], results[1]), two_bf16(results[2], results[3]));
    }
}
