// Units that layers count in, and rounding to them.

// The exponent of a magnitude, rounded where it is fractional: 53/128 is the square root of 2, as near as bfloat16 has it.
__device__ __forceinline__ int unit_of(u32 magnitude) {
    return (int)(magnitude >> 7) - 127 + ((magnitude & 0x7Fu) > 53u);
}

// value*2^shift, halves to even, saturated to int32. |value| is below 2^32.
__device__ int scaled(i64 value, int shift) {
    if (shift >= 0) {
        // What is shifted further is saturated or 0 already.
        return (int)min(max(value << min(shift, 31), -2147483648ll), 2147483647ll);
    }
    int right = min(-shift, 40);
    i64 below = value >> right, rest = value - (below << right), half = 1ll << (right - 1);
    i64 rounded = below + (rest > half || (rest == half && (below & 1) != 0));
    return (int)min(max(rounded, -2147483648ll), 2147483647ll);
}
