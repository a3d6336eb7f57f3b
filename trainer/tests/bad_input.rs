//! Whatever is wrong is told in one line on standard error, with exit code 2, before anything is made or changed.

mod support;

use std::path::Path;
use support::{BIASED, idx, json, npy, npz, output, png, snapshot, trishift, wav, words, write};
use tempfile::TempDir;

/// A folder to go wrong in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// With a short run in `run`.
    fn with_run() -> Self {
        let place = Self::new();
        output(place.path(), "train --preset digits-mlp --epochs 1 --out run --quiet");
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        write(self.path(), name, contents);
    }

    /// The command is refused in one line that holds `parts`, and nothing has changed.
    fn refuses(&self, line: &str, parts: &[&str]) {
        self.refuses_words(&words(line).collect::<Vec<_>>(), parts);
    }

    fn refuses_words(&self, arguments: &[&str], parts: &[&str]) {
        let message = self.message(arguments);
        assert_eq!(message.lines().count(), 1, "{arguments:?}: {message}");
        assert!(message.starts_with("error: ") && message.ends_with('\n'), "{arguments:?}: {message}");
        assert!(message.len() < 500, "{arguments:?}: {message}");
        for part in parts {
            assert!(message.contains(part), "{arguments:?} says {message:?}, not {part:?}");
        }
    }

    /// The command line itself is refused, by the words of the argument parser: several lines.
    fn refuses_usage(&self, line: &str, part: &str) {
        let message = self.message(&words(line).collect::<Vec<_>>());
        assert!(message.starts_with("error: ") && message.contains(part), "{line}: {message}");
        assert!(message.contains("--help"), "{line}: {message}");
    }

    fn message(&self, arguments: &[&str]) -> String {
        let before = snapshot(self.path());
        let assert = trishift(self.path(), arguments.iter().copied()).assert();
        let output = assert.get_output();
        let message = String::from_utf8(output.stderr.clone()).expect("messages are text");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty(), "{arguments:?} printed a result");
        assert!(!message.contains("panicked") && !message.contains("RUST_BACKTRACE"), "{arguments:?}: {message}");
        assert!(snapshot(self.path()) == before, "{arguments:?} changed something");
        message
    }
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let place = Place::new();
    for (line, parts) in [
        ("train --preset mnist --out run", ["\"mnist\"", "digits-mlp, mnist-mlp"]),
        ("train --preset digits-mlp --rule adam", ["adam", "the rules are flip-correlation, "]),
        ("train --preset digits-mlp --group 0", ["group is 0", "4, 6, 8, 16"]),
        ("train --preset digits-mlp --group 5", ["group is 5", "4, 6, 8, 16"]),
        ("train --preset digits-mlp --group 4294967295", ["group is 4294967295", "4, 6, 8, 16"]),
        ("train --preset digits-mlp --device tpu", ["\"tpu\"", "auto, cpu, cuda"]),
        ("train --preset digits-mlp --device cuda:x", ["\"cuda:x\"", "cuda:N"]),
        ("quickstart --device tpu", ["\"tpu\"", "auto, cpu, cuda"]),
        ("bench cpu --group 7", ["--group", "4, 6, 8, 16"]),
        ("train", ["nothing to train", "--preset NAME"]),
        ("train --preset mnist-mlp", ["no data was named", "--data DIR"]),
    ] {
        place.refuses(line, &parts);
    }
}

#[test]
fn presets_that_cannot_be_trained_or_exported_say_why() {
    let place = Place::new();
    place.write("there.tsm", "something");
    for (line, parts) in [
        ("train --preset resnet8", ["no data was named", "--data DIR"]),
        ("train --preset autoencoder", ["a network that gives values cannot be trained yet", "export --preset"]),
        ("export --preset digits-mlp --out x.tsm", ["digits-mlp leaves", "shape and classes under [data]"]),
        ("export --preset resnet --out x.tsm", ["\"resnet\"", "resnet8, resnet8-mixed, dscnn"]),
        ("export --preset dscnn --group 5 --out x.tsm", ["group is 5", "4, 6, 8, 16"]),
        ("export --preset dscnn --width 0 --out x.tsm", ["width is 0", "1/256 to 256"]),
        ("export --preset dscnn --out there.tsm", ["there.tsm exists", "--overwrite"]),
    ] {
        place.refuses(line, &parts);
    }
    for (line, part) in [
        ("export --preset dscnn", "--out"),
        ("export --out x.tsm", "required"),
        ("export run --preset dscnn --out x.tsm", "cannot be used with"),
        ("export run --seed 3 --out x.tsm", "cannot be used with"),
        ("export --preset dscnn --data x --out x.tsm", "cannot be used with"),
    ] {
        place.refuses_usage(line, part);
    }
}

#[test]
fn a_card_that_cannot_be_used_is_no_silent_fallback() {
    let place = Place::with_run();
    for line in [
        "train --preset digits-mlp --device cuda",
        "train --resume run --device cuda:0",
        "quickstart --device cuda",
        "bench gpu",
    ] {
        place.refuses(line, &["NVIDIA driver", "--device cpu"]);
    }
    place.refuses("bench gpu --device cpu", &["needs a CUDA card", "cuda:N"]);
}

#[test]
fn usage_errors_come_from_the_argument_parser() {
    let place = Place::with_run();
    for (line, part) in [
        ("train --preset digits-mlp --epochs 99999999999", "'99999999999'"),
        ("train --preset digits-mlp --batch 99999999999", "'99999999999'"),
        ("train --preset digits-mlp --batch -1", "-1"),
        ("train --preset digits-mlp --epochs ten", "'ten'"),
        ("train --preset digits-mlp --seed 1.5", "'1.5'"),
        ("train --preset digits-mlp --config other.toml", "cannot be used with"),
        ("train --resume run --epochs 5", "cannot be used with"),
        ("train --resume run --out other", "cannot be used with"),
        ("train --preset digits-mlp --epocs 5", "--epocs"),
        ("bench cpu --rows 4294967296", "'4294967296'"),
        ("bench tpu", "tpu"),
        #[cfg(feature = "cuda")]
        ("bench gpu --forward sparse", "dense and trits"),
        ("eval run/model.tsm", "--data"),
        ("export run", "--out"),
        ("inspect", "<MODEL>"),
        ("diff", "<BEFORE> <AFTER>"),
        ("prune", "prune"),
    ] {
        place.refuses_usage(line, part);
    }
    let message = place.message(&["train", "--preset", "digits-mlp", "--out", ""]);
    assert!(message.contains("--out"), "{message}");
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let place = Place::new();
    for (line, parts) in [
        ("train --preset digits-mlp --epochs 0", ["epochs is 0", "at least 1"]),
        ("train --preset digits-mlp --batch 0", ["batch is 0", "1 to 65536"]),
        ("train --preset digits-mlp --batch 4294967295", ["batch is 4294967295", "1 to 65536"]),
        ("train --preset digits-mlp --test 1.5", ["test is 1.5", "0 to below 1"]),
        ("train --preset digits-mlp --test nan", ["test is NaN", "0 to below 1"]),
        ("train --preset digits-mlp --test=-0.1", ["test is -0.1", "0 to below 1"]),
        ("train --preset digits-mlp --validation 1", ["validation is 1", "0 to below 1"]),
        ("train --preset digits-mlp --test 0.6 --validation 0.6", ["training part", "would be empty"]),
        ("train --preset digits-mlp --test 0.0001", ["test part", "would be empty"]),
        ("train --preset digits-mlp --context 0", ["context is 0", "1 to 65536"]),
        ("train --preset digits-mlp --context 65537", ["context is 65537", "1 to 65536"]),
        ("train --preset digits-mlp --learning-rate 0", ["learning-rate is 0", "above 0"]),
        ("train --preset digits-mlp --learning-rate inf", ["learning-rate is inf", "above 0"]),
        ("train --preset digits-mlp --learning-rate 1e39", ["learning-rate", "below 3e38"]),
        ("train --preset digits-mlp --warm-up 60", ["warm-up is 60", "less than the epochs"]),
        ("train --preset digits-mlp --steps 5 --warm-up 5", ["warm-up is 5", "or steps"]),
        ("train --preset digits-mlp --label-smoothing 1", ["label-smoothing is 1", "0 to below 1"]),
        ("train --preset digits-mlp --label-smoothing nan", ["label-smoothing is NaN", "0 to below 1"]),
        ("train --preset digits-mlp --correlation-strength=-4", ["correlation-strength is -4", "above 0"]),
        ("train --preset digits-mlp --correlation-strength 1e300", ["correlation-strength", "below 3e38"]),
        ("train --preset digits-mlp --threads 0", ["--threads is 0", "1 to 1024"]),
        ("train --preset digits-mlp --threads 1000000", ["--threads is 1000000", "1 to 1024"]),
        ("bench cpu --rows 0", ["0 × 4096", "2^28"]),
        ("bench cpu --cols 0", ["4096 × 0", "2^28"]),
        ("bench cpu --batch 0", ["batch 0", "2^28"]),
        ("bench cpu --rows 4294967295 --cols 4294967295", ["4294967295 × 4294967295", "2^28"]),
        ("bench cpu --rows 1 --cols 524288", ["1 × 524288", "524287 columns"]),
        ("bench cpu --batch 4294967295", ["batch 4294967295", "2^28"]),
        ("bench cpu --threads 0", ["--threads is 0", "1 to 1024"]),
    ] {
        place.refuses(line, &parts);
    }
}

#[test]
fn configurations_are_refused_by_line_or_layer() {
    let place = Place::new();
    let refuses = |text: String, parts: &[&str]| {
        place.write("net.toml", text);
        place.refuses("train --config net.toml --out run", parts);
    };
    // Replaces a piece of a configuration that is in order.
    let change = |from: &str, to: &str| {
        assert!(BIASED.contains(from), "{from}");
        BIASED.replacen(from, to, 1)
    };
    for (text, part) in [
        (change("epochs = 8", "epochs = 8\nmomentum = 0.9"), "line 21: unknown field `momentum`"),
        (change("epochs = 8", "epochs = \"eight\""), "line 20: invalid type: string \"eight\""),
        (change("epochs = 8", "epochs = -8"), "line 20: "),
        (change("[training]", "[training"), "line 19: "),
        (change("test = 0.3", "test = 0.3\ntest = 0.3"), "line 8: "),
        (change("\"relu\"", "\"gelu\""), "unknown variant `gelu`"),
        (change("outputs = 48", "outputs = 4294967296"), "line 11: "),
        (change("outputs = 48", "outputs = 4.5"), "line 11: "),
        (change("outputs = 48", "output = 48"), "`output`"),
        (change("group = 16", "group = []"), "line 10: "),
        (change("epochs = 8", "epochs = 8\nrule = \"adam\""), "unknown variant `adam`"),
        (String::new(), "missing field `name`"),
    ] {
        refuses(text, &["net.toml is not a valid configuration", part]);
    }
    let layers = |layers: &str| {
        let start = BIASED.find("layers").expect("layers");
        let end = BIASED.find("\n[training]").expect("training");
        format!("{}layers = [{layers}]\n{}", &BIASED[..start], &BIASED[end..])
    };
    let hidden = "{ type = 'linear', outputs = 8 }";
    for (text, parts) in [
        (change("epochs = 8\n", ""), ["epochs is missing", "give epochs or steps"]),
        (change("epochs = 8", "epochs = 8\nsteps = 9"), ["steps is there beside epochs", "only one"]),
        (change("batch = 32", "batch = 0"), ["batch is 0", "1 to 65536"]),
        (change("test = 0.3", "test = 1.5"), ["test is 1.5", "0 to below 1"]),
        (change("group = 16", "group = 0"), ["group is 0", "4, 6, 8, 16"]),
        (
            change("epochs = 8", "epochs = 8\nloss = \"squared-error\"\nlabel-smoothing = 0.1"),
            ["label-smoothing is 0.1", "the loss cross-entropy only"],
        ),
        (BIASED.to_owned() + "[training.augmentation]\ncrop = 8", ["crop is 8", "8 × 8 pixels"]),
        (BIASED.to_owned() + "[training.augmentation]\ncutout = 9", ["cutout is 9", "8 × 8 pixels"]),
        (BIASED.to_owned() + "[training.augmentation]\ncrop = 1\nshift = 1", ["shift is there", "beside crop"]),
        (change("name = \"biased\"", "name = \"\""), ["name is \"\"", "without slashes"]),
        (change("name = \"biased\"", "name = \"../../etc\""), ["name is \"../../etc\"", "without slashes"]),
        (change("outputs = 48", "outputs = 4294967295"), ["layer 0", "2^31"]),
        (change("outputs = 48", "outputs = 0"), ["layer 0", "at least 1"]),
        (change("outputs = 48, ", ""), ["layer 0", "outputs is missing"]),
        (change("\"linear\", bias = true }", "\"linear\", outputs = 4 }"), ["layer 4", "leave outputs out"]),
        (layers(""), ["must begin with a linear layer", "found nothing"]),
        (layers("{ type = 'relu' }"), ["must begin with a linear layer", "found relu"]),
        (layers("{ type = 'shift-norm' }, { type = 'linear' }"), ["must begin", "found shift-norm"]),
        (layers(&format!("{hidden}, {{ type = 'relu' }}")), ["must end with a linear layer", "found relu"]),
        (
            layers("{ type = 'linear', outputs = 8, bias = true }, { type = 'shift-norm' }, { type = 'linear' }"),
            ["layer 0", "remove `bias = true`"],
        ),
        (
            layers(&format!("{hidden}, {{ type = 'relu' }}, {{ type = 'shift-norm' }}, {{ type = 'linear' }}")),
            ["layer 2 (shift-norm)", "cannot stand here"],
        ),
        (
            layers(&format!("{hidden}, {{ type = 'rms-norm' }}, {{ type = 'shift-norm' }}, {{ type = 'linear' }}")),
            ["layer 2 (shift-norm)", "cannot stand here"],
        ),
        (layers("{ type = 'embedding', dimension = 4 }, { type = 'linear' }"), ["scaling = \"index\"", "go together"]),
        (change("epochs = 8", "epochs = 8\nsteps = 8"), ["steps is there beside epochs", "only one of the two"]),
        (layers(&(format!("{hidden}, ").repeat(1100) + "{ type = 'linear' }")), ["1102 tensors", "take layers out"]),
        (change("builtin:digits", "builtin:letters"), ["cannot read builtin:letters", "check that it exists"]),
    ] {
        refuses(text, &parts);
    }
    place.refuses("train --config absent.toml", &["cannot read the configuration absent.toml"]);
    place.refuses("train --config .", &["cannot read the configuration ."]);
    place.write("binary.toml", [0xFF; 64]);
    place.refuses("train --config binary.toml", &["cannot read the configuration binary.toml", "UTF-8"]);
}

#[test]
fn image_files_are_refused_by_name() {
    let place = Place::new();
    let images = idx(&[6, 2, 2], &[7; 24]);
    let labels = idx(&[6], &[0, 1, 2, 0, 1, 2]);
    let [train_images, train_labels] = ["data/train-images-idx3-ubyte", "data/train-labels-idx1-ubyte"];
    let refuses = |images: &[u8], labels: &[u8], parts: &[&str]| {
        place.write(train_images, images);
        place.write(train_labels, labels);
        place.refuses("train --preset mnist-mlp --data data --out run", parts);
    };
    refuses(&images[..30], &labels, &[train_images, "is cut short: 30 of 40 bytes", "fetch the file again"]);
    refuses(&images[..9], &labels, &[train_images, "is cut short"]);
    refuses(&[], &labels, &[train_images, "is cut short"]);
    refuses(&labels, &labels, &[train_images, "as labels would", "put a file of images there"]);
    refuses(&images, &images, &[train_labels, "as images would", "put a file of labels there"]);
    refuses(&images, &idx(&[5], &[0, 1, 2, 0, 1]), &["holds 6 images", "holds 5 labels", "belong together"]);
    refuses(&images, &idx(&[6], &[0; 6]), &[train_labels, "1 class(es)"]);
    refuses(&idx(&[0, 2, 2], &[]), &labels, &[train_images, "no samples"]);
    refuses(&idx(&[6, 0, 2], &[]), &labels, &[train_images, "0 × 2 pixels"]);
    refuses(&idx(&[u32::MAX; 3], &[7; 24]), &labels, &[train_images, "4294967295"]);
    refuses(b"<!DOCTYPE html><html>", &labels, &[train_images, "not in IDX format"]);
    let mut trailing = images.clone();
    trailing.push(0);
    refuses(&trailing, &labels, &[train_images, "goes on after the 40 bytes"]);
    let mut packed = vec![0x1F, 0x8B];
    packed.extend(&images);
    refuses(&packed, &labels, &[train_images]);
    std::fs::remove_file(place.path().join(train_labels)).unwrap();
    place.refuses("train --preset mnist-mlp --data data --out run", &["lacks train-labels-idx1-ubyte"]);
    place.refuses(&format!("train --preset mnist-mlp --data {train_images}"), &["is no data set by its name"]);
}

#[test]
fn png_images_are_refused_by_name() {
    use ::png::ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
    let place = Place::new();
    let sheet = png(2, Rgb, &[7; 24]);
    let refuses = |sheet: &[u8], labels: &str, parts: &[&str]| {
        place.write("sheets/data_batch_1.png", sheet);
        place.write("sheets/train_lables.json", labels);
        place.refuses("train --preset mnist-mlp --data sheets --out run", parts);
    };
    let (image, list) = ("sheets/data_batch_1.png", "sheets/train_lables.json");
    refuses(&sheet[..sheet.len() - 20], "[0,1]", &["cannot read", image, "whole and intact"]);
    refuses(b"<!DOCTYPE html><html>", "[0,1]", &["cannot read", image]);
    refuses(&[], "[0,1]", &["cannot read", image]);
    refuses(&png(2, Rgba, &[7; 32]), "[0,1]", &[image, "alpha channel", "grey or RGB"]);
    refuses(&png(2, Rgb, &[7; 30]), "[0,1]", &[image, "rows of 5 pixels", "no square image"]);
    refuses(&sheet, "[0,1,1]", &["data_batch_1.png holds 2 images", "holds 3 labels", "belong together"]);
    refuses(&sheet, "[0,-1]", &["cannot read", list, "JSON array of class numbers", "-1"]);
    refuses(&sheet, "[0,1", &["cannot read", list]);
    refuses(&sheet, "[1.5,0]", &["cannot read", list]);
    refuses(&sheet, "[0,0]", &[list, "1 class(es)"]);
    std::fs::remove_file(place.path().join(list)).unwrap();
    place.refuses("train --preset mnist-mlp --data sheets --out run", &["lacks train_labels.json"]);

    let grey = png(2, Grayscale, &[7; 4]);
    place.write("classes/cat/1.png", &grey);
    place.write("classes/dog/notes.txt", "no image");
    let refuses = |name: &str, content: &[u8], parts: &[&str]| {
        place.write(name, content);
        place.refuses("train --preset mnist-mlp --data classes --out run", parts);
    };
    refuses("classes/readme.md", b"", &["classes/dog holds no .png image", "remove it"]);
    let like_the_first = ["classes/dog/1.png", "1 × 4 pixels of 1 channel(s)", "classes/cat/1.png 2 × 2", "alike"];
    refuses("classes/dog/1.png", &png(1, Grayscale, &[7; 4]), &like_the_first);
    refuses("classes/dog/1.png", &png(2, Rgb, &[7; 12]), &["of 3 channel(s)", "of 1"]);
    refuses("classes/dog/1.png", &png(2, GrayscaleAlpha, &[7; 8]), &["classes/dog/1.png has transparent pixels"]);
    refuses("classes/dog/1.png", &grey[..30], &["cannot read classes/dog/1.png", "intact"]);
    place.write("parts/train/cat/1.png", &grey);
    place.write("parts/train/dog/1.png", &grey);
    place.write("parts/test/fox/1.png", &grey);
    place.refuses("train --preset mnist-mlp --data parts --out run", &["parts/test", "\"fox\"", "remove its samples"]);

    // A row of a table is no image.
    let text = BIASED.replace("builtin:digits", "table.csv") + "[training.augmentation]\nflip = true";
    place.write("table.csv", "1,2,x\n3,4,y\n".repeat(5));
    place.write("net.toml", text);
    place.refuses("train --config net.toml --out run", &["a sample has 1 × 1 pixels", "images of at least 2 × 2"]);
    place.write("net.toml", BIASED.replace("builtin:digits", "table.csv").replace("\"tensor\"", "\"image\""));
    place.write("table.csv", "1,2,x\n3,4,y\n".repeat(5) + "1,256,x\n");
    place.refuses("train --config net.toml --out run", &["feature 1 of sample 10 is 256", "scaling = \"image\""]);
}

#[test]
fn recordings_are_refused_by_name() {
    let place = Place::new();
    place.write("net.toml", BIASED.replace("builtin:digits", "data").replace("test = 0.3\n", ""));
    let train = |more: &str| format!("train --config net.toml --out run {more}");
    let refuses = |name: &str, content: &[u8], parts: &[&str]| {
        place.write(name, content);
        place.refuses(&train(""), parts);
    };
    let whole = wav(1, 8000, &[7; 400]);
    place.write("data/yes/1.wav", &whole);
    let clip = "data/no/1.wav";
    refuses("data/no/notes.txt", b"no recording", &["data/no holds no .wav file", "remove it"]);
    refuses(clip, &whole[..500], &["cannot read data/no/1.wav as a WAV recording", "whole and intact"]);
    refuses(clip, &whole[..30], &["cannot read", clip]);
    refuses(clip, b"<!DOCTYPE html><html>", &["cannot read", clip, "WAV"]);
    refuses(clip, b"", &["cannot read", clip]);
    refuses(clip, &wav(1, 8000, &[]), &[clip, "holds no samples"]);
    refuses(clip, &wav(3, 8000, &[7; 9]), &[clip, "3 channels", "one or two"]);
    refuses(clip, &wav(1, 200, &[7; 9]), &[clip, "200 samples a second", "1,000 to 192,000"]);
    let packed = [&whole[..20], &[2], &whole[21..]].concat();
    refuses(clip, &packed, &[clip, "packed samples", "save it as PCM"]);
    place.write(clip, &whole);
    place.write("data/yes/1.png", png(2, ::png::ColorType::Rgb, &[7; 24]));
    place.refuses(&train("--test-where index=1"), &["1.wav does not fit the pattern {label}_{speaker}_{index}"]);
    place.refuses(&train("--test-where speaker"), &["the condition is \"speaker\"", "speaker=george or index=0-4"]);
    place.refuses(&train("--pattern label"), &["the pattern of names is \"label\"", "{label}_{speaker}_{index}"]);
    let condition = "--pattern {index} --test-where";
    place.refuses(&train(&format!("{condition} speaker=ada")), &["the pattern {index} has no field {speaker}"]);
    place.refuses(&train(&format!("{condition} index=9")), &["index=9 holds for no recording in data"]);
    place.refuses(&train(&format!("{condition} index=0-9")), &["index=0-9 holds for all recordings in data"]);

    // One folder, whose names say everything.
    std::fs::remove_dir_all(place.path().join("data")).unwrap();
    place.write("data/yes_ada_1.wav", &whole);
    place.write("data/yes_ada_2.wav", &whole);
    place.refuses(&train(""), &["data holds 1 class(es) of labels"]);
    refuses("data/no-ada-1.wav", &whole, &["data/no-ada-1.wav does not fit the pattern", "--pattern"]);
    place.refuses(&train("--pattern {speaker}-{}"), &["the pattern {speaker}-{} has no field {label}"]);
    std::fs::rename(place.path().join("data/no-ada-1.wav"), place.path().join("data/no_bo_1.wav")).unwrap();
    place.refuses(&train("--test-where speaker=bo"), &["data", "1 class(es)"]);
    place.write("data/maybe_ada_1.wav", &whole);
    place.refuses(&train("--test-where speaker=bo"), &["data holds the label \"no\"", "training samples do not have"]);
    place.refuses(&train("--test-where speaker=bo --test 0.2"), &["data holds the label"]);
    place.refuses(&train("--test-where index=2 --test 0.2"), &["has test samples of its own", "0.2"]);
    for (audio, part) in [
        ("hop = 0", "the audio front end cannot be used: the hop"),
        ("sample-rate = 100", "sample rate"),
        ("frames = 0", "frames is 0"),
        ("hop = 70000", "invalid value"),
    ] {
        place.write("net.toml", format!("{BIASED}[data.audio]\n{audio}\n").replace("builtin:digits", "data"));
        place.refuses(&train(""), &[part]);
    }
}

#[test]
fn classes_and_copies_that_are_none_are_refused() {
    let place = Place::new();
    for (training, part) in [
        ("class-weights = { ten = 2 }", "class-weights is given for \"ten\", a class that the data does not have"),
        ("class-weights = { 1 = -2 }", "class-weights is -2 for \"1\"; numbers from 0 to 1000"),
        ("class-weights = 'heavy'", "not a valid configuration"),
        ("[training.audio]\ncopies = 2000", "copies is 2000; 0 to 1000"),
    ] {
        place.write("net.toml", format!("{BIASED}{training}\n"));
        place.refuses("train --config net.toml --out run", &[part]);
    }
    // Copies share one scale.
    place.write("data/a_x_1.wav", wav(1, 8000, &[7; 400]));
    place.write("data/b_x_1.wav", wav(1, 8000, &[9; 400]));
    place.write("data/b_x_2.wav", wav(1, 8000, &[9; 500]));
    let text = BIASED.replace("builtin:digits", "data").replace("\"tensor\"", "\"feature\"");
    place.write("net.toml", format!("{text}[training.audio]\ncopies = 2\n"));
    place.refuses("train --config net.toml --out run --quiet", &["one input scale", "set scaling to tensor"]);
    let other = "eval run/model.tsm --data data";
    output(place.path(), "train --preset digits-mlp --epochs 1 --out run --quiet");
    place.refuses(other, &["run/model.tsm says nothing about audio", "trained on recordings"]);
}

#[test]
fn tables_are_refused_by_line_and_column() {
    let place = Place::new();
    let refuses = |table: &str, options: &str, parts: &[&str]| {
        place.write("table.csv", table);
        place.refuses(&format!("train --preset mnist-mlp --data table.csv --out run {options}"), parts);
    };
    refuses("", "", &["table.csv is empty"]);
    refuses("a,b,c\n", "", &["no rows"]);
    refuses("1,2,x\n3,y\n", "", &["2 field(s) in line 2", "first row has 3"]);
    refuses("1,2,x\n3,4,5,y\n", "", &["4 field(s) in line 2"]);
    refuses("1,2,x\n3,four,y\n", "", &["\"four\" in line 2, column 2", "put a number there"]);
    refuses("1,2,x\n3,,y\n", "", &["\"\" in line 2, column 2"]);
    refuses("1,2,x\n3,nan,y\n", "", &["\"nan\" in line 2, column 2", "finite"]);
    refuses("1,2,x\n3,4,\n", "", &["no label in line 2"]);
    refuses("1;2;x\n3;4;y\n", "", &["one column only", "commas"]);
    refuses("1,2,x\n3,4,x\n", "", &["1 class(es)"]);
    refuses("1,b,x\n3,4,y\n", "", &["mixes numbers with text", "\"b\" in column 2"]);
    let good = "a,b,c\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n9,9,x\n";
    refuses(good, "--label species", &["no column named \"species\"", "a, b, c"]);
    refuses(good, "--test 0.01", &["the test part of 5 samples would be empty"]);
    refuses("a,a,c\n1,2,x\n3,4,y\n", "--label a", &["more than one column named \"a\""]);
    place.refuses_words(
        &["train", "--preset", "mnist-mlp", "--data", "table.csv", "--label", " ", "--out", "run"],
        &["label column is empty", "first, last"],
    );
    place.write("table.csv", [b'1', b',', 0xFF, b'\n']);
    place.refuses("train --preset mnist-mlp --data table.csv", &["table.csv", "UTF-8"]);

    place.refuses("train --preset mnist-mlp --data absent", &["cannot read absent", "check that it exists"]);
    place.write("empty/readme.md", "");
    place.refuses("train --preset mnist-mlp --data empty", &["no data set in the folder empty", "there is readme.md"]);
    place.write("two/train.csv", "a,b,c\n1,2,x\n3,4,y\n");
    place.write("two/test.csv", "a,b,c\n1,2,z\n");
    place.refuses("train --preset mnist-mlp --data two", &["two/test.csv", "\"z\""]);
    place.write("two/test.csv", "a,d,c\n1,2,x\n");
    place.refuses("train --preset mnist-mlp --data two", &["column 2", "\"d\"", "\"b\""]);
    place.write("two/test.csv", "a,b,c\n1,2,x\n");
    place.refuses("train --preset mnist-mlp --data two --test 0.5", &["test samples of its own", "0.5"]);
}

#[test]
fn texts_are_refused_by_their_length() {
    let place = Place::new();
    let refuses = |text: &[u8], options: &str, parts: &[&str]| {
        place.write("corpus.txt", text);
        place.refuses(&format!("train --preset mnist-mlp --data corpus.txt --out run {options}"), parts);
    };
    refuses(b"", "", &["corpus.txt has 0 bytes", "context 16 needs 17"]);
    refuses(b"to be or not", "--context 12", &["corpus.txt has 12 bytes", "needs 13", "a shorter context"]);
    let text = b"to be or not to be ".repeat(8);
    refuses(&text, "", &["the test part of the text would have 15 bytes", "needs 17"]);
    refuses(&text, "--test 0 --validation 0.1", &["the validation part", "15 bytes", "needs 17"]);
    refuses(&text, "--test 0.5 --validation 0.4", &["the training part", "15 bytes", "needs 17"]);
    let mut packed = vec![0x1F, 0x8B];
    packed.extend(&text);
    refuses(&packed, "", &["cannot read corpus.txt", "intact"]);

    let net = BIASED.replace("builtin:digits", "corpus.txt").replace("\"tensor\"", "\"feature\"");
    place.write("corpus.txt", &text);
    place.write("net.toml", net);
    place.refuses("train --config net.toml --out run", &["the samples overlap", "set scaling to index or tensor"]);
    place.write("two/train.txt", &text);
    place.write("two/test.txt", "short");
    place.refuses("train --preset mnist-mlp --data two --out run", &["two/test.txt has 5 bytes"]);
    place.write("two/test.txt", &text);
    place.refuses("train --preset mnist-mlp --data two --test 0.5 --out run", &["test samples of its own", "0.5"]);
    place.write("unclear/a.txt", &text);
    place.write("unclear/b.txt", &text);
    place.refuses("train --preset mnist-mlp --data unclear", &["no data set in the folder unclear", "a.txt, b.txt"]);
}

#[test]
fn arrays_are_refused_by_name() {
    let place = Place::new();
    let samples = npy("|u1", "(4, 2)", &[1, 2, 3, 4, 5, 6, 7, 8]);
    let labels = npy("|u1", "(4,)", &[0, 1, 0, 1]);
    let refuses = |samples: &[u8], labels: &[u8], parts: &[&str]| {
        place.write("data/x_train.npy", samples);
        place.write("data/y_train.npy", labels);
        place.refuses("train --preset mnist-mlp --data data --out run", parts);
    };
    let (x, y) = ("data/x_train.npy: array x_train", "data/y_train.npy: array y_train");
    refuses(&samples[..samples.len() - 1], &labels, &[x, "is cut short"]);
    refuses(&samples[..20], &labels, &[x, "header that cannot be read"]);
    refuses(&[], &labels, &[x, "header that cannot be read"]);
    refuses(b"<!DOCTYPE html><html>", &labels, &[x, "not in NPY format"]);
    refuses(&[&samples[..], &[0]].concat(), &labels, &[x, "goes on after"]);
    refuses(&npy("|u1", "(4294967295, 4294967295)", &[0; 8]), &labels, &[x, "is cut short", "18446744065119617"]);
    refuses(&npy("|u1", "(4294967295, 4294967295, 4)", &[0; 8]), &labels, &[x, "[4294967295, 4294967295, 4]"]);
    refuses(&npy("|O", "(4, 2)", &[0; 64]), &labels, &[x, "type \"|O\"", "float32"]);
    refuses(&npy("<U3", "(4, 2)", &[0; 96]), &labels, &[x, "type \"<U3\""]);
    refuses(&npy("<c8", "(4, 2)", &[0; 64]), &labels, &[x, "type \"<c8\""]);
    refuses(&npy("<f4", "(4, 1)", &[0xFF; 16]), &labels, &[x, "NaN in sample 0", "finite"]);
    refuses(&npy("|u1", "(4,)", &[0; 4]), &labels, &[x, "[4]", "[n, height, width]"]);
    refuses(&npy("|u1", "(0, 2)", &[]), &labels, &[x, "[0, 2]", "at least one sample"]);
    refuses(&samples, &labels[..labels.len() - 1], &[y, "is cut short"]);
    refuses(&samples, &npy("|u1", "(3,)", &[0, 1, 0]), &[y, "3 labels", "4 samples", "belong together"]);
    refuses(&samples, &npy("|u1", "(4, 2)", &[0; 8]), &[y, "one-hot", "numpy.argmax(labels, axis=1)"]);
    refuses(&samples, &npy("<f2", "(4,)", &[0, 0x38, 0, 0, 0, 0, 0, 0]), &[y, "the label 0.5 for sample 0"]);
    refuses(&samples, &npy("|u1", "(4,)", &[1; 4]), &["data/y_train.npy", "1 class(es)"]);

    std::fs::remove_file(place.path().join("data/y_train.npy")).unwrap();
    place.refuses("train --preset mnist-mlp --data data --out run", &["lacks y_train.npy"]);
    place.refuses("train --preset mnist-mlp --data data/x_train.npy", &["is no data set by its name", ".npy files"]);
    place.write("set.npz", &samples);
    place.refuses("train --preset mnist-mlp --data set.npz", &["cannot read set.npz as an archive", "numpy.savez"]);
    place.write("set.npz", npz(&[("x", &samples), ("z", &labels)]));
    place.refuses("train --preset mnist-mlp --data set.npz", &["set.npz has no array y;", "there is x, z"]);
    place.write("set.npz", npz(&[("x", &samples), ("y", &labels[..40])]));
    place.refuses("train --preset mnist-mlp --data set.npz", &["set.npz: array y has a header"]);
    place.write("set.npz", npz(&[("x_train", &samples), ("y_train", &labels), ("x_test", &samples)]));
    place.refuses("train --preset mnist-mlp --data set.npz", &["set.npz has no array y_test"]);
}

#[test]
fn row_numbers_are_whole_and_below_256() {
    let place = Place::new();
    place.write("net.toml", BIASED.replace("builtin:digits", "table.csv").replace("\"tensor\"", "\"index\""));
    for value in ["256", "0.5", "-1"] {
        place.write("table.csv", "1,2,x\n3,4,y\n".repeat(5) + &format!("1,{value},x\n"));
        let parts = [&format!("feature 1 of sample 10 is {value}"), "whole numbers from 0 to 255"];
        place.refuses("train --config net.toml --out run", &parts);
    }
}

#[test]
fn model_files_are_refused_by_what_is_wrong_with_them() {
    let place = Place::with_run();
    let model = std::fs::read(place.path().join("run/model.tsm")).unwrap();
    let mut flipped = model.clone();
    flipped[model.len() / 2] ^= 0x10;
    let mut header = model.clone();
    header[20] ^= 1;
    let mut other_version = model.clone();
    other_version[8] = 7;
    let mut longer = model.clone();
    longer.push(0);
    for (name, file, part) in [
        ("empty", &[][..], "empty or was cut off"),
        ("short", &model[..40], "empty or was cut off"),
        ("truncated", &model[..model.len() - 5], "cut off"),
        ("longer", &longer, "appended"),
        ("flipped", &flipped, "damaged"),
        ("header", &header, "header is damaged"),
        ("version", &other_version, "format version 7."),
        ("text", &[b'#'; 4096], "not a trishift file"),
    ] {
        let name = format!("{name}.tsm");
        place.write(&name, file);
        for line in
            [format!("inspect {name}"), format!("inspect {name} --json"), format!("eval {name} --data builtin:digits")]
        {
            place.refuses(&line, &[&name, part]);
        }
    }
    place.refuses("inspect run", &["cannot read the model run"]);
    place.refuses("inspect absent.tsm", &["cannot read the model absent.tsm"]);
    place.refuses("diff run/model.tsm absent.tsm", &["cannot read the model absent.tsm"]);
    place.refuses("diff run/checkpoint.tsc run/model.tsm", &["run/checkpoint.tsc cannot be used", "is a checkpoint"]);
    place.refuses("inspect run/checkpoint.tsc", &["is a checkpoint, a model is expected"]);
    place.refuses("eval run/checkpoint.tsc --data builtin:digits", &["is a checkpoint, a model is expected"]);
}

#[test]
fn every_flipped_byte_of_a_model_is_seen() {
    let place = Place::with_run();
    let model = std::fs::read(place.path().join("run/model.tsm")).unwrap();
    for step in 0..12 {
        let mut damaged = model.clone();
        damaged[step * model.len() / 12] ^= 0x81;
        place.write("damaged.tsm", damaged);
        place.refuses("inspect damaged.tsm", &["damaged.tsm cannot be used: "]);
    }
}

#[test]
fn models_are_judged_on_data_that_fits_them() {
    let place = Place::with_run();
    place.write("narrow.csv", "1,2,0\n3,4,1\n5,6,0\n7,8,1\n9,9,0\n");
    place.refuses("eval run/model.tsm --data narrow.csv", &["64 values", "2"]);
    place.refuses("eval run/model.tsm --data absent.csv", &["cannot read absent.csv"]);
    place.refuses("eval run/model.tsm --data builtin:digits --part validation", &["no such samples", "--part"]);
    let row = |label: &str| "1,".repeat(64) + label + "\n";
    place.write("letters.csv", (row("a") + &row("b")).repeat(9));
    place.refuses("eval run/model.tsm --data letters.csv", &["class \"a\"", "the model does not know", "--label"]);
    place.refuses("eval run/model.tsm --data letters.csv --label nowhere", &["no column named \"nowhere\""]);
}

#[test]
fn checkpoints_and_runs_are_refused_by_what_is_wrong_with_them() {
    let place = Place::with_run();
    let checkpoint = std::fs::read(place.path().join("run/checkpoint.tsc")).unwrap();
    let model = std::fs::read(place.path().join("run/model.tsm")).unwrap();
    let mut flipped = checkpoint.clone();
    flipped[checkpoint.len() / 2] ^= 0x10;
    for (name, file, part) in [
        ("empty", &[][..], "empty or was cut off"),
        ("truncated", &checkpoint[..checkpoint.len() / 2], "cut off"),
        ("flipped", &flipped, "damaged"),
        ("model", &model, "is a model, a checkpoint is expected"),
    ] {
        place.write(&format!("{name}/checkpoint.tsc"), file);
        for line in [format!("train --resume {name}"), format!("export {name} --out made.tsm")] {
            place.refuses(&line, &[&format!("{name}/checkpoint.tsc"), part]);
        }
    }
    place.write("folder/notes.txt", "");
    for (run, part) in [("folder", "holds no run"), ("absent", "holds no run"), ("run/model.tsm", "is a file")] {
        place.refuses(&format!("train --resume {run}"), &[run, "holds no run"]);
        place.refuses(&format!("export {run} --out made.tsm"), &[run, part]);
    }
}

#[test]
fn what_is_there_is_not_replaced_unasked() {
    let place = Place::with_run();
    place.refuses("train --preset digits-mlp --out run", &["run exists", "--resume run", "--overwrite"]);
    place.refuses("quickstart --out run", &["run exists", "--overwrite"]);
    place.refuses("export run --out run/model.tsm", &["run/model.tsm exists", "--overwrite"]);
    place.write("file", "mine");
    place.refuses("train --preset digits-mlp --out file", &["file exists"]);
    place.refuses("train --preset digits-mlp --out file --overwrite", &["cannot make the folder file"]);
    place.refuses("quickstart --out file/run", &["file/run"]);
    // Settings and data are looked at before the run that is to be replaced.
    place.refuses("train --preset mnist-mlp --data absent --out run --overwrite", &["cannot read absent"]);
    place.refuses("train --preset digits-mlp --batch 0 --out run --overwrite", &["batch is 0"]);
    place.refuses("train --preset digits-mlp --test 0.9999 --out run --overwrite", &["would be empty"]);
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let place = Place::with_run();
    place.refuses("export run --out absent/model.tsm", &["cannot write absent/model.tsm"]);
    place.refuses("export run --out run --overwrite", &["cannot write run"]);
    // /proc takes no folders, not even from root.
    #[cfg(target_os = "linux")]
    {
        place.refuses("train --preset digits-mlp --out /proc/run", &["cannot make the folder /proc/run"]);
        place.refuses("quickstart --out /proc/run", &["cannot make the folder /proc/run"]);
        place.refuses("export run --out /proc/model.tsm", &["cannot write /proc/model.tsm"]);
        place.refuses("inspect /proc/self/mem", &["cannot read the model /proc/self/mem"]);
    }
}

#[cfg(unix)]
#[test]
fn files_without_permission_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_run();
    let model = place.path().join("run/model.tsm");
    let forbid = |mode| std::fs::set_permissions(&model, std::fs::Permissions::from_mode(mode)).unwrap();
    forbid(0o000);
    // Root reads everything; then there is nothing to refuse.
    if std::fs::read(&model).is_err() {
        place.refuses("inspect run/model.tsm", &["cannot read the model run/model.tsm", "ermission"]);
    }
    forbid(0o644);
    json(place.path(), "inspect run/model.tsm --json");
}

#[test]
fn a_run_that_diverges_says_so() {
    let place = Place::new();
    place.write("net.toml", BIASED);
    let line = "train --config net.toml --rule straight-through --learning-rate 1e38 --out run --quiet --json";
    let assert = trishift(place.path(), words(line)).assert().code(2).stdout("");
    let message = String::from_utf8_lossy(&assert.get_output().stderr);
    assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
    assert!(message.contains("no longer finite at step") && message.contains("lower the learning rate"), "{message}");
    assert!(!place.path().join("run/model.tsm").exists());
}
