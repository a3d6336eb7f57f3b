//! The report about a run holds the run's own numbers, panel by panel, loads nothing, and says in one sentence why there is none.

mod support;

use serde_json::Value;
use std::path::Path;
use support::{json, keys, output, snapshot, trishift, words, write};
use trishift::Model;
use trishift_format::Operator;
use trishift_trainer::backend::Resolved;
use trishift_trainer::config::Config;
use trishift_trainer::data::Prepared;
use trishift_trainer::network::Network;
use trishift_trainer::number::{percent, rounded, signed, thousands};
use trishift_trainer::run::{self, Ending, Epoch, Flips, Observer, Run, RunFolder, Status};
use trishift_trainer::{checkpoint, cost, evaluate, report, rule};

const PANELS: [&str; 7] = ["curves", "confusion", "weights", "flips", "export", "arena", "cost"];

/// The text of a panel.
fn panel<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("<section id=\"{id}\"")).unwrap_or_else(|| panic!("no panel {id}"));
    let rest = &page[start..];
    &rest[..rest.find("</section>").expect("an end")]
}

/// The cells of every row of the tables in a text, without elements.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cell = |cell: &str| {
        let mut plain = String::new();
        let mut inside = false;
        for letter in cell.chars() {
            match letter {
                '<' => inside = true,
                '>' => inside = false,
                letter if !inside => plain.push(letter),
                _ => {}
            }
        }
        plain
    };
    let of_row = |row: &str| {
        let row = &row[..row.find("</tr>").unwrap_or(row.len())];
        let cells = row.split("<t").skip(1).filter(|part| part.starts_with(['d', 'h']));
        cells.map(|part| cell(&format!("<t{part}"))).collect()
    };
    text.split("<tr").skip(1).map(of_row).collect()
}

fn assert_row(text: &str, expected: &[&str]) {
    let rows = rows(text);
    assert!(rows.iter().any(|row| row == expected), "{expected:?} is not among {rows:#?}");
}

/// A page that would load something, or run something, names it in one of these ways.
fn assert_loads_nothing(page: &str) {
    // Pictures are in the page itself; their letters mean nothing.
    let mut parts = page.split("base64,");
    let first = parts.next().unwrap_or_default().to_owned();
    let page = &parts.fold(first, |text, part| text + &part[part.find('"').expect("an end")..]);
    for part in
        ["http", "//", "url(", "@import", "<script", "<iframe", "<object", "<form", "javascript", "srcset", "onload"]
    {
        assert!(!page.contains(part), "{part}");
    }
    for attribute in ["src=\"", "href=\""] {
        for value in page.split(attribute).skip(1) {
            assert!(
                value.starts_with("data:") || value.starts_with('#'),
                "{attribute}{}",
                &value[..40.min(value.len())]
            );
        }
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
}

/// A finished run in `folder`/run, and its result.
fn train(folder: &Path, options: &str) -> (Value, String) {
    let result = json(folder, &format!("train --preset digits-mlp --out run --json --quiet {options}"));
    (result, std::fs::read_to_string(folder.join("run/report.html")).expect("a report"))
}

#[test]
fn every_panel_holds_the_runs_own_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (result, page) = train(path, "--epochs 10 --validation 0.1");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert_loads_nothing(&page);
    assert_eq!(page.matches("<section").count(), PANELS.len());
    let run = RunFolder::open(&path.join("run")).unwrap();
    let (epochs, flips) = (run.read_metrics().unwrap(), run.read_flips().unwrap());
    let config = Config::read(&run.config()).unwrap();
    let data = run::load(&config).unwrap();
    let file = std::fs::read(run.model()).unwrap();
    let model = Model::parse(&file).unwrap();

    curves(panel(&page, "curves"), &epochs, &result);
    let counted = json(path, "eval run/model.tsm --data builtin:digits --confusion --json");
    confusion(panel(&page, "confusion"), &counted);
    worst_samples(panel(&page, "confusion"), &model, &data);
    let inspected = json(path, "inspect run/model.tsm --json");
    weights(panel(&page, "weights"), &model, &inspected);
    flips_of(panel(&page, "flips"), &flips);
    export(panel(&page, "export"), &result);
    arena(panel(&page, "arena"), &inspected);
    costs(panel(&page, "cost"), path, &model);
}

fn curves(text: &str, epochs: &[Epoch], result: &Value) {
    assert_eq!(epochs.len(), 10);
    for epoch in epochs {
        assert_row(
            text,
            &[
                &epoch.epoch.to_string(),
                &thousands(epoch.step),
                &rounded(epoch.loss),
                &percent(epoch.train_accuracy),
                &percent(epoch.validation_accuracy.expect("an accuracy")),
                &thousands(epoch.samples_per_second as u64),
            ],
        );
    }
    assert!(text.contains(&percent(result["accuracy"].as_f64().expect("a number"))));
    // Circles stand where the losses are: as far apart from each other as the numbers are.
    let loss = text.split("<svg").nth(1).expect("a part");
    let number = |circle: &str, name: &str| -> f64 {
        circle
            .split(&format!("{name}=\""))
            .nth(1)
            .expect("a part")
            .split('"')
            .next()
            .expect("a part")
            .parse()
            .expect("a number")
    };
    let circles = loss.split("<circle").skip(1);
    let drawn: Vec<[f64; 2]> = circles.map(|circle| [number(circle, "cx"), number(circle, "cy")]).collect();
    assert_eq!(drawn.len(), epochs.len());
    let (first, last) = (&epochs[0], &epochs[9]);
    let scale = [
        (drawn[9][0] - drawn[0][0]) / (last.step - first.step) as f64,
        (drawn[9][1] - drawn[0][1]) / (last.loss - first.loss),
    ];
    for (epoch, [x, y]) in epochs.iter().zip(&drawn) {
        let expected = [
            drawn[0][0] + scale[0] * (epoch.step - first.step) as f64,
            drawn[0][1] + scale[1] * (epoch.loss - first.loss),
        ];
        assert!((x - expected[0]).abs() < 2.0 && (y - expected[1]).abs() < 2.0, "{epoch:?} at {x}, {y}: {expected:?}");
    }
}

fn confusion(text: &str, counted: &Value) {
    let found = rows(text);
    for (class, counts) in counted["confusion"]["counts"].as_array().expect("a list").iter().enumerate() {
        let counts: Vec<u64> =
            counts.as_array().expect("a list").iter().map(|count| count.as_u64().expect("a number")).collect();
        let cells = counts.iter().map(|count| if *count == 0 { "·".into() } else { count.to_string() });
        let right = counts[class] as f64 / counts.iter().sum::<u64>() as f64;
        let row: Vec<String> =
            [class.to_string()].into_iter().chain(cells).chain([format!("{:.1} %", right * 100.0)]).collect();
        assert!(found.contains(&row), "{row:?} is not among {found:#?}");
    }
    let [correct, samples] = ["correct", "samples"].map(|key| counted[key].as_u64().expect("a number"));
    assert!(text.contains(&format!("{correct} of {samples} test samples right")), "{text:.300}");
}

fn worst_samples(text: &str, model: &Model<'_>, data: &Prepared) {
    let test = &data.test;
    let logits = evaluate::Runtime::new(model).expect("a runtime").logits(&test.dense(0..test.len())).expect("logits");
    let losses = evaluate::losses(&logits, &test.labels, model.output().exponent.into());
    let mut order: Vec<usize> = (0..test.len()).collect();
    order.sort_by(|a, b| losses[*b].total_cmp(&losses[*a]));
    let figures: Vec<&str> = text.split("<figure>").skip(1).collect();
    assert_eq!(figures.len(), 12);
    for (index, figure) in order.into_iter().zip(figures) {
        let answer = trishift::argmax(&logits[index * 10..][..10]);
        let label = usize::from(test.labels[index]);
        let verdict = if answer == label { "rightly answered" } else { "answered" };
        let caption = format!("<strong>{label}</strong>, {verdict} <strong>{answer}</strong>");
        assert!(figure.contains(&caption), "{caption}: {figure}");
        let small = format!("loss {:.2}, <span>test sample {index}</span>", losses[index]);
        assert!(figure.contains(&small), "{small}: {figure}");
        // The picture has the sample's pixels: their order is that of the values.
        let (shades, row) = (decode(figure), test.row(index));
        assert_eq!(shades.len(), row.len());
        for (place, (shade, value)) in shades.iter().zip(row).enumerate() {
            let other = (place + 9) % row.len();
            assert_eq!(shade.cmp(&shades[other]), value.cmp(&row[other]), "sample {index}, pixel {place}");
        }
    }
}

/// The pixels of the picture in a text.
fn decode(text: &str) -> Vec<u8> {
    let encoded = text.split_once("base64,").expect("a picture").1.split('"').next().expect("an end");
    let letter = |letter: u8| match letter {
        b'A'..=b'Z' => u32::from(letter - b'A'),
        b'a'..=b'z' => u32::from(letter - b'a') + 26,
        b'0'..=b'9' => u32::from(letter - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = encoded.bytes().filter(|letter| *letter != b'=').collect();
    let bytes = letters.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0, |bits, byte| bits << 6 | letter(*byte)) << (6 * (4 - four.len()));
        (0..four.len() - 1).map(move |place| (bits >> (16 - 8 * place)) as u8).collect::<Vec<_>>()
    });
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes.collect::<Vec<u8>>())).read_info().expect("a header");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    reader.next_frame(&mut pixels).expect("pixels");
    pixels
}

fn weights(text: &str, model: &Model<'_>, inspected: &Value) {
    let layers = inspected["layers"].as_array().expect("a list");
    for (index, operator) in model.operators().enumerate() {
        let Operator::Linear(op) = operator else { continue };
        let matrix = model.matrix(&op.weights);
        let trits: Vec<i8> = matrix
            .iter()
            .flat_map(|row| {
                let mut trits = vec![0; matrix.columns()];
                row.unpack(&mut trits);
                trits
            })
            .collect();
        let share =
            |trit: i8| percent(trits.iter().filter(|found| **found == trit).count() as f64 / trits.len() as f64);
        let layer = &layers[index];
        assert_eq!(share(0), percent(layer["zeros"].as_f64().expect("a number")));
        let [low, high] =
            ["smallest_exponent", "largest_exponent"].map(|key| signed(layer[key].as_i64().expect("a number")));
        assert_row(
            text,
            &[
                &format!("{index} linear"),
                &format!("{} × {}", matrix.rows(), matrix.columns()),
                "32",
                &share(-1),
                &share(0),
                &share(1),
                "",
                &format!("{low} … {high}"),
                &thousands(layer["bytes"].as_u64().expect("a number")),
            ],
        );
        // The histogram has every count above its bar.
        let figure = text
            .split("<figure>")
            .find(|figure| figure.contains(&format!("<figcaption>{index} linear<")))
            .expect("a figure");
        let exponents: Vec<i32> = matrix.iter().flat_map(|row| row.exponents().collect::<Vec<_>>()).collect();
        for exponent in exponents.iter().min().copied().expect("an exponent")
            ..=exponents.iter().max().copied().expect("an exponent")
        {
            let count = exponents.iter().filter(|found| **found == exponent).count();
            let is_named = figure.lines().any(|line| line == thousands(count as u64));
            assert!(count == 0 || is_named, "{count} groups of exponent {exponent}: {figure}");
        }
    }
}

fn flips_of(text: &str, flips: &[Flips]) {
    let (first, last) = (&flips[0], &flips[flips.len() - 1]);
    let rate = |flips: &Flips, changed: u64| rounded(changed as f64 / (flips.step - flips.since) as f64);
    let share = |changed: u64, of: u64| percent(changed as f64 / of as f64);
    for (layer, name) in ["0 linear", "2 linear"].into_iter().enumerate() {
        let of = first.of[layer];
        let [before, after] = [first.changed[layer], last.changed[layer]];
        let cells = [&thousands(of), &rate(first, before), &rate(last, after), &share(before, of), &share(after, of)];
        assert_row(text, &[name, cells[0], cells[1], cells[2], cells[3], cells[4]]);
    }
    assert!(text.contains(&format!("updates 0 to {}", thousands(first.step))), "{text}");
    assert!(first.sum() > 0);
}

fn export(text: &str, result: &Value) {
    let number = |key: &str| result[key].as_u64().expect("a number");
    let samples = number("samples");
    let right = |key: &str| format!("{} ({})", thousands(number(key)), percent(number(key) as f64 / samples as f64));
    let what = format!("right, of {samples} test samples");
    assert_row(text, &[&what, &right("correct_before_export"), &right("correct_after_export")]);
    let classes = thousands(number("differing_classes"));
    assert_row(text, &["classes of samples, before and after", &classes, &thousands(samples)]);
    let logits = thousands(number("differing_logits"));
    assert_row(text, &["logits, before and after", &logits, &thousands(10 * samples)]);
    let mismatches = thousands(number("mismatches"));
    let what = "integers, the runtime's against the trainer's own evaluation";
    assert_row(text, &[what, &mismatches, &thousands(10 * samples)]);
}

fn arena(text: &str, inspected: &Value) {
    let bytes = thousands(inspected["arena_bytes"].as_u64().expect("a number"));
    assert!(text.contains(&format!("{bytes} bytes of tensors a sample")), "{text:.400}");
    assert_row(text, &["output of 0 linear", "int32 128", "512", "0", "operators 0 to 1 run"]);
    assert_row(text, &["output of 1 shift-norm", "int8 128", "128", "512", "operators 1 to 2 run"]);
    assert!(text.contains("out 0: 512") && text.contains("out 1: 128"));
}

fn costs(text: &str, folder: &Path, model: &Model<'_>) {
    let targets = &cost::table().targets;
    let estimates: Vec<Vec<f64>> = targets
        .iter()
        .map(|target| target.estimate(model).into_iter().map(|cost| cost.expect("a cost")).collect())
        .collect();
    let cells = |index: usize| estimates.iter().map(move |of| thousands(of[index].round() as u64));
    for (index, (name, output, macs)) in
        [("0 linear", "128", "8,192"), ("1 shift-norm", "128", "0"), ("2 linear", "10", "1,280")]
            .into_iter()
            .enumerate()
    {
        let row: Vec<String> = [name, output, macs].map(String::from).into_iter().chain(cells(index)).collect();
        assert_row(text, &row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // The file that is meant is the one that the command writes.
    output(folder, "export run --layout groups --out groups.tsm");
    let groups = std::fs::read(folder.join("groups.tsm")).expect("a file");
    for target in targets {
        let arena = target.arena_bytes(&Model::parse(&groups).expect("a model")).expect("an arena") as u64;
        let scratch = arena - model.arena_bytes();
        assert!(scratch >= 4096, "{scratch}");
        let cells = [groups.len() as u64, arena, model.arena_bytes(), scratch, 64 + 40].map(thousands);
        assert_row(text, &[&target.name, &cells[0], &cells[1], &cells[2], &cells[3], &cells[4]]);
    }
    assert!(text.contains("Estimated instructions") && text.contains("How far off estimates are"));
    let whole = targets[0].networks["resnet8"];
    assert!(text.contains(&thousands(whole.counted)) && whole.off().abs() < cost::TOLERANCE);
}

#[test]
fn the_command_writes_what_training_left_and_replaces_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (_, page) = train(path, "--epochs 3");
    let before = snapshot(path);
    let result = json(path, "report run --out other.html --json");
    assert_eq!(keys(&result), ["report", "bytes", "notes"]);
    assert_eq!((result["bytes"].as_u64(), &result["notes"]), (Some(page.len() as u64), &Value::Array(vec![])));
    assert!(std::fs::read_to_string(path.join("other.html")).unwrap() == page);
    let mut after = snapshot(path);
    after.remove(&path.join("other.html"));
    assert!(before == after);
    let refused = trishift(path, words("report run --out other.html")).assert().failure().code(2);
    let message = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert_eq!(message, "error: other.html exists; replace it with --overwrite\n");
    output(path, "report run --out other.html --overwrite");
    // The run's own report is written anew.
    std::fs::write(path.join("run/report.html"), "old").unwrap();
    output(path, "report run");
    assert!(std::fs::read_to_string(path.join("run/report.html")).unwrap() == page);
}

/// Stops a run once so many steps are done.
struct StopAt(u64);

impl Observer for StopAt {
    fn progress(&mut self, status: &Status) -> bool {
        status.step >= self.0
    }

    fn epoch(&mut self, _: &Epoch) {}
}

/// A run that stopped at a step, somewhere in an epoch.
fn interrupted(path: &Path, config: &Config, step: u64) -> u64 {
    let data = run::load(config).expect("samples");
    let folder = RunFolder::create(path, true).expect("a folder");
    folder.write_config(&config.to_toml().expect("TOML")).expect("a file");
    let mut run = Run::new(config, &data, &folder, &Resolved::Cpu).expect("a run");
    assert_eq!(run.train(&mut StopAt(step)).expect("an end"), Ending::Interrupted);
    run.step()
}

#[test]
fn an_unfinished_run_is_shown_as_far_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut config = Config::preset("digits-mlp").unwrap();
    (config.training.epochs, config.training.batch) = (Some(40), 8);
    let step = interrupted(&path.join("run"), &config, 400);
    let before = snapshot(path);
    let text = output(path, "report run --out report.html");
    assert!(text.starts_with("report.html: "), "{text}");
    let page = std::fs::read_to_string(path.join("report.html")).unwrap();
    let total = run::total_steps(&config, run::load(&config).unwrap().train.len());
    assert!(page.contains(&format!("unfinished: {} of {} updates", thousands(step), thousands(total))));
    assert!(page.contains("The run is unfinished"));
    for id in PANELS {
        assert!(rows(panel(&page, id)).len() > 2, "{id}");
    }
    let mut after = snapshot(path);
    after.remove(&path.join("report.html"));
    assert!(before == after, "a report changes nothing of its run");
    // Before the first epoch has ended, too.
    let step = interrupted(&path.join("early"), &config, 1);
    assert!(step < total / 40, "{step}");
    output(path, "report early");
    let page = std::fs::read_to_string(path.join("early/report.html")).unwrap();
    assert!(panel(&page, "curves").contains("No epoch has ended yet"));
    assert!(rows(panel(&page, "confusion")).len() > 10);
    assert_loads_nothing(&page);
}

#[test]
fn flips_are_what_changed_and_leave_no_step_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut config = Config::preset("digits-mlp").unwrap();
    (config.training.epochs, config.training.batch) = (Some(6), 8);
    let run = path.join("run");
    interrupted(&run, &config, 100);
    output(path, "train --resume run --quiet");
    output(path, "train --resume run --quiet");
    let flips = RunFolder::open(&run).unwrap().read_flips().unwrap();
    assert_eq!(flips[0].since, 0);
    assert!(flips.windows(2).all(|pair| pair[0].step == pair[1].since), "{flips:?}");
    let data = run::load(&config).unwrap();
    assert_eq!(flips.last().unwrap().step, run::total_steps(&config, data.train.len()));
    // An interruption is where a record ends.
    assert!(flips.len() >= 7, "{flips:?}");

    // One record from the first state to the last one says what differs between them.
    let network = Network::resolve(&config, data.train.shape, data.classes.len()).unwrap();
    config.training.epochs = Some(1);
    let fresh = || -> Vec<Box<dyn rule::LayerState>> {
        network.stages.iter().enumerate().map(|(index, stage)| rule::create(&config, stage, index)).collect()
    };
    output(path, "train --preset digits-mlp --epochs 1 --batch 8 --out one --quiet");
    let one = RunFolder::open(&path.join("one")).unwrap();
    let bytes = checkpoint::read(&one.checkpoint()).unwrap();
    let mut last = fresh();
    checkpoint::StateReader::new(&bytes, &one.checkpoint()).unwrap().load(&mut last).unwrap();
    let differing = fresh().into_iter().zip(&last).map(|(first, last)| {
        first.ternary().trits.iter().zip(&last.ternary().trits).filter(|(a, b)| a != b).count() as u64
    });
    assert_eq!(one.read_flips().unwrap()[0].changed, differing.collect::<Vec<_>>());
}

#[test]
fn a_report_that_cannot_be_written_does_not_lose_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut config = Config::preset("digits-mlp").unwrap();
    config.training.epochs = Some(3);
    interrupted(&path.join("run"), &config, 50);
    write(path, "run/report.html/in-the-way", "");
    let assert = trishift(path, words("train --resume run --quiet --json")).assert().success();
    let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(message.starts_with("warning: the run is done, but there is no report of it: cannot write"), "{message}");
    assert_eq!(message.lines().count(), 1);
    assert!(path.join("run/model.tsm").is_file());
}

/// Rows of two classes that overlap; labels are names that a page has to escape.
fn table(path: &Path) {
    let rows = (0..200).map(|row| {
        let class = row % 2;
        let value = f64::from(row * 37 % 100) / 50.0 + f64::from(class);
        format!("{value:.3},{:.3},{}\n", f64::from(row % 7), ["a<b", "'c' & d"][class as usize])
    });
    write(path, "table.csv", format!("x,y,species\n{}", rows.collect::<String>()));
}

#[test]
fn a_run_whose_samples_are_gone_shows_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    table(path);
    let line = "train --preset digits-mlp --data table.csv --epochs 2 --out run --quiet";
    output(path, line);
    let page = std::fs::read_to_string(path.join("run/report.html")).unwrap();
    assert!(page.contains("a&lt;b") && page.contains("&#39;c&#39; &amp; d") && !page.contains("a<b"));
    // Rows are shown as numbers.
    assert!(panel(&page, "confusion").contains("<pre>"));
    std::fs::rename(path.join("table.csv"), path.join("moved.csv")).unwrap();
    let result = json(path, "report run --out gone.html --json");
    let note = result["notes"][0].as_str().unwrap();
    assert!(note.contains("table.csv") && note.contains("--data"), "{note}");
    let gone = std::fs::read_to_string(path.join("gone.html")).unwrap();
    for id in ["curves", "weights", "flips", "arena", "cost"] {
        assert!(rows(panel(&gone, id)).len() > 1, "{id}");
    }
    for id in ["confusion", "export"] {
        assert!(rows(panel(&gone, id)).is_empty() && panel(&gone, id).contains("The notes"), "{id}");
    }
    // Where they are now they may be named.
    output(path, "report run --data moved.csv --out found.html");
    assert!(std::fs::read_to_string(path.join("found.html")).unwrap() == page);
}

#[test]
fn damaged_and_missing_runs_are_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    train(path, "--epochs 1");
    table(path);
    write(path, "empty/notes.txt", "");
    let copy = |name: &str| {
        for file in ["config.toml", "metrics.jsonl", "flips.jsonl", "checkpoint.tsc", "model.tsm"] {
            write(path, &format!("{name}/{file}"), std::fs::read(path.join("run").join(file)).unwrap());
        }
    };
    for (name, file) in [("metrics", "metrics.jsonl"), ("flips", "flips.jsonl")] {
        copy(name);
        write(path, &format!("{name}/{file}"), "{\"epoch\": 1}\n");
    }
    for (name, file) in [("checkpoint", "checkpoint.tsc"), ("model", "model.tsm")] {
        copy(name);
        let mut bytes = std::fs::read(path.join("run").join(file)).unwrap();
        bytes[100] ^= 1;
        write(path, &format!("{name}/{file}"), bytes);
    }
    copy("early");
    std::fs::remove_file(path.join("early/checkpoint.tsc")).unwrap();
    for (line, parts) in [
        ("report nowhere", ["nowhere holds no run", "train --out"]),
        ("report empty", ["empty holds no run", "checkpoint.tsc"]),
        ("report run/model.tsm", ["run/model.tsm holds no run", "train --out"]),
        ("report early", ["stopped before its first checkpoint", "--overwrite"]),
        ("report metrics", ["metrics/metrics.jsonl is damaged", "line 1"]),
        ("report flips", ["flips/flips.jsonl is damaged", "line 1"]),
        ("report checkpoint", ["checkpoint/checkpoint.tsc cannot be used", "checksum"]),
        ("report model", ["model/model.tsm cannot be used", "checksum"]),
        ("report run --data table.csv", ["is not what this run began with", "--data"]),
        ("report run --data nowhere.csv", ["nowhere.csv", "error: "]),
        ("report run --out nowhere/report.html", ["cannot write the report nowhere/report.html", "error: "]),
    ] {
        let before = snapshot(path);
        let assert = trishift(path, words(line)).assert().failure().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert_eq!(message.lines().count(), 1, "{line}: {message}");
        assert!(message.starts_with("error: ") && parts.iter().all(|part| message.contains(part)), "{line}: {message}");
        assert!(assert.get_output().stdout.is_empty() && snapshot(path) == before, "{line}");
    }
}

#[test]
fn the_library_writes_the_page_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (_, page) = train(path, "--epochs 2");
    let run = RunFolder::open(&path.join("run")).unwrap();
    let (html, notes) = report::of_folder(&run, None, &|_, _| {}).unwrap();
    assert!(notes.is_empty() && html == page);
}
