//! The memory planner: a place in the arena for every tensor, so that none overlaps another that is live.
//!
//! Greedy by size: the largest tensor first, each at the lowest offset that is free during its whole life.

use trishift_format::{Tensor, TensorClass};

/// Sets the offset of every tensor in the arena and returns the arena's bytes.
pub fn place(tensors: &mut [Tensor]) -> u64 {
    let mut order: Vec<usize> = (0..tensors.len()).filter(|index| is_placed(&tensors[*index])).collect();
    order.sort_by_key(|index| std::cmp::Reverse(tensors[*index].bytes()));
    let mut done: Vec<usize> = Vec::new();
    for index in order {
        let tensor = tensors[index];
        let mut taken: Vec<(u64, u64)> =
            done.iter().map(|other| tensors[*other]).filter(|other| live_together(&tensor, other)).map(span).collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + tensor.bytes() as u64 <= start {
                break;
            }
            offset = offset.max(end.next_multiple_of(u64::from(Tensor::ALIGNMENT)));
        }
        // A plan beyond 4 GiB is refused when the file is written: the offset no longer fits its tensor's bytes.
        tensors[index].offset = u32::try_from(offset).unwrap_or(u32::MAX);
        done.push(index);
    }
    done.iter().map(|index| span(tensors[*index]).1).max().unwrap_or(0)
}

/// Bytes of the largest set of tensors that are live together: no plan needs less.
pub fn lower_bound(tensors: &[Tensor]) -> u64 {
    let at = |operator: u16| {
        let live = |tensor: &&Tensor| is_placed(tensor) && tensor.first <= operator && operator <= tensor.last;
        tensors.iter().filter(live).map(|tensor| tensor.bytes() as u64).sum()
    };
    tensors.iter().map(|tensor| at(tensor.first)).max().unwrap_or(0)
}

fn is_placed(tensor: &Tensor) -> bool {
    matches!(tensor.class, TensorClass::Arena | TensorClass::Persistent)
}

fn live_together(a: &Tensor, b: &Tensor) -> bool {
    let persistent = a.class == TensorClass::Persistent || b.class == TensorClass::Persistent;
    persistent || (a.first <= b.last && b.first <= a.last)
}

fn span(tensor: Tensor) -> (u64, u64) {
    (u64::from(tensor.offset), u64::from(tensor.offset) + tensor.bytes() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trishift_format::DataType;

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

    #[test]
    fn memory_is_used_again() {
        let mut tensors = [tensor(100, 0, 1), tensor(60, 1, 2), tensor(90, 2, 3)];
        assert_eq!(place(&mut tensors), 160);
        assert_eq!(lower_bound(&tensors), 160);
        assert_eq!(tensors.map(|t| t.offset), [0, 100, 0]);
    }

    proptest! {
        #[test]
        fn live_tensors_never_overlap(specs in proptest::collection::vec((1u32..90, 0u16..9, 0u16..9), 1..20)) {
            let mut tensors: Vec<Tensor> =
                specs.iter().map(|(len, a, b)| tensor(*len, *a.min(b), *a.max(b))).collect();
            let bytes = place(&mut tensors);
            prop_assert!(bytes >= lower_bound(&tensors));
            for (i, a) in tensors.iter().enumerate() {
                prop_assert!(a.offset.is_multiple_of(4) && span(*a).1 <= bytes);
                for b in &tensors[..i] {
                    let apart = span(*a).1 <= span(*b).0 || span(*b).1 <= span(*a).0;
                    prop_assert!(apart || !live_together(a, b));
                }
            }
        }
    }
}
