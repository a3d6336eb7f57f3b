// Depthwise convolutions: a row of weights for each channel.

// Weights [rows, weights' pitch] with taps in their columns, turned to [taps, pitch of the channels]. A thread a weight.
extern "C" __global__ void turn(const u16 *weights, int weights_pitch, int taps, int pitch, u16 *turned) {
    u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    int tap = (int)(index / pitch), channel = (int)(index % pitch);
    if (tap < taps) turned[index] = weights[(u64)channel * weights_pitch + tap];
}

// Sums [samples * windows, pitch] of an image and turned weights.
extern "C" __global__ void forward(const Windows *shape, const uint4 *image, const uint4 *weights, float4 *sums) {
    const Windows windows = *shape;
    u32 count = windows.rows * windows.columns, chunks = windows.by_chunks.value;
    PixelChunk place(count, windows.by_columns, windows.by_chunks);
    if (!place.active) return;
    const uint4 *sample = image + (u64)blockIdx.x * windows.height * windows.width * chunks + place.chunk;
    float results[CHUNK] = {};
    for_each_tap(windows, (int)place.row, (int)place.column, [&](int tap, int pixel) {
        Chunk x{sample[(u64)pixel * chunks]}, w{weights[(u64)tap * chunks + place.chunk]};
#pragma unroll
        for (int i = 0; i < CHUNK; i++) results[i] += x.value(i) * w.value(i);
    });
    float4 *destination = sums + (((u64)blockIdx.x * count + place.pixel) * chunks + place.chunk) * 2;
    destination[0] = make_float4(results[0], results[1], results[2], results[3]);
    destination[1] = make_float4(results[4], results[5], results[6], results[7]);
}

// The image's gradient from that of the sums.
extern "C" __global__ void image_gradient(const Windows *shape, const uint4 *output, const uint4 *weights, int adds,
                                          uint4 *gradient) {
    const Windows windows = *shape;
    u32 pixels = windows.height * windows.width, chunks = windows.by_chunks.value;
    PixelChunk place(pixels, windows.by_width, windows.by_chunks);
    if (!place.active) return;
    const uint4 *sample = output + (u64)blockIdx.x * windows.rows * windows.columns * chunks + place.chunk;
    float results[CHUNK] = {};
    for_each_holder(windows, (int)place.row, (int)place.column, [&](int tap, int window) {
        Chunk g{sample[(u64)window * chunks]}, w{weights[(u64)tap * chunks + place.chunk]};
#pragma unroll
        for (int i = 0; i < CHUNK; i++) results[i] += g.value(i) * w.value(i);
    });
    give(gradient + ((u64)blockIdx.x * pixels + place.pixel) * chunks + place.chunk, results, adds != 0);
}

// Threads of a block that sums weight gradients.
constexpr int SUM_THREADS = 256;

// Partial weight gradients, [stretches, taps, pitch]: a block sums one tap over every `gridDim.x`th sample's windows, for
// `tile` chunks of channels; taps and tiles in y. Threads beside each other take the chunks, the others further windows;
// their sums are added in one order.
extern "C" __global__ void partial_gradient(const Windows *shape, const uint4 *image, const uint4 *output, int samples,
                                            int tile, int tiles, float *partial) {
    __shared__ float shared[SUM_THREADS][CHUNK + 1];
    const Windows windows = *shape;
    int chunks = (int)windows.by_chunks.value, count = windows.rows * windows.columns;
    int tap = (int)blockIdx.y / tiles, lanes = SUM_THREADS / tile;
    int lane = (int)threadIdx.x / tile, chunk = (int)blockIdx.y % tiles * tile + (int)threadIdx.x % tile;
    bool active = lane < lanes && chunk < chunks;
    int y = tap / windows.kernel_width - windows.above, x = tap % windows.kernel_width - windows.left;
    float sums[CHUNK] = {};
    for (int sample = blockIdx.x; active && sample < samples; sample += gridDim.x) {
        const uint4 *inputs = image + (u64)sample * windows.height * windows.width * chunks + chunk;
        const uint4 *gradients = output + (u64)sample * count * chunks + chunk;
        for (int window = lane; window < count; window += lanes) {
            int window_row = (int)windows.by_columns.quotient(window);
            int row = window_row * windows.stride_height + y;
            int column = (window - window_row * windows.columns) * windows.stride_width + x;
            if ((u32)row >= (u32)windows.height || (u32)column >= (u32)windows.width) continue;
            Chunk input{inputs[(u64)(row * windows.width + column) * chunks]}, g{gradients[(u64)window * chunks]};
#pragma unroll
            for (int i = 0; i < CHUNK; i++) sums[i] += input.value(i) * g.value(i);
        }
    }
#pragma unroll
    for (int i = 0; i < CHUNK; i++) shared[threadIdx.x][i] = sums[i];
    __syncthreads();
    if (lane != 0 || !active) return;
    float *destination = partial + ((u64)blockIdx.x * (gridDim.y / tiles) + tap) * chunks * CHUNK + chunk * CHUNK;
    for (int i = 0; i < CHUNK; i++) {
        float sum = 0.0f;
        for (int other = 0; other < lanes; other++) sum += shared[other * tile + threadIdx.x][i];
        destination[i] = sum;
    }
}

// The weight gradient, [padded rows, weights' pitch] bfloat16, from the partial ones. A thread a weight, the padding's
// included.
extern "C" __global__ void add_up(const float *partial, int stretches, int taps, int pitch, int weights_pitch,
                                  u16 *gradient) {
    u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    int tap = (int)(index / pitch), channel = (int)(index % pitch);
    if (tap >= weights_pitch) return;
    double sum = 0.0;
    if (tap < taps) {
#pragma unroll 8
        for (int i = 0; i < stretches; i++) sum += (double)partial[((u64)i * taps + tap) * pitch + channel];
    }
    gradient[(u64)channel * weights_pitch + tap] = float_to_bf16((float)sum);
}
