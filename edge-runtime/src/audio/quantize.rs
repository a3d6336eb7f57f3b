//! Features on their way into a model.

use super::AudioError;
use trishift_format::Model;

/// Turns the features of frame number `frame` into their row of the model's int8 input, by the model's input scaling:
/// element `frame`·bands + band of the input is that of the frame's band. Exact, in integers.
///
/// # Errors
/// [`AudioError`] where the row has another length than the features, or the model's input has no such frame.
pub fn quantize(model: &Model<'_>, frame: usize, features: &[u16], row: &mut [i8]) -> Result<(), AudioError> {
    let bands = features.len();
    if row.len() != bands {
        return Err(AudioError::FeaturesLength { found: row.len(), needed: bands });
    }
    let inputs = model.input().len();
    let outside = AudioError::FrameOutside { frame, bands, inputs };
    let start = frame.checked_mul(bands).ok_or(outside)?;
    if start.checked_add(bands).is_none_or(|end| end > inputs) {
        return Err(outside);
    }
    for ((element, feature), value) in (start..).zip(features).zip(row) {
        let scale = model.input_scale(element).ok_or(outside)?;
        *value = scale.quantize_i32(i32::from(*feature));
    }
    Ok(())
}
