//! From a layer's window to the format's: zeros around the input, and the size of the output.

use super::{NetworkError, Place, Shape};
use crate::config::{Extent, Padding};
use trishift_format::Window;

/// The largest side of a window.
const MAX_SIDE: usize = u8::MAX as usize;

/// A window over an input, and height and width of the output.
pub(super) struct Fitted {
    pub(super) window: Window,
    pub(super) output: [usize; 2],
}

/// Fits a window of this size over an input.
pub(super) fn fit(
    (place, layer): (&Place, &'static str),
    kernel: Extent,
    stride: Extent,
    padding: Padding,
    input: [usize; 3],
) -> Result<Fitted, NetworkError> {
    let refused = || NetworkError::Window { place: place.clone(), layer, kernel: kernel.0, input: Shape(input) };
    // Shapes of nodes are checked: their sides fit.
    let image = [input[0] as u32, input[1] as u32];
    let window = match padding {
        Padding::Same => Window::same(kernel.0, stride.0, image).ok_or_else(refused)?,
        Padding::Valid => Window { stride: stride.0, ..Window::new(kernel.0) },
        Padding::Sides(padding) => Window { kernel: kernel.0, stride: stride.0, padding },
    };
    let output = window.output(image).ok_or_else(refused)?;
    Ok(Fitted { window, output: output.map(|side| side as usize) })
}

/// The window over all of an input.
pub(super) fn whole(place: &Place, layer: &'static str, input: [usize; 3]) -> Result<Window, NetworkError> {
    match input {
        [height @ ..=MAX_SIDE, width @ ..=MAX_SIDE, _] => Ok(Window::new([height as u8, width as u8])),
        _ => Err(NetworkError::Image { place: place.clone(), layer, input: Shape(input) }),
    }
}
