//! A picture of what was heard: samples, features, shares and detections over the same seconds.

use super::Heard;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::prelude::{Cartesian2d, LineSeries, SVGBackend};
use plotters::style::{BLACK, Color, HSLColor, IntoFont, RGBColor, WHITE};
use std::ops::Range;
use thiserror::Error;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (1200, 720);

/// Stretches of time that samples and features are drawn in at most: more would make the file large, not clearer.
const COLUMNS: usize = 500;

/// Pixels left of every part, for its numbers.
const LEFT: u32 = 60;

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the picture cannot be drawn: {0}")]
pub struct PictureError(String);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// What was heard in `samples`, as an SVG.
///
/// # Errors
/// [`PictureError`] from the plotting library.
pub fn picture(heard: &Heard, samples: &[i16]) -> Result<String, PictureError> {
    let mut svg = String::new();
    draw(&mut svg, heard, samples).map_err(|error| PictureError(error.to_string()))?;
    Ok(svg)
}

fn draw(svg: &mut String, heard: &Heard, samples: &[i16]) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let seconds = (samples.len() as f64 / f64::from(heard.sample_rate)).max(1e-3);
    let (upper, rest) = root.split_vertically(SIZE.1 / 4);
    let (middle, lower) = rest.split_vertically(SIZE.1 / 4);
    draw_samples(&upper, heard, samples, seconds)?;
    draw_features(&middle, heard, seconds)?;
    draw_shares(&lower, heard, seconds)?;
    root.present()?;
    Ok(())
}

/// A part of the picture with its axes.
fn chart<'a, 'b>(
    area: &'a Area<'b>,
    title: &str,
    seconds: f64,
    values: Range<f64>,
    bottom: u32,
) -> Result<Chart<'a, 'b>, Box<dyn std::error::Error>>
where
    'b: 'a,
{
    let mut chart = ChartBuilder::on(area)
        .margin_right(20)
        .x_label_area_size(bottom)
        .y_label_area_size(LEFT)
        .caption(title, ("sans-serif", 16).into_font())
        .build_cartesian_2d(0.0..seconds, values)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_mesh().y_labels(4).label_style(("sans-serif", 12).into_font());
    if bottom > 20 {
        mesh.x_desc("seconds");
    }
    mesh.draw()?;
    Ok(chart)
}

/// The span of the samples in every stretch of time.
fn draw_samples(
    area: &Area<'_>,
    heard: &Heard,
    samples: &[i16],
    seconds: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let largest = samples.iter().map(|sample| f64::from(sample.unsigned_abs())).fold(1.0, f64::max) * 1.05;
    let mut chart = chart(area, "samples", seconds, -largest..largest, 20)?;
    let len = samples.len().div_ceil(2 * COLUMNS).max(1);
    let stretches = samples.chunks(len).enumerate().map(|(index, stretch)| {
        let low = stretch.iter().min().copied().unwrap_or(0);
        let high = stretch.iter().max().copied().unwrap_or(0);
        let at = (index * len) as f64 / f64::from(heard.sample_rate);
        PathElement::new([(at, f64::from(low)), (at, f64::from(high))], RGBColor(40, 80, 140))
    });
    chart.draw_series(stretches)?;
    Ok(())
}

/// The mean feature of every band in every stretch of time, the lowest band at the bottom.
fn draw_features(area: &Area<'_>, heard: &Heard, seconds: f64) -> Result<(), Box<dyn std::error::Error>> {
    let bands = heard.bands.max(1);
    let mut chart = chart(area, "mel bands", seconds, 0.0..bands as f64, 20)?;
    let (low, high) = heard.features.iter().fold((u16::MAX, 0), |(low, high), x| (low.min(*x), high.max(*x)));
    let span = f64::from(high.saturating_sub(low)).max(1.0);
    let per_second = f64::from(heard.sample_rate) / heard.hop.max(1) as f64;
    let frames = (heard.features.len() / bands).div_ceil(COLUMNS).max(1);
    for (column, stretch) in heard.features.chunks(frames * bands).enumerate() {
        let from = (column * frames) as f64 / per_second;
        let to = from + (stretch.len() / bands) as f64 / per_second;
        let rectangles = (0..bands).map(|band| {
            let of_band = || stretch.iter().skip(band).step_by(bands).map(|x| f64::from(*x));
            let mean = of_band().sum::<f64>() / of_band().count().max(1) as f64;
            let shade = 1.0 - ((mean - f64::from(low)) / span).clamp(0.0, 1.0);
            // Dark is loud, without colours too.
            let style = HSLColor(0.62, 0.6, 0.1 + 0.87 * shade).filled();
            Rectangle::new([(from, band as f64), (to, band as f64 + 1.0)], style)
        });
        chart.draw_series(rectangles)?;
    }
    Ok(())
}

/// The classes' shares after every run, and where one was detected.
fn draw_shares(area: &Area<'_>, heard: &Heard, seconds: f64) -> Result<(), Box<dyn std::error::Error>> {
    let mut chart = chart(area, "mean shares and detections", seconds, 0.0..1.15, 40)?;
    let classes = heard.labels.len().max(1);
    let runs = heard.shares.len() / classes;
    for class in 0..classes {
        let shares = heard.shares.iter().skip(class).step_by(classes).map(|share| f64::from(*share));
        if shares.clone().fold(0.0, f64::max) < 0.05 {
            // A line along the bottom tells nothing.
            continue;
        }
        let points = (0..runs).map(|run| heard.seconds(run)).zip(shares);
        chart.draw_series(LineSeries::new(points, colour(class, classes).stroke_width(2)))?;
    }
    for event in &heard.events {
        let style = colour(event.class, classes);
        chart.draw_series([PathElement::new([(event.seconds, 0.0), (event.seconds, 1.05)], BLACK.mix(0.4))])?;
        let label = heard.labels.get(event.class).cloned().unwrap_or_default();
        let font = ("sans-serif", 14).into_font().color(&style);
        chart.draw_series([Text::new(label, (event.seconds, 1.12), font)])?;
    }
    Ok(())
}

/// A colour of its own for each class.
fn colour(class: usize, classes: usize) -> HSLColor {
    HSLColor(class as f64 / classes as f64, 0.75, 0.4)
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::*;

    #[test]
    fn everything_heard_is_in_the_picture() {
        let samples: Vec<i16> =
            (0..16_000).map(|n| if n / 4000 % 2 == 1 { (n % 80 * 300) as i16 } else { 0 }).collect();
        let heard = Heard {
            sample_rate: 8000,
            hop: 160,
            bands: 4,
            features: (0..400).collect(),
            frames_per_run: 2,
            labels: vec!["yes".into(), "a<b".into(), "never".into()],
            shares: (0..50).flat_map(|run| [0.02 * run as f32, 1.0 - 0.02 * run as f32, 0.0]).collect(),
            events: vec![Event { seconds: 1.5, class: 0, share: 0.75 }, Event { seconds: 0.2, class: 1, share: 0.9 }],
        };
        let svg = picture(&heard, &samples).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("yes") && svg.contains("a&lt;b") && !svg.contains("never"));
        // Bands × frames, and what frames them.
        assert!(svg.matches("<rect").count() >= 400);
        assert_eq!(heard.seconds(49), 2.0);
        // Nothing heard is a picture too.
        let nothing = Heard { features: vec![], shares: vec![], events: vec![], ..heard };
        assert!(picture(&nothing, &[]).unwrap().contains("seconds"));
    }
}
