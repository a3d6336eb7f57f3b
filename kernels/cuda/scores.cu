// Votes of one shard of a batch on the groups of a layer, added to those of others: scores, the sums of v*T.
//
// The definition stands at the head of the trainer's rule/ballot.rs. Scores are [rows, groups]; `adds` says that there are
// some already.

// Of magnitude votes within an int8. `gain` is that of a shard, at λ = 1.
extern "C" __global__ void __launch_bounds__(256)
    score(const u16 *gradient, const Scale *scale, const Step *step, float gain, int words, int words_per_block, int groups,
          const u32 *trits, int adds, i32 *scores) {
    Place place(words, words_per_block);
    bool votes = scale->votes;
    float factor = votes ? gain * step->lambda * power_of_two(-scale->exponent) : 0.0f;
    float limit = votes && place.active ? 127.0f : 0.0f;
    u64 index = place.active ? place.index(words) : 0;
    Gradients gradients(gradient + index * WORD);
    u32 word = trits[index];
    auto product = [&](int i) {
        return ((int)(vote_bits(gradients.value(i), factor, limit) & 0xFFFFu) - 128) * trit_of(word, i);
    };
    sum_groups(place, words, words_per_block, product, [&](int group, int sum) {
        i32 *score = scores + place.row * groups + group;
        *score = (adds ? *score : 0) + sum;
    });
}

// Of sign votes; `values` is int8 where `narrow` says so.
extern "C" __global__ void __launch_bounds__(256)
    score_signs(const u16 *gradient, int words, int words_per_block, int groups, const u32 *trits, int adds, void *values,
                int narrow) {
    Place place(words, words_per_block);
    Scores scores{values, narrow};
    score_groups(place, words, words_per_block, gradient, trits, [&](int group, int sum) {
        u64 index = place.row * groups + group;
        scores.set(index, (adds ? scores.at(index) : 0) + sum);
    });
}
