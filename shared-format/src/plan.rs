//! The memory plan: every tensor's lifetime and place, and the proof that no two live tensors share a byte.

use crate::model::Model;
use crate::operator::Operator;
use crate::tensor::{Tensor, TensorClass};
use crate::{ParseError, PlanFault};

/// Checks classes, lifetimes, bounds and overlaps of every tensor.
pub(crate) fn check(model: &Model<'_>) -> Result<(), ParseError> {
    check_uses(model)?;
    for (index, tensor) in model.tensors().enumerate() {
        let fault = |fault| ParseError::Plan { tensor: index, fault };
        check_class(model, index, &tensor).map_err(fault)?;
        if let TensorClass::Arena | TensorClass::Persistent = tensor.class {
            check_place(model, index, &tensor).map_err(fault)?;
        }
    }
    Ok(())
}

/// The graph's input and output are the caller's, and nothing else is.
fn check_class(model: &Model<'_>, index: usize, tensor: &Tensor) -> Result<(), PlanFault> {
    let expected = match tensor.class {
        // A graph whose input is its output too would never write it.
        TensorClass::Input => index == usize::from(model.input_index()) && index != usize::from(model.output_index()),
        TensorClass::Output => index == usize::from(model.output_index()),
        TensorClass::Arena | TensorClass::Persistent => {
            index != usize::from(model.input_index()) && index != usize::from(model.output_index())
        }
    };
    if expected { Ok(()) } else { Err(PlanFault::Class) }
}

/// Every tensor but the input is written exactly once, by the operator its lifetime begins with, and read only later
/// and within its lifetime. Persistent tensors live always: they may be read before they are written.
///
/// One pass over the operators: a tensor whose lifetime begins with the operator that writes it cannot be written by
/// another one, so equal counts mean that every tensor is written.
fn check_uses(model: &Model<'_>) -> Result<(), ParseError> {
    let mut written = 0usize;
    for (index, operator) in (0u16..).zip(model.operators()) {
        for input in operator.inputs() {
            let tensor = model.tensor(input);
            let live = match tensor.class {
                TensorClass::Persistent => true,
                TensorClass::Input => index <= tensor.last,
                TensorClass::Arena | TensorClass::Output => tensor.first < index && index <= tensor.last,
            };
            if !live {
                return Err(ParseError::Plan { tensor: usize::from(input), fault: PlanFault::Lifetime });
            }
        }
        let output = model.tensor(operator.output());
        // What slides must be there in the next run.
        if matches!(operator, Operator::Slide(_)) && output.class != TensorClass::Persistent {
            return Err(ParseError::Plan { tensor: usize::from(operator.output()), fault: PlanFault::Class });
        }
        match output.class {
            // What is kept is never written in place.
            TensorClass::Persistent if operator.inputs().contains(&operator.output()) => {
                let tensor = usize::from(operator.output());
                return Err(ParseError::Plan { tensor, fault: PlanFault::Overlap { other: tensor } });
            }
            TensorClass::Persistent => {}
            TensorClass::Arena | TensorClass::Output if output.first == index && index <= output.last => written += 1,
            TensorClass::Arena | TensorClass::Output | TensorClass::Input => {
                return Err(ParseError::Plan { tensor: usize::from(operator.output()), fault: PlanFault::Written });
            }
        }
    }
    let is_written = |tensor: &Tensor| matches!(tensor.class, TensorClass::Arena | TensorClass::Output);
    if model.tensors().filter(is_written).count() == written {
        return Ok(());
    }
    // Somewhere a tensor has no writer: only now look for it.
    let unwritten = |tensor: usize| !model.operators().any(|operator| usize::from(operator.output()) == tensor);
    let tensor = model.tensors().enumerate().find(|(index, tensor)| is_written(tensor) && unwritten(*index));
    Err(ParseError::Plan { tensor: tensor.map_or(0, |(index, _)| index), fault: PlanFault::Written })
}

/// Aligned, inside the arena, apart from every other live tensor.
fn check_place(model: &Model<'_>, index: usize, tensor: &Tensor) -> Result<(), PlanFault> {
    if !tensor.offset.is_multiple_of(Tensor::ALIGNMENT) {
        return Err(PlanFault::Alignment);
    }
    let end = |tensor: &Tensor| u64::from(tensor.offset) + tensor.bytes() as u64;
    if end(tensor) > model.arena_bytes() {
        return Err(PlanFault::OutsideArena);
    }
    for (other_index, other) in model.tensors().enumerate().take(index) {
        let placed = matches!(other.class, TensorClass::Arena | TensorClass::Persistent);
        let persistent = TensorClass::Persistent;
        let both_live = tensor.class == persistent
            || other.class == persistent
            || (tensor.first <= other.last && other.first <= tensor.last);
        let share = u64::from(tensor.offset) < end(&other) && u64::from(other.offset) < end(tensor);
        if placed && both_live && share && !is_in_place(model, [index, other_index], tensor, &other) {
            return Err(PlanFault::Overlap { other: other_index });
        }
    }
    Ok(())
}

/// True where one of the tensors is the output that an operator writes over the other one, its input, and nothing uses
/// that input later.
fn is_in_place(model: &Model<'_>, [index, other_index]: [usize; 2], tensor: &Tensor, other: &Tensor) -> bool {
    let arena = tensor.class == TensorClass::Arena && other.class == TensorClass::Arena;
    if !arena || tensor.offset != other.offset || tensor.bytes() != other.bytes() {
        return false;
    }
    let (input, output, operator) = match (tensor.first == other.last, other.first == tensor.last) {
        (true, false) => (other_index, index, tensor.first),
        (false, true) => (index, other_index, other.first),
        _ => return false,
    };
    model.operators().nth(operator.into()).is_some_and(|operator| {
        let inputs = operator.inputs().map(usize::from);
        let fits = match operator {
            // Where both operands are one tensor there is nothing left to add.
            Operator::Add(_) => inputs[0] != inputs[1],
            // Row after row, which equal lengths alone do not promise.
            Operator::DepthwiseConv2d(_) => tensor.shape == other.shape,
            _ => true,
        };
        operator.works_in_place() && fits && inputs.contains(&input) && usize::from(operator.output()) == output
    })
}
