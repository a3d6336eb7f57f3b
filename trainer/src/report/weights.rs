//! What the weights of each layer are: how many of its trits are −1, 0 and 1, and which exponents its groups have.

use super::page::{Table, paragraph, remark};
use super::plot::{self, Area, Axes, Drawn, FIRST, INK, PlotError};
use crate::number::{percent, signed, thousands};
use plotters::element::{Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::collections::BTreeMap;
use trishift::Model;
use trishift_format::Operator;

/// Size of a histogram.
const SIZE: [u32; 2] = [300, 180];

/// Weights of one operator.
pub(super) struct Layer {
    /// Number and kind of its operator.
    pub(super) name: String,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Columns that share an exponent; `None` for int8 weights, whose rows have one each.
    pub(super) group: Option<usize>,
    /// Weights below 0, of 0, above 0.
    pub(super) signs: [u64; 3],
    /// How many groups have an exponent, or rows of int8 weights.
    pub(super) exponents: BTreeMap<i32, u64>,
    pub(super) bytes: usize,
}

impl Layer {
    pub(super) fn weights(&self) -> u64 {
        self.rows as u64 * self.columns as u64
    }
}

/// The operators of a model that have weights.
pub(super) fn layers(model: &Model<'_>) -> Vec<Layer> {
    let name = |index: usize, operator: &Operator| format!("{index} {}", operator.kind().name());
    let of = |(index, operator): (usize, Operator)| {
        if let Some(record) = operator.weights() {
            let matrix = model.matrix(record);
            let mut layer = Layer {
                name: name(index, &operator),
                rows: matrix.rows(),
                columns: matrix.columns(),
                group: Some(matrix.group().get()),
                signs: [0; 3],
                exponents: BTreeMap::new(),
                bytes: matrix.bytes(),
            };
            let mut row = vec![0; matrix.columns()];
            for view in matrix.iter() {
                view.unpack(&mut row);
                layer.count_signs(&row);
                view.exponents().for_each(|exponent| layer.count_exponent(exponent));
            }
            return Some(layer);
        }
        let matrix = model.int8_matrix(operator.int8_weights()?);
        let mut layer = Layer {
            name: name(index, &operator),
            rows: matrix.rows(),
            columns: matrix.columns(),
            group: None,
            signs: [0; 3],
            exponents: BTreeMap::new(),
            bytes: matrix.bytes(),
        };
        for row in matrix.iter() {
            layer.count_signs(&row.values.iter().map(|value| *value as i8).collect::<Vec<i8>>());
            layer.count_exponent(row.exponent);
        }
        Some(layer)
    };
    model.operators().enumerate().filter_map(of).collect()
}

impl Layer {
    fn count_signs(&mut self, weights: &[i8]) {
        for weight in weights {
            let place = (i32::from(weight.signum()) + 1) as usize;
            self.signs.get_mut(place).into_iter().for_each(|count| *count += 1);
        }
    }

    fn count_exponent(&mut self, exponent: i32) {
        *self.exponents.entry(exponent).or_default() += 1;
    }
}

/// The panel.
pub(super) fn content(model: &Model<'_>) -> Result<String, PlotError> {
    let layers = layers(model);
    if layers.is_empty() {
        return Ok(paragraph("The model has no weights."));
    }
    let mut table = Table::new(&[
        "layer",
        "weights",
        "group",
        "−1",
        "0",
        "+1",
        "<−1 striped, 0 empty, +1 full",
        "exponents",
        "bytes",
    ]);
    for layer in &layers {
        let share = |count: u64| count as f64 / layer.weights().max(1) as f64;
        let [minus, zero, plus] = layer.signs.map(share);
        let (low, high) = span(layer);
        table.row([
            layer.name.clone(),
            format!("{} × {}", layer.rows, layer.columns),
            layer.group.map_or_else(|| "int8".into(), |group| group.to_string()),
            percent(minus),
            percent(zero),
            percent(plus),
            bar([minus, zero, plus]),
            format!("{} … {}", signed(low.into()), signed(high.into())),
            thousands(layer.bytes as u64),
        ]);
    }
    let sum = |of: fn(&Layer) -> u64| layers.iter().map(of).sum::<u64>();
    let all = sum(Layer::weights).max(1);
    let signs = [0, 1, 2].map(|sign: usize| {
        layers.iter().map(|layer| layer.signs.get(sign).copied().unwrap_or(0)).sum::<u64>() as f64 / all as f64
    });
    table.sum([
        "all".to_owned(),
        thousands(all),
        String::new(),
        percent(signs[0]),
        percent(signs[1]),
        percent(signs[2]),
        bar(signs),
        String::new(),
        thousands(sum(|layer| layer.bytes as u64)),
    ]);
    let mut html = table.html();
    if layers.iter().any(|layer| layer.group.is_none()) {
        html += &remark("Of int8 weights: below 0, 0, above 0.");
    }
    html += "<h3>Exponents</h3>\n";
    html += &remark(
        "How many groups have each exponent E of W = T·2<sup>E</sup>, of int8 weights how many rows; groups of zeros have their row's smallest one. As exported: norms of \
         batches are in them, and windows that int32 has no room for are narrowed.",
    );
    html += "<div class=\"many\">\n";
    for layer in &layers {
        let label = format!("exponents of {}", layer.name);
        let picture = plot::svg(SIZE, &label, |area| draw(area, layer))?;
        html += &format!("<figure><figcaption>{}</figcaption>{picture}</figure>\n", layer.name);
    }
    Ok(html + "</div>\n")
}

fn span(layer: &Layer) -> (i32, i32) {
    let first = layer.exponents.keys().next().copied().unwrap_or(0);
    (first, layer.exponents.keys().next_back().copied().unwrap_or(first))
}

fn bar(shares: [f64; 3]) -> String {
    let part = |(class, share): (&str, f64)| format!("<i class=\"{class}\" style=\"width:{:.1}%\"></i>", share * 100.0);
    let parts = ["minus", "zero", "plus"].into_iter().zip(shares).map(part);
    format!("<span class=\"bar\" aria-hidden=\"true\">{}</span>", parts.collect::<String>())
}

/// Bars with their counts above them.
fn draw(area: &Area<'_>, layer: &Layer) -> Drawn {
    let (low, high) = span(layer);
    let most = layer.exponents.values().copied().max().unwrap_or(1).max(1) as f64;
    // A single bar would be as wide as the picture.
    let room = (5 - (high - low)).max(1);
    let (left, right) = (low - room / 2, high + room - room / 2);
    let axes = Axes {
        x: f64::from(left) - 0.5..f64::from(right) + 0.5,
        y: 0.0..most * 1.2,
        x_title: "",
        y_title: "",
        x_label: &|x| if x.fract() == 0.0 { signed(*x as i64) } else { String::new() },
        y_label: &|y| if y.fract() == 0.0 { thousands(*y as u64) } else { String::new() },
        // As many as bars, halves between them, which have no number.
        x_labels: 2 * (right - left + 2).unsigned_abs() as usize,
    };
    let mut chart = plot::chart(area, &axes)?;
    let bars = layer.exponents.iter().map(|(exponent, count)| {
        let x = f64::from(*exponent);
        Rectangle::new([(x - 0.38, 0.0), (x + 0.38, *count as f64)], FIRST.filled())
    });
    chart.draw_series(bars)?;
    // Where bars are many, numbers would run into each other.
    let size = if right - left > 9 { 15 } else { 20 };
    let style = plot::letters(size, &INK).pos(Pos::new(HPos::Center, VPos::Bottom));
    let numbers = layer.exponents.iter().map(|(exponent, count)| {
        Text::new(thousands(*count), (f64::from(*exponent), *count as f64 + most * 0.02), style.clone())
    });
    chart.draw_series(numbers)?;
    Ok(())
}
