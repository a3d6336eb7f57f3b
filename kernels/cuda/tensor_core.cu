// Forward products of ternary weights and int8 activations on Hopper's tensor cores, exact in integers.
//
// y = x·Wᵀ with W = T·2^e. In a row all exponents are taken relative to the row's smallest one: a weight is then an int8,
// T << shift, where the shift is at most 6, and the product a sum in int32. Rows of wider windows take several planes of seven
// shifts each, added in float. Weights go from two bits to the tensor cores' registers without ever being stored as
// anything else; activations come through shared memory. For group sizes that are multiples of 32.
//
// A block makes 64·GROUPS outputs n of 128 samples m. One warp brings stages of 128 columns; each of its warpgroups decodes 64
// rows of weights and multiplies them by all 128 samples: while one decodes, the tensor cores work for the others.

constexpr int STAGE_COLUMNS = 128;
constexpr int STAGE_WORDS = STAGE_COLUMNS / WORD;
constexpr int SAMPLES = 128;
// Rows of one product of the tensor cores.
constexpr int TILE_ROWS = 64;
// Shifts of a plane.
constexpr int PLANE = 7;

// The trits of 64 rows and 128 columns as the threads of a warpgroup take them: 16 bytes for each, 8 for each of the two
// rows that it holds a part of: in every word of the row its own byte, four columns.
constexpr int TILE_BYTES = TILE_ROWS * STAGE_COLUMNS / 4;

// Which thread of a warpgroup holds row `row` (0 to 63), for the first of its four columns, and whether as its second row.
__device__ __forceinline__ int thread_of_row(int row) { return row / 16 * 32 + row % 8 * 4; }
__device__ __forceinline__ int half_of_row(int row) { return row / 8 % 2; }

// Reorders trits and finds shifts, a block of 1,024 threads a tile, a warp a row and then another: `codes`
// [stages, tiles, TILE_BYTES], `shifts` [stages, tiles*64, 4], one for each 32 columns of a stage, `units` [tiles*64] the rows'
// smallest exponents, `planes` [tiles] the most planes that a row of the tile needs. Rows and columns beyond the matrix are
// zeros. A null `correlations` leaves the exponents as they are.
extern "C" __global__ void __launch_bounds__(1024)
    order(const u32 *trits, const i8 *exponents, const i32 *correlations, int rows, int words, int groups, int stages,
          uint2 *codes, u32 *shifts, i32 *units, i32 *planes) {
#if GROUP % 32 == 0
    __shared__ int most_planes;
    if (threadIdx.x == 0) most_planes = 1;
    __syncthreads();
    int lane = threadIdx.x % 32, tiles = gridDim.x;
    for (int place = threadIdx.x / 32; place < TILE_ROWS; place += 32) {
        int row = blockIdx.x * TILE_ROWS + place;
        bool is_row = row < rows;
        const u32 *own_trits = trits + (u64)row * words;
        auto exponent_of = [&](int column) {
            u64 group = (u64)row * groups + column / GROUP;
            int bend = correlations ? (correlations[group] + (1 << 12)) >> 13 : 0;
            return clamp_exponent(exponents[group] + bend);
        };
        // Only what multiplies something counts.
        int smallest = 127, largest = -128;
        for (int pair = lane; is_row && 2 * pair < words; pair += 32) {
            u32 used = own_trits[2 * pair] | (2 * pair + 1 < words ? own_trits[2 * pair + 1] : 0u);
            if (used) {
                int exponent = exponent_of(pair * 32);
                smallest = min(smallest, exponent), largest = max(largest, exponent);
            }
        }
        for (int offset = 16; offset > 0; offset /= 2) {
            smallest = min(smallest, __shfl_xor_sync(WHOLE_WARP, smallest, offset));
            largest = max(largest, __shfl_xor_sync(WHOLE_WARP, largest, offset));
        }
        bool is_used = largest >= smallest;
        if (lane == 0) {
            units[row] = is_used ? smallest : 0;
            if (is_used) atomicMax(&most_planes, (largest - smallest) / PLANE + 1);
        }
        int thread = thread_of_row(place), half = half_of_row(place);
        for (int stage = lane; stage < stages; stage += 32) {
            u32 own[STAGE_WORDS];
            u32 four = 0;
#pragma unroll
            for (int i = 0; i < STAGE_WORDS; i++) {
                int word = stage * STAGE_WORDS + i;
                own[i] = is_row && word < words ? own_trits[word] : 0u;
                if (i % 2 == 0 && is_row && word < words) {
                    // Groups without a weight may have any exponent.
                    int shift = min(max(exponent_of(word * WORD) - smallest, 0), 31);
                    four |= (u32)shift << (4 * i);
                }
            }
            u64 at = (u64)stage * tiles + blockIdx.x;
#pragma unroll
            for (int column = 0; column < 4; column++) {
                u32 selector = 0x0040u + 0x0011u * column;
                u32 low = __byte_perm(__byte_perm(own[0], own[1], selector), __byte_perm(own[2], own[3], selector), 0x5410u);
                u32 high = __byte_perm(__byte_perm(own[4], own[5], selector), __byte_perm(own[6], own[7], selector), 0x5410u);
                codes[(at * 128 + thread + column) * 2 + half] = make_uint2(low, high);
            }
            shifts[at * TILE_ROWS + place] = four;
        }
    }
    __syncthreads();
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

#define REGISTERS_8(first) "%" #first "0, %" #first "1, %" #first "2, %" #first "3, %" #first "4, %" #first "5, %" #first "6, %" #first "7, %" #first "8, %" #first "9, "
#define EIGHT(a, i) "+r"(a[i]), "+r"(a[i + 1]), "+r"(a[i + 2]), "+r"(a[i + 3]), "+r"(a[i + 4]), "+r"(a[i + 5]), "+r"(a[i + 6]), "+r"(a[i + 7])

// sums[64 x 128] += weights[64 x 32]·activationsᵀ, asynchronously.
__device__ __forceinline__ void multiply_tile(int (&sums)[64], const u32 (&weights)[4], u64 activations) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {"
                 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, " REGISTERS_8(1) REGISTERS_8(2) REGISTERS_8(3) REGISTERS_8(4)
                     REGISTERS_8(5) "%60, %61, %62, %63}, {%64, %65, %66, %67}, %68, 1;"
                 : EIGHT(sums, 0), EIGHT(sums, 8), EIGHT(sums, 16), EIGHT(sums, 24), EIGHT(sums, 32), EIGHT(sums, 40),
                   EIGHT(sums, 48), EIGHT(sums, 56)
                 : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "l"(activations));
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

template <int TILES> struct Stage {
    // 1,024-byte alignment: the swizzle follows the address.
    alignas(1024) u8 activations[SAMPLES * STAGE_COLUMNS];
    uint4 codes[TILES][TILE_BYTES / 16];
    u32 shifts[TILES * TILE_ROWS];
};

// Shared memory that a block may have, less what barriers and alignment take.
constexpr int MEMORY = 225 * 1024;

// A block of TILES warpgroups that multiply and one that brings what they need.
template <int TILES>
__device__ __forceinline__ void multiply(const void *map, const uint4 *codes, const u32 *shifts, const i32 *units,
                                         const i32 *planes, int tiles, int stages, int batch, int rows, int pitch,
                                         float *y) {
    constexpr int DEPTH = MEMORY / sizeof(Stage<TILES>);
    extern __shared__ u8 memory[];
    Stage<TILES> *ring = reinterpret_cast<Stage<TILES> *>((reinterpret_cast<u64>(memory) + 1023) / 1024 * 1024);
    __shared__ u64 full[DEPTH], empty[DEPTH];
    int first_tile = blockIdx.x * TILES, first_sample = blockIdx.y * SAMPLES;
    if (threadIdx.x == 0) {
        for (int i = 0; i < DEPTH; i++) barrier_init(&full[i], 1), barrier_init(&empty[i], 4 * TILES);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    int plane_count = 1;
    for (int i = 0; i < TILES; i++) plane_count = max(plane_count, planes[first_tile + i]);
    int turns = stages * plane_count;

    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) {
            int slot = 0, stage = 0;
            u32 parity = 1;
            for (int turn = 0; turn < turns; turn++) {
                // The first round finds every slot free.
                barrier_wait(&empty[slot], parity);
                Stage<TILES> *to = ring + slot;
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
        asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(TILES == 4 ? 112 : 200));
        int thread = threadIdx.x % 128, own_tile = threadIdx.x / 128 - 1;
        // The first of this thread's rows in a tile; the second is eight further on.
        int row = thread / 32 * 16 + thread % 32 / 4;
        int slot = 0;
        u32 parity = 0;
        for (int plane = 0; plane < plane_count; plane++) {
            int sums[64];
#pragma unroll
            for (int i = 0; i < 64; i++) sums[i] = 0;
#pragma unroll 1
            for (int stage = 0; stage < stages; stage++) {
                const Stage<TILES> *from = ring + slot;
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
                if (thread % 32 == 0) barrier_arrive(&empty[slot]);
                if (++slot == DEPTH) slot = 0, parity ^= 1;
            }
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int n = (first_tile + own_tile) * TILE_ROWS + row + 8 * half;
                float unit = power_of_two(units[n] + PLANE * plane);
                int sample = first_sample + thread % 4 * 2;
                float *output = y + (u64)sample * pitch + n;
#pragma unroll
                for (int i = 0; i < 32; i++) {
                    int m = i / 2 * 8 + i % 2;
                    if (n < rows && sample + m < batch) {
                        float value = (float)sums[i / 2 * 4 + half * 2 + i % 2] * unit;
                        float *place = output + (u64)m * pitch;
                        *place = plane ? *place + value : value;
                    }
                }
            }
        }
    }
}

// `map` describes the activations, int8 [batch, columns]; `rows` counts the rows to be written to y, [batch, pitch].
extern "C" __global__ void __launch_bounds__(640, 1)
    multiply_256(const void *map, const uint4 *codes, const u32 *shifts, const i32 *units, const i32 *planes, int tiles,
                 int stages, int batch, int rows, int pitch, float *y) {
    multiply<4>(map, codes, shifts, units, planes, tiles, stages, batch, rows, pitch, y);
}

extern "C" __global__ void __launch_bounds__(384, 1)
    multiply_128(const void *map, const uint4 *codes, const u32 *shifts, const i32 *units, const i32 *planes, int tiles,
                 int stages, int batch, int rows, int pitch, float *y) {
    multiply<2>(map, codes, shifts, units, planes, tiles, stages, batch, rows, pitch, y);
}

#endif
