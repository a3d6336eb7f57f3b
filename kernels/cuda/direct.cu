// Sign votes and updates straight from gradients gy [samples, N] and inputs x [samples, K]: neither the weight gradient nor
// its votes are ever stored.
//
// A block of 256 threads makes the votes of a tile in shared memory: 32 rows of at most 96 columns, which are whole groups
// and whole words for every group size there is. Then its threads share the groups or words of the tile.

constexpr int TILE_ROWS = 32;
constexpr int TILE_COLUMNS = 96;
constexpr int TILE_SAMPLES = 16;
// Threads lie in a square of this side, each with every 16th row and column of the tile.
constexpr int SIDE = 16;

struct Tile {
    Shape shape;
    u64 first_row, first_column;
    // Columns: 96, 80 or 64.
    int width;

    __device__ __forceinline__ Tile(u64 rows, u64 columns, u64 group) : shape{rows, columns, group} {
        width = (int)(TILE_COLUMNS / group * group);
        u64 across = (columns + width - 1) / width;
        first_row = blockIdx.x / across * TILE_ROWS;
        first_column = blockIdx.x % across * width;
    }

    // Calls `visit(row within the tile, row, part)` for each of the `parts` parts of `length` columns that every row of the
    // tile has, where the matrix has them too.
    template <class Visit> __device__ __forceinline__ void each(u64 length, Visit visit) const {
        int parts = width / (int)length;
        for (int i = threadIdx.x; i < TILE_ROWS * parts; i += blockDim.x) {
            u64 row = first_row + i / parts, part = first_column / length + i % parts;
            if (row < shape.rows && part * length < shape.columns) visit(i / parts, row, part);
        }
    }
};

struct TileVotes {
    i8 values[TILE_ROWS][TILE_COLUMNS];
};

// Makes the votes of a tile: signs of sums of products, in the order of the samples. Every thread must call it.
__device__ void make_votes(const Tile &tile, const float *output_gradient, const float *input, u64 samples,
                           TileVotes &votes) {
    __shared__ float gradients[TILE_SAMPLES][TILE_ROWS], inputs[TILE_SAMPLES][TILE_COLUMNS];
    const Shape &shape = tile.shape;
    int left = threadIdx.x % SIDE, top = threadIdx.x / SIDE;
    float sums[TILE_ROWS / SIDE][TILE_COLUMNS / SIDE] = {};
    for (u64 first = 0; first < samples; first += TILE_SAMPLES) {
        for (int i = threadIdx.x; i < TILE_SAMPLES * TILE_ROWS; i += blockDim.x) {
            u64 sample = first + i / TILE_ROWS, row = tile.first_row + i % TILE_ROWS;
            bool is_there = sample < samples && row < shape.rows;
            gradients[i / TILE_ROWS][i % TILE_ROWS] = is_there ? output_gradient[sample * shape.rows + row] : 0.0f;
        }
        for (int i = threadIdx.x; i < TILE_SAMPLES * TILE_COLUMNS; i += blockDim.x) {
            int place = i % TILE_COLUMNS;
            u64 sample = first + i / TILE_COLUMNS, column = tile.first_column + place;
            bool is_there = place < tile.width && sample < samples && column < shape.columns;
            inputs[i / TILE_COLUMNS][place] = is_there ? input[sample * shape.columns + column] : 0.0f;
        }
        __syncthreads();
        for (int sample = 0; sample < TILE_SAMPLES; sample++) {
#pragma unroll
            for (int i = 0; i < TILE_ROWS / SIDE; i++) {
#pragma unroll
                for (int j = 0; j < TILE_COLUMNS / SIDE; j++) {
                    sums[i][j] = fmaf(gradients[sample][top + SIDE * i], inputs[sample][left + SIDE * j], sums[i][j]);
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < TILE_ROWS / SIDE; i++) {
#pragma unroll
        for (int j = 0; j < TILE_COLUMNS / SIDE; j++) {
            votes.values[top + SIDE * i][left + SIDE * j] = (i8)sign(sums[i][j]);
        }
    }
    __syncthreads();
}

// The votes themselves, [N, K].
extern "C" __global__ void direct_votes(const float *output_gradient, const float *input, u64 samples, u64 rows,
                                        u64 columns, u64 group, i8 *matrix) {
    __shared__ TileVotes votes;
    Tile tile(rows, columns, group);
    make_votes(tile, output_gradient, input, samples, votes);
    tile.each(1, [&](int line, u64 row, u64 column) {
        matrix[row * columns + column] = votes.values[line][column - tile.first_column];
    });
}

// Correlations move by the votes, which count `count` times.
extern "C" __global__ void direct_correlation(const float *output_gradient, const float *input, u64 samples, u64 rows,
                                              u64 columns, u64 group, const u32 *trits, int count, i64 *corr) {
    __shared__ TileVotes votes;
    Tile tile(rows, columns, group);
    make_votes(tile, output_gradient, input, samples, votes);
    tile.each(group, [&](int line, u64 row, u64 part) {
        auto vote = [&](u64 column) { return (int)votes.values[line][column - tile.first_column]; };
        int score = score_of(tile.shape, trits, row, part, vote);
        move_correlation(corr + row * tile.shape.groups() + part, score, count);
    });
}

// Accumulators of exponents, and exponents where `threshold` is above 0.
extern "C" __global__ void direct_exponents(const float *output_gradient, const float *input, u64 samples, u64 rows,
                                            u64 columns, u64 group, const u32 *trits, int count, int threshold,
                                            i8 *exponents, i8 *accumulators) {
    __shared__ TileVotes votes;
    Tile tile(rows, columns, group);
    make_votes(tile, output_gradient, input, samples, votes);
    tile.each(group, [&](int line, u64 row, u64 part) {
        auto vote = [&](u64 column) { return (int)votes.values[line][column - tile.first_column]; };
        int score = score_of(tile.shape, trits, row, part, vote);
        u64 index = row * tile.shape.groups() + part;
        move_exponent(exponents + index, accumulators + index, score, count, threshold);
    });
}

// Accumulators of trits, and trits where there are thresholds.
extern "C" __global__ void direct_trits(const float *output_gradient, const float *input, u64 samples, u64 rows,
                                        u64 columns, u64 group, int count, int threshold, const i8 *thresholds, u32 *trits,
                                        i8 *accumulators) {
    __shared__ TileVotes votes;
    Tile tile(rows, columns, group);
    make_votes(tile, output_gradient, input, samples, votes);
    tile.each(WORD, [&](int line, u64 row, u64 word) {
        auto vote = [&](u64 column) { return (int)votes.values[line][column - tile.first_column]; };
        move_trits(tile.shape, trits, accumulators, row, word, count, Thresholds{threshold, thresholds}, vote);
    });
}
