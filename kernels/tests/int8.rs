//! Plain int8 products, with which benches compare ternary ones, against the definition.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use trishift_kernels::simd::linear::Workspace;

#[test]
fn int8_products_equal_the_definition() {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i8
    };
    let kernels = trishift_kernels::available().filter_map(|table| trishift_kernels::simd::int8(table.name));
    let (kernels, mut workspace): (Vec<_>, _) = (kernels.collect(), Workspace::new());
    for (rows, columns) in [(1, 1), (3, 5), (32, 512), (65, 513), (130, 1030)] {
        for saturated in [false, true] {
            let weights: Vec<i8> =
                (0..rows * columns).map(|_| if saturated { -127 } else { random().max(-127) }).collect();
            for batch in 0..=14 {
                let input: Vec<i8> = (0..batch * columns).map(|_| if saturated { -128 } else { random() }).collect();
                let dot = |x: &[i8], w: &[i8]| x.iter().zip(w).map(|(x, w)| i32::from(*x) * i32::from(*w)).sum();
                let expected: Vec<i32> = input
                    .chunks(columns)
                    .flat_map(|sample| weights.chunks(columns).map(move |row| dot(sample, row)))
                    .collect();
                for kernels in &kernels {
                    let matrix = (kernels.pack)(rows, columns, &weights);
                    assert!(matrix.stream_bytes() >= weights.len());
                    let mut output = vec![77; batch * rows];
                    (kernels.multiply)(&matrix, &input, &mut workspace, &mut output);
                    assert_eq!(output, expected, "{rows} × {columns}, batch {batch}");
                }
            }
        }
    }
}
