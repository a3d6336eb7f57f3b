//! The commands from data to exported model: their JSON keys, and that what they say agrees with what the others say.

mod support;

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use support::{BIASED, TRISHIFT, idx, json, keys, npy, npz, output, snapshot, trishift, words, write};
use trishift_trainer::rule::RuleName;

/// All of these keys are there.
fn assert_keys(value: &Value, expected: &str) {
    let keys = keys(value);
    for key in words(expected) {
        assert!(keys.contains(&key), "{key} is not among {keys:?}");
    }
}

/// Equal but for the last bits, which reading JSON may change.
fn assert_close(value: &Value, expected: f64) {
    let value = value.as_f64().expect("a number");
    assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{value} is not {expected}");
}

#[test]
fn quickstart_keeps_its_promise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let result = json(path, "quickstart --json");
    assert_keys(&result, "accuracy samples mismatches model_bytes seconds device");
    assert!(result["accuracy"].as_f64().unwrap() >= 0.965, "{result}");
    assert_eq!((&result["mismatches"], &result["device"]), (&0.into(), &"cpu".into()));
    assert!(result["samples"].as_u64().unwrap() > 500 && result["seconds"].as_f64().unwrap() > 0.0, "{result}");
    let model = std::fs::metadata(path.join("runs/quickstart/model.tsm")).unwrap();
    assert_eq!(result["model_bytes"], model.len());
}

#[test]
fn quickstart_finds_a_folder_and_says_what_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "runs/quickstart/mine.txt", "mine");
    let text = output(path, "quickstart --device auto");
    let model = path.join("runs/quickstart-2/model.tsm");
    assert!(model.is_file() && text.contains("trishift inspect runs/quickstart-2/model.tsm"), "{text}");
    assert_eq!(snapshot(&path.join("runs/quickstart")).len(), 1);
}

#[test]
fn all_commands_agree_about_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let trained = json(path, "train --preset digits-mlp --epochs 12 --seed 3 --out run --json");
    assert_keys(&trained, "accuracy train_accuracy model seconds samples_per_second samples mismatches");
    assert_eq!((&trained["model"], &trained["mismatches"]), (&"run/model.tsm".into(), &0.into()));
    let model = std::fs::read(path.join("run/model.tsm")).unwrap();

    let judged = json(path, "eval run/model.tsm --data builtin:digits --json");
    assert_keys(&judged, "accuracy samples");
    assert_eq!((&judged["accuracy"], &judged["samples"]), (&trained["accuracy"], &trained["samples"]));
    assert_close(&judged["accuracy"], judged["correct"].as_f64().unwrap() / judged["samples"].as_f64().unwrap());
    // The training forward pass has no other weights than the file.
    assert_eq!(trained["differing_logits"], 0);
    let learnt = json(path, "eval run/model.tsm --data builtin:digits --part train --json");
    assert_eq!(learnt["accuracy"], trained["train_accuracy"]);
    let all = json(path, "eval run/model.tsm --data builtin:digits --part all --json");
    assert_eq!(all["samples"], 1797);
    let sum = |key| judged[key].as_u64().unwrap() + learnt[key].as_u64().unwrap();
    assert_eq!([all["samples"].as_u64(), all["correct"].as_u64()], [Some(sum("samples")), Some(sum("correct"))]);
    let text = output(path, "eval run/model.tsm --data builtin:digits");
    assert!(text.contains(&format!("({} of {} samples)", judged["correct"], judged["samples"])), "{text}");

    let exported = json(path, "export run --out copy.tsm --json");
    assert_keys(&exported, "model model_bytes step narrowed_rows zeroed_trits");
    assert!(std::fs::read(path.join("copy.tsm")).unwrap() == model);
    assert_eq!((&exported["model_bytes"], &exported["model"]), (&model.len().into(), &"copy.tsm".into()));
    // 1,258 training samples make 39 batches of 32.
    assert_eq!(exported["step"], 12 * 39);

    let shown = json(path, "inspect run/model.tsm --json");
    assert_keys(&shown, "file_bytes weight_bytes bits_per_weight arena_bytes macs layers");
    assert_eq!(shown["file_bytes"], model.len());
    assert_eq!(shown["macs"], 64 * 128 + 128 * 10);
    let layers = shown["layers"].as_array().unwrap();
    let operators: Vec<_> = layers.iter().filter_map(|layer| layer["operator"].as_str()).collect();
    assert_eq!(operators, ["linear", "shift-norm", "linear"]);
    let total = |key: &str| layers.iter().filter_map(|layer| layer[key].as_u64()).sum::<u64>();
    assert_eq!(total("macs"), shown["macs"]);
    assert_eq!(total("bytes"), shown["weight_bytes"]);
    for key in ["bits_per_weight", "arena_bytes"] {
        assert_eq!(shown[key], trained[key], "{key}");
    }
    assert_close(&shown["bits_per_weight"], total("bytes") as f64 * 8.0 / total("macs") as f64);
    assert!(shown["arena_bytes"].as_u64() >= shown["arena_lower_bound"].as_u64());
    assert_eq!(shown["labels"], serde_json::json!(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]));
    assert_eq!(shown["properties"]["seed"], "3");
    let text = output(path, "inspect run/model.tsm");
    for part in ["digits-mlp", "linear", "shift-norm", "128 × 64", "bits each"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let metrics = std::fs::read_to_string(path.join("run/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 12);
    let config = std::fs::read_to_string(path.join("run/config.toml")).unwrap();
    assert!(config.contains("epochs = 12") && config.contains("seed = 3"), "{config}");
}

#[test]
fn inspect_draws_the_graph_and_the_arena() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "export --preset resnet8 --out resnet8.tsm");
    let text = output(path, "inspect resnet8.tsm");
    // A block's sum ends one way round and begins the next; while it is computed, both lie in memory.
    for part in ["   6 ┌─╯ │ conv2d", "   7 ├─┬─╯ add ", "   7 hhhhhhhhiiiiiiii····", "a column is 1,024 bytes"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn diff_counts_what_another_seed_or_layout_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for seed in [1, 2] {
        output(path, &format!("export --preset mnist-cnn --seed {seed} --out {seed}.tsm"));
    }
    output(path, "export --preset mnist-cnn --seed 1 --layout groups --out groups.tsm");
    let same = json(path, "diff 1.tsm 1.tsm --json");
    assert_eq!((&same["same"], &same["patch_bytes"]), (&true.into(), &0.into()));
    assert!(output(path, "diff 1.tsm 1.tsm").contains("the same, byte for byte"));

    let other = json(path, "diff 1.tsm 2.tsm --json");
    assert_keys(&other, "same file_bytes patch_bytes facts layers");
    assert_eq!((&other["same"], &other["facts"]), (&false.into(), &serde_json::json!([["seed", "1", "2"]])));
    let layers = other["layers"].as_array().unwrap();
    assert_eq!((&layers[0]["numbers"]["weights"]["of"], &layers[0]["same"]), (&(16 * 9).into(), &false.into()));
    let second = &layers[1]["numbers"]["weights"];
    assert_eq!(second["of"], 32 * 144);
    // Random trits agree in a third of all places.
    let changed = second["changed"].as_f64().unwrap() / f64::from(32 * 144);
    assert!((0.5..0.8).contains(&changed), "{changed}");
    assert!(other["patch_bytes"].as_u64() <= other["file_bytes"][1].as_u64());
    let text = output(path, "diff 1.tsm 2.tsm");
    assert!(text.contains("seed: “1” → “2”") && text.contains("trits went from −1 to 1"), "{text}");

    // The same numbers in another order.
    let layout = json(path, "diff 1.tsm groups.tsm --json");
    assert_eq!(layout["same"], false);
    assert!(layout["layers"].as_array().unwrap().iter().all(|layer| layer["same"] == true), "{layout}");
    assert!(output(path, "diff 1.tsm groups.tsm").contains("operators: the same, number by number"));
    output(path, "export --preset dscnn --out dscnn.tsm");
    let text = output(path, "diff 1.tsm dscnn.tsm");
    assert!(text.contains("→ conv2d") && text.contains("nothing"), "{text}");
}

#[test]
fn inspect_shows_every_operator_and_what_it_weighs() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared-format/tests/golden");
    let shown = json(&golden, "inspect model-0.2.tsm --json");
    let layers = shown["layers"].as_array().unwrap();
    let kinds: Vec<_> = layers.iter().filter_map(|layer| layer["operator"].as_str()).collect();
    // Those of the file's version; later ones have numbers behind them.
    let all = &trishift_format::OperatorKind::ALL[..9];
    assert!(all.iter().all(|kind| kinds.contains(&kind.name())), "{kinds:?}");
    // A table is weights like a layer's, and looking rows up is no multiplying.
    let table = layers.iter().find(|layer| layer["operator"] == "embedding").unwrap();
    assert_keys(
        table,
        "rows columns group exponents smallest_exponent largest_exponent widest_window zeros bytes macs",
    );
    assert_eq!((&table["rows"], &table["columns"], &table["group"]), (&3.into(), &6.into(), &4.into()));
    assert_eq!((&table["exponents"], &table["macs"]), (&"4-bit offset".into(), &0.into()));
    assert!(table["bias"].is_null() && table["bytes"].as_u64() > Some(0), "{table}");
    assert_eq!(shown["macs"], 120 + 100 + 100 + 30);
    let bits = shown["weight_bytes"].as_f64().unwrap() * 8.0 / f64::from(120 + 100 + 100 + 30 + 18);
    assert_close(&shown["bits_per_weight"], bits);
    let text = output(&golden, "inspect model-0.2.tsm");
    assert!(text.lines().any(|line| line.contains("embedding") && line.contains("3 × 6")), "{text}");
}

#[test]
fn presets_are_exported_with_random_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let exported = json(path, "export --preset mnist-cnn --out cnn.tsm --seed 3 --width 0.5 --group 16 --json");
    let model = std::fs::read(path.join("cnn.tsm")).unwrap();
    assert_keys(&exported, "model model_bytes weights seed width group macs arena_bytes narrowed_rows zeroed_trits");
    assert_eq!((&exported["model_bytes"], &exported["weights"]), (&model.len().into(), &"random".into()));
    assert_eq!((&exported["seed"], &exported["width"], &exported["group"]), (&3.into(), &0.5.into(), &16.into()));
    let again = json(path, "export --preset mnist-cnn --out again.tsm --seed 3 --width 0.5 --group 16 --json");
    assert!(std::fs::read(path.join("again.tsm")).unwrap() == model && again["macs"] == exported["macs"]);
    let text = output(path, "export --preset mnist-cnn --out cnn.tsm --layout groups --overwrite");
    assert!(text.contains("random") && text.contains("not for accuracy"), "{text}");

    let shown = json(path, "inspect again.tsm --json");
    for key in ["macs", "arena_bytes"] {
        assert_eq!(shown[key], exported[key], "{key}");
    }
    let (arena, bound) = (shown["arena_bytes"].as_f64().unwrap(), shown["arena_lower_bound"].as_f64().unwrap());
    assert_close(&shown["arena_ratio"], arena / bound);
    assert!(shown["properties"]["weights"].as_str().unwrap().contains("random"), "{shown}");
    let layers = shown["layers"].as_array().unwrap();
    let macs = layers.iter().filter_map(|layer| layer["macs"].as_u64()).sum::<u64>();
    assert_eq!(shown["macs"], macs);
    let [first, second, pool] = &layers[..3] else { panic!("{layers:?}") };
    assert_eq!((&first["operator"], &first["weights"]), (&"int8-conv2d".into(), &"int8".into()));
    assert_eq!((&first["rows"], &first["columns"], &first["bytes"]), (&8.into(), &9.into(), &80.into()));
    assert_eq!((&second["operator"], &second["weights"]), (&"conv2d".into(), &"ternary".into()));
    let lists = |layer: &Value, keys: [&str; 5]| keys.map(|key| layer[key].to_string()).join(" ");
    let keys = ["input_shape", "output_shape", "kernel", "stride", "padding"];
    assert_eq!(lists(second, keys), "[28,28,8] [28,28,16] [3,3] [1,1] [1,1,1,1]");
    assert_eq!(lists(pool, keys), "[28,28,16] [14,14,16] [2,2] [2,2] [0,0,0,0]");
    let text = output(path, "inspect again.tsm");
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    assert!(line("int8-conv2d").contains("int8 28×28×8") && line("int8-conv2d").contains("8 × 9"), "{text}");
    assert!(line("max-pool").contains("2×2 by 2×2") && line("  arena").contains("times the least"), "{text}");
}

#[test]
fn bench_gives_one_line_for_each_instruction_set() {
    let folder = tempfile::tempdir().unwrap();
    let text = output(folder.path(), "bench cpu --rows 96 --cols 100 --group 20 --batch 3 --threads 2 --json");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert_keys(line, "isa batch gops int8_gops weights_per_ns threads");
        let number = |key: &str| line[key].as_f64().unwrap();
        assert_eq!(["rows", "cols", "group", "batch", "threads"].map(number), [96.0, 100.0, 20.0, 3.0, 2.0]);
        assert!(number("gops") > 0.0);
        // 2 operations for each weight and sample.
        assert!((number("gops") / number("weights_per_ns") / 6.0 - 1.0).abs() < 1e-9, "{line}");
    }
    let mut names: Vec<_> = lines.iter().map(|line| line["isa"].as_str().unwrap()).collect();
    assert_eq!(names.last(), Some(&"scalar"));
    names.dedup();
    assert_eq!(names.len(), lines.len());
}

#[test]
fn bench_of_a_model_gives_one_line_for_each_batch() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared-format/tests/golden");
    let text = output(&golden, "bench model model-0.2.tsm --isa scalar --batch 3 --batch 1 --json");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| &line["batch"]).collect::<Vec<_>>(), [3, 1]);
    for line in &lines {
        assert_keys(line, "isa batch samples_per_second gops threads");
        assert_eq!((&line["isa"], &line["peak_gops"], &line["ratio"]), (&"scalar".into(), &Value::Null, &Value::Null));
        // 350 products a sample, 2 operations each.
        let number = |key: &str| line[key].as_f64().unwrap();
        assert!((number("samples_per_second") * 700.0 / 1e9 / number("gops") - 1.0).abs() < 1e-9, "{line}");
    }
    let refused = |arguments: &str| {
        let ended = trishift(&golden, words(arguments)).assert().code(2);
        String::from_utf8(ended.get_output().stderr.clone()).unwrap()
    };
    assert!(refused("bench model model-0.2.tsm --batch 0").contains("a batch of 0 cannot be measured"));
    assert!(refused("bench model model-0.2.tsm --isa none").contains("none"));
    assert!(refused("bench model missing.tsm").contains("cannot read the model missing.tsm"));
}

#[test]
fn biases_and_plain_relus_export_exactly_under_all_rules() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "biased.toml", BIASED);
    for rule in RuleName::ALL {
        let least = match rule {
            RuleName::FlipCorrelation | RuleName::Latent | RuleName::StraightThrough => 0.93,
            _ => 0.2,
        };
        let trained = json(path, &format!("train --config biased.toml --rule {rule} --out {rule} --json --quiet"));
        assert_eq!(trained["mismatches"], 0, "{rule}");
        assert!(trained["accuracy"].as_f64().unwrap() >= least, "{rule}: {trained}");
        let judged = json(path, &format!("eval {rule}/model.tsm --data builtin:digits --json"));
        assert_eq!(judged["accuracy"], trained["accuracy"], "{rule}");
        let shown = json(path, &format!("inspect {rule}/model.tsm --json"));
        let biases = shown["layers"].as_array().unwrap().iter().map(|layer| layer["bias"].as_bool());
        assert_eq!(biases.collect::<Vec<_>>(), [Some(true); 3], "{rule}");
    }
}

/// A table network with a scale of its own for each feature.
const TABLE: &str = r#"
name = "table"
[data]
test = 0.25
[network]
group = 4
layers = [
    { type = "linear", outputs = 24 },
    { type = "shift-norm" },
    { type = "relu" },
    { type = "linear", bias = true },
]
[training]
epochs = 30
batch = 16
"#;

/// Rows of four features around a centre for each class, the features of very different sizes.
fn rows(count: usize) -> impl Iterator<Item = ([f64; 4], usize)> {
    (0..count).map(|row| {
        let class = row % 3;
        let noise = |k: usize| (row * k % 23) as f64 / 23.0 - 0.5;
        let centre = [[1.0, 0.2, -3.0, 0.0], [-1.0, 0.6, 0.0, 0.0], [0.0, 0.9, 3.0, 1.0]][class];
        let size = [1.0, 1000.0, 0.01, 20.0];
        (std::array::from_fn(|k| (centre[k] + noise(k + 3) * 0.6) * size[k]), class)
    })
}

const KINDS: [&str; 3] = ["birch", "elm", "oak"];

/// Trains on `data` and has the model judged again; gives the training's result.
fn train_and_judge(folder: &Path, options: &str, data: &str, run: &str) -> Value {
    write(folder, "table.toml", TABLE);
    let trained =
        json(folder, &format!("train --config table.toml --data {data} {options} --out {run} --json --quiet"));
    assert_eq!(trained["mismatches"], 0, "{run}");
    assert!(trained["accuracy"].as_f64().expect("an accuracy") >= 0.95, "{run}: {trained}");
    let judged = json(folder, &format!("eval {run}/model.tsm --data {data} --json"));
    assert_eq!((&judged["accuracy"], &judged["samples"]), (&trained["accuracy"], &trained["samples"]), "{run}");
    trained
}

#[test]
fn tables_of_several_layouts_train() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();

    // A header, the label in the middle, by name.
    let mut table = String::from("height,width,\"kind\",depth,age\n");
    for ([a, b, c, d], class) in rows(240) {
        table += &format!("{a},{b:.1},{},{c:.5},{d:e}\n", KINDS[class]);
    }
    write(path, "named.csv", &table);
    let trained = train_and_judge(path, "--label kind", "named.csv", "named");
    assert_eq!(trained["samples"], 60);
    let shown = json(path, "inspect named/model.tsm --json");
    assert_eq!((&shown["labels"], &shown["properties"]["label"]), (&KINDS.into(), &"kind".into()));
    // Another network learns no other split.
    let seeded =
        json(path, "train --config table.toml --data named.csv --label kind --seed 5 --out seeded --json --quiet");
    assert_eq!(seeded["samples"], 60);

    // No header, the label first, numbers for classes, spaces, empty lines, gzip.
    let mut table = String::new();
    for ([a, b, c, d], class) in rows(240) {
        table += &format!("{} , {a} , {b} , {c} , {d}\r\n\r\n", 10 * class);
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(table.as_bytes()).unwrap();
    write(path, "first.csv.gz", packed.finish().unwrap());
    train_and_judge(path, "--label first", "first.csv.gz", "first");
    let shown = json(path, "inspect first/model.tsm --json");
    assert_eq!(shown["labels"], serde_json::json!(["0", "10", "20"]));

    // A folder with test rows of its own, the label last.
    for (name, skip, take) in [("own/train.csv", 0, 180), ("own/test.csv", 180, 60)] {
        let mut table = String::from("a,b,c,d,kind\n");
        for ([a, b, c, d], class) in rows(240).skip(skip).take(take) {
            table += &format!("{a},{b},{c},{d},{}\n", KINDS[class]);
        }
        write(path, name, &table);
    }
    let trained = train_and_judge(path, "--test 0", "own", "own-run");
    assert_eq!(trained["samples"], 60);
    let with_validation = json(
        path,
        "train --config table.toml --data own --test 0 --validation 0.2 --epochs 2 --out validated --json --quiet",
    );
    assert_eq!(with_validation["samples"], 60);
    let metrics = std::fs::read_to_string(path.join("validated/metrics.jsonl")).unwrap();
    assert_eq!(metrics.matches("\"validation_accuracy\":").count(), 2);

    // The model of a table that was split is judged on the test rows of data that has some.
    write(path, "plain.csv", std::fs::read(path.join("own/train.csv")).unwrap());
    train_and_judge(path, "", "plain.csv", "plain");
    let judged = json(path, "eval plain/model.tsm --data own --json");
    assert_eq!(judged["samples"], 60);
    assert!(judged["accuracy"].as_f64().unwrap() >= 0.95, "{judged}");
}

#[test]
fn classes_are_the_models_not_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let table = |classes: &[usize]| -> String {
        let rows = rows(240).filter(|(_, class)| classes.contains(class));
        rows.map(|([a, b, c, d], class)| format!("{a},{b},{c},{d},{}\n", KINDS[class])).collect()
    };
    write(path, "all.csv", table(&[0, 1, 2]));
    // Alone, elm and oak would be classes 0 and 1.
    write(path, "two.csv", table(&[1, 2]));
    train_and_judge(path, "", "all.csv", "run");
    let judged = json(path, "eval run/model.tsm --data two.csv --part all --json");
    assert_eq!(judged["samples"], 160);
    assert!(judged["accuracy"].as_f64().unwrap() >= 0.95, "{judged}");
    write(path, "ash.csv", table(&[1, 2]).replace("elm", "ash"));
    let assert = trishift(path, words("eval run/model.tsm --data ash.csv --json")).assert().code(2).stdout("");
    let message = String::from_utf8_lossy(&assert.get_output().stderr);
    assert!(message.contains("\"ash\"") && message.contains("the model does not know"), "{message}");
}

#[test]
fn image_files_train() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (part, count) in [("train", 300usize), ("t10k", 90)] {
        // The bright row of 6×5 pixels is the class.
        let labels: Vec<u8> = (0..count).map(|image| (image % 6) as u8).collect();
        let pixel = |image: usize, row: usize, column: usize| {
            let noise = (image * 7 + row * 5 + column * 3) % 60;
            if row == image % 6 { 255 - noise as u8 } else { noise as u8 }
        };
        let pixels = (0..count * 30).map(|i| pixel(i / 30, i % 30 / 5, i % 5)).collect::<Vec<_>>();
        write(path, &format!("images/{part}-images-idx3-ubyte"), idx(&[count as u32, 6, 5], &pixels));
        write(path, &format!("images/{part}-labels-idx1-ubyte"), idx(&[count as u32], &labels));
    }
    let line = "train --preset mnist-mlp --data images --epochs 20 --batch 20 --seed 1 --group 20 --out run --json";
    let trained = json(path, &format!("{line} --device auto --rule flip-correlation"));
    assert_eq!((&trained["samples"], &trained["mismatches"]), (&90.into(), &0.into()));
    assert!(trained["accuracy"].as_f64().unwrap() > 0.95, "{trained}");
    let judged = json(path, "eval run/model.tsm --data images --json");
    assert_eq!(judged["accuracy"], trained["accuracy"]);
    let shown = json(path, "inspect run/model.tsm --json");
    assert_eq!(shown["input_shape"], serde_json::json!([6, 5, 1]));
}

#[test]
fn arrays_train_from_files_and_from_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let arrays = |skip: usize, count: usize| {
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for (row, class) in rows(skip + count).skip(skip) {
            values.extend(row.iter().flat_map(|value| (*value as f32).to_be_bytes()));
            labels.extend((class as i64 * 10 - 10).to_le_bytes());
        }
        (npy(">f4", &format!("({count}, 4)"), &values), npy("<i8", &format!("({count}, 1)"), &labels))
    };
    let ((x_train, y_train), (x_test, y_test)) = (arrays(0, 180), arrays(180, 60));
    let arrays = [("x_train", &x_train), ("y_train", &y_train), ("x_test", &x_test), ("y_test", &y_test)];
    arrays.iter().for_each(|(name, array)| write(path, &format!("files/{name}.npy"), array));
    write(path, "set.npz", npz(&arrays.map(|(name, array)| (name, array.as_slice()))));

    let trained = train_and_judge(path, "--test 0", "files", "from-files");
    assert_eq!(trained["samples"], 60);
    let shown = json(path, "inspect from-files/model.tsm --json");
    assert_eq!(shown["labels"], serde_json::json!(["-10", "0", "10"]));
    train_and_judge(path, "--test 0", "set.npz", "from-archive");
    let judged = json(path, "eval from-files/model.tsm --data set.npz --json");
    assert_eq!(judged["accuracy"], trained["accuracy"]);
}

#[test]
fn either_order_of_the_weights_gives_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "train --preset digits-mlp --epochs 2 --group 20 --out run --quiet");
    output(path, "export run --out rows.tsm --layout rows");
    output(path, "export run --out groups.tsm --layout groups");
    let read = |name: &str| std::fs::read(path.join(name)).unwrap();
    assert_eq!(read("rows.tsm"), read("run/model.tsm"));
    assert_ne!(read("rows.tsm"), read("groups.tsm"));
    let judged = |name: &str| json(path, &format!("eval {name} --data builtin:digits --json"));
    let (rows, groups) = (judged("rows.tsm"), judged("groups.tsm"));
    assert_eq!((&rows["correct"], &rows["loss"]), (&groups["correct"], &groups["loss"]));
}

#[test]
fn a_run_without_test_samples_has_no_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let trained = json(path, "train --preset digits-mlp --test 0 --epochs 1 --out run --json --quiet");
    assert_eq!((&trained["accuracy"], &trained["samples"]), (&Value::Null, &0.into()));
    assert!(trained["train_accuracy"].as_f64().unwrap() > 0.5, "{trained}");
    let text = output(path, "train --preset digits-mlp --test 0 --epochs 1 --out run --overwrite --quiet");
    assert!(text.contains("not measured") && text.contains("--test 0.2"), "{text}");
}

#[test]
fn overwriting_replaces_the_run_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "train --preset digits-mlp --epochs 2 --out run --quiet");
    write(path, "run/notes.txt", "mine");
    output(path, "train --preset digits-mlp --epochs 1 --out run --overwrite --quiet");
    assert_eq!(std::fs::read(path.join("run/notes.txt")).unwrap(), b"mine");
    assert_eq!(std::fs::read_to_string(path.join("run/metrics.jsonl")).unwrap().lines().count(), 1);
    output(path, "export run --out run/notes.txt --overwrite");
    assert_eq!(std::fs::read(path.join("run/notes.txt")).unwrap(), std::fs::read(path.join("run/model.tsm")).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_nobody_reads_are_no_panic() {
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "train --preset digits-mlp --epochs 1 --out run --quiet");
    for line in ["inspect run/model.tsm", "inspect run/model.tsm --json", "eval run/model.tsm --data builtin:digits"] {
        let mut command = Command::new(TRISHIFT);
        command.current_dir(path).args(words(line)).stderr(Stdio::piped());
        // The reader goes away before the first line.
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        drop(process.stdout.take());
        let ended = process.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()), "{line}");
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = command.stdout(full).output().unwrap();
        let message = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{line}");
        assert!(message.starts_with("error: cannot write the result to standard output: "), "{message}");
        assert_eq!(message.lines().count(), 1);
    }
}
