// The samples of a step, and what changes from step to step.

// One block a sample: its values as bfloat16 to `inputs`, [batch, pitch], and as they are to `bytes`, which may be null; its
// label to `labels`; the step's parameters to `step`.
extern "C" __global__ void gather(const Control *control, int offset, int batch, u64 stride, int features, int pitch,
                                  u16 *inputs, i8 *bytes, u16 *labels, Step *step) {
    u64 sample = sample_of(control, offset, batch, blockIdx.x);
    const i8 *values = control->samples + sample * stride;
    u16 *row = inputs + (u64)blockIdx.x * pitch;
    for (int column = threadIdx.x; column < features; column += blockDim.x) {
        row[column] = float_to_bf16((float)values[column]);
        if (bytes) bytes[(u64)blockIdx.x * pitch + column] = values[column];
    }
    if (threadIdx.x == 0) {
        labels[blockIdx.x] = control->labels[sample];
        if (blockIdx.x == 0) *step = control->steps[control->cursor + offset];
    }
}

// The same for networks that begin with a table: the number of the row that each value looks up, [batch, positions].
extern "C" __global__ void gather_indices(const Control *control, int offset, int batch, u64 stride, int positions,
                                          u8 *indices, u16 *labels, Step *step) {
    u64 sample = sample_of(control, offset, batch, blockIdx.x);
    const i8 *values = control->samples + sample * stride;
    for (int position = threadIdx.x; position < positions; position += blockDim.x) {
        indices[(u64)blockIdx.x * positions + position] = (u8)((int)values[position] + 128);
    }
    if (threadIdx.x == 0) {
        labels[blockIdx.x] = control->labels[sample];
        if (blockIdx.x == 0) *step = control->steps[control->cursor + offset];
    }
}

// Ends `count` steps.
extern "C" __global__ void advance(Control *control, int count) { control->cursor += count; }
