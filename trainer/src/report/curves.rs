//! Loss and accuracy, epoch by epoch.

use super::page::{Table, paragraph, remark};
use super::plot::{self, Area, Axes, Chart, Drawn, FIRST, INK, PlotError, SECOND, THIRD};
use crate::number::{percent, rounded, thousands};
use crate::run::Epoch;
use plotters::element::{Circle, Cross, PathElement, Rectangle, Text};
use plotters::series::{DashedLineSeries, LineSeries};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor, ShapeStyle};

/// Epochs that are drawn at most.
const MOST_POINTS: usize = 300;

/// Rows of the table.
const MOST_ROWS: usize = 12;

/// Size of each picture.
const SIZE: [u32; 2] = [470, 290];

/// What an epoch has of each curve.
type Of = fn(&Epoch) -> Option<f64>;

/// The panel. `judged` is the accuracy of the exported file, and the name of the samples that it was judged on.
pub(super) fn content(epochs: &[Epoch], judged: Option<(f64, &str)>) -> Result<String, PlotError> {
    if epochs.is_empty() {
        return Ok(paragraph("No epoch has ended yet."));
    }
    let loss = plot::svg(SIZE, "loss of the training samples by updates done", |area| draw_loss(area, epochs))?;
    let accuracy = plot::svg(SIZE, "accuracy by updates done", |area| draw_accuracy(area, epochs, judged))?;
    let mut html = format!(
        "<div class=\"pair\"><figure><figcaption>Loss of the training samples, nats</figcaption>{loss}</figure>\
         <figure><figcaption>Accuracy, %</figcaption>{accuracy}</figure></div>\n"
    );
    html += &table(epochs, judged);
    html += &remark(
        "A point stands at the end of its epoch. Training loss and accuracy are means over the epoch, of each sample as it \
         was trained on, so they lag behind what the network can do at its end. Accuracy on validation is that of the training \
         forward pass after the epoch. The accuracy axis does not begin at 0 where all points are far from it.",
    );
    Ok(html)
}

fn updates(epochs: &[Epoch]) -> f64 {
    epochs.last().map_or(1.0, |epoch| epoch.step.max(1) as f64)
}

fn draw_loss(area: &Area<'_>, epochs: &[Epoch]) -> Drawn {
    let most = epochs.iter().map(|epoch| epoch.loss).filter(|loss| loss.is_finite()).fold(0.0, f64::max);
    let mut chart = chart(area, updates(epochs), [0.0, if most > 0.0 { most * 1.08 } else { 1.0 }], &|y| {
        if most < 0.1 { format!("{y:.3}") } else { format!("{y:.2}") }
    })?;
    draw_curve(&mut chart, epochs, |epoch| Some(epoch.loss), Mark::Circle)
}

fn draw_accuracy(area: &Area<'_>, epochs: &[Epoch], judged: Option<(f64, &str)>) -> Drawn {
    let curves: [(Of, Mark); 2] =
        [(|epoch| Some(epoch.train_accuracy), Mark::Circle), (|epoch| epoch.validation_accuracy, Mark::Square)];
    let points = curves.iter().flat_map(|(of, _)| epochs.iter().filter_map(of)).chain(judged.map(|(share, _)| share));
    let (low, high) = points.fold((1.0f64, 0.0f64), |(low, high), share| (low.min(share), high.max(share)));
    let room = (high - low).max(0.01) * 0.08;
    let low = if low < 0.3 { 0.0 } else { low - room };
    let decimals = if high - low < 0.05 { 1 } else { 0 };
    let mut chart =
        chart(area, updates(epochs), [low, (high + room).min(1.02)], &|y| format!("{:.decimals$}", y * 100.0))?;
    for (of, mark) in curves {
        draw_curve(&mut chart, epochs, of, mark)?;
    }
    if let Some((share, _)) = judged {
        let to = updates(epochs);
        chart.draw_series(dots([(0.0, share), (to, share)]))?;
        chart.draw_series([Cross::new((to, share), 10, THIRD.stroke_width(4))])?;
    }
    let validated = epochs.iter().any(|epoch| epoch.validation_accuracy.is_some());
    legend(&mut chart, validated, judged)
}

/// The exported file's line, which is no curve: it was judged once.
fn dots(ends: [(f64, f64); 2]) -> DashedLineSeries<std::array::IntoIter<(f64, f64), 2>, u32> {
    DashedLineSeries::new(ends, 4, 8, THIRD.stroke_width(4))
}

fn chart<'a, 'b>(
    area: &'a Area<'b>,
    updates: f64,
    [low, high]: [f64; 2],
    y_label: &dyn Fn(&f64) -> String,
) -> Drawn<Chart<'a, 'b>>
where
    'b: 'a,
{
    let axes = Axes {
        x: 0.0..updates,
        y: low..high,
        x_title: "updates",
        y_title: "",
        x_label: &|x| thousands(*x as u64),
        y_label,
        x_labels: 6,
    };
    plot::chart(area, &axes)
}

/// What tells curves apart besides their colours.
#[derive(Clone, Copy)]
enum Mark {
    /// On a whole line.
    Circle,
    /// On a dashed one.
    Square,
}

impl Mark {
    fn color(self) -> RGBColor {
        match self {
            Self::Circle => FIRST,
            Self::Square => SECOND,
        }
    }
}

fn draw_curve(chart: &mut Chart<'_, '_>, epochs: &[Epoch], of: Of, mark: Mark) -> Drawn {
    let point = |epoch: &Epoch| of(epoch).filter(|y| y.is_finite()).map(|y| (epoch.step as f64, y));
    let points: Vec<(f64, f64)> = plot::thinned(epochs, MOST_POINTS).into_iter().filter_map(point).collect();
    let style: ShapeStyle = mark.color().stroke_width(4);
    match mark {
        Mark::Circle => chart.draw_series(LineSeries::new(points.iter().copied(), style)).map(|_| ())?,
        Mark::Square => {
            chart.draw_series(DashedLineSeries::new(points.iter().copied(), 14, 8, style)).map(|_| ())?;
        }
    }
    // Marks on every point would be a band.
    for point in plot::thinned(&points, 20) {
        draw_mark(chart, *point, mark)?;
    }
    Ok(())
}

fn draw_mark(chart: &mut Chart<'_, '_>, point: (f64, f64), mark: Mark) -> Drawn {
    let style = mark.color().filled();
    match mark {
        Mark::Circle => chart.draw_series([Circle::new(point, 6, style)]).map(|_| ())?,
        Mark::Square => {
            let (x, y) = chart.backend_coord(&point);
            let area = chart.plotting_area().strip_coord_spec();
            let (left, top) = area.get_base_pixel();
            let (x, y) = (x - left, y - top);
            area.draw(&Rectangle::new([(x - 6, y - 6), (x + 6, y + 6)], style))?;
        }
    }
    Ok(())
}

/// Which line is which, in the lower right corner, where accuracy seldom is.
fn legend(chart: &mut Chart<'_, '_>, validated: bool, judged: Option<(f64, &str)>) -> Drawn {
    let (x, y) = (chart.x_range(), chart.y_range());
    let across = |share: f64| x.start + (x.end - x.start) * share;
    let mut names = vec![("training, mean of the epoch".to_owned(), Some(Mark::Circle))];
    if validated {
        names.push(("validation".into(), Some(Mark::Square)));
    }
    if let Some((share, part)) = judged {
        names.push((format!("exported file, {part}: {}", percent(share)), None));
    }
    for (index, (name, mark)) in names.into_iter().rev().enumerate() {
        let height = y.start + (y.end - y.start) * (0.08 + 0.11 * index as f64);
        let line = [(across(0.40), height), (across(0.48), height)];
        match mark {
            Some(Mark::Circle) => {
                chart.draw_series([PathElement::new(line, Mark::Circle.color().stroke_width(4))])?;
            }
            Some(Mark::Square) => {
                chart.draw_series(DashedLineSeries::new(line, 14, 8, Mark::Square.color().stroke_width(4)))?;
            }
            None => {
                chart.draw_series(dots(line))?;
            }
        }
        if let Some(mark) = mark {
            draw_mark(chart, (across(0.44), height), mark)?;
        }
        let style = plot::small(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        chart.draw_series([Text::new(name, (across(0.50), height), style)])?;
    }
    Ok(())
}

fn table(epochs: &[Epoch], judged: Option<(f64, &str)>) -> String {
    let validated = epochs.iter().any(|epoch| epoch.validation_accuracy.is_some());
    let mut head = vec!["epoch", "updates", "loss", "training accuracy"];
    if validated {
        head.push("validation accuracy");
    }
    head.push("samples a second");
    let mut table = Table::new(&head);
    for epoch in plot::thinned(epochs, MOST_ROWS) {
        let mut cells =
            vec![epoch.epoch.to_string(), thousands(epoch.step), rounded(epoch.loss), percent(epoch.train_accuracy)];
        if validated {
            cells.push(epoch.validation_accuracy.map_or_else(|| "–".into(), percent));
        }
        cells.push(thousands(epoch.samples_per_second as u64));
        table.row(cells);
    }
    let mut html = table.html();
    if epochs.len() > MOST_ROWS {
        html += &remark(format!("{MOST_ROWS} of {} epochs; <code>metrics.jsonl</code> has all.", epochs.len()));
    }
    if let Some((share, part)) = judged {
        html += &paragraph(format!("The exported file answers {} of the {part} samples right.", percent(share)));
    }
    html
}
