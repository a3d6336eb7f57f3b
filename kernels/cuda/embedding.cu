// Embeddings: rows of a table for indices, and gradients back to the rows.

// One output step is 2^-5: a table's values in output steps are 32 times its weights.
constexpr float STEPS = 32.0f;

// One block a sample: the rows of `table`, [rows, table_pitch] bfloat16, that its indices name, one after another, in
// output steps, to `accumulators`, [batch, pitch].
extern "C" __global__ void look_up(const u8 *indices, int positions, int dimension, const u16 *table, int table_pitch,
                                   int pitch, float *accumulators) {
    const u8 *own = indices + (u64)blockIdx.x * positions;
    float *output = accumulators + (u64)blockIdx.x * pitch;
    for (int i = threadIdx.x; i < positions * dimension; i += blockDim.x) {
        int position = i / dimension, column = i % dimension;
        output[i] = bf16_to_float(table[(u64)own[position] * table_pitch + column]) * STEPS;
    }
}

// Positions that a warp has on their way at once.
constexpr int AHEAD = 8;

// The table's gradient, [rows, table_pitch] bfloat16: in row n the sum over the positions that looked row n up. A block
// takes one row and 32 columns. Each of its warps adds a stretch of the batch's positions in their order, then the first
// adds the warps' sums in theirs: one order, whatever else runs.
extern "C" __global__ void add_up(const u8 *indices, int batch, int positions, int dimension, const u16 *gradient,
                                  int pitch, int table_pitch, u16 *table_gradient) {
    __shared__ float sums[32][32];
    int parts = (table_pitch + 31) / 32;
    int row = blockIdx.x / parts, lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    int column = (blockIdx.x % parts) * 32 + lane;
    u64 count = (u64)batch * positions;
    u64 share = ((count + warps - 1) / warps + 31) / 32 * 32;
    u64 end = min(count, share * (warp + 1));
    float sum = 0.0f;
    for (u64 first = share * warp; first < end; first += 32) {
        u32 found = __ballot_sync(WHOLE_WARP, first + lane < end && indices[first + lane] == row);
        while (found) {
            float next[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; i++) {
                next[i] = 0.0f;
                if (found) {
                    u64 position = first + __ffs(found) - 1;
                    found &= found - 1;
                    u64 sample = position / positions, place = position % positions;
                    if (column < dimension) {
                        next[i] = bf16_to_float(gradient[sample * pitch + place * dimension + column]);
                    }
                }
            }
#pragma unroll
            for (int i = 0; i < AHEAD; i++) sum += next[i];
        }
    }
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < table_pitch) {
        for (int other = 1; other < warps; other++) sum += sums[other][lane];
        table_gradient[(u64)row * table_pitch + column] = float_to_bf16(sum * STEPS);
    }
}
