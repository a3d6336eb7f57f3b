// Products with a ternary matrix, in f32: outputs and input gradients. Weights are made of trits and scales as a tile needs
// them and never stored. A block of 256 threads makes a tile of 32 x 32 results, four a thread, each a chain of fused
// multiplications and additions in the order of the columns or rows.

constexpr int SIDE = 32;
constexpr int HALF = SIDE / 2;

// y = x*W^T + bias: x [samples, K], y [samples, N]. `bias`, [N], may be null.
extern "C" __global__ void linear_forward(const float *input, u64 samples, const u32 *trits, const float *scales,
                                          const i32 *bias, u64 rows, u64 columns, u64 group, float *output) {
    __shared__ float inputs[SIDE][SIDE + 1], weights[SIDE][SIDE + 1];
    Shape shape{rows, columns, group};
    u64 across = (rows + SIDE - 1) / SIDE;
    u64 first_sample = blockIdx.x / across * SIDE, first_row = blockIdx.x % across * SIDE;
    int left = threadIdx.x % HALF, top = threadIdx.x / HALF;
    float sums[2][2] = {};
    for (u64 first = 0; first < columns; first += SIDE) {
        for (int i = threadIdx.x; i < SIDE * SIDE; i += blockDim.x) {
            int line = i / SIDE, place = i % SIDE;
            u64 sample = first_sample + line, row = first_row + line, column = first + place;
            bool has_column = column < columns;
            inputs[line][place] = has_column && sample < samples ? input[sample * columns + column] : 0.0f;
            weights[line][place] = has_column && row < rows ? shape.weight(trits, scales, row, column) : 0.0f;
        }
        __syncthreads();
        for (int place = 0; place < SIDE; place++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    sums[i][j] = fmaf(inputs[top + HALF * i][place], weights[left + HALF * j][place], sums[i][j]);
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
        for (int j = 0; j < 2; j++) {
            u64 sample = first_sample + top + HALF * i, row = first_row + left + HALF * j;
            if (sample < samples && row < rows) {
                output[sample * rows + row] = bias ? sums[i][j] + (float)bias[row] : sums[i][j];
            }
        }
    }
}

// gx = gy*W: gy [samples, N], gx [samples, K].
extern "C" __global__ void linear_input_gradient(const float *output_gradient, u64 samples, const u32 *trits,
                                                 const float *scales, u64 rows, u64 columns, u64 group,
                                                 float *input_gradient) {
    __shared__ float gradients[SIDE][SIDE + 1], weights[SIDE][SIDE + 1];
    Shape shape{rows, columns, group};
    u64 across = (columns + SIDE - 1) / SIDE;
    u64 first_sample = blockIdx.x / across * SIDE, first_column = blockIdx.x % across * SIDE;
    int left = threadIdx.x % HALF, top = threadIdx.x / HALF;
    float sums[2][2] = {};
    for (u64 first = 0; first < rows; first += SIDE) {
        for (int i = threadIdx.x; i < SIDE * SIDE; i += blockDim.x) {
            int line = i / SIDE, place = i % SIDE;
            u64 sample = first_sample + line, own_row = first + place;
            bool has_gradient = sample < samples && own_row < rows;
            gradients[line][place] = has_gradient ? output_gradient[sample * rows + own_row] : 0.0f;
            u64 row = first + line, column = first_column + place;
            bool has_weight = row < rows && column < columns;
            weights[line][place] = has_weight ? shape.weight(trits, scales, row, column) : 0.0f;
        }
        __syncthreads();
        for (int place = 0; place < SIDE; place++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    sums[i][j] = fmaf(gradients[top + HALF * i][place], weights[place][left + HALF * j], sums[i][j]);
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
        for (int j = 0; j < 2; j++) {
            u64 sample = first_sample + top + HALF * i, column = first_column + left + HALF * j;
            if (sample < samples && column < columns) input_gradient[sample * columns + column] = sums[i][j];
        }
    }
}
