// The three forms of trits: words of 16, which the card works on; five to a byte in base 3, which is stored; one to a byte.
//
// Five to a byte runs over the whole matrix, row after row: byte = sum of (t + 1)*3^i, and the last byte's missing trits
// are digit 0.

constexpr int TRITS_OF_BYTE = 5;

// Words to bytes, [ceil(N*K/5)]. One thread a byte.
extern "C" __global__ void pack_bytes(const u32 *trits, u64 rows, u64 columns, u8 *bytes) {
    Shape shape{rows, columns, 1};
    u64 weights = rows * columns, first = thread_index() * TRITS_OF_BYTE;
    if (first >= weights) return;
    int byte = 0;
    for (int i = TRITS_OF_BYTE - 1; i >= 0; i--) {
        u64 weight = first + i;
        int digit = weight < weights ? shape.trit(trits, weight / columns, weight % columns) + 1 : 0;
        byte = byte * 3 + digit;
    }
    bytes[first / TRITS_OF_BYTE] = (u8)byte;
}

// Bytes, each of them valid, to words. One thread a word.
extern "C" __global__ void unpack_bytes(const u8 *bytes, u64 rows, u64 columns, u32 *trits) {
    Shape shape{rows, columns, 1};
    u64 index = thread_index();
    if (index >= rows * shape.words()) return;
    u64 row = index / shape.words(), first = index % shape.words() * WORD;
    u32 word = 0;
    for (int i = 0; i < WORD && first + i < columns; i++) {
        u64 weight = row * columns + first + i;
        int byte = bytes[weight / TRITS_OF_BYTE];
        for (int digits = (int)(weight % TRITS_OF_BYTE); digits > 0; digits--) byte /= 3;
        word = with_trit(word, i, byte % 3 - 1);
    }
    trits[index] = word;
}

// One to a byte, [N, K], to words; whatever is above 0 counts as 1, below as -1. One thread a word.
extern "C" __global__ void pack_trits(const i8 *values, u64 rows, u64 columns, u32 *trits) {
    Shape shape{rows, columns, 1};
    u64 index = thread_index();
    if (index >= rows * shape.words()) return;
    u64 row = index / shape.words(), first = index % shape.words() * WORD;
    u32 word = 0;
    for (int i = 0; i < WORD && first + i < columns; i++) {
        word = with_trit(word, i, sign((int)values[row * columns + first + i]));
    }
    trits[index] = word;
}

// Words to one to a byte. One thread a weight.
extern "C" __global__ void unpack_trits(const u32 *trits, u64 rows, u64 columns, i8 *values) {
    Shape shape{rows, columns, 1};
    u64 weight = thread_index();
    if (weight >= rows * columns) return;
    values[weight] = (i8)shape.trit(trits, weight / columns, weight % columns);
}
