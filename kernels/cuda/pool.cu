// Pooling, forward and back. Activations are bfloat16 that hold int8.

// The largest element under each window, and the tap that has it first.
extern "C" __global__ void largest(const Windows *shape, const uint4 *image, uint4 *output, uint4 *places) {
    const Windows windows = *shape;
    u32 count = windows.rows * windows.columns, chunks = windows.by_chunks.value;
    PixelChunk place(count, windows.by_columns, windows.by_chunks);
    if (!place.active) return;
    const uint4 *sample = image + (u64)blockIdx.x * windows.height * windows.width * chunks + place.chunk;
    float best[CHUNK];
    u32 taps[CHUNK];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) best[i] = -129.0f, taps[i] = 0;
    for_each_tap(windows, (int)place.row, (int)place.column, [&](int tap, int pixel) {
        Chunk x{sample[(u64)pixel * chunks]};
#pragma unroll
        for (int i = 0; i < CHUNK; i++) {
            if (x.value(i) > best[i]) best[i] = x.value(i), taps[i] = (u32)tap;
        }
    });
    // A window beyond the image finds nothing but the least.
#pragma unroll
    for (int i = 0; i < CHUNK; i++) best[i] = fmaxf(best[i], -128.0f);
    u64 index = ((u64)blockIdx.x * count + place.pixel) * chunks + place.chunk;
    // Channels of the padding stay 0, whatever windows hold.
    int used = windows.channels - (int)place.chunk * CHUNK;
#pragma unroll
    for (int i = 0; i < CHUNK; i++) best[i] = i < used ? best[i] : 0.0f;
    output[index] = eight_bf16(best);
    places[index] = make_uint4(taps[0] | taps[1] << 16, taps[2] | taps[3] << 16, taps[4] | taps[5] << 16,
                               taps[6] | taps[7] << 16);
}

// Gradients go to where the largest element was.
extern "C" __global__ void largest_gradient(const Windows *shape, const uint4 *places, const uint4 *output, int adds,
                                            uint4 *gradient) {
    const Windows windows = *shape;
    u32 pixels = windows.height * windows.width, chunks = windows.by_chunks.value;
    PixelChunk place(pixels, windows.by_width, windows.by_chunks);
    if (!place.active) return;
    u64 first = (u64)blockIdx.x * windows.rows * windows.columns * chunks + place.chunk;
    float results[CHUNK] = {};
    for_each_holder(windows, (int)place.row, (int)place.column, [&](int tap, int window) {
        Chunk g{output[first + (u64)window * chunks]}, taps{places[first + (u64)window * chunks]};
#pragma unroll
        for (int i = 0; i < CHUNK; i++) {
            if ((int)(taps.pair(i / 2) >> (16 * (i % 2)) & 0xFFFFu) == tap) results[i] += g.value(i);
        }
    });
    give(gradient + ((u64)blockIdx.x * pixels + place.pixel) * chunks + place.chunk, results, adds != 0);
}

// The mean element under each window, as the runtime rounds it: sum*2^-shift, halves up, saturated.
extern "C" __global__ void mean(const Windows *shape, const uint4 *image, float4 *means, uint4 *output) {
    const Windows windows = *shape;
    u32 count = windows.rows * windows.columns, chunks = windows.by_chunks.value;
    PixelChunk place(count, windows.by_columns, windows.by_chunks);
    if (!place.active) return;
    const uint4 *sample = image + (u64)blockIdx.x * windows.height * windows.width * chunks + place.chunk;
    float sums[CHUNK] = {};
    for_each_tap(windows, (int)place.row, (int)place.column, [&](int, int pixel) {
        Chunk x{sample[(u64)pixel * chunks]};
        // At most 2^16 elements of 2^7: exact.
#pragma unroll
        for (int i = 0; i < CHUNK; i++) sums[i] += x.value(i);
    });
    float scale = power_of_two(-windows.mean_shift), results[CHUNK];
#pragma unroll
    for (int i = 0; i < CHUNK; i++) {
        sums[i] *= scale;
        results[i] = floorf(fminf(fmaxf(sums[i] + 0.5f, -128.0f), 127.0f));
    }
    u64 index = ((u64)blockIdx.x * count + place.pixel) * chunks + place.chunk;
    output[index] = eight_bf16(results);
    means[2 * index] = make_float4(sums[0], sums[1], sums[2], sums[3]);
    means[2 * index + 1] = make_float4(sums[4], sums[5], sums[6], sums[7]);
}

// Every pixel has the same share of a window's gradient, where the mean did not saturate.
extern "C" __global__ void mean_gradient(const Windows *shape, const float4 *means, const uint4 *output, int adds,
                                         uint4 *gradient) {
    const Windows windows = *shape;
    u32 pixels = windows.height * windows.width, chunks = windows.by_chunks.value;
    PixelChunk place(pixels, windows.by_width, windows.by_chunks);
    if (!place.active) return;
    u64 first = (u64)blockIdx.x * windows.rows * windows.columns * chunks + place.chunk;
    float scale = power_of_two(-windows.mean_shift), results[CHUNK] = {};
    for_each_holder(windows, (int)place.row, (int)place.column, [&](int, int window) {
        u64 index = first + (u64)window * chunks;
        Chunk g{output[index]};
        float4 low = means[2 * index], high = means[2 * index + 1];
        float values[CHUNK] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int i = 0; i < CHUNK; i++) {
            bool passes = -128.5f < values[i] && values[i] < 127.5f;
            results[i] += passes ? g.value(i) * scale : 0.0f;
        }
    });
    give(gradient + ((u64)blockIdx.x * pixels + place.pixel) * chunks + place.chunk, results, adds != 0);
}
