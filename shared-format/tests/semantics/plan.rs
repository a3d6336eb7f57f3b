//! The memory plan: classes, lifetimes, places.

use super::support::raw::{RawModel, RawTensor, operator};
use super::{accepted, refusal};
use trishift_format::{ParseError, PlanFault};

fn fault(tensor: usize, fault: PlanFault) -> ParseError {
    ParseError::Plan { tensor, fault }
}

/// Four ReLUs in a row (tensors 1, 2 and 3 in the arena), changed.
fn changed(change: impl FnOnce(&mut RawModel)) -> RawModel {
    let mut model = RawModel::relus(4);
    change(&mut model);
    model
}

#[test]
fn offsets_that_are_not_aligned() {
    for offset in [1, 2, 3, 5] {
        let model = changed(|model| {
            model.tensors[2].offset = offset;
            model.arena_bytes = 64;
        });
        assert_eq!(refusal(&model), fault(2, PlanFault::Alignment));
    }
}

#[test]
fn tensors_outside_the_arena() {
    for offset in [8, 4096, u32::MAX - 3] {
        let model = changed(|model| model.tensors[1].offset = offset);
        assert_eq!(refusal(&model), fault(1, PlanFault::OutsideArena));
    }
    let arena = changed(|model| model.arena_bytes = 7);
    assert_eq!(refusal(&arena), fault(1, PlanFault::OutsideArena));
    accepted(&changed(|model| model.arena_bytes = 9).file());
}

#[test]
fn tensors_that_share_bytes_while_both_live() {
    // Tensors 1 and 2 are both live while operator 1 runs.
    let half = changed(|model| {
        model.arena_bytes = 64;
        for tensor in &mut model.tensors {
            tensor.shape = [1, 1, 8];
        }
    });
    assert_eq!(refusal(&half), fault(2, PlanFault::Overlap { other: 1 }));
    let longer = changed(|model| {
        model.arena_bytes = 64;
        for tensor in &mut model.tensors {
            tensor.shape = [1, 1, 5];
        }
    });
    assert_eq!(refusal(&longer), fault(2, PlanFault::Overlap { other: 1 }));
    // Touching is not sharing, and tensors 1 and 3 never live together.
    accepted(&changed(|model| model.tensors[1].offset = 4).file());
    let kept = changed(|model| model.tensors[1].last = 2);
    assert_eq!(refusal(&kept), fault(3, PlanFault::Overlap { other: 1 }));
}

#[test]
fn persistent_tensors_share_bytes_with_nothing() {
    let persistent = |offset, arena_bytes| {
        changed(|model| {
            let tensor = RawTensor { offset, ..RawTensor::i8(RawTensor::PERSISTENT, 4, 0, 0) };
            model.tensors.insert(4, tensor);
            model.operators[3] = operator(4, &[3, 5]);
            model.output = 5;
            model.arena_bytes = arena_bytes;
        })
    };
    accepted(&persistent(8, 12).file());
    assert_eq!(refusal(&persistent(0, 12)), fault(4, PlanFault::Overlap { other: 2 }));
    assert_eq!(refusal(&persistent(4, 12)), fault(4, PlanFault::Overlap { other: 1 }));
    assert_eq!(refusal(&persistent(8, 8)), fault(4, PlanFault::OutsideArena));
    assert_eq!(refusal(&persistent(6, 12)), fault(4, PlanFault::Alignment));
}

#[test]
fn persistent_tensors_may_be_read_before_they_are_written() {
    // Operator 0 reads what operator 1 wrote in the run before.
    let tensors = vec![
        RawTensor::i8(RawTensor::INPUT, 4, 0, 1),
        RawTensor::i8(RawTensor::PERSISTENT, 4, 0, 0),
        RawTensor::i8(RawTensor::OUTPUT, 4, 0, 0),
    ];
    let operators = vec![operator(4, &[1, 2]), operator(4, &[0, 1])];
    accepted(&RawModel::graph_of(tensors, operators, 4).file());
}

/// Slides the input into tensor 1, and that tensor's rows into tensor 2.
fn slides(state: RawTensor) -> RawModel {
    let tensors = vec![
        RawTensor::i8(RawTensor::INPUT, 4, 0, 0),
        state,
        RawTensor { offset: 4, ..RawTensor::image(RawTensor::PERSISTENT, [5, 1, 4], 0, 0) },
        RawTensor::image(RawTensor::OUTPUT, [5, 1, 4], 2, 2),
    ];
    let operators = vec![operator(20, &[0, 1]), operator(20, &[1, 2]), operator(4, &[2, 3])];
    RawModel::graph_of(tensors, operators, 24)
}

#[test]
fn what_slides_is_persistent() {
    accepted(&slides(RawTensor::i8(RawTensor::PERSISTENT, 4, 0, 0)).file());
    let arena = slides(RawTensor::i8(RawTensor::ARENA, 4, 0, 1));
    assert_eq!(refusal(&arena), fault(1, PlanFault::Class));
    let mut output = slides(RawTensor::i8(RawTensor::PERSISTENT, 4, 0, 0));
    output.operators[2] = operator(20, &[2, 3]);
    assert_eq!(refusal(&output), fault(3, PlanFault::Class));
    // Nothing else may lie where a state does, though its lifetime says that it is over.
    let mut shared = slides(RawTensor::i8(RawTensor::PERSISTENT, 4, 0, 0));
    shared.tensors[2].offset = 0;
    assert_eq!(refusal(&shared), fault(2, PlanFault::Overlap { other: 1 }));
}

#[test]
fn persistent_tensors_that_an_operator_reads_and_writes() {
    let tensors = vec![
        RawTensor::i8(RawTensor::INPUT, 4, 0, 0),
        RawTensor::i8(RawTensor::PERSISTENT, 4, 0, 0),
        RawTensor::i8(RawTensor::OUTPUT, 4, 1, 1),
    ];
    let operators = vec![operator(4, &[1, 1]), operator(4, &[0, 2])];
    let model = RawModel::graph_of(tensors, operators, 4);
    assert_eq!(refusal(&model), fault(1, PlanFault::Overlap { other: 1 }));
}

#[test]
fn reads_outside_a_lifetime() {
    let dead = changed(|model| model.tensors[2].last = 1);
    assert_eq!(refusal(&dead), fault(2, PlanFault::Lifetime), "read after its last operator");
    let input = changed(|model| model.operators[2] = operator(4, &[0, 3]));
    assert_eq!(refusal(&input), fault(0, PlanFault::Lifetime), "the input is not kept that long");
    let early = changed(|model| {
        model.operators.swap(1, 2);
        model.tensors[2].first = 2;
        model.tensors[3].first = 1;
    });
    assert_eq!(refusal(&early), fault(2, PlanFault::Lifetime), "read before it is written");
    let in_place = changed(|model| model.operators[1] = operator(4, &[2, 2]));
    assert_eq!(refusal(&in_place), fault(2, PlanFault::Lifetime), "read by the operator that writes it");
    let output = changed(|model| model.operators[1] = operator(4, &[4, 2]));
    assert_eq!(refusal(&output), fault(4, PlanFault::Lifetime), "the output is read before it is written");
}

#[test]
fn tensors_that_are_not_written_once_by_their_first_operator() {
    let twice = changed(|model| model.operators[2] = operator(4, &[2, 2]));
    assert_eq!(refusal(&twice), fault(2, PlanFault::Written), "written again by its reader");
    let twice = changed(|model| {
        model.operators[2] = operator(4, &[1, 2]);
        model.tensors[1].last = 2;
    });
    assert_eq!(refusal(&twice), fault(2, PlanFault::Written), "written by two operators");
    let late = changed(|model| model.tensors[2].first = 0);
    assert_eq!(refusal(&late), fault(2, PlanFault::Written), "its lifetime begins before it is written");
    let backwards = changed(|model| model.tensors[2].last = 0);
    assert_eq!(refusal(&backwards), fault(2, PlanFault::Written), "its lifetime ends before it begins");
    let input = changed(|model| model.operators[1] = operator(4, &[1, 0]));
    assert_eq!(refusal(&input), fault(0, PlanFault::Written), "the input is the caller's");
}

#[test]
fn tensors_that_no_operator_writes() {
    let spare = changed(|model| {
        model.tensors.insert(4, RawTensor { offset: 8, ..RawTensor::i8(RawTensor::ARENA, 4, 0, 0) });
        model.operators[3] = operator(4, &[3, 5]);
        model.output = 5;
        model.arena_bytes = 12;
    });
    assert_eq!(refusal(&spare), fault(4, PlanFault::Written));
    let output = changed(|model| {
        model.operators.pop();
    });
    assert_eq!(refusal(&output), fault(4, PlanFault::Written));
}

#[test]
fn classes_that_do_not_match_the_graph() {
    // A second tensor of the caller's.
    let second = changed(|model| model.tensors[2].class = RawTensor::OUTPUT);
    assert_eq!(refusal(&second), fault(2, PlanFault::Class));
    let output = changed(|model| model.tensors[4].class = RawTensor::ARENA);
    assert_eq!(refusal(&output), fault(4, PlanFault::Class));
    let persistent = changed(|model| model.tensors[4].class = RawTensor::PERSISTENT);
    assert_eq!(refusal(&persistent), fault(4, PlanFault::Class));
    let input = changed(|model| {
        model.tensors[0].class = RawTensor::PERSISTENT;
    });
    assert_eq!(refusal(&input), fault(0, PlanFault::Class));
    let spare_input = changed(|model| model.tensors.push(RawTensor::i8(RawTensor::INPUT, 4, 0, 0)));
    assert_eq!(refusal(&spare_input), fault(5, PlanFault::Class));
}

#[test]
fn an_input_that_is_the_output_too() {
    let model = changed(|model| {
        model.output = 0;
        model.tensors[4] = RawTensor { offset: 4, ..RawTensor::i8(RawTensor::ARENA, 4, 3, 3) };
        model.tensors[4].offset = 0;
        model.tensors[3].offset = 4;
        model.tensors[2].offset = 8;
        model.arena_bytes = 12;
    });
    assert_eq!(refusal(&model), fault(0, PlanFault::Class));
}
