// Rule flip: a trit jumps to where enough sign votes agree.
//
// State: trits [rows, words], flips [rows, pitch]. The definition stands at the head of the trainer's rule/flip.rs.

// Flips and trits of a word by `vote(i)`, i = 0..15.
template <class Vote>
__device__ __forceinline__ void move_word(const Place &place, int words, int threshold, u32 *trits, uint4 *flips, Vote vote) {
    u64 index = place.index(words);
    u32 word = trits[index], moved_word = word;
    uint4 vector = flips[index];
    u32 quarters[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        u32 moved_flips = 0;
#pragma unroll
        for (int byte = 0; byte < 4; byte++) {
            int i = 4 * quarter + byte;
            int moved = clamp_int8((int)(i8)(quarters[quarter] >> (8 * byte)) - vote(i));
            int direction = (moved > threshold) - (moved < -threshold);
            if (direction) moved_word = (moved_word & ~(3u << (2 * i))) | ((u32)direction & 3u) << (2 * i);
            moved_flips |= (direction ? 0u : (u32)moved & 0xFFu) << (8 * byte);
        }
        quarters[quarter] = moved_flips;
    }
    flips[index] = make_uint4(quarters[0], quarters[1], quarters[2], quarters[3]);
    if (moved_word != word) trits[index] = moved_word;
}

extern "C" __global__ void update(const u16 *gradient, int threshold, int words, int words_per_block, u32 *trits,
                                  uint4 *flips) {
    Place place(words, words_per_block);
    if (!place.active) return;
    Gradients gradients(gradient + place.index(words) * WORD);
    move_word(place, words, threshold, trits, flips, [&](int i) { return sign_of(gradients.value(i)); });
}

// The same by the votes of all shards, int8 [rows, pitch]: what most of them want.
extern "C" __global__ void apply(const uint4 *votes, int threshold, int words, int words_per_block, u32 *trits,
                                 uint4 *flips) {
    Place place(words, words_per_block);
    if (!place.active) return;
    uint4 sums = votes[place.index(words)];
    u32 quarters[4] = {sums.x, sums.y, sums.z, sums.w};
    move_word(place, words, threshold, trits, flips, [&](int i) {
        int sum = (i8)(quarters[i / 4] >> (8 * (i % 4)));
        return (sum > 0) - (sum < 0);
    });
}
