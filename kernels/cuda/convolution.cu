// Convolutions as products: what lies under every window becomes a row of a matrix, and gradients of such rows go back to
// the pixels.
//
// Rows of the matrix are windows, sample after sample; columns are rows of the window, columns of it, channels, padded to a
// multiple of 16 with zeros.

// [samples * windows, matrix pitch] from an image.
extern "C" __global__ void spread(const Windows *shape, const u16 *image, uint4 *matrix) {
    const Windows windows = *shape;
    u32 count = windows.rows * windows.columns;
    PixelChunk place(count, windows.by_columns, windows.by_matrix_chunks);
    if (!place.active) return;
    const u16 *sample = image + (u64)blockIdx.x * windows.height * windows.width * windows.pitch;
    int top = (int)place.row * windows.stride_height - windows.above;
    int left = (int)place.column * windows.stride_width - windows.left;
    int taps = windows.kernel_height * windows.kernel_width;
    // Where a tap's pixel begins, or nothing for one outside.
    auto pixel = [&](int tap) -> const u16 * {
        int y = (int)windows.by_kernel_width.quotient(tap), x = tap - y * windows.kernel_width;
        bool inside = tap < taps && (u32)(top + y) < (u32)windows.height && (u32)(left + x) < (u32)windows.width;
        return inside ? sample + (u64)((top + y) * windows.width + left + x) * windows.pitch : nullptr;
    };
    u32 first = place.chunk * CHUNK;
    int tap = (int)windows.by_channels.quotient(first), channel = (int)first - tap * windows.channels;
    uint4 result = make_uint4(0, 0, 0, 0);
    const u16 *source = pixel(tap);
    if (windows.channels % CHUNK == 0) {
        if (source) result = *reinterpret_cast<const uint4 *>(source + channel);
    } else {
        u32 halves[CHUNK];
#pragma unroll
        for (int i = 0; i < CHUNK; i++) {
            halves[i] = source ? source[channel] : 0u;
            if (++channel == windows.channels) channel = 0, source = pixel(++tap);
        }
        result = make_uint4(halves[0] | halves[1] << 16, halves[2] | halves[3] << 16, halves[4] | halves[5] << 16,
                            halves[6] | halves[7] << 16);
    }
    matrix[((u64)blockIdx.x * count + place.pixel) * windows.by_matrix_chunks.value + place.chunk] = result;
}

// The image's gradient from that of the matrix: every pixel gathers from the windows that hold it, in the order of their
// taps. `adds`: to what is there.
extern "C" __global__ void collect(const Windows *shape, const u16 *matrix, int adds, uint4 *gradient) {
    const Windows windows = *shape;
    u32 pixels = windows.height * windows.width;
    PixelChunk place(pixels, windows.by_width, windows.by_chunks);
    if (!place.active) return;
    const u16 *sample = matrix + (u64)blockIdx.x * windows.rows * windows.columns * windows.matrix_pitch;
    int first = (int)place.chunk * CHUNK;
    int count = min(CHUNK, windows.channels - first);
    bool whole = windows.channels % CHUNK == 0;
    float sums[CHUNK] = {};
    for_each_holder(windows, (int)place.row, (int)place.column, [&](int tap, int window) {
        const u16 *source = sample + (u64)window * windows.matrix_pitch + tap * windows.channels + first;
        if (count == CHUNK && whole) {
            Chunk chunk{*reinterpret_cast<const uint4 *>(source)};
#pragma unroll
            for (int i = 0; i < CHUNK; i++) sums[i] += chunk.value(i);
        } else {
#pragma unroll
            for (int i = 0; i < CHUNK; i++) {
                if (i < count) sums[i] += bf16_to_float(source[i]);
            }
        }
    });
    give(gradient + ((u64)blockIdx.x * pixels + place.pixel) * windows.by_chunks.value + place.chunk, sums, adds != 0);
}

// Vectors of four weights that a block takes, and threads among which it shares the parts of each.
constexpr int VECTORS = 32;
constexpr int LANES = 8;

// A weight gradient, bfloat16, from those of `parts` stretches of windows, [parts, 4*vectors], added in one order.
extern "C" __global__ void add_parts(const float4 *partial, int parts, u64 vectors, uint2 *gradient) {
    __shared__ double shared[LANES][4][VECTORS];
    int place = threadIdx.x % VECTORS, lane = threadIdx.x / VECTORS;
    u64 vector = (u64)blockIdx.x * VECTORS + place;
    double sums[4] = {};
    if (vector < vectors) {
#pragma unroll 4
        for (int part = lane; part < parts; part += LANES) {
            float4 v = partial[part * vectors + vector];
            sums[0] += (double)v.x, sums[1] += (double)v.y, sums[2] += (double)v.z, sums[3] += (double)v.w;
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) shared[lane][i][place] = sums[i];
    __syncthreads();
    if (lane > 0 || vector >= vectors) return;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        for (int other = 1; other < LANES; other++) sums[i] += shared[other][i][place];
    }
    gradient[vector] = make_uint2(two_bf16((float)sums[0], (float)sums[1]), two_bf16((float)sums[2], (float)sums[3]));
}
