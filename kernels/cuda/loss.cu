// The losses of the logits, summed as integers so that the order of samples does not matter, and their gradients.

// Sums over the samples since the host last took them.
struct Totals {
    // In units of 2^-20 nat.
    i64 loss;
    u64 correct;
    u64 samples;
    // Samples whose loss was not finite.
    u64 not_finite;
};

constexpr double LOSS_UNIT = 1048576.0;
// One output step: 2^-5.
constexpr float STEP = 0.03125f;
// Losses beyond are counted as this, so that the sum of a stretch fits.
constexpr double LARGEST_LOSS = 1e6;

struct Best {
    float value;
    int index;
};

// The largest value, and the first index that has it, over a warp.
__device__ Best warp_best(Best best) {
    for (int offset = 16; offset > 0; offset /= 2) {
        Best other = {__shfl_xor_sync(WHOLE_WARP, best.value, offset), __shfl_xor_sync(WHOLE_WARP, best.index, offset)};
        if (other.value > best.value || (other.value == best.value && other.index < best.index)) best = other;
    }
    return best;
}

// The sum over a warp of e^((logit - largest) * step).
template <class Logit> __device__ float sum_of_powers(Logit logit, int classes, float largest, float step) {
    float sum = 0.0f;
    for (int i = (int)threadIdx.x % 32; i < classes; i += 32) sum += expf((logit(i) - largest) * step);
    return warp_sum(sum);
}

// The largest logit over a warp, and the first index that has it.
template <class Logit> __device__ Best best_of(Logit logit, int classes) {
    Best best = {__uint_as_float(0xFF800000u), classes};
    for (int i = (int)threadIdx.x % 32; i < classes; i += 32) {
        float value = logit(i);
        if (value > best.value) best = {value, i};
    }
    return warp_best(best);
}

// One warp a sample. `logits` is [batch, pitch] in output steps, `bias` [pitch] or null; `gradient`, [batch, pitch]
// bfloat16, receives the gradient of the loss, the mean over `mean` samples, with respect to the logits' steps. `squared`: half the sum of squared
// differences from the one-hot label, else cross-entropy of the softmax, of whose target `smoothing` is spread over all
// classes. `taught` and `taught_bias`, or null, are the logits of a teacher, [batch, taught_pitch]: `share` of the loss is then
// temperature^2 times the cross-entropy of both softmaxes at this temperature.
extern "C" __global__ void loss(const float *logits, const float *bias, const u16 *labels, int batch, int mean,
                                int classes, int pitch, int squared, float smoothing, const float *taught,
                                const float *taught_bias, int taught_pitch, float share, float temperature,
                                u16 *gradient, Totals *totals) {
    int sample = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (sample >= batch) return;
    int lane = threadIdx.x % 32;
    const float *y = logits + (u64)sample * pitch;
    u16 *g = gradient + (u64)sample * pitch;
    int label = labels[sample];
    auto logit = [&](int index) { return bias ? y[index] + bias[index] : y[index]; };
    float weight = STEP / (float)mean;

    Best best = best_of(logit, classes);
    double loss;
    if (squared) {
        double sum = 0.0;
        for (int i = lane; i < classes; i += 32) {
            float difference = logit(i) * STEP - (i == label ? 1.0f : 0.0f);
            sum += (double)difference * (double)difference;
            g[i] = float_to_bf16(difference * weight);
        }
        loss = 0.5 * warp_sum(sum);
    } else {
        float sum = sum_of_powers(logit, classes, best.value, STEP);
        const float *t = taught + (u64)sample * taught_pitch;
        auto answer = [&](int index) { return taught_bias ? t[index] + taught_bias[index] : t[index]; };
        float soft = STEP / temperature, largest = 0.0f, own_sum = 1.0f, taught_sum = 1.0f, expected_mean = 0.0f;
        if (taught) {
            largest = best_of(answer, classes).value;
            own_sum = sum_of_powers(logit, classes, best.value, soft);
            taught_sum = sum_of_powers(answer, classes, largest, soft);
        }
        float of_label = 1.0f - smoothing, of_each = smoothing / (float)classes, all = 0.0f;
        for (int i = lane; i < classes; i += 32) {
            float distance = logit(i) - best.value, answered = expf(distance * STEP) / sum;
            float difference = answered - (i == label ? of_label + of_each : of_each);
            all += distance;
            if (taught) {
                float expected = expf((answer(i) - largest) * soft) / taught_sum;
                float softly = expf(distance * soft) / own_sum;
                difference = (1.0f - share) * difference + share * temperature * (softly - expected);
                expected_mean += expected * distance;
            }
            g[i] = float_to_bf16(difference * weight);
        }
        float target = logit(label) - best.value;
        if (smoothing > 0.0f) target = of_label * target + of_each * warp_sum(all);
        loss = (double)(logf(sum) - target * STEP);
        if (taught) {
            float of_teacher = temperature * temperature * (logf(own_sum) - warp_sum(expected_mean) * soft);
            loss = (double)(1.0f - share) * loss + (double)share * (double)of_teacher;
        }
    }
    if (lane == 0) {
        bool finite = isfinite(loss);
        i64 units = finite ? (i64)rint(fmin(loss, LARGEST_LOSS) * LOSS_UNIT) : 0;
        atomicAdd((u64 *)&totals->loss, (u64)units);
        atomicAdd(&totals->correct, best.index == label ? 1ull : 0ull);
        atomicAdd(&totals->samples, 1ull);
        if (!finite) atomicAdd(&totals->not_finite, 1ull);
    }
}
