//! ReLU on int8: y = max(x, 0). Norms, requantisation and additions have it built in; this is for what is left.

/// Scalar definition.
#[inline(always)]
pub fn relu(input: &[i8], output: &mut [i8]) {
    for (output, input) in output.iter_mut().zip(input) {
        *output = (*input).max(0);
    }
}

/// Scalar definition where the output takes the input's place.
#[inline(always)]
pub fn relu_in_place(data: &mut [i8]) {
    for element in data {
        *element = (*element).max(0);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn negative_values_become_zero() {
        let mut output = [7; 4];
        super::relu(&[-128, -1, 0, 127], &mut output);
        assert_eq!(output, [0, 0, 0, 127]);
    }
}
