//! A model's graph and memory, drawn with characters: a line for each operator.

use trishift_format::{Operator, Tensor, TensorClass};

/// Columns of a drawing of the arena.
const COLUMNS: u64 = 48;

/// From operator to operator: a line down, and a lane beside it for every tensor that is read again later on. The first line is
/// the input's.
pub(super) fn graph(operators: &[Operator], input: u16) -> Vec<String> {
    let lanes = lanes(operators, input);
    let draw = |row: usize| {
        let operator = row.checked_sub(1).and_then(|index| operators.get(index));
        let above = match row {
            0 | 1 => input,
            _ => operators[row - 2].output(),
        };
        let is_fed = operator.is_none_or(|operator| operator.inputs().contains(&above));
        let read = |lane: &Lane| operator.is_some_and(|operator| operator.inputs().contains(&lane.tensor));
        let width = lanes.iter().map(|lane| lane.place + 1).max().unwrap_or(0);
        let here = |place| lanes.iter().filter(move |lane| lane.place == place && (lane.from..=lane.to).contains(&row));
        // A lane that ends and one that begins may share a place and a line.
        let signs: Vec<Option<char>> = (0..width)
            .map(|place| {
                let (mut ends, mut begins, mut passes, mut is_read) = (false, false, false, false);
                for lane in here(place) {
                    ends |= lane.to == row;
                    begins |= lane.from == row;
                    passes |= lane.from < row && row < lane.to;
                    // By the next operator it is read along the line.
                    is_read |= read(lane) && lane.from + 1 < row;
                }
                match (ends, begins, passes && is_read, passes) {
                    (true, true, ..) => Some('┤'),
                    (true, ..) => Some('╯'),
                    (_, true, ..) => Some('╮'),
                    (_, _, true, _) => Some('┤'),
                    (.., true) => Some('│'),
                    _ => None,
                }
            })
            .collect();
        let reach = signs.iter().rposition(|sign| matches!(sign, Some('╯' | '╮' | '┤')));
        let mut line = String::from(match (is_fed, reach) {
            (true, None) => '│',
            (true, Some(_)) => '├',
            (false, None) => '╷',
            (false, Some(_)) => '┌',
        });
        for (place, sign) in signs.into_iter().enumerate() {
            let crossed = reach.is_some_and(|reach| place <= reach);
            line.push(if crossed { '─' } else { ' ' });
            line.push(match sign {
                Some('│' | '┤') if reach.is_some_and(|reach| place < reach) => '┼',
                Some('╮') if reach.is_some_and(|reach| place < reach) => '┬',
                Some('╯') if reach.is_some_and(|reach| place < reach) => '┴',
                Some(sign) => sign,
                None if reach.is_some_and(|reach| place < reach) => '─',
                None => ' ',
            });
        }
        line.trim_end().to_owned()
    };
    (0..=operators.len()).map(draw).collect()
}

/// A tensor that is read later than by the next operator. Rows are counted from the input's, 0.
struct Lane {
    tensor: u16,
    from: usize,
    to: usize,
    place: usize,
}

fn lanes(operators: &[Operator], input: u16) -> Vec<Lane> {
    let written = std::iter::once(input).chain(operators.iter().map(Operator::output));
    let mut lanes: Vec<Lane> = Vec::new();
    for (from, tensor) in written.enumerate() {
        let last = operators.iter().rposition(|operator| operator.inputs().contains(&tensor)).map(|index| index + 1);
        let Some(to) = last.filter(|to| *to > from + 1) else { continue };
        let taken = |place: usize| lanes.iter().any(|lane| lane.place == place && lane.to > from);
        let place = (0..).find(|place| !taken(*place)).unwrap_or(0);
        lanes.push(Lane { tensor, from, to, place });
    }
    lanes
}

/// The arena while each operator runs: [`COLUMNS`] columns of [`column_bytes`] each, a letter for the tensor that lies there, `+`
/// where there are several, `·` where nothing lies.
pub(super) fn memory(operators: usize, tensors: &[Tensor], arena_bytes: u64) -> Vec<String> {
    let bytes = column_bytes(arena_bytes);
    let columns = arena_bytes.div_ceil(bytes);
    let draw = |operator: usize| {
        let lives = |tensor: &Tensor| match tensor.class {
            TensorClass::Persistent => true,
            TensorClass::Arena => (usize::from(tensor.first)..=usize::from(tensor.last)).contains(&operator),
            _ => false,
        };
        let lies = |column: u64, tensor: &Tensor| {
            let (start, end) = (u64::from(tensor.offset), u64::from(tensor.offset) + tensor.bytes() as u64);
            start < (column + 1) * bytes && end > column * bytes
        };
        let sign = |column: u64| {
            let here = || tensors.iter().enumerate().filter(|(_, tensor)| lives(tensor) && lies(column, tensor));
            // Where an operator works in place, what it writes.
            let mut left = here().filter(|(_, tensor)| {
                let over = |(_, other): (usize, &Tensor)| other.offset == tensor.offset && other.first > tensor.first;
                !here().any(over)
            });
            match (left.next(), left.next()) {
                (None, _) => '·',
                (Some((index, _)), None) => letter(index),
                _ => '+',
            }
        };
        (0..columns).map(sign).collect()
    };
    (0..operators).map(draw).collect()
}

/// Bytes of a column.
pub(super) fn column_bytes(arena_bytes: u64) -> u64 {
    arena_bytes.div_ceil(COLUMNS).max(1)
}

/// The letter of a tensor.
pub(super) fn letter(tensor: usize) -> char {
    const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char::from(LETTERS[tensor % LETTERS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use trishift_format::{Add, DataType, Relu};

    fn relu(input: u16, output: u16) -> Operator {
        Operator::Relu(Relu { input, output })
    }

    fn add(left: u16, right: u16, output: u16) -> Operator {
        Operator::Add(Add { left, right, output, relu: false })
    }

    #[test]
    fn a_chain_is_a_line() {
        assert_eq!(graph(&[relu(0, 1), relu(1, 2)], 0), ["│", "│", "│"]);
    }

    #[test]
    fn what_is_read_again_has_a_lane() {
        // The input goes round two operators; the first sum round one, and a third one reads it beside the line.
        let operators = [relu(0, 1), relu(1, 2), add(0, 2, 3), relu(3, 4), add(3, 4, 5)];
        assert_eq!(graph(&operators, 0), ["├─╮", "│ │", "│ │", "├─┤", "│ │", "├─╯"]);
        let shortcut = [relu(0, 1), relu(1, 2), relu(0, 3), add(2, 3, 4)];
        assert_eq!(graph(&shortcut, 0), ["├─╮", "│ │", "├─┼─╮", "┌─╯ │", "├───╯"]);
        // One lane begins where another one ends, in its place or beside it.
        let twice = [relu(0, 1), relu(1, 2), relu(0, 3), add(2, 3, 4), relu(4, 5), add(4, 5, 6)];
        assert_eq!(graph(&twice, 0), ["├─╮", "│ │", "├─┼─╮", "┌─╯ │", "├─┬─╯", "│ │", "├─╯"]);
    }

    #[test]
    fn bytes_have_the_letter_of_what_lies_there() {
        let tensor = |class, offset, length, [first, last]: [u16; 2]| Tensor {
            data_type: DataType::I8,
            class,
            exponent: 0,
            shape: [1, 1, length],
            offset,
            first,
            last,
        };
        let tensors = [
            tensor(TensorClass::Input, 0, 99, [0, 0]),
            tensor(TensorClass::Persistent, 0, 4, [0, 0]),
            tensor(TensorClass::Arena, 4, 4, [0, 1]),
            tensor(TensorClass::Arena, 4, 4, [1, 2]),
            tensor(TensorClass::Arena, 8, 4, [2, 2]),
        ];
        assert_eq!(memory(3, &tensors, 12), ["bbbbcccc····", "bbbbdddd····", "bbbbddddeeee"]);
        assert_eq!(column_bytes(12), 1);
        // Columns of two bytes and more.
        assert_eq!(memory(3, &tensors, 96)[2], format!("bbdd{}{}", "ee", "·".repeat(42)));
        assert_eq!(memory(1, &[], 0), [""]);
        assert_eq!(letter(53), 'b');
    }
}
