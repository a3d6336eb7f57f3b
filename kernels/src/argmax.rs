//! The class of a sample: index of its largest element, the first one where several are equal.

/// Scalar definition for one sample; 0 for an empty one.
pub fn argmax<T: Copy + PartialOrd>(sample: &[T]) -> usize {
    let mut best: Option<(usize, T)> = None;
    for (index, value) in sample.iter().enumerate() {
        if best.is_none_or(|(_, largest)| *value > largest) {
            best = Some((index, *value));
        }
    }
    best.map_or(0, |(index, _)| index)
}

/// Scalar definition for a batch: input is `[batch, length]`, output `[batch]`.
pub fn argmax_batch<T: Copy + PartialOrd>(input: &[T], length: usize, output: &mut [i32]) {
    for (output, sample) in output.iter_mut().zip(input.chunks_exact(length.max(1))) {
        *output = argmax(sample) as i32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(argmax(&[i32::MIN, 3, 3, -1]), 1);
        assert_eq!(argmax::<i8>(&[]), 0);
        let mut classes = [9; 2];
        argmax_batch(&[1i8, 2, 3, 3, 2, 1], 3, &mut classes);
        assert_eq!(classes, [2, 0]);
    }
}
