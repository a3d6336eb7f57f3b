// Sums over the columns of large matrices, in one order whatever the card.
//
// A matrix [rows, pitch] is read four columns a thread. Threads beside each other take the vectors of a row, `tile` of
// them; the others further rows. A block takes every `gridDim.x`th stretch of rows; tiles of a row lie in y. Each block
// leaves its sums, and the one that ends last adds those of all blocks.

// Threads of a block, and those among them that add the sums of blocks side by side for 32 columns.
constexpr int COLUMN_THREADS = 512;
constexpr int PARTS = COLUMN_THREADS / 32;

// Two sums of a column.
struct Pair {
    double first, second;
};

// The vector of columns that a thread takes, and the rows.
struct Strip {
    int vector, lane, lanes;
    bool active;

    __device__ __forceinline__ Strip(int vectors, int tile)
        : vector(blockIdx.y * tile + threadIdx.x % tile), lane(threadIdx.x / tile), lanes(blockDim.x / tile),
          active(lane < lanes && vector < vectors) {}

    __device__ __forceinline__ u64 first_row() const { return (u64)blockIdx.x * lanes + lane; }
    __device__ __forceinline__ u64 row_step() const { return (u64)gridDim.x * lanes; }
};

// Adds the sums of a block's lanes, four columns a thread, and leaves them in `partial`, [blocks, pitch].
__device__ __forceinline__ void leave_sums(const Strip &strip, int tile, int pitch, const Pair (&sums)[4], Pair *partial) {
    __shared__ Pair shared[COLUMN_THREADS];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        shared[threadIdx.x] = sums[i];
        __syncthreads();
        // Pairwise, whatever their number.
        for (int count = strip.lanes; count > 1;) {
            int half = (count + 1) / 2;
            if (strip.lane + half < count) {
                Pair other = shared[threadIdx.x + half * tile], own = shared[threadIdx.x];
                shared[threadIdx.x] = {own.first + other.first, own.second + other.second};
            }
            __syncthreads();
            count = half;
        }
        if (strip.lane == 0 && strip.active) {
            partial[(u64)blockIdx.x * pitch + strip.vector * 4 + i] = shared[threadIdx.x];
        }
        __syncthreads();
    }
}

// True in the block that ends last, for which every block's sums are there.
__device__ __forceinline__ bool is_last_block(u32 *blocks) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(blocks, 1u) == gridDim.x * gridDim.y - 1;
        if (last) *blocks = 0;
    }
    __syncthreads();
    return last;
}

// Calls `finish(column, sums)` once for every column, given the sums of all blocks. Every thread of a block must call it.
template <class Finish> __device__ __forceinline__ void add_blocks(const Pair *partial, int pitch, Finish finish) {
    __shared__ Pair shared[PARTS][32];
    int place = threadIdx.x % 32, part = threadIdx.x / 32;
    for (int first = 0; first < pitch; first += 32) {
        int column = first + place;
        Pair sum = {0.0, 0.0};
        if (column < pitch) {
#pragma unroll 4
            for (int block = part; block < gridDim.x; block += PARTS) {
                const double *values = reinterpret_cast<const double *>(partial + (u64)block * pitch + column);
                sum.first += __ldcg(values);
                sum.second += __ldcg(values + 1);
            }
        }
        shared[part][place] = sum;
        __syncthreads();
        if (part == 0 && column < pitch) {
#pragma unroll
            for (int other = 1; other < PARTS; other++) {
                sum.first += shared[other][place].first;
                sum.second += shared[other][place].second;
            }
            finish(column, sum);
        }
        __syncthreads();
    }
}
