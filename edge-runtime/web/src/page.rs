//! The page as it lies in this crate, for programs that serve it.
//!
//! `trishift.wasm` is this crate as a module, `sentences.js` what it refuses files with: `edge-runtime/web/build` makes both,
//! and a machine without the target needs none.
//! `model.tsm` is the digit classifier that the page begins with; the crate's README has the command that trained it.

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its path below the page's address; empty for the page itself.
    pub path: &'static str,
    /// What HTTP calls its content type.
    pub content_type: &'static str,
    /// What is in it.
    pub contents: &'static [u8],
}

/// The path of the model that the page begins with.
pub const MODEL: &str = "model.tsm";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! file {
    ($path:literal, $name:literal, $content_type:expr) => {
        File { path: $path, content_type: $content_type, contents: include_bytes!(concat!("../page/", $name)) }
    };
    ($name:literal, $content_type:expr) => {
        file!($name, $name, $content_type)
    };
}

/// Every file of the page.
pub static FILES: &[File] = &[
    file!("", "index.html", HTML),
    file!("app.js", SCRIPT),
    file!("engine.js", SCRIPT),
    file!("facts.js", SCRIPT),
    file!("icon.svg", "image/svg+xml"),
    file!("inputs.js", SCRIPT),
    file!("layers.js", SCRIPT),
    file!("model.tsm", "application/octet-stream"),
    file!("pad.js", SCRIPT),
    file!("result.js", SCRIPT),
    file!("sentences.js", SCRIPT),
    file!("service-worker.js", SCRIPT),
    file!("strokes.js", SCRIPT),
    file!("style.css", CSS),
    file!("tensors.js", SCRIPT),
    file!("trishift.wasm", "application/wasm"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::string::ToString;

    #[test]
    fn every_file_of_the_folder_is_served_and_kept_for_offline() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/page");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let found: BTreeSet<_> = names.collect();
        let served: BTreeSet<_> = FILES
            .iter()
            .map(|file| if file.path.is_empty() { "index.html".to_string() } else { file.path.to_string() })
            .collect();
        assert_eq!(found, served);
        let worker = FILES.iter().find(|file| file.path == "service-worker.js").unwrap();
        let worker = core::str::from_utf8(worker.contents).unwrap();
        for file in FILES.iter().filter(|file| file.path != "service-worker.js") {
            let path = if file.path.is_empty() { "./" } else { file.path };
            assert!(worker.contains(&std::format!("\"{path}\"")), "{path} is not kept for offline use");
        }
    }

    #[test]
    fn the_sentences_are_those_of_the_errors() {
        let file = FILES.iter().find(|file| file.path == "sentences.js").unwrap();
        let script = core::str::from_utf8(file.contents).unwrap();
        assert_eq!(script, crate::refusal::script(), "edge-runtime/web/build writes it");
    }

    #[test]
    fn the_first_model_takes_what_people_draw() {
        let file = FILES.iter().find(|file| file.path == MODEL).unwrap();
        let model = trishift::Model::parse(file.contents).unwrap();
        assert_eq!(model.input().shape, [28, 28, 1]);
        assert_eq!(model.labels().count(), 10);
    }
}
