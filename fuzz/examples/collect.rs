//! Copies from a folder of found inputs the smallest one of each outcome that a target's corpus lacks.
//!
//! `cargo run --release --example collect -- parse fuzz-corpus/parse fuzz/corpus/parse`: inputs are named after their
//! outcome, which is a check that refuses them, or what they hold.

use std::collections::BTreeMap;
use std::path::PathBuf;
use trishift_fuzz::targets;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, found, corpus] = arguments.as_slice() else {
        eprintln!("usage: collect TARGET FOUND CORPUS (two folders)");
        std::process::exit(2);
    };
    let Some(target) = targets::ALL.iter().find(|known| known.name == target) else {
        eprintln!("there is no target {target}");
        std::process::exit(2);
    };
    let entries = match std::fs::read_dir(found) {
        Ok(entries) => entries,
        Err(error) => {
            eprintln!("cannot read the folder {found}: {error}");
            std::process::exit(2);
        }
    };
    let corpus = PathBuf::from(corpus);
    std::fs::create_dir_all(&corpus)?;
    let mut smallest: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in entries {
        let bytes = std::fs::read(entry?.path())?;
        let outcome = (target.outcome)(&bytes);
        if smallest.get(&outcome).is_none_or(|kept| bytes.len() < kept.len()) {
            smallest.insert(outcome, bytes);
        }
    }
    smallest.remove("nothing");
    for (outcome, bytes) in smallest {
        let path = corpus.join(&outcome);
        // What is accepted has names that say what it holds.
        if !path.exists() {
            println!("{outcome}: {} bytes", bytes.len());
            std::fs::write(path, bytes)?;
        }
    }
    Ok(())
}
