// Windows over images, and vectors of eight channels.
//
// Images are [samples, height, width, pitch] bfloat16: channels side by side, padded to a multiple of 16 with zeros.

// Divides numbers below 2^31 by one that the host knows: multiply and shift.
struct Divisor {
    u32 multiplier, shift, value;

    __device__ __forceinline__ u32 quotient(u32 number) const { return (u32)((u64)number * multiplier >> shift); }
};

// A window over one sample; `Windows` of the host.
struct Windows {
    // Of the input.
    int height, width, channels, pitch;
    // Of the output: how many windows there are, below and beside each other.
    int rows, columns;
    int kernel_height, kernel_width, stride_height, stride_width;
    // Rows of zeros above the input, columns left of it.
    int above, left;
    // Columns of a row of the matrix of windows, with padding; of the weights, for depthwise convolutions.
    int matrix_pitch;
    // Shift that makes a sum the mean of a window.
    int mean_shift;
    Divisor by_width, by_columns, by_channels, by_kernel_width, by_chunks, by_matrix_chunks;
};

// Channels that a thread takes.
constexpr int CHUNK = 8;

// Eight values of bfloat16.
struct Chunk {
    uint4 bits;

    __device__ __forceinline__ u32 pair(int i) const {
        return i == 0 ? bits.x : i == 1 ? bits.y : i == 2 ? bits.z : bits.w;
    }

    __device__ __forceinline__ float value(int i) const {
        u32 two = pair(i / 2);
        return __uint_as_float(i % 2 ? two & 0xFFFF0000u : two << 16);
    }
};

__device__ __forceinline__ uint4 eight_bf16(const float (&values)[CHUNK]) {
    return make_uint4(two_bf16(values[0], values[1]), two_bf16(values[2], values[3]), two_bf16(values[4], values[5]),
                      two_bf16(values[6], values[7]));
}

// Writes eight gradients, or adds them to those that are there.
__device__ __forceinline__ void give(uint4 *destination, float (&values)[CHUNK], bool adds) {
    if (adds) {
        Chunk before{*destination};
#pragma unroll
        for (int i = 0; i < CHUNK; i++) values[i] += before.value(i);
    }
    *destination = eight_bf16(values);
}

// Which pixel of which sample, and which eight of its channels, a thread has: samples in x, the rest in y.
struct PixelChunk {
    u32 pixel, row, column, chunk;
    bool active;

    __device__ __forceinline__ PixelChunk(u32 pixels, const Divisor &by_columns, const Divisor &by_chunks) {
        u32 place = blockIdx.y * blockDim.x + threadIdx.x;
        pixel = by_chunks.quotient(place);
        chunk = place - pixel * by_chunks.value;
        row = by_columns.quotient(pixel);
        column = pixel - row * by_columns.value;
        active = pixel < pixels;
    }
};

// Calls `f(tap, output pixel)` for every window that holds the input's pixel in this row and column.
template <class F> __device__ __forceinline__ void for_each_holder(const Windows &windows, int row, int column, F f) {
    for (int y = 0; y < windows.kernel_height; y++) {
        int from_top = row + windows.above - y;
        if (from_top < 0) break;
        int window_row = from_top / windows.stride_height;
        if (window_row * windows.stride_height != from_top || window_row >= windows.rows) continue;
        for (int x = 0; x < windows.kernel_width; x++) {
            int from_left = column + windows.left - x;
            if (from_left < 0) break;
            int window_column = from_left / windows.stride_width;
            if (window_column * windows.stride_width != from_left || window_column >= windows.columns) continue;
            f(y * windows.kernel_width + x, window_row * windows.columns + window_column);
        }
    }
}

// Calls `f(tap, input pixel)` for every pixel of the input under a window.
template <class F> __device__ __forceinline__ void for_each_tap(const Windows &windows, int row, int column, F f) {
    int top = row * windows.stride_height - windows.above, left = column * windows.stride_width - windows.left;
    for (int y = 0; y < windows.kernel_height; y++) {
        if ((u32)(top + y) >= (u32)windows.height) continue;
        for (int x = 0; x < windows.kernel_width; x++) {
            if ((u32)(left + x) >= (u32)windows.width) continue;
            f(y * windows.kernel_width + x, (top + y) * windows.width + left + x);
        }
    }
}
