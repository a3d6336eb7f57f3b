// Images of a batch from where they lie on the card, changed on the way as the trainer's data/augment.rs defines it.

// How images are changed; `Augmentation` of the host.
struct Augmentation {
    u64 seed;
    int reach;
    // What moved pixels leave behind: their edge again, else zeros.
    int repeat;
    int flip;
    int cutout;
};

constexpr u64 GOLDEN = 0x9E3779B97F4A7C15ull;

// The first output of SplitMix64 in this state.
__device__ __forceinline__ u64 next(u64 state) {
    u64 word = state + GOLDEN;
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9ull;
    word = (word ^ word >> 27) * 0x94D049BB133111EBull;
    return word ^ word >> 31;
}

// A number below `bound` by the upper half of a draw.
__device__ __forceinline__ int below(u64 draw, u64 bound) { return (int)(((draw >> 32) * bound) >> 32); }

// One block a sample: its pixels as bfloat16, [samples, pixels, pitch], its label, and the step's parameters. `changes` is
// null where images stay as they are; `epoch` counts from 0.
extern "C" __global__ void gather_images(const Control *control, int offset, int batch, u64 stride, int height, int width,
                                         int channels, int pitch, const Augmentation *changes, uint4 *images, u16 *labels,
                                         Step *step) {
    u64 index = sample_of(control, offset, batch, blockIdx.x);
    const i8 *sample = control->samples + index * stride;
    int rows = 0, columns = 0, flip = 0, cut_top = 0, cut_left = 0, cut = 0, repeat = 0;
    if (changes) {
        u64 state = next(next(next(changes->seed) + control->epoch) + index);
        u64 bound = 2 * (u64)changes->reach + 1;
        rows = below(next(state), bound) - changes->reach;
        columns = below(next(state + GOLDEN), bound) - changes->reach;
        flip = changes->flip && next(state + 2 * GOLDEN) >> 63;
        cut = changes->cutout, repeat = changes->repeat;
        cut_top = below(next(state + 3 * GOLDEN), height) - cut / 2;
        cut_left = below(next(state + 4 * GOLDEN), width) - cut / 2;
    }
    int chunks = pitch / CHUNK, count = height * width * chunks;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        int pixel = i / chunks, first = (i - pixel * chunks) * CHUNK;
        int y = pixel / width, x = pixel - y * width;
        int from_y = y + rows, from_x = (flip ? width - 1 - x : x) + columns;
        if (repeat) {
            from_y = min(max(from_y, 0), height - 1), from_x = min(max(from_x, 0), width - 1);
        }
        bool inside = (u32)from_y < (u32)height && (u32)from_x < (u32)width;
        bool blank = (u32)(y - cut_top) < (u32)cut && (u32)(x - cut_left) < (u32)cut;
        float values[CHUNK];
        const i8 *source = sample + (u64)(from_y * width + from_x) * channels + first;
#pragma unroll
        for (int j = 0; j < CHUNK; j++) {
            values[j] = inside && !blank && first + j < channels ? (float)source[j] : 0.0f;
        }
        images[(u64)blockIdx.x * count + i] = eight_bf16(values);
    }
    if (threadIdx.x == 0) {
        labels[blockIdx.x] = control->labels[index];
        if (blockIdx.x == 0) *step = control->steps[control->cursor + offset];
    }
}
