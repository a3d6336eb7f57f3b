//! A valid file, a few bytes changed, checksums repaired: rejected, or accepted and then as good as any other model.

use crate::container::{seal, seal_with_length};
use crate::{execute, network::Network, outcome, walk};
use arbitrary::{Result, Unstructured};
use trishift_format::{Model, Tensor};

/// Small valid files to start from, beside generated networks.
const GOLDEN: [&[u8]; 3] = [
    include_bytes!("../../../shared-format/tests/golden/model-0.1.tsm"),
    include_bytes!("../../../shared-format/tests/golden/model-0.2.tsm"),
    include_bytes!("../../../shared-format/tests/golden/model-0.4.tsm"),
];

/// Most changes of one file.
const MOST_CHANGES: usize = 4;

/// Makes a damaged file of the bytes; what is accepted must keep every promise.
pub fn check(bytes: &[u8]) {
    let Ok((file, seed)) = damaged(&mut Unstructured::new(bytes)) else { return };
    // Firmware takes a file that was checked when it was built in: harmless, whatever it is.
    if let Ok(model) = Model::checked_before(&file) {
        harmless(&model);
    }
    if let Ok(model) = Model::parse(&file) {
        walk::model(&model);
        let network = Network::read(&model);
        execute::compare(&model, &network, seed);
    }
}

/// What becomes of the damaged file.
pub fn outcome(bytes: &[u8]) -> String {
    match damaged(&mut Unstructured::new(bytes)) {
        Ok((file, _)) => outcome::of(Model::parse(&file)),
        Err(_) => "nothing".into(),
    }
}

/// A damaged file, and a seed.
///
/// # Errors
/// None but where bytes are missing for a network.
pub fn damaged(u: &mut Unstructured<'_>) -> Result<(Vec<u8>, u64)> {
    let seed = u.arbitrary()?;
    let changes: Vec<Change> =
        (0..u.int_in_range(1..=MOST_CHANGES)?).map(|_| Change::generate(u)).collect::<Result<_>>()?;
    let base = u.int_in_range(0..=5)?;
    let mut file = match GOLDEN.get(usize::from(base as u8)) {
        Some(golden) => golden.to_vec(),
        None => Network::generate(u)?.file().map_err(|_| arbitrary::Error::IncorrectFormat)?,
    };
    for change in &changes {
        change.apply(&mut file);
    }
    // The header's length is one of the fields to get wrong.
    if seed % 8 == 0 {
        seal(&mut file)
    } else {
        seal_with_length(&mut file)
    }
    Ok((file, seed))
}

/// One change of a file.
#[derive(Clone, Copy, Debug)]
struct Change {
    what: What,
    /// Where, in 65536ths of the file or of a part of it.
    place: u16,
    /// What it becomes, or is changed by.
    value: u32,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Flip,
    Set,
    Add,
    /// Four bytes at once.
    Word,
    /// A tensor's record takes another's place; records begin right behind the name.
    CopyRecord,
    /// A byte goes, the file gets shorter.
    Remove,
    /// A byte comes, the file gets longer.
    Insert,
}

impl Change {
    fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        use What::{Add, CopyRecord, Flip, Insert, Remove, Set, Word};
        let what = *u.choose(&[Flip, Flip, Flip, Set, Set, Add, Word, CopyRecord, Remove, Insert])?;
        Ok(Self { what, place: u.arbitrary()?, value: u.arbitrary()? })
    }

    fn apply(&self, file: &mut Vec<u8>) {
        // Three of four lie in the graph, where there is most to get wrong: behind the header and two entries.
        let range = if self.value & 3 == 0 { 0..file.len() } else { 128..file.len().min(128 + 1200) };
        let at = range.start + range.len() * usize::from(self.place) / 65536;
        let byte = (self.value >> 8) as u8;
        match self.what {
            What::Flip => file[at] ^= 1 << (byte & 7),
            What::Set => file[at] = byte,
            What::Add => file[at] = file[at].wrapping_add(byte),
            What::Word => {
                let value = [0, 1, u32::MAX, 1 << 31, i32::MAX as u32, self.value][usize::from(byte % 6)];
                file[at..].iter_mut().zip(value.to_le_bytes()).for_each(|(byte, value)| *byte = value);
            }
            What::CopyRecord => {
                let distance = Tensor::RECORD_BYTES * (1 + usize::from(byte % 4));
                if at >= distance && at + Tensor::RECORD_BYTES <= file.len() {
                    file.copy_within(at - distance..at - distance + Tensor::RECORD_BYTES, at);
                }
            }
            What::Remove => drop(file.remove(at)),
            What::Insert => file.insert(at, byte),
        }
    }
}

/// Runs what nobody has checked: wrong numbers and errors, but no panic.
pub fn harmless(model: &Model<'_>) {
    use trishift::{Engine, HeapArena, OutputSlice};
    let tensors = [model.input(), model.output()].map(|tensor| tensor.checked_len());
    let ([Some(inputs), Some(outputs)], true) = (tensors, execute::is_small(model)) else { return };
    let Ok(mut arena) = HeapArena::new(model, 1) else { return };
    let Ok(mut engine) = Engine::new(model, arena.bytes(), 1) else { return };
    let input = vec![3; inputs as usize];
    let (mut narrow, mut wide) = (vec![0; outputs as usize], vec![0; outputs as usize]);
    let _ = engine.run(&input, OutputSlice::I8(&mut narrow));
    engine.reset();
    let _ = engine.run(&input, OutputSlice::I32(&mut wide));
}
