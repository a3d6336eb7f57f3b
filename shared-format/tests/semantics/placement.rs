//! The memory plan of a small chain in every arrangement: all offsets, all lifetimes, all sizes of the arena.
//!
//! What the parser must say follows from a table of who owns which byte while which operator runs.

use super::support::raw::{RawModel, RawTensor};
use super::support::walk;
use trishift_format::{Model, ParseError, PlanFault};

/// Operators of the chain; tensors 1 to 3 lie in the arena, tensor 0 is its input and tensor 4 its output.
const OPERATORS: usize = 4;

/// Place and life of a tensor in the arena.
#[derive(Clone, Copy, Debug)]
struct Place {
    class: u8,
    offset: usize,
    first: usize,
    last: usize,
}

/// Four ReLUs over `len` elements, and these tensors between them.
fn chain(places: [Place; 3], len: usize, arena_bytes: usize) -> RawModel {
    let mut model = RawModel { arena_bytes: arena_bytes as u64, ..RawModel::relus(OPERATORS as u16) };
    for tensor in &mut model.tensors {
        tensor.shape = [1, 1, len as u32];
    }
    for (tensor, place) in model.tensors[1..].iter_mut().zip(places) {
        tensor.class = place.class;
        tensor.offset = place.offset as u32;
        (tensor.first, tensor.last) = (place.first as u16, place.last as u16);
    }
    model
}

/// What is wrong with how the operators use the tensors. Operator i reads tensor i and writes tensor i + 1.
fn misuse(places: [Place; 3]) -> Option<(usize, PlanFault)> {
    let place = |tensor: usize| places[tensor - 1];
    (0..OPERATORS).find_map(|operator| {
        let (input, output) = (operator, operator + 1);
        let dead = |place: Place| !(place.first + 1..=place.last).contains(&operator);
        if input > 0 && place(input).class == RawTensor::ARENA && dead(place(input)) {
            return Some((input, PlanFault::Lifetime));
        }
        let unborn = |place: Place| place.first != operator || place.last < operator;
        if output < OPERATORS && place(output).class == RawTensor::ARENA && unborn(place(output)) {
            return Some((output, PlanFault::Written));
        }
        None
    })
}

/// True where the operator that reads `other`, as its last reader, writes `tensor` over it: a ReLU may.
fn takes_the_place(places: [Place; 3], tensor: usize, other: usize) -> bool {
    let [to, from] = [tensor, other].map(|tensor| places[tensor - 1]);
    let arena = [to, from].iter().all(|place| place.class == RawTensor::ARENA);
    arena && other + 1 == tensor && from.last == other && from.offset == to.offset
}

/// What is wrong with where the tensors lie.
fn misplacement(places: [Place; 3], len: usize, arena_bytes: usize) -> Option<(usize, PlanFault)> {
    // Who owns a byte while an operator runs.
    let mut owners = vec![[const { Vec::new() }; OPERATORS]; 64];
    for (tensor, place) in (1..).zip(places) {
        if place.offset % 4 != 0 {
            return Some((tensor, PlanFault::Alignment));
        }
        if place.offset + len > arena_bytes {
            return Some((tensor, PlanFault::OutsideArena));
        }
        let life = if place.class == RawTensor::PERSISTENT { 0..=OPERATORS - 1 } else { place.first..=place.last };
        let cells = (place.offset..place.offset + len).flat_map(|byte| life.clone().map(move |time| (byte, time)));
        let cells: Vec<_> = cells.collect();
        let sharing = cells.iter().flat_map(|(byte, time)| &owners[*byte][*time]).copied();
        if let Some(other) = sharing.filter(|other| !takes_the_place(places, tensor, *other)).min() {
            return Some((tensor, PlanFault::Overlap { other }));
        }
        for (byte, time) in cells {
            owners[byte][time].push(tensor);
        }
    }
    None
}

/// Counts of the outcomes.
#[derive(Debug, Default)]
struct Counts {
    accepted: usize,
    refused: usize,
}

impl Counts {
    fn check(&mut self, places: [Place; 3], len: usize, arena_bytes: usize) {
        let found = misuse(places).or_else(|| misplacement(places, len, arena_bytes));
        let expected = found.map(|(tensor, fault)| ParseError::Plan { tensor, fault });
        let file = chain(places, len, arena_bytes).file();
        let found = Model::parse(&file);
        assert_eq!(found.err(), expected, "{places:?}, {len} bytes each, {arena_bytes} bytes in all");
        match found {
            Ok(model) => {
                walk::model(&model);
                self.accepted += 1;
            }
            Err(_) => self.refused += 1,
        }
    }
}

/// Every triple of these values.
fn triples<T: Copy>(values: &[T]) -> impl Iterator<Item = [T; 3]> {
    values.iter().flat_map(move |a| values.iter().flat_map(move |b| values.iter().map(move |c| [*a, *b, *c])))
}

#[test]
fn every_offset_in_every_arena() {
    let mut counts = Counts::default();
    let offsets: Vec<usize> = (0..=12).filter(|offset| offset % 4 == 0 || *offset < 7).collect();
    for (len, arena_bytes) in [(3, 11), (4, 11), (4, 12), (4, 16), (5, 13), (5, 20), (8, 20)] {
        for offsets in triples(&offsets) {
            let place =
                |index: usize| Place { class: RawTensor::ARENA, offset: offsets[index], first: index, last: index + 1 };
            counts.check([0, 1, 2].map(place), len, arena_bytes);
        }
    }
    println!("offsets: {counts:?}");
    assert!(counts.accepted > 20 && counts.refused > 1000, "{counts:?}");
}

#[test]
fn every_lifetime() {
    let mut counts = Counts::default();
    let lives: Vec<_> = (0..OPERATORS).flat_map(|first| (0..OPERATORS).map(move |last| (first, last))).collect();
    for offsets in [[0, 4, 8], [0, 4, 0], [0, 0, 4], [4, 4, 4]] {
        for lives in triples(&lives) {
            let place = |index: usize| {
                let (first, last) = lives[index];
                Place { class: RawTensor::ARENA, offset: offsets[index], first, last }
            };
            counts.check([0, 1, 2].map(place), 4, 12);
        }
    }
    println!("lifetimes: {counts:?}");
    assert!(counts.accepted > 5 && counts.refused > 10_000, "{counts:?}");
}

#[test]
fn every_mixture_of_persistent_tensors() {
    let mut counts = Counts::default();
    for classes in triples(&[RawTensor::ARENA, RawTensor::PERSISTENT]) {
        for offsets in triples(&[0, 4, 8, 12]) {
            // Of a persistent tensor first and last mean nothing, whatever they are.
            for (first, last) in [(0, 1), (3, 0), (9, 9)] {
                let place = |index: usize| match classes[index] {
                    RawTensor::PERSISTENT => {
                        Place { class: RawTensor::PERSISTENT, offset: offsets[index], first, last }
                    }
                    class => Place { class, offset: offsets[index], first: index, last: index + 1 },
                };
                counts.check([0, 1, 2].map(place), 4, 16);
            }
        }
    }
    println!("persistent tensors: {counts:?}");
    assert!(counts.accepted > 50 && counts.refused > 100, "{counts:?}");
}
