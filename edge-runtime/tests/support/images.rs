//! What lies under a window, element by element, in integers that have a sign.

use trishift_format::Window;

/// `(tap, element)` for each element of one channel of a sample under the window at this row and column of the output;
/// taps count the window's elements row by row.
pub(crate) fn under(
    window: &Window,
    [height, width, channels]: [usize; 3],
    [row, column, channel]: [usize; 3],
    sample: &[i128],
) -> Vec<(usize, i128)> {
    let mut elements = Vec::new();
    for tap in 0..window.area() {
        let taps = [tap / usize::from(window.kernel[1]), tap % usize::from(window.kernel[1])];
        let place = |window_place: usize, axis: usize| {
            (window_place * usize::from(window.stride[axis]) + taps[axis]) as isize - isize::from(window.padding[axis])
        };
        let (y, x) = (place(row, 0), place(column, 1));
        if (0..height as isize).contains(&y) && (0..width as isize).contains(&x) {
            elements.push((tap, sample[(y as usize * width + x as usize) * channels + channel]));
        }
    }
    elements
}

/// Row, column and channel of every element of such a shape.
pub(crate) fn places([height, width, channels]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..height * width * channels)
        .map(move |place| [place / channels / width, place / channels % width, place % channels])
}
