//! What lies where in the arena while the model runs.

use super::page::{Table, paragraph, remark};
use super::plot::{self, Area, Axes, Drawn, FAINT, FIRST, INK, PALE, PALER, PlotError, SECOND};
use crate::number::thousands;
use crate::plan;
use plotters::element::{Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use trishift::Model;
use trishift_format::{DataType, Operator, Tensor, TensorClass};

/// Pixels of the page for each operator.
const ROW: u32 = 26;

/// Operators of the tallest picture; of more, rows are thinner.
const MOST_ROWS: u32 = 30;

const WIDTH: u32 = 950;

/// A tensor with a place in the arena.
struct Block {
    /// Its number among the model's tensors.
    tensor: usize,
    bytes: [u64; 2],
    /// Operators while which it lives, the last one included.
    steps: [usize; 2],
    kept: bool,
    data_type: DataType,
    shape: [u32; 3],
}

/// The panel.
pub(super) fn content(model: &Model<'_>) -> Result<String, PlotError> {
    let operators: Vec<Operator> = model.operators().collect();
    let tensors: Vec<Tensor> = model.tensors().collect();
    let arena = model.arena_bytes();
    let least = plan::lower_bound(&tensors, &operators);
    let mut html = paragraph(format!(
        "{} bytes of tensors a sample; the least that any plan could do with is {}. The input, {} bytes, and the output are the \
         caller's and not in it; what a target's kernels need besides is in the table of costs below.",
        thousands(arena),
        thousands(least),
        thousands(model.input().bytes() as u64)
    ));
    let blocks = blocks(&tensors, operators.len());
    if arena == 0 || blocks.is_empty() {
        return Ok(
            html + &paragraph("Nothing lies in the arena: the only operator reads the input and writes the output.")
        );
    }
    let rows = operators.len() as u32;
    let height = ROW * rows.min(MOST_ROWS) + 70;
    let picture = plot::svg([WIDTH, height], "tensors in the arena, operator by operator", |area| {
        draw(area, &blocks, &operators, arena)
    })?;
    html += &format!(
        "<figure><figcaption>Bytes of the arena, to the right, while each operator runs, downwards</figcaption>{picture}</figure>\n"
    );
    let mut table = Table::new(&["tensor", "<elements", "bytes", "from byte", "<lives while"]);
    let mut names: Vec<&Block> = blocks.iter().collect();
    names.sort_by_key(|block| block.steps);
    for block in names {
        let [height, width, channels] = block.shape;
        let shape = match [height, width] {
            [1, 1] => channels.to_string(),
            _ => format!("{height} × {width} × {channels}"),
        };
        let kind = if block.data_type == DataType::I32 { "int32" } else { "int8" };
        let lives = match (block.kept, block.steps) {
            (true, _) => "always: it is kept from run to run".into(),
            (false, [first, last]) if first == last => format!("operator {first} runs"),
            (false, [first, last]) => format!("operators {first} to {last} run"),
        };
        table.row([
            title(block, &operators),
            format!("{kind} {shape}"),
            thousands(block.bytes[1] - block.bytes[0]),
            thousands(block.bytes[0]),
            lives,
        ]);
    }
    html += &table.html();
    if rows > MOST_ROWS {
        html += &remark("Names are left out where rows are too thin for them.");
    }
    Ok(html)
}

fn blocks(tensors: &[Tensor], operators: usize) -> Vec<Block> {
    let block = |(index, tensor): (usize, &Tensor)| {
        let steps = match tensor.class {
            TensorClass::Persistent => [0, operators.saturating_sub(1)],
            TensorClass::Arena => [usize::from(tensor.first), usize::from(tensor.last)],
            _ => return None,
        };
        let start = u64::from(tensor.offset);
        Some(Block {
            tensor: index,
            bytes: [start, start + tensor.bytes() as u64],
            steps,
            kept: tensor.class == TensorClass::Persistent,
            data_type: tensor.data_type,
            shape: tensor.shape,
        })
    };
    tensors.iter().enumerate().filter_map(block).collect()
}

/// What a tensor is called: by the operator that makes it.
fn title(block: &Block, operators: &[Operator]) -> String {
    let maker = operators.iter().position(|operator| usize::from(operator.output()) == block.tensor);
    match maker.and_then(|index| Some((index, operators.get(index)?))) {
        Some((index, operator)) => format!("output of {index} {}", operator.kind().name()),
        None => format!("tensor {}", block.tensor),
    }
}

fn draw(area: &Area<'_>, blocks: &[Block], operators: &[Operator], arena: u64) -> Drawn {
    let rows = operators.len() as f64;
    let axes = Axes {
        x: 0.0..arena as f64,
        // Downwards, as time goes.
        y: 0.0..rows,
        x_title: "byte of the arena",
        y_title: "",
        x_label: &|x| thousands(*x as u64),
        // Rows have names, not numbers.
        y_label: &|_| String::new(),
        x_labels: 6,
    };
    let mut chart = plot::chart(area, &axes)?;
    let thin = operators.len() as u32 > MOST_ROWS;
    let down = |step: usize| rows - step as f64;
    let mut sorted: Vec<&Block> = blocks.iter().collect();
    // Where an operator works in place, what it writes is drawn over what it reads.
    sorted.sort_by_key(|block| block.steps);
    let gap = if thin { 0.0 } else { 0.06 };
    for block in sorted {
        let corners = [
            (block.bytes[0] as f64, down(block.steps[0]) - gap),
            (block.bytes[1] as f64, down(block.steps[1] + 1) + gap),
        ];
        let (inside, edge) = if block.kept { (PALER, SECOND) } else { (PALE, FIRST) };
        chart.draw_series([Rectangle::new(corners, inside.filled())])?;
        chart.draw_series([Rectangle::new(corners, edge.stroke_width(2))])?;
        let name = operators
            .iter()
            .position(|operator| usize::from(operator.output()) == block.tensor)
            .map_or_else(|| format!("t{}", block.tensor), |index| format!("out {index}"));
        let name = format!("{name}: {}", thousands(block.bytes[1] - block.bytes[0]));
        let room = (block.bytes[1] - block.bytes[0]) as f64 / arena as f64 * f64::from(2 * WIDTH - 160);
        if !thin && room > name.len() as f64 * 12.0 {
            let style = plot::letters(22, &INK).pos(Pos::new(HPos::Center, VPos::Center));
            let middle = ((block.bytes[0] + block.bytes[1]) as f64 / 2.0, down(block.steps[0]) - 0.5);
            chart.draw_series([Text::new(name, middle, style)])?;
        }
    }
    // Beside the rows, which operator runs.
    let style = plot::letters(if thin { 10 } else { 20 }, &FAINT).pos(Pos::new(HPos::Right, VPos::Center));
    for (index, operator) in operators.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(0.0, down(index) - 0.5));
        let name = if thin { index.to_string() } else { short(index, operator.kind().name()) };
        area.draw(&Text::new(name, (x - 10, y), style.clone()))?;
    }
    Ok(())
}

/// As much of a name as there is room for.
fn short(index: usize, name: &str) -> String {
    let cut: String = name.chars().take(10).collect();
    if cut.len() < name.len() { format!("{index} {}.", cut.trim_end_matches('-')) } else { format!("{index} {cut}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut() {
        assert_eq!(short(3, "linear"), "3 linear");
        assert_eq!(short(12, "depthwise-conv2d"), "12 depthwise.");
    }
}
