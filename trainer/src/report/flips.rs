//! How many weights change, from look to look.

use super::page::{Table, paragraph, remark};
use super::plot::{self, Area, Axes, Drawn, FIRST, INK, PlotError, SECOND, THIRD};
use crate::number::{percent, rounded, thousands};
use crate::run::Flips;
use plotters::element::{PathElement, Text};
use plotters::series::{DashedLineSeries, LineSeries};
use plotters::style::{Color, RGBColor};

/// Looks that are drawn at most.
const MOST_POINTS: usize = 400;

/// Most layers that have a line each.
const MOST_LINES: usize = 3;

const SIZE: [u32; 2] = [950, 300];

/// The panel; `names` are those of the layers, as far as they are known.
pub(super) fn content(flips: &[Flips], names: &[String]) -> Result<String, PlotError> {
    let (Some(first), Some(last)) = (flips.first(), flips.last()) else {
        return Ok(paragraph("No epoch has ended yet, or the run was made before there was a record of flips."));
    };
    let flips = merged(flips);
    let label = "weights that changed a step, by updates done";
    let picture = plot::svg(SIZE, label, |area| draw(area, &flips, names))?;
    let mut html = format!("<figure><figcaption>Weights that changed, a step</figcaption>{picture}</figure>\n");
    let mut table = Table::new(&[
        "layer",
        "weights",
        "a step, first look",
        "a step, last look",
        "of the weights, first",
        "of the weights, last",
    ]);
    for (layer, of) in last.of.iter().enumerate() {
        let of_layer = |flips: &Flips| flips.changed.get(layer).copied().unwrap_or(0);
        let cells = [rate(first, of_layer(first)), rate(last, of_layer(last))];
        let shares = [of_layer(first), of_layer(last)].map(|changed| percent(changed as f64 / (*of).max(1) as f64));
        table.row([name(names, layer), thousands(*of)].into_iter().chain(cells).chain(shares));
    }
    let all = last.of.iter().sum::<u64>();
    let shares = [first, last].map(|flips| percent(flips.sum() as f64 / all.max(1) as f64));
    let rates = [first, last].map(|flips| rate(flips, flips.sum()));
    table.sum(["all".to_owned(), thousands(all)].into_iter().chain(rates).chain(shares));
    html += &table.html();
    html += &remark(format!(
        "First look: updates {} to {}; last look: {} to {}. A look holds the trits (of layers with int8 weights, these) against those of the look \
         before; what changed is divided by the updates between. A trit that left and came back in between counts as none, so this \
         is the least number of flips that there were. <code>flips.jsonl</code> has every look.",
        thousands(first.since),
        thousands(first.step),
        thousands(last.since),
        thousands(last.step)
    ));
    Ok(html)
}

fn rate(flips: &Flips, changed: u64) -> String {
    rounded(changed as f64 / flips.step.saturating_sub(flips.since).max(1) as f64)
}

fn name(names: &[String], layer: usize) -> String {
    names.get(layer).cloned().unwrap_or_else(|| format!("layer {layer}"))
}

/// Few enough looks to draw: neighbouring ones are one, with the changes of both.
fn merged(flips: &[Flips]) -> Vec<Flips> {
    let size = flips.len().div_ceil(MOST_POINTS).max(1);
    let merge = |looks: &[Flips]| {
        let (first, last) = (looks.first()?, looks.last()?);
        let changed =
            (0..last.of.len()).map(|layer| looks.iter().filter_map(|look| look.changed.get(layer)).sum::<u64>());
        Some(Flips { since: first.since, step: last.step, changed: changed.collect(), of: last.of.clone() })
    };
    flips.chunks(size).filter_map(merge).collect()
}

/// How a line is drawn.
#[derive(Clone, Copy)]
enum Line {
    Whole,
    Dashed(u32, u32),
}

fn draw(area: &Area<'_>, flips: &[Flips], names: &[String]) -> Drawn {
    let layers = flips.last().map_or(0, |last| last.of.len());
    let updates = flips.last().map_or(1.0, |last| last.step.max(1) as f64);
    let most = flips.iter().map(Flips::per_step).fold(0.0, f64::max);
    let most = if most > 0.0 { most * 1.1 } else { 1.0 };
    let axes = Axes {
        x: 0.0..updates,
        y: 0.0..most,
        x_title: "updates",
        y_title: "",
        x_label: &|x| thousands(*x as u64),
        y_label: &|y| rounded(*y),
        x_labels: 6,
    };
    let mut chart = plot::chart(area, &axes)?;
    let mut lines: Vec<(String, Option<usize>, Line, RGBColor)> = vec![("all layers".into(), None, Line::Whole, FIRST)];
    if (2..=MOST_LINES).contains(&layers) {
        let styles = [(Line::Dashed(16, 8), SECOND), (Line::Dashed(4, 8), THIRD), (Line::Dashed(28, 6), INK)];
        let of_layers = (0..layers).zip(styles);
        lines.extend(of_layers.map(|(layer, (line, color))| (name(names, layer), Some(layer), line, color)));
    }
    for (index, (name, layer, line, color)) in lines.into_iter().enumerate() {
        let style = color.stroke_width(4);
        let rate = |flips: &Flips| match layer {
            None => flips.per_step(),
            Some(layer) => {
                let changed = flips.changed.get(layer).copied().unwrap_or(0) as f64;
                changed / flips.step.saturating_sub(flips.since).max(1) as f64
            }
        };
        // A look says nothing about when in its span: a mean holds for all of it.
        let points =
            flips.iter().flat_map(|flips| [(flips.since as f64, rate(flips)), (flips.step as f64, rate(flips))]);
        let y = most * (0.93 - 0.085 * index as f64);
        let sign = [(updates * 0.70, y), (updates * 0.76, y)];
        match line {
            Line::Whole => {
                chart.draw_series(LineSeries::new(points, style))?;
                chart.draw_series([PathElement::new(sign, style)])?;
            }
            Line::Dashed(dash, gap) => {
                chart.draw_series(DashedLineSeries::new(points, dash, gap, style))?;
                chart.draw_series(DashedLineSeries::new(sign, dash, gap, style))?;
            }
        }
        chart.draw_series([Text::new(name, (updates * 0.775, y + most * 0.035), plot::small(&INK))])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_merged_without_losing_a_change() {
        let looks: Vec<Flips> =
            (0..1001).map(|n| Flips { since: 3 * n, step: 3 * n + 3, changed: vec![n, 1], of: vec![9, 9] }).collect();
        let few = merged(&looks);
        assert!(few.len() <= MOST_POINTS);
        assert!(few.windows(2).all(|pair| pair[0].step == pair[1].since));
        assert_eq!((few[0].since, few.last().unwrap().step), (0, 3003));
        assert_eq!(few.iter().map(Flips::sum).sum::<u64>(), looks.iter().map(Flips::sum).sum::<u64>());
    }
}
