// Ternary matrices as the primitives hold them: of any shape, without padding but for the trits, of which every row begins
// on a word; the rest of its last word is zeros. What a group has (exponent, correlation, scale) is [N, R].
//
// Sizes and positions are 64 bits wide: a matrix may have more than 2^31 weights.

struct Shape {
    u64 rows, columns, group;

    // Words of trits of a row.
    __device__ __forceinline__ u64 words() const { return (columns + WORD - 1) / WORD; }

    // Groups of a row; the last one may be short.
    __device__ __forceinline__ u64 groups() const { return (columns + group - 1) / group; }

    __device__ __forceinline__ int trit(const u32 *trits, u64 row, u64 column) const {
        return trit_of(trits[row * words() + column / WORD], (int)(column % WORD));
    }

    // T*2^e; a trit of 0 is a weight of 0, even where the scale is not finite.
    __device__ __forceinline__ float weight(const u32 *trits, const float *scales, u64 row, u64 column) const {
        int value = trit(trits, row, column);
        return value ? (float)value * scales[row * groups() + column / group] : 0.0f;
    }
};

__device__ __forceinline__ u64 thread_index() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }

// A word of trits with trit `index` (0 to 15) set to a value of -1, 0 or 1.
__device__ __forceinline__ u32 with_trit(u32 word, int index, int value) {
    return (word & ~(3u << (2 * index))) | ((u32)value & 3u) << (2 * index);
}

// The sign; 0 for what is not a number.
template <class T> __device__ __forceinline__ int sign(T value) { return (value > T(0)) - (value < T(0)); }

// e = E + corr/max(step*G, 1)*S; E before the first step, whatever the correlation is.
__device__ __forceinline__ double effective_exponent(int exponent, i64 corr, u64 step, u64 group, double strength) {
    if (step == 0) return (double)exponent;
    double votes = fmax((double)(i64)step * (double)group, 1.0);
    return (double)exponent + (double)corr / votes * strength;
}

// 2^e, exact for a whole e.
__device__ __forceinline__ double power(double e) {
    if (e == rint(e)) return ldexp(1.0, (int)fmin(fmax(e, -3000.0), 3000.0));
    return exp2(e);
}

// log2 of a mean, rounded to nearest, by its bits; 0 for a mean that is not above 0.
__device__ __forceinline__ int nearest_logarithm(double mean) {
    if (!(mean > 0.0)) return 0;
    if (isinf(mean)) return 127;
    int low = ilogb(mean);
    // The double nearest to the root of 2 is above it.
    return clamp_int8(low + (scalbn(mean, -low) >= 1.4142135623730951));
}

// log2 of a mean, truncated toward 0, as the first implementation of the algorithm has it: in f32, which decides on which
// side of a power of two a mean falls.
__device__ __forceinline__ int truncated_logarithm(double mean) {
    if (!(mean > 0.0)) return 0;
    float logarithm = (float)log2((double)(float)mean);
    return (int)fminf(fmaxf(logarithm, -128.0f), 127.0f);
}
