// What a stretch of steps is told, and where it finds its samples.

// Where the steps that are launched together find their samples and their schedule; written by the host before they run.
struct Control {
    // One for each step of the stretch.
    const Step *steps;
    // int8 values, one sample each `stride`, and a label for each.
    const i8 *samples;
    const u16 *labels;
    // Number of the sample at each place of the epoch; null where samples lie in order already.
    const u32 *order;
    // Places of the epoch before the stretch's first batch.
    u64 first_place;
    // Steps of the stretch that are done.
    u64 cursor;
    // Number of the epoch, from 0.
    u64 epoch;
};

// The sample that place `place` of the batch of step `cursor + offset` holds.
__device__ __forceinline__ u64 sample_of(const Control *control, int offset, int batch, int place) {
    u64 position = control->first_place + (control->cursor + offset) * batch + place;
    return control->order ? control->order[position] : position;
}
