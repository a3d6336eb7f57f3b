//! What all pictures of a report share: an SVG inside the page, its colours, its axes.
//!
//! Pictures are drawn at twice the size at which the page shows them, because the library rounds to whole pixels. Colours are
//! those of a light page; on a dark one the page's style sheet puts others in their places, which is why every picture takes its
//! colours from here.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::prelude::{Cartesian2d, SVGBackend};
use plotters::style::{Color, IntoFont, RGBColor, TextStyle};
use std::fmt::Write as _;
use std::ops::Range;
use thiserror::Error;

/// Why a picture cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a picture of the report cannot be drawn: {0}")]
pub struct PlotError(String);

impl PlotError {
    pub(super) fn new(error: &dyn std::error::Error) -> Self {
        Self(error.to_string())
    }
}

/// Whatever the plotting library says.
pub(super) type Drawn<T = ()> = Result<T, Box<dyn std::error::Error>>;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Lines and letters.
pub(super) const INK: RGBColor = RGBColor(0x1B, 0x1F, 0x24);
/// What is less important.
pub(super) const FAINT: RGBColor = RGBColor(0x5F, 0x68, 0x73);
/// Lines behind everything.
pub(super) const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);
/// Filled areas with letters on them.
pub(super) const PALE: RGBColor = RGBColor(0xD3, 0xE2, 0xF4);
/// Other ones beside them.
pub(super) const PALER: RGBColor = RGBColor(0xF6, 0xE3, 0xD0);
/// Data, the first kind.
pub(super) const FIRST: RGBColor = RGBColor(0x1F, 0x5F, 0xA8);
/// The second kind.
pub(super) const SECOND: RGBColor = RGBColor(0xB4, 0x54, 0x1A);
/// The third kind.
pub(super) const THIRD: RGBColor = RGBColor(0x2D, 0x7A, 0x3E);

/// The same on a dark page.
const DARK: [(RGBColor, &str); 8] = [
    (INK, "#e8eaed"),
    (FAINT, "#a2abb5"),
    (GRID, "#343a41"),
    (PALE, "#22405f"),
    (PALER, "#573a1f"),
    (FIRST, "#7db7f5"),
    (SECOND, "#f2a06b"),
    (THIRD, "#7fd093"),
];

/// Rules of a style sheet that put the colours of a dark page in the places of a light one's.
pub(super) fn dark_rules() -> String {
    let mut rules = String::new();
    for (RGBColor(red, green, blue), dark) in DARK {
        for attribute in ["fill", "stroke"] {
            // A string takes what it is given.
            let _ = writeln!(rules, "svg [{attribute}=\"#{red:02X}{green:02X}{blue:02X}\"]{{{attribute}:{dark}}}");
        }
    }
    rules
}

/// Letters beside axes.
pub(super) fn small(color: &RGBColor) -> TextStyle<'static> {
    letters(26, color)
}

/// Letters of this height, in pixels of the picture.
pub(super) fn letters(height: u32, color: &RGBColor) -> TextStyle<'static> {
    ("sans-serif", height).into_font().color(color)
}

/// A picture of this size, in pixels of the page, that says in `label` what it shows to whoever cannot see it.
///
/// # Errors
/// [`PlotError`] from the plotting library.
pub(super) fn svg(
    [width, height]: [u32; 2],
    label: &str,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (2 * width, 2 * height)).into_drawing_area();
        let drawn = draw(&root).and_then(|()| Ok(root.present()?));
        drawn.map_err(|error| PlotError::new(error.as_ref()))?;
    }
    // Inside a page neither is wanted: the size is the style sheet's, the name of the language is an address.
    let Some((_, picture)) = svg.split_once('>') else { return Err(PlotError("nothing was drawn".into())) };
    let open = format!(
        "<svg viewBox=\"0 0 {} {}\" style=\"max-width:{width}px\" role=\"img\" aria-label=\"{}\">",
        2 * width,
        2 * height,
        super::page::escape(label)
    );
    Ok(open + picture)
}

/// What is along the axes of a chart.
pub(super) struct Axes<'a> {
    pub(super) x: Range<f64>,
    pub(super) y: Range<f64>,
    pub(super) x_title: &'a str,
    pub(super) y_title: &'a str,
    pub(super) x_label: &'a dyn Fn(&f64) -> String,
    pub(super) y_label: &'a dyn Fn(&f64) -> String,
    /// Numbers along the x axis, at most.
    pub(super) x_labels: usize,
}

/// A chart with its axes.
pub(super) fn chart<'a, 'b>(area: &'a Area<'b>, axes: &Axes<'_>) -> Drawn<Chart<'a, 'b>>
where
    'b: 'a,
{
    let mut chart = ChartBuilder::on(area)
        .margin_top(24)
        .margin_right(36)
        .x_label_area_size(if axes.x_title.is_empty() { 44 } else { 80 })
        .y_label_area_size(118)
        .build_cartesian_2d(axes.x.clone(), axes.y.clone())?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(GRID.mix(0.0))
        .bold_line_style(GRID.stroke_width(2))
        .axis_style(FAINT.stroke_width(2))
        .label_style(small(&FAINT))
        .axis_desc_style(small(&FAINT))
        .x_labels(axes.x_labels)
        .y_labels(5)
        .x_label_formatter(axes.x_label)
        .y_label_formatter(axes.y_label);
    if !axes.x_title.is_empty() {
        mesh.x_desc(axes.x_title);
    }
    if !axes.y_title.is_empty() {
        mesh.y_desc(axes.y_title);
    }
    mesh.draw()?;
    Ok(chart)
}

/// At most about so many of these, evenly chosen, the first and the last one among them.
pub(super) fn thinned<T>(values: &[T], most: usize) -> Vec<&T> {
    let count = values.len().min(most.max(2));
    (0..count).filter_map(|index| values.get(index * (values.len() - 1) / (count - 1).max(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plotters::element::Rectangle;

    #[test]
    fn a_picture_names_no_address_and_every_colour_has_a_dark_one() {
        let picture = svg([100, 50], "a \"b\" <c>", |area| {
            let axes = Axes {
                x: 0.0..1.0,
                y: 0.0..1.0,
                x_title: "x",
                y_title: "y",
                x_label: &|x| x.to_string(),
                y_label: &|y| y.to_string(),
                x_labels: 6,
            };
            let mut chart = chart(area, &axes)?;
            chart.draw_series([Rectangle::new([(0.0, 0.0), (1.0, 1.0)], PALE.filled())])?;
            Ok(())
        });
        let picture = picture.unwrap();
        assert!(picture.starts_with("<svg viewBox=\"0 0 200 100\""), "{picture}");
        assert!(picture.contains("aria-label=\"a &quot;b&quot; &lt;c&gt;\"") && !picture.contains("http"));
        let rules = dark_rules();
        let colours = picture.split("=\"#").skip(1).filter_map(|rest| rest.split('"').next());
        let unknown: Vec<&str> = colours.filter(|colour| !rules.contains(&format!("#{colour}\"]"))).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let values: Vec<usize> = (0..1000).collect();
        let thin = thinned(&values, 10);
        assert_eq!((thin.len(), *thin[0], *thin[9]), (10, 0, 999));
        assert_eq!(thinned(&[7], 10), [&7]);
        assert!(thinned::<u8>(&[], 10).is_empty());
        assert_eq!(thinned(&[1, 2, 3], 10), [&1, &2, &3]);
    }
}
