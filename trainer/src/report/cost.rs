//! What the model costs on microcontrollers: instructions of every operator on every target, estimated; flash and memory, exact.

use super::page::{Table, escape, paragraph, remark};
use crate::cost::{self, TOLERANCE, Target};
use crate::number::{percent, thousands};
use trishift::Model;
use trishift_format::Operator;

/// The panel. `records` is how long the model file is with its weights group after group, where that is known.
pub(super) fn content(model: &Model<'_>, records: Option<usize>) -> String {
    let targets = &cost::table().targets;
    let names: Vec<&'static str> = targets.iter().map(|target| target.name.as_str()).collect();
    let estimates: Vec<Vec<Option<f64>>> = targets.iter().map(|target| target.estimate(model)).collect();
    let mut html = paragraph(
        "Estimated instructions of one run, by operator and core, for weights in the order that \
         <code>trishift export RUN --layout groups</code> writes. Nothing here was run: see below for how far off that is.",
    );
    let head: Vec<&'static str> =
        ["operator", "<output", "products"].into_iter().chain(names.iter().copied()).collect();
    let mut table = Table::new(&head);
    let count = |estimate: Option<f64>| {
        estimate.map_or_else(|| "not counted".to_owned(), |instructions| thousands(instructions.round() as u64))
    };
    for (index, operator) in model.operators().enumerate() {
        let shape = model.tensor(operator.output()).shape;
        let shape = match shape {
            [1, 1, channels] => channels.to_string(),
            [height, width, channels] => format!("{height} × {width} × {channels}"),
        };
        let cells = [format!("{index} {}", operator.kind().name()), shape, thousands(model.macs_of(&operator))];
        let of_targets = estimates.iter().map(|estimates| count(estimates.get(index).copied().flatten()));
        table.row(cells.into_iter().chain(of_targets));
    }
    let sums: Vec<Option<f64>> = estimates.iter().map(|estimates| estimates.iter().copied().sum()).collect();
    let all = ["all".to_owned(), String::new(), thousands(model.macs())];
    table.sum(all.into_iter().chain(sums.iter().map(|sum| count(*sum))));
    let ratio = |sum: &Option<f64>| match (sum, model.macs()) {
        (Some(sum), macs @ 1..) => format!("{:.2}", sum / macs as f64),
        _ => "–".into(),
    };
    table.row(
        ["instructions a product".to_owned(), String::new(), String::new()].into_iter().chain(sums.iter().map(ratio)),
    );
    html += &table.html();
    html += &memory(model, records, targets);
    html + &how_far_off(targets)
}

fn memory(model: &Model<'_>, records: Option<usize>, targets: &[Target]) -> String {
    let mut table = Table::new(&[
        "core",
        "flash: the model file",
        "RAM: arena",
        "of it tensors",
        "of it scratch of kernels",
        "RAM: input and output",
    ]);
    let output = model.output();
    for target in targets {
        let arena = target.arena_bytes(model).unwrap_or(0) as u64;
        table.row([
            target.name.clone(),
            thousands(records.unwrap_or(model.file_bytes()) as u64),
            thousands(arena),
            thousands(model.arena_bytes()),
            thousands(arena.saturating_sub(model.arena_bytes())),
            thousands((model.input().bytes() + output.bytes()) as u64),
        ]);
    }
    let norms = model.operators().any(|operator| matches!(operator, Operator::RmsNorm(_)));
    format!(
        "<h3>Flash and memory, bytes</h3>\n{}{}",
        table.html(),
        remark(format!(
            "These are exact, not estimated. Besides: the code of the runtime, for the network of the digits 11.2 kB on Armv6-M and \
             11.6 kB on Armv7-M, as <code>firmware-examples/run-qemu</code> measures it, more for other operators; and about 1 kB of \
             stack.{}{}",
            if records.is_none() { " The file is as it lies in the run's folder, row after row." } else { "" },
            if norms { " An rms-norm divides: its instructions depend on the values." } else { "" }
        ))
    )
}

fn how_far_off(targets: &'static [Target]) -> String {
    let Some(first) = targets.first() else { return String::new() };
    let head: Vec<&'static str> =
        std::iter::once("network, counted whole").chain(targets.iter().map(|target| target.name.as_str())).collect();
    let mut table = Table::new(&head);
    for network in first.networks.keys() {
        let off = targets.iter().map(|target| match target.networks.get(network) {
            Some(whole) => {
                let off = whole.off() * 100.0;
                let sign = if off < 0.0 { "−" } else { "+" };
                format!("{} ({sign}{:.1} %)", thousands(whole.counted), off.abs())
            }
            None => "–".into(),
        });
        table.row(std::iter::once(escape(network).into_owned()).chain(off));
    }
    let worst = targets.iter().map(|target| target.fitted.largest).fold(0.0, f64::max);
    let mean = targets.iter().map(|target| target.fitted.mean).sum::<f64>() / targets.len().max(1) as f64;
    let source = escape(&cost::table().source);
    format!(
        "<h3>How far off estimates are</h3>\n{}{}{}",
        paragraph(format!(
            "Instructions of networks that were run on emulated cores and counted, and in brackets how far off their estimates are, \
             which are made as those above. They had no part in making the table; a test holds them to less than {:.0} %.",
            TOLERANCE * 100.0
        )),
        table.html(),
        remark(format!(
            "The table was fitted to {} other operators, counted one by one on each core; their estimates are off by {} in the \
             mean, {} at most. Made by {source}. Instructions are not cycles: flash wait states and pipelines come on top.",
            first.fitted.operators,
            percent(mean),
            percent(worst),
        ))
    )
}
