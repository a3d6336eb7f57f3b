//! One line of JSON for each thing that was counted.

use core::fmt;
use semihosting::println;
use trishift::format::OperatorKind;

/// What was counted.
pub(crate) struct Line {
    pub(crate) name: Name,
    /// The model or models that `name` belongs to.
    model: &'static str,
    pub(crate) instructions: u64,
    pub(crate) macs: u64,
    pub(crate) mismatches: usize,
    pub(crate) samples: usize,
}

/// What a line is about.
pub(crate) enum Name {
    /// The whole model.
    Whole,
    /// One operator of it.
    Operator { index: usize, kind: OperatorKind, columns: u32, rows: u32, kernels: &'static str },
}

impl Line {
    pub(crate) fn new(model: &'static str) -> Self {
        Self { name: Name::Whole, model, instructions: 0, macs: 0, mismatches: 0, samples: 0 }
    }

    /// Prints the line, and more numbers behind it. The ratio is printed from integers: nothing else in this program needs
    /// floating point. It is null for an operator that multiplies nothing.
    pub(crate) fn print(&self, more: &[(&str, u64)]) {
        println!(
            "{{\"board\":\"{}\",\"kernel\":\"{}{}\",\"instructions\":{},\"macs\":{},\"instructions_per_mac\":{},\
             \"mismatches\":{},\"samples\":{}{}}}",
            emulated_board::NAME,
            self.model,
            self.name,
            self.instructions,
            self.macs,
            Ratio { instructions: self.instructions, macs: self.macs },
            self.mismatches,
            self.samples,
            More { name: &self.name, numbers: more },
        );
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Operator { index, kind, columns: 0, rows, .. } => write!(f, ".{index}.{kind}_{rows}"),
            Self::Operator { index, kind, columns, rows, .. } => write!(f, ".{index}.{kind}_{columns}x{rows}"),
        }
    }
}

struct Ratio {
    instructions: u64,
    macs: u64,
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.macs == 0 {
            return f.write_str("null");
        }
        let hundredths = (self.instructions * 100 + self.macs / 2) / self.macs;
        write!(f, "{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

struct More<'a> {
    name: &'a Name,
    numbers: &'a [(&'a str, u64)],
}

impl fmt::Display for More<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Name::Operator { kernels, .. } = self.name {
            write!(f, ",\"isa\":\"{kernels}\"")?;
        }
        self.numbers.iter().try_for_each(|(key, number)| write!(f, ",\"{key}\":{number}"))
    }
}
