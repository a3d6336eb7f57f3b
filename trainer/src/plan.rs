//! The memory planner: a place in the arena for every tensor, so that none overlaps another that is live.
//!
//! An operator that works in place lets its output take the place of an input that nothing uses later: such tensors are one
//! buffer. Buffers are placed one after another, each at the lowest offset that is free during its whole life, in several
//! orders and with several choices of buffers; whatever ends highest is then placed earlier, a few times. The smallest arena
//! wins, the first one where several are equal.

use std::cmp::Reverse;
use trishift_format::{Operator, Tensor, TensorClass};

/// Tensors that lie in one place, one after another in time.
#[derive(Clone)]
struct Buffer {
    tensors: Vec<usize>,
    bytes: u64,
    first: u16,
    last: u16,
    /// Kept between runs: live with everything.
    is_persistent: bool,
}

/// Which input's place an output takes where it may take either.
#[derive(Clone, Copy)]
enum Choice {
    First,
    Last,
    /// None: a buffer for each tensor.
    Neither,
}

/// In which order buffers are placed.
type Order = fn(&Buffer) -> (u64, u64);

/// See [`Order`].
const ORDERS: [Order; 4] = [
    |buffer| (u64::MAX - buffer.bytes, 0),
    |buffer| (u64::MAX - buffer.lifetime(), u64::MAX - buffer.bytes),
    |buffer| (buffer.first.into(), u64::MAX - buffer.bytes),
    |buffer| (u64::MAX - buffer.bytes.saturating_mul(buffer.lifetime()), 0),
];

/// How often the buffer that ends highest is placed before all others.
const REPAIRS: usize = 16;

/// Sets the offset of every tensor in the arena and returns the arena's bytes.
///
/// Lifetimes are the tensors' own; `operators` say which outputs may take an input's place.
pub fn place(tensors: &mut [Tensor], operators: &[Operator]) -> u64 {
    let bound = lower_bound(tensors, operators);
    let mut best: Option<(u64, Vec<(Buffer, u64)>)> = None;
    'search: for choice in [Choice::First, Choice::Last, Choice::Neither] {
        let buffers = buffers(tensors, operators, choice);
        for order in ORDERS {
            let mut ordered = buffers.clone();
            ordered.sort_by_key(|buffer| (order(buffer), Reverse(buffer.bytes)));
            for _ in 0..=REPAIRS {
                let placed = place_in_order(&ordered);
                let highest = placed.iter().enumerate().max_by_key(|(_, (buffer, offset))| offset + buffer.bytes);
                let Some((highest, (buffer, offset))) = highest else { break 'search };
                let bytes = offset + buffer.bytes;
                if best.as_ref().is_none_or(|(least, _)| bytes < *least) {
                    best = Some((bytes, placed));
                }
                if bytes == bound {
                    break 'search;
                }
                if let Some(before) = ordered.get_mut(..=highest) {
                    before.rotate_right(1);
                }
            }
        }
    }
    let (bytes, placed) = best.unwrap_or_default();
    for (buffer, offset) in placed {
        for tensor in buffer.tensors {
            if let Some(tensor) = tensors.get_mut(tensor) {
                // A plan beyond 4 GiB is refused when the file is written: the offset no longer fits its tensor's bytes.
                tensor.offset = u32::try_from(offset).unwrap_or(u32::MAX);
            }
        }
    }
    bytes
}

/// Bytes of the largest set of tensors that an operator needs at once, an output that may take an input's place not counted:
/// no plan needs less.
pub fn lower_bound(tensors: &[Tensor], operators: &[Operator]) -> u64 {
    let alignment = u64::from(Tensor::ALIGNMENT);
    let at = |(index, operator): (u16, &Operator)| {
        let takes_a_place = usable_places(tensors, index, operator).next().is_some();
        let is_counted = |number: usize| !(takes_a_place && number == usize::from(operator.output()));
        let live = tensors.iter().enumerate().filter(|(number, tensor)| {
            let is_live = tensor.class == TensorClass::Persistent || (tensor.first <= index && index <= tensor.last);
            is_placed(tensor) && is_live && is_counted(*number)
        });
        let bytes = live.map(|(_, tensor)| tensor.bytes() as u64);
        // All but one end on the next one's boundary.
        let (rounded, slack) = bytes.fold((0, 0), |(sum, slack), bytes| {
            let rounded = bytes.next_multiple_of(alignment);
            (sum + rounded, (rounded - bytes).max(slack))
        });
        rounded - slack
    };
    (0u16..).zip(operators).map(at).max().unwrap_or(0)
}

/// The tensors of the arena, those that share a place together.
fn buffers(tensors: &[Tensor], operators: &[Operator], choice: Choice) -> Vec<Buffer> {
    // The buffer of each tensor; those that others have joined are empty.
    let mut of_tensors: Vec<usize> = (0..tensors.len()).collect();
    let single = |(index, tensor): (usize, &Tensor)| Buffer {
        tensors: if is_placed(tensor) { vec![index] } else { Vec::new() },
        bytes: tensor.bytes() as u64,
        first: tensor.first,
        last: tensor.last,
        is_persistent: tensor.class == TensorClass::Persistent,
    };
    let mut buffers: Vec<Buffer> = tensors.iter().enumerate().map(single).collect();
    for (index, operator) in (0u16..).zip(operators) {
        let mut places = usable_places(tensors, index, operator);
        let input = match choice {
            Choice::First => places.next(),
            Choice::Last => places.last(),
            Choice::Neither => None,
        };
        let (Some(input), output) = (input, usize::from(operator.output())) else { continue };
        let (Some(&joined), Some(&from)) = (of_tensors.get(input), of_tensors.get(output)) else { continue };
        let Some(moved) = buffers.get_mut(from).map(|buffer| std::mem::take(&mut buffer.tensors)) else { continue };
        let last = tensors.get(output).map_or(0, |tensor| tensor.last);
        if let Some(buffer) = buffers.get_mut(joined) {
            buffer.tensors.extend(moved);
            buffer.last = buffer.last.max(last);
        }
        if let Some(of_output) = of_tensors.get_mut(output) {
            *of_output = joined;
        }
    }
    buffers.retain(|buffer| !buffer.tensors.is_empty());
    buffers
}

/// Numbers of the inputs whose place the output of an operator may take.
fn usable_places(tensors: &[Tensor], index: u16, operator: &Operator) -> impl Iterator<Item = usize> {
    let [left, right] = operator.inputs();
    let output = tensors.get(usize::from(operator.output()));
    let differ = left != right;
    let usable = move |input: &u16| {
        let (Some(input), Some(output)) = (tensors.get(usize::from(*input)), output) else { return false };
        let fits = match operator {
            // Where both operands are one tensor there is nothing left to add.
            Operator::Add(_) => differ,
            // Row after row, which equal lengths alone do not promise.
            Operator::DepthwiseConv2d(_) => input.shape == output.shape,
            _ => true,
        };
        let in_arena = [input, output].iter().all(|tensor| tensor.class == TensorClass::Arena);
        let ends = input.first < index && input.last == index && output.first == index;
        operator.works_in_place() && fits && in_arena && ends && input.bytes() == output.bytes()
    };
    let second = if differ { Some(right) } else { None };
    [Some(left), second].into_iter().flatten().filter(usable).map(usize::from).collect::<Vec<_>>().into_iter()
}

/// Each buffer with its offset.
fn place_in_order(buffers: &[Buffer]) -> Vec<(Buffer, u64)> {
    let mut placed: Vec<(Buffer, u64)> = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        let around = placed.iter().filter(|(other, _)| buffer.lives_with(other));
        let mut taken: Vec<(u64, u64)> = around.map(|(other, offset)| (*offset, offset + other.bytes)).collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + buffer.bytes <= start {
                break;
            }
            offset = offset.max(end.next_multiple_of(u64::from(Tensor::ALIGNMENT)));
        }
        placed.push((buffer.clone(), offset));
    }
    placed
}

impl Buffer {
    fn lifetime(&self) -> u64 {
        if self.is_persistent { u64::from(u16::MAX) + 1 } else { u64::from(self.last - self.first) + 1 }
    }

    fn lives_with(&self, other: &Self) -> bool {
        self.is_persistent || other.is_persistent || (self.first <= other.last && other.first <= self.last)
    }
}

fn is_placed(tensor: &Tensor) -> bool {
    matches!(tensor.class, TensorClass::Arena | TensorClass::Persistent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trishift_format::{Add, ArgMax, Concat, DataType, Relu, Reshape};

    fn tensor(len: u32, first: u16, last: u16) -> Tensor {
        Tensor {
            data_type: DataType::I8,
            class: TensorClass::Arena,
            exponent: 0,
            shape: [1, 1, len],
            offset: 0,
            first,
            last,
        }
    }

    /// An operator that is never in place.
    fn apart(input: u16, output: u16) -> Operator {
        Operator::ArgMax(ArgMax { input, output })
    }

    #[test]
    fn memory_is_used_again() {
        let mut tensors = [tensor(100, 0, 1), tensor(60, 1, 2), tensor(90, 2, 3)];
        let operators = [apart(0, 0), apart(0, 1), apart(1, 2), apart(2, 2)];
        assert_eq!(place(&mut tensors, &operators), 160);
        assert_eq!(lower_bound(&tensors, &operators), 160);
        assert_eq!(tensors.map(|t| t.offset), [0, 100, 0]);
    }

    #[test]
    fn outputs_take_the_place_of_inputs_that_end() {
        let add = |left, right, output| Operator::Add(Add { left, right, output, relu: false });
        // The left operand lives on, so the sum takes the right one's place; a ReLU follows in the same place.
        let operators =
            [apart(0, 0), apart(0, 1), add(0, 1, 2), Operator::Relu(Relu { input: 2, output: 3 }), apart(0, 3)];
        let mut tensors = [tensor(40, 0, 4), tensor(40, 1, 2), tensor(40, 2, 3), tensor(40, 3, 4)];
        assert_eq!((place(&mut tensors, &operators), lower_bound(&tensors, &operators)), (80, 80));
        assert_eq!(tensors.map(|t| t.offset), [0, 40, 40, 40]);
        // A tensor added to itself leaves no room.
        let operators = [apart(0, 0), add(0, 0, 1)];
        let mut tensors = [tensor(10, 0, 1), tensor(10, 1, 1)];
        assert_eq!((place(&mut tensors, &operators), lower_bound(&tensors, &operators)), (22, 22));
    }

    #[test]
    fn a_plan_of_any_length_is_not_below_its_bound() {
        let mut tensors = [tensor(10, 0, 1), tensor(7, 1, 1)];
        let operators = [apart(0, 0), apart(0, 1)];
        // The larger one first would be 12 + 7; the other way round it is 8 + 10.
        assert_eq!((place(&mut tensors, &operators), lower_bound(&tensors, &operators)), (18, 18));
    }

    /// What an operator of a random graph is, and what it reads: earlier tensors, counted back.
    type Spec = (u8, usize, usize, u32);

    /// A graph whose tensors are the outputs of its operators, each once.
    fn graph(specs: &[Spec]) -> (Vec<Tensor>, Vec<Operator>) {
        let mut tensors = vec![Tensor { class: TensorClass::Input, ..tensor(9, 0, 0) }];
        let mut operators = Vec::new();
        for (index, (kind, back, other, len)) in (0u16..).zip(specs) {
            let read = |back: usize| (tensors.len() - 1 - back % tensors.len()) as u16;
            let (input, right, output) = (read(*back), read(*other), index + 1);
            let same = tensors[usize::from(input)].shape[2];
            let (operator, len) = match kind % 5 {
                0 => (Operator::Relu(Relu { input, output }), same),
                1 => (Operator::Reshape(Reshape { input, output }), same),
                2 if tensors[usize::from(right)].shape[2] == same => {
                    (Operator::Add(Add { left: input, right, output, relu: true }), same)
                }
                3 => (Operator::Concat(Concat { left: input, right, output }), *len),
                _ => (apart(input, output), *len),
            };
            for input in operator.inputs() {
                tensors[usize::from(input)].last = index;
            }
            tensors.push(tensor(len, index, index));
            operators.push(operator);
        }
        (tensors, operators)
    }

    proptest! {
        /// Run on paper: every operator writes its number over its output, byte by byte, and must find its inputs as they were
        /// written.
        #[test]
        fn no_tensor_is_lost_before_it_was_read(
            specs in proptest::collection::vec((any::<u8>(), 0usize..6, 0usize..6, 1u32..70), 1..40),
            persistent in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let (mut tensors, operators) = graph(&specs);
            for (tensor, is_persistent) in tensors.iter_mut().skip(1).zip(persistent) {
                if is_persistent && tensor.first % 7 == 3 {
                    tensor.class = TensorClass::Persistent;
                }
            }
            let bytes = place(&mut tensors, &operators);
            prop_assert!(bytes >= lower_bound(&tensors, &operators));
            let mut arena = vec![usize::MAX; bytes as usize];
            let range = |tensor: &Tensor| tensor.offset as usize..tensor.offset as usize + tensor.bytes();
            for round in 0..2 {
                for operator in &operators {
                    for input in operator.inputs().map(usize::from) {
                        let tensor = &tensors[input];
                        if tensor.class != TensorClass::Input {
                            prop_assert!(arena[range(tensor)].iter().all(|writer| *writer == input));
                        }
                    }
                    let output = usize::from(operator.output());
                    let tensor = &tensors[output];
                    prop_assert!(tensor.offset.is_multiple_of(4));
                    for input in operator.inputs().map(usize::from).into_iter().filter(|input| tensors[*input].class != TensorClass::Input) {
                        // Either apart, or exactly in place.
                        let (a, b) = (range(&tensors[input]), range(tensor));
                        prop_assert!(a.end <= b.start || b.end <= a.start || (a == b && operator.works_in_place()));
                    }
                    arena[range(tensor)].fill(output);
                }
                // What is kept is there in the next run.
                for (index, tensor) in tensors.iter().enumerate().filter(|(_, t)| t.class == TensorClass::Persistent) {
                    prop_assert!(arena[range(tensor)].iter().all(|writer| *writer == index), "round {round}");
                }
            }
        }
    }
}
