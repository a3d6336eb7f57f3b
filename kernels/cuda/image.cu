// Images between the layers: sums of two ways, lower clamps, channels side by side, other shapes, zeros around.
//
// Arrays are vectors of eight channels, bfloat16; activations hold int8.

// The sum of two ways, saturated at int8; with `relu` the lower clamp is 0.
extern "C" __global__ void add(const uint4 *left, const uint4 *right, u64 chunks, int relu, uint4 *output) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= chunks) return;
    Chunk a{left[index]}, b{right[index]};
    float least = relu ? 0.0f : -128.0f, results[CHUNK];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) results[i] = fminf(fmaxf(a.value(i) + b.value(i), least), 127.0f);
    output[index] = eight_bf16(results);
}

// Both ways get the gradient where the sum was inside: from -128, or above 0 with `relu`, to 127. Either of the gradients
// may be null.
extern "C" __global__ void add_gradient(const uint4 *left, const uint4 *right, const uint4 *output, u64 chunks, int relu,
                                        int adds_left, int adds_right, uint4 *left_gradient, uint4 *right_gradient) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= chunks) return;
    Chunk a{left[index]}, b{right[index]}, g{output[index]};
    float least = relu ? 1.0f : -128.0f, results[CHUNK], others[CHUNK];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) {
        float sum = a.value(i) + b.value(i);
        results[i] = others[i] = least <= sum && sum <= 127.0f ? g.value(i) : 0.0f;
    }
    if (left_gradient) give(left_gradient + index, results, adds_left != 0);
    if (right_gradient) give(right_gradient + index, others, adds_right != 0);
}

// max(x, 0).
extern "C" __global__ void relu(const uint4 *input, u64 chunks, uint4 *output) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= chunks) return;
    Chunk x{input[index]};
    float results[CHUNK];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) results[i] = fmaxf(x.value(i), 0.0f);
    output[index] = eight_bf16(results);
}

extern "C" __global__ void relu_gradient(const uint4 *input, const uint4 *output, u64 chunks, int adds, uint4 *gradient) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= chunks) return;
    Chunk x{input[index]}, g{output[index]};
    float results[CHUNK];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) results[i] = x.value(i) > 0.0f ? g.value(i) : 0.0f;
    give(gradient + index, results, adds != 0);
}

// Moves values from rows of one pitch to rows of another: what stands at `from + i` of a row of `from_length` values, all
// rows counted through, goes to `to + i` of a row of `to_length`. `elements` values for each sample in x; `from_sample` and
// `to_sample` values from one sample to the next. `adds`: to what is there.
extern "C" __global__ void rearrange(const u16 *source, int from, int from_length, int from_pitch, u64 from_sample,
                                     int to, int to_length, int to_pitch, u64 to_sample, u32 elements, int adds,
                                     u16 *destination) {
    u32 element = blockIdx.y * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    u32 from_row = element / from_length, to_row = element / to_length;
    u64 origin = blockIdx.x * from_sample + (u64)from_row * from_pitch + from + (element - from_row * from_length);
    u64 place = blockIdx.x * to_sample + (u64)to_row * to_pitch + to + (element - to_row * to_length);
    u16 value = source[origin];
    destination[place] = adds ? float_to_bf16(bf16_to_float(value) + bf16_to_float(destination[place])) : value;
}

// An image whose pixel (y, x) is the source's (y - top, x - left), 0 where there is none. Samples in x.
extern "C" __global__ void move(const uint4 *source, int height, int width, int top, int left, int to_height, int to_width,
                                int chunks, int adds, uint4 *destination) {
    u32 place = blockIdx.y * blockDim.x + threadIdx.x;
    u32 pixel = place / chunks, chunk = place - pixel * chunks;
    if (pixel >= (u32)(to_height * to_width)) return;
    int y = (int)(pixel / to_width) - top, x = (int)(pixel % to_width) - left;
    uint4 result = make_uint4(0, 0, 0, 0);
    if ((u32)y < (u32)height && (u32)x < (u32)width) {
        result = source[((u64)blockIdx.x * height * width + y * width + x) * chunks + chunk];
    }
    Chunk moved{result};
    float values[CHUNK];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) values[i] = moved.value(i);
    give(destination + ((u64)blockIdx.x * to_height * to_width + pixel) * chunks + chunk, values, adds != 0);
}

// Adds gradients to those that are there.
extern "C" __global__ void add_to(const uint4 *source, u64 chunks, uint4 *destination) {
    u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= chunks) return;
    Chunk moved{source[index]};
    float values[CHUNK];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) values[i] = moved.value(i);
    give(destination + index, values, true);
}
