//! Writes the recordings as tables to train with: `motion-table FOLDER` makes `train.csv` and `test.csv`.
//!
//! A row is a window as the crate `sensor` cuts it, oldest sample first, x, y and z of each, and the name of the motion.

use recordings::{Motion, Recording};
use sensor::{STEP, WINDOW};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

/// Windows of each recording.
const WINDOWS: usize = 10;

fn main() -> io::Result<()> {
    let Some(folder) = env::args_os().nth(1) else {
        return Err(io::Error::other("usage: motion-table FOLDER"));
    };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    fs::write(folder.join("train.csv"), table(0..400))?;
    fs::write(folder.join("test.csv"), table(400..500))
}

/// All motions by these seeds.
fn table(seeds: std::ops::Range<u32>) -> String {
    let mut text = String::new();
    for sample in 0..WINDOW {
        let _ = write!(text, "x{sample},y{sample},z{sample},");
    }
    text.push_str("motion\n");
    for seed in seeds {
        for motion in Motion::ALL {
            let samples: Vec<[i16; 3]> = Recording::new(motion, seed).take(WINDOW + STEP * (WINDOWS - 1)).collect();
            for window in samples.windows(WINDOW).step_by(STEP) {
                for value in window.as_flattened() {
                    let _ = write!(text, "{value},");
                }
                let _ = writeln!(text, "{}", motion.name());
            }
        }
    }
    text
}
