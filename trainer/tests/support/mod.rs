//! What the tests of the command share: running it, its JSON, folders to look at before and after.
#![allow(dead_code, reason = "each test binary uses a part")]

use assert_cmd::Command;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The program under test.
pub(crate) const TRISHIFT: &str = env!("CARGO_BIN_EXE_trishift");

/// The tests of the command are about the CPU, whatever the machine has.
pub(crate) const HIDDEN_CARDS: (&str, &str) = ("CUDA_VISIBLE_DEVICES", "-1");

/// The command with these arguments, run in `folder`, with none of the variables that give settings.
pub(crate) fn trishift<'a>(folder: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(TRISHIFT);
    command.current_dir(folder).args(arguments).env_remove("RUST_BACKTRACE").timeout(Duration::from_secs(120));
    command.env(HIDDEN_CARDS.0, HIDDEN_CARDS.1);
    let variables = std::env::vars_os().map(|(name, _)| name);
    for name in variables.filter(|name| name.to_string_lossy().starts_with("TRISHIFT_")) {
        command.env_remove(name);
    }
    command
}

/// Arguments written as one string, split at spaces.
pub(crate) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(' ').filter(|word| !word.is_empty())
}

/// Runs a command that must succeed and gives its standard output.
pub(crate) fn output(folder: &Path, line: &str) -> String {
    let assert = trishift(folder, words(line)).assert().success();
    String::from_utf8(assert.get_output().stdout.clone()).expect("output is text")
}

/// Runs a command that must succeed and gives the JSON of its last line.
pub(crate) fn json(folder: &Path, line: &str) -> Value {
    let text = output(folder, line);
    let last = text.lines().last().unwrap_or_else(|| panic!("{line} printed nothing"));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{line}: {error}: {last}"))
}

/// The keys of a JSON object.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Every file below `folder` with its contents.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files.insert(path.clone(), Vec::new());
                folders.push(path);
            } else {
                let contents = std::fs::read(&path).unwrap_or_default();
                files.insert(path, contents);
            }
        }
    }
    files
}

/// Writes a file below `folder`, making the folders on the way.
pub(crate) fn write(folder: &Path, name: &str, contents: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, contents).expect("a file");
}

/// An IDX file of unsigned bytes.
pub(crate) fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(values);
    file
}

/// A PNG of `height` rows, grey or RGB.
pub(crate) fn png(height: u32, color: png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let width = u32::try_from(pixels.len() / color.samples()).expect("few pixels") / height;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(pixels).expect("pixels");
    writer.finish().expect("an end");
    file
}

/// A WAV file of 16-bit samples, the channels of a step side by side.
pub(crate) fn wav(channels: u16, sample_rate: u32, samples: &[i16]) -> Vec<u8> {
    let (bits_per_sample, sample_format) = (16, hound::SampleFormat::Int);
    let spec = hound::WavSpec { channels, sample_rate, bits_per_sample, sample_format };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a header");
    samples.iter().for_each(|sample| writer.write_sample(*sample).expect("a sample"));
    writer.finalize().expect("an end");
    file.into_inner()
}

/// An NPY file.
pub(crate) fn npy(description: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{description}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(text.len()).expect("a short header").to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes(), values].concat()
}

/// An NPZ file of these arrays.
pub(crate) fn npz(arrays: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, array) in arrays {
        writer.start_file(format!("{name}.npy"), options).expect("an entry");
        writer.write_all(array).expect("its bytes");
    }
    writer.finish().expect("an archive").into_inner()
}

/// A network with biases and plain ReLUs, no norm, on the built-in digits.
pub(crate) const BIASED: &str = r#"
name = "biased"

[data]
path = "builtin:digits"
scaling = "tensor"
test = 0.3

[network]
group = 16
layers = [
    { type = "linear", outputs = 48, bias = true },
    { type = "relu" },
    { type = "linear", outputs = 25, bias = true },
    { type = "relu" },
    { type = "linear", bias = true },
]

[training]
epochs = 8
batch = 32
"#;
