//! The samples that the exported file is most wrong about, as people can look at them: images as pixels, recordings as mel
//! bands over time, text as text, rows as numbers.

use super::names;
use super::page::{escape, remark};
use super::plot::PlotError;
use crate::config::Scaling;
use crate::data::{Dataset, Prepared};
use crate::run::{JudgedSample, Judgement};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use png::{BitDepth, ColorType, Encoder};
use trishift_format::InputScale;

/// Most values of a row that are shown.
const MOST_VALUES: usize = 12;

/// Most pixels along a side of a picture in the page; of larger images every second one is left out, or more.
const MOST_PIXELS: usize = 128;

/// How samples are shown.
enum Kind {
    /// Height, width, channels.
    Image([usize; 3]),
    /// Bands of a frame.
    Sound(usize),
    Text,
    Row,
}

/// The worst samples of a judgement.
pub(super) fn content(
    judgement: &Judgement,
    part: &str,
    data: &Prepared,
    scaling: Scaling,
    classes: &[String],
) -> Result<String, PlotError> {
    let samples = judgement.part.samples(data);
    let kind = kind(samples, data, scaling);
    let raw = |sample: &JudgedSample| unscaled(samples.row(sample.index), &data.scales);
    let all: Vec<Vec<f64>> = judgement.worst.iter().map(raw).collect();
    // One scale of greys for all of them.
    let values = || all.iter().flatten().copied();
    let range = [values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max)];
    let mut figures = String::new();
    for (sample, values) in judgement.worst.iter().zip(&all) {
        let shown = match kind {
            Kind::Image(shape) => image(shape, values, range)?,
            Kind::Sound(bands) => sound(bands, values, range)?,
            Kind::Text => text(values),
            Kind::Row => row(values),
        };
        figures += &format!("<figure>{shown}{}</figure>\n", caption(sample, part, classes));
    }
    let (class, what) = match kind {
        Kind::Image(_) => ("", "Pixels are as the network sees them, in one scale of greys or colours for all."),
        Kind::Sound(_) => (" sound", "Time runs to the right, mel bands upwards; dark is loud."),
        Kind::Text => ("", "The text that the network sees; what cannot be printed is a dot."),
        Kind::Row => ("", "Values are as the network sees them: rounded to its input scale."),
    };
    let wrong = judgement.worst.iter().filter(|sample| sample.answer != usize::from(sample.label)).count();
    Ok(format!(
        "<h3>The worst samples</h3>\n{}<div class=\"samples{class}\">\n{figures}</div>\n",
        remark(format!(
            "The {} {part} samples with the largest loss of the exported file, the worst first; {wrong} of them are answered \
             wrong. {what}",
            judgement.worst.len()
        ))
    ))
}

fn kind(samples: &Dataset, data: &Prepared, scaling: Scaling) -> Kind {
    match (&data.audio, samples.shape) {
        (Some(audio), _) => Kind::Sound(usize::from(audio.front_end.config.bands).max(1)),
        _ if names::is_text(data, scaling) => Kind::Text,
        (_, shape @ [height, width, 1 | 3]) if height > 1 && width > 1 => Kind::Image(shape),
        _ => Kind::Row,
    }
}

/// The raw values that int8 ones stand for.
fn unscaled(values: &[i8], scales: &[InputScale]) -> Vec<f64> {
    let scale = |index: usize| scales.get(index).or(scales.first()).copied().unwrap_or(InputScale::IDENTITY);
    let raw = |(index, value): (usize, &i8)| {
        let scale = scale(index);
        f64::from(scale.zero_mantissa) * 2f64.powi(scale.zero_exponent.into())
            + f64::from(*value) * 2f64.powi(-i32::from(scale.shift))
    };
    values.iter().enumerate().map(raw).collect()
}

fn caption(sample: &JudgedSample, part: &str, classes: &[String]) -> String {
    let name = |class| escape(&names::of(classes, class)).into_owned();
    let [label, answer] = [usize::from(sample.label), sample.answer].map(name);
    let verdict = if usize::from(sample.label) == sample.answer { "rightly answered" } else { "answered" };
    format!(
        "<figcaption><strong>{label}</strong>, {verdict} <strong>{answer}</strong><br>\
         <small>loss {:.2}, <span>{part} sample {}</span></small></figcaption>",
        sample.loss, sample.index
    )
}

fn grey(value: f64, [low, high]: [f64; 2]) -> u8 {
    ((value - low) / (high - low).max(f64::MIN_POSITIVE) * 255.0).round().clamp(0.0, 255.0) as u8
}

fn image([height, width, channels]: [usize; 3], values: &[f64], range: [f64; 2]) -> Result<String, PlotError> {
    let step = height.max(width).div_ceil(MOST_PIXELS).max(1);
    let (rows, columns) = (height.div_ceil(step), width.div_ceil(step));
    let pixel = |row: usize, column: usize| {
        let start = (row * step * width + column * step) * channels;
        values.get(start..start + channels).unwrap_or_default()
    };
    let pixels = (0..rows).flat_map(|row| (0..columns).flat_map(move |column| pixel(row, column)));
    let pixels: Vec<u8> = pixels.map(|value| grey(*value, range)).collect();
    let color = if channels == 3 { ColorType::Rgb } else { ColorType::Grayscale };
    picture([columns, rows], color, &pixels, "a sample, as pixels")
}

/// Frames lie next to each other, the lowest band at the bottom.
fn sound(bands: usize, values: &[f64], range: [f64; 2]) -> Result<String, PlotError> {
    let frames = values.len() / bands;
    let value = |frame: usize, band: usize| values.get(frame * bands + band).copied().unwrap_or(0.0);
    let pixels = (0..bands).rev().flat_map(|band| (0..frames).map(move |frame| 255 - grey(value(frame, band), range)));
    picture([frames, bands], ColorType::Grayscale, &pixels.collect::<Vec<_>>(), "a recording, as mel bands over time")
}

fn picture([width, height]: [usize; 2], color: ColorType, pixels: &[u8], label: &str) -> Result<String, PlotError> {
    let encode = || -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, width.try_into()?, height.try_into()?);
        encoder.set_color(color);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels)?;
        writer.finish()?;
        Ok(file)
    };
    let file = encode().map_err(|error| PlotError::new(error.as_ref()))?;
    Ok(format!("<img alt=\"{label}\" src=\"data:image/png;base64,{}\">", STANDARD.encode(file)))
}

fn text(values: &[f64]) -> String {
    let letters: String =
        values.iter().map(|value| names::letter(value.clamp(0.0, 255.0) as u8).unwrap_or('·')).collect();
    format!("<pre>{}</pre>", escape(&letters))
}

fn row(values: &[f64]) -> String {
    let shown: Vec<String> = values.iter().take(MOST_VALUES).map(|value| format!("{value:.3}")).collect();
    let more = values.len().saturating_sub(MOST_VALUES);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    format!("<pre>{}{more}</pre>", shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_undone() {
        let scale = InputScale { zero_mantissa: 3, zero_exponent: -1, shift: 2 };
        assert_eq!(unscaled(&[4, -2], &[scale]), [2.5, 1.0]);
        assert_eq!(unscaled(&[4, -2], &[scale, InputScale::IDENTITY]), [2.5, -2.0]);
    }

    #[test]
    fn pictures_hold_the_pixels() {
        let decode = |html: &str| {
            let encoded = html.split_once("base64,").unwrap().1.split('"').next().unwrap();
            let file = STANDARD.decode(encoded).unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let frame = reader.next_frame(&mut pixels).unwrap();
            (frame.width, frame.height, pixels)
        };
        let grey = image([2, 3, 1], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 5.0]).unwrap();
        assert_eq!(decode(&grey), (3, 2, vec![0, 51, 102, 153, 204, 255]));
        let colour = image([1, 2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 5.0]).unwrap();
        assert_eq!(decode(&colour), (2, 1, vec![0, 51, 102, 153, 204, 255]));
        // Two frames of three bands: loud is dark.
        let heard = sound(3, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 5.0]).unwrap();
        assert_eq!(decode(&heard), (2, 3, vec![153, 0, 204, 51, 255, 102]));
        // A large image keeps its sides' ratio.
        let (width, height, _) = decode(&image([300, 150, 1], &vec![1.0; 45_000], [0.0, 1.0]).unwrap());
        assert_eq!((width, height), (50, 100));
        // All values alike are no division by nothing.
        assert_eq!(decode(&image([1, 2, 1], &[7.0, 7.0], [7.0, 7.0]).unwrap()).2, [0, 0]);
    }

    #[test]
    fn text_and_rows_are_told() {
        assert_eq!(text(&[104.0, 60.0, 10.0, 200.0]), "<pre>h&lt;⏎·</pre>");
        assert_eq!(row(&[0.5; 14]).matches("0.500").count(), MOST_VALUES);
        assert!(row(&[0.5; 14]).contains("and 2 more"));
    }
}
