// Forward products of ternary weights and int8 activations on Hopper's tensor cores, exact in integers.
//
// y = x·Wᵀ with W = T·2^e. In a row all exponents are taken relative to the row's smallest one: a weight is then an int8,
// T << shift, where the shift is at most 6, and the product a sum in int32. Rows of wider windows take several planes of seven
// shifts each, added in float. Weights go from two bits to the tensor cores' registers without ever being stored as
// anything else; activations come through shared memory. For group sizes that are multiples of 32.
//
// A block makes 256 outputs n of 128 samples m. One thread brings stages of 128 columns; each of four warpgroups decodes 64
// rows of weights and multiplies them by all samples of the block: while some decode, others have the tensor cores.

constexpr int STAGE_COLUMNS = 128;
constexpr int STAGE_WORDS = STAGE_COLUMNS / WORD;
constexpr int SAMPLES = 128;
// Rows of one product of the tensor cores, and products side by side in a block.
constexpr int TILE_ROWS = 64;
constexpr int TILES = 4;
// Shifts of a plane.
constexpr int PLANE = 7;

// The trits of 64 rows and 128 columns as the threads of a warpgroup take them: 16 bytes for each, 8 for each of the two
// rows that it holds a part of: in every word of the row its own byte, four columns. Thread t of a warp w holds rows
// 16w + t/4 and eight further on, and of a word columns 4(t%4) to 4(t%4) + 3.
constexpr int TILE_BYTES = TILE_ROWS * STAGE_COLUMNS / 4;

// Rows of a block that orders trits, a warp each.
constexpr int SLICE_ROWS = 16;
constexpr int SLICES = TILE_ROWS / SLICE_ROWS;

// The part of a row that one stage takes: eight words of trits and the exponents of four times 32 columns.
struct RowStage {
    u32 trits[STAGE_WORDS];
    int exponents[4];

    __device__ __forceinline__ RowStage(const u32 *row_trits, const i8 *row_exponents, const i32 *row_correlations,
                                        int words, int stage) {
        int first = stage * STAGE_WORDS;
        int bends[4];
        if (words % STAGE_WORDS == 0 && GROUP == 32 && row_correlations && first < words) {
            const uint4 *vectors = reinterpret_cast<const uint4 *>(row_trits + first);
            uint4 low = vectors[0], high = vectors[1];
            int4 bend = *reinterpret_cast<const int4 *>(row_correlations + first / 2);
            char4 exponent = *reinterpret_cast<const char4 *>(row_exponents + first / 2);
            trits[0] = low.x, trits[1] = low.y, trits[2] = low.z, trits[3] = low.w;
            trits[4] = high.x, trits[5] = high.y, trits[6] = high.z, trits[7] = high.w;
            bends[0] = bend.x, bends[1] = bend.y, bends[2] = bend.z, bends[3] = bend.w;
            exponents[0] = exponent.x, exponents[1] = exponent.y, exponents[2] = exponent.z, exponents[3] = exponent.w;
        } else {
#pragma unroll
            for (int i = 0; i < STAGE_WORDS; i++) trits[i] = first + i < words ? row_trits[first + i] : 0u;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int word = first + 2 * i, group = word * WORD / GROUP;
                bends[i] = word < words && row_correlations ? row_correlations[group] : 0;
                exponents[i] = word < words ? row_exponents[group] : 0;
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) exponents[i] = bent_exponent(exponents[i], bends[i]);
    }

    // Widens a range of exponents by those of groups that have a weight: only what multiplies something counts.
    __device__ __forceinline__ void widen(int *smallest, int *largest) const {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            bool is_used = (trits[2 * i] | trits[2 * i + 1]) != 0u;
            *smallest = is_used ? min(*smallest, exponents[i]) : *smallest;
            *largest = is_used ? max(*largest, exponents[i]) : *largest;
        }
    }

    // The bytes of column `column` (0 to 3) of the words, in their order.
    __device__ __forceinline__ uint2 codes(int column) const {
        u32 selector = 0x0040u + 0x0011u * column;
        auto four = [&](int i) {
            u32 low = __byte_perm(trits[i], trits[i + 1], selector), high = __byte_perm(trits[i + 2], trits[i + 3], selector);
            return __byte_perm(low, high, 0x5410u);
        };
        return make_uint2(four(0), four(4));
    }

    // Shifts against the row's smallest exponent, a byte each. Groups without a weight may have any exponent.
    __device__ __forceinline__ u32 shifts(int smallest) const {
        u32 four = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) four |= (u32)min(max(exponents[i] - smallest, 0), 31) << (8 * i);
        return four;
    }
};

// Reorders trits and finds shifts, a block of 512 threads for 16 rows, a warp each: `codes` [stages, tiles, TILE_BYTES],
// `shifts` [stages, tiles*64, 4], one for each 32 columns of a stage, `units` [tiles*64] the rows' smallest exponents, `planes`
// [tiles*4] the most planes that a row of the slice needs. Rows and columns beyond the matrix are zeros. A null
// `correlations` leaves the exponents as they are.
extern "C" __global__ void __launch_bounds__(512)
    order(const u32 *trits, const i8 *exponents, const i32 *correlations, int rows, int words, int groups, int stages,
          uint4 *codes, u32 *shifts, i32 *units, i32 *planes) {
#if GROUP % 32 == 0
    // What a slice gives to 32 stages: 16 bytes for each of 32 threads, and 16 rows' shifts; one more against conflicts.
    __shared__ uint4 slice_codes[32][33];
    __shared__ u32 slice_shifts[32][SLICE_ROWS + 1];
    __shared__ int most_planes;
    if (threadIdx.x == 0) most_planes = 1;
    __syncthreads();
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, tiles = gridDim.x / SLICES;
    int row = blockIdx.x * SLICE_ROWS + warp;
    int own_words = row < rows ? words : 0;
    const u32 *row_trits = trits + (u64)row * words;
    const i8 *row_exponents = exponents + (u64)row * groups;
    const i32 *row_correlations = correlations ? correlations + (u64)row * groups : correlations;
    RowStage first_part(row_trits, row_exponents, row_correlations, own_words, lane);
    int smallest = 127, largest = -128;
    first_part.widen(&smallest, &largest);
    for (int stage = lane + 32; stage < stages; stage += 32) {
        RowStage(row_trits, row_exponents, row_correlations, own_words, stage).widen(&smallest, &largest);
    }
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        smallest = min(smallest, __shfl_xor_sync(WHOLE_WARP, smallest, offset));
        largest = max(largest, __shfl_xor_sync(WHOLE_WARP, largest, offset));
    }
    if (lane == 0) {
        bool is_used = largest >= smallest;
        units[row] = is_used ? smallest : 0;
        if (is_used) atomicMax(&most_planes, (largest - smallest) / PLANE + 1);
    }
    // Slice number `slice` of the tile has threads 32·slice and on.
    int tile = blockIdx.x / SLICES, slice = blockIdx.x % SLICES;
    for (int first = 0; first < stages; first += 32) {
        RowStage part = first_part;
        if (first > 0) part = RowStage(row_trits, row_exponents, row_correlations, own_words, first + lane);
        uint2 *of_stage = reinterpret_cast<uint2 *>(slice_codes[lane]);
#pragma unroll
        for (int column = 0; column < 4; column++) {
            of_stage[(warp % 8 * 4 + column) * 2 + warp / 8] = part.codes(column);
        }
        slice_shifts[lane][warp] = part.shifts(smallest);
        __syncthreads();
        for (int i = threadIdx.x; i < 32 * 32; i += blockDim.x) {
            u64 at = (u64)(first + i / 32) * tiles + tile;
            if (first + i / 32 < stages) codes[at * 128 + slice * 32 + i % 32] = slice_codes[i / 32][i % 32];
        }
        int stage = first + threadIdx.x / SLICE_ROWS, place = threadIdx.x % SLICE_ROWS;
        if (stage < stages) {
            shifts[((u64)stage * tiles + tile) * TILE_ROWS + slice * SLICE_ROWS + place] = slice_shifts[stage - first][place];
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) planes[blockIdx.x] = most_planes;
#endif
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) && GROUP % 32 == 0

__device__ __forceinline__ u32 shared_address(const void *pointer) { return (u32)__cvta_generic_to_shared(pointer); }

__device__ __forceinline__ void barrier_init(u64 *barrier, int count) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count));
}

__device__ __forceinline__ void barrier_wait(u64 *barrier, u32 parity) {
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n"
                 "@done bra.uni end;\n"
                 "bra.uni again;\n"
                 "end:\n"
                 "}" ::"r"(shared_address(barrier)),
                 "r"(parity)
                 : "memory");
}

__device__ __forceinline__ void barrier_arrive(u64 *barrier) {
    asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

__device__ __forceinline__ void barrier_expect(u64 *barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}

__device__ __forceinline__ void copy_tile(void *to, const void *map, int column, int row, u64 *barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(shared_address(to)),
                 "l"(map), "r"(column), "r"(row), "r"(shared_address(barrier))
                 : "memory");
}

__device__ __forceinline__ void copy_bytes(void *to, const void *from, u32 bytes, u64 *barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
}

// Describes a tile of activations in shared memory, rows of 128 bytes, swizzled, to the tensor cores.
__device__ __forceinline__ u64 describe(const void *tile) {
    u64 address = (shared_address(tile) & 0x3FFFFu) >> 4;
    // Eight rows lie 1,024 bytes from the next eight; the swizzle is that of 128 bytes.
    return address | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

#define EIGHT(a, i) "+r"(a[i]), "+r"(a[i + 1]), "+r"(a[i + 2]), "+r"(a[i + 3]), "+r"(a[i + 4]), "+r"(a[i + 5]), "+r"(a[i + 6]), "+r"(a[i + 7])
#define FOUR(a) "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3])
#define TEN(tens) "%" #tens "0, %" #tens "1, %" #tens "2, %" #tens "3, %" #tens "4, %" #tens "5, %" #tens "6, %" #tens "7, %" #tens "8, %" #tens "9, "

// sums[64 x samples] += weights[64 x 32]·activationsᵀ, asynchronously.
__device__ __forceinline__ void multiply_tile(int (&sums)[64], const u32 (&weights)[4], u64 activations) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {" TEN() TEN(1) TEN(2) TEN(3) TEN(4) TEN(5)
                 "%60, %61, %62, %63}, {%64, %65, %66, %67}, %68, 1;"
                 : EIGHT(sums, 0), EIGHT(sums, 8), EIGHT(sums, 16), EIGHT(sums, 24), EIGHT(sums, 32), EIGHT(sums, 40),
                   EIGHT(sums, 48), EIGHT(sums, 56)
                 : FOUR(weights), "l"(activations));
}

__device__ __forceinline__ void tensor_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void tensor_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int LEFT> __device__ __forceinline__ void tensor_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

// The table by which the four codes of a row become bytes: what 0, 1 and 3 mean, shifted; zeros where the shift is not of
// this plane.
__device__ __forceinline__ u32 table_of(u32 shift) {
    u32 value;
    // Shifts of 32 and more give 0.
    asm("shl.b32 %0, 1, %1;" : "=r"(value) : "r"(shift));
    return (value & 0x7Fu) * 0xFF000100u;
}

// Eight trits, bytes `2·step` and `2·step + 1` of the low 32 bits of `codes`, as eight int8.
__device__ __forceinline__ void decode(u32 codes, int step, u32 table, u32 *first, u32 *second) {
    u32 fields = __byte_perm(codes, 0u, step ? 0x4342u : 0x4140u);
    fields = (fields | fields << 4) & 0x0F0F0F0Fu;
    fields = (fields | fields << 2) & 0x33333333u;
    *first = __byte_perm(table, 0u, fields);
    *second = __byte_perm(table, 0u, fields >> 16);
}

struct Stage {
    // 1,024-byte alignment: the swizzle follows the address.
    alignas(1024) u8 activations[SAMPLES * STAGE_COLUMNS];
    uint4 codes[TILES][TILE_BYTES / 16];
    u32 shifts[TILES * TILE_ROWS];
};

// Shared memory that a block may have, less what barriers and alignment take.
constexpr int MEMORY = 225 * 1024;

// Writes sums, 64 a thread, or adds them to what is there. `limit` says how many of the samples from `output` on there are.
template <bool ADDS>
__device__ __forceinline__ void write_sums(const int (&sums)[SAMPLES / 2], int half, float unit, float *output, u32 pitch,
                                           int limit) {
#pragma unroll
    for (int i = 0; i < SAMPLES / 4; i++) {
        int sample = i / 2 * 8 + i % 2;
        float value = (float)sums[i / 2 * 4 + half * 2 + i % 2] * unit;
        float *place = output + (u64)(sample * pitch);
        if (sample < limit) *place = ADDS ? *place + value : value;
    }
}

// A block of four warpgroups that multiply and one that brings what they need. `map` describes the activations, int8
// [batch, columns]; `rows` counts the rows to be written to y, [batch, pitch].
extern "C" __global__ void __launch_bounds__(640, 1)
    multiply(const void *map, const uint4 *codes, const u32 *shifts, const i32 *units, const i32 *planes, int tiles,
             int stages, int batch, int rows, int pitch, float *y) {
    constexpr int DEPTH = MEMORY / sizeof(Stage);
    extern __shared__ __align__(1024) u8 memory[];
    // The compiler must go on to see that this is shared memory.
    Stage *ring = reinterpret_cast<Stage *>(memory + (1024 - shared_address(memory) % 1024) % 1024);
    __shared__ u64 full[DEPTH], empty[DEPTH];
    int first_tile = blockIdx.x * TILES, first_sample = blockIdx.y * SAMPLES;
    if (threadIdx.x == 0) {
        for (int i = 0; i < DEPTH; i++) barrier_init(&full[i], 1), barrier_init(&empty[i], 4 * TILES);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    int plane_count = 1;
    for (int i = 0; i < TILES * SLICES; i++) plane_count = max(plane_count, planes[first_tile * SLICES + i]);
    int turns = stages * plane_count;

    // A block begins with 96 registers a thread. What the first warpgroup gives back is just what the others take.
    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 32;");
        if (threadIdx.x == 0) {
            int slot = 0, stage = 0;
            u32 parity = 1;
            for (int turn = 0; turn < turns; turn++) {
                // The first round finds every slot free.
                barrier_wait(&empty[slot], parity);
                Stage *to = ring + slot;
                barrier_expect(&full[slot], sizeof(to->activations) + sizeof(to->codes) + sizeof(to->shifts));
                copy_tile(to->activations, map, stage * STAGE_COLUMNS, first_sample, &full[slot]);
                u64 at = (u64)stage * tiles + first_tile;
                copy_bytes(to->codes, codes + at * (TILE_BYTES / 16), sizeof(to->codes), &full[slot]);
                copy_bytes(to->shifts, shifts + at * TILE_ROWS, sizeof(to->shifts), &full[slot]);
                if (++slot == DEPTH) slot = 0, parity ^= 1;
                if (++stage == stages) stage = 0;
            }
        }
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 112;");
        int thread = threadIdx.x % 128, own_tile = threadIdx.x / 128 - 1;
        // The first of this thread's rows in a tile; the second is eight further on.
        int row = thread / 32 * 16 + thread % 32 / 4;
        int slot = 0;
        u32 parity = 0;
        for (int plane = 0; plane < plane_count; plane++) {
            int sums[SAMPLES / 2];
#pragma unroll
            for (int i = 0; i < SAMPLES / 2; i++) sums[i] = 0;
#pragma unroll 1
            for (int stage = 0; stage < stages; stage++) {
                const Stage *from = ring + slot;
                barrier_wait(&full[slot], parity);
                uint4 own = from->codes[own_tile][thread];
                u32 first_shifts = from->shifts[own_tile * TILE_ROWS + row];
                u32 second_shifts = from->shifts[own_tile * TILE_ROWS + row + 8];
                u64 description = describe(from->activations);
                u32 weights[4][4];
#pragma unroll
                for (int step = 0; step < 4; step++) {
                    u32 table = table_of(byte_of(first_shifts, step) - PLANE * plane);
                    decode(step < 2 ? own.x : own.y, step % 2, table, &weights[step][0], &weights[step][2]);
                    table = table_of(byte_of(second_shifts, step) - PLANE * plane);
                    decode(step < 2 ? own.z : own.w, step % 2, table, &weights[step][1], &weights[step][3]);
                }
                tensor_fence();
#pragma unroll
                // 32 columns are 32 bytes, in units of 16.
                for (int step = 0; step < 4; step++) multiply_tile(sums, weights[step], description + 2 * step);
                tensor_commit();
                tensor_wait<0>();
                // All lanes have read what the next stage overwrites.
                __syncwarp();
                if (thread % 32 == 0) barrier_arrive(&empty[slot]);
                if (++slot == DEPTH) slot = 0, parity ^= 1;
            }
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int n = (first_tile + own_tile) * TILE_ROWS + row + 8 * half, sample = first_sample + thread % 4 * 2;
                float unit = power_of_two(units[n] + PLANE * plane);
                float *output = y + (u64)sample * pitch + n;
                int limit = n < rows ? batch - sample : 0;
                if (plane == 0) {
                    write_sums<false>(sums, half, unit, output, pitch, limit);
                } else {
                    write_sums<true>(sums, half, unit, output, pitch, limit);
                }
            }
        }
    }
}

#endif
