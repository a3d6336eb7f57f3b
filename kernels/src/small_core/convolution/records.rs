//! Rows of a matrix as lists of columns, in the order in which assembly reads them.
//!
//! A record is halves of words, the lower one of a word first:
//!
//! - the bias of even lanes (a word), that of odd ones (a word), the requantising shift, 1 for ReLU and 0 else,
//! - *chains*, each a half that sums begin with and *segments*: how many columns are added, those columns, how many are
//!   subtracted, those, and what comes next.
//!
//! Groups of equal exponents are one segment, the largest exponent first. Behind it sums are shifted by the distance to the
//! next one: where 16 bits hold that, all lanes of a word at once, and the chain goes on; else the sums of the chain are
//! added to those of 32 bits, which are shifted, and another chain begins. So a shift takes a few instructions for many
//! columns, whatever the exponents.
//!
//! A chain begins with 2^15 in each word, less what its shifts make of it: the lower half then never is negative, and the
//! upper one's sum can be read without looking at it. The biases take it off again.
//!
//! A number of columns is what the code wants to know that takes some of them a turn: how many bytes of it are left out in
//! the first turn (a half), how many bytes of the list those would be (a byte), and how many turns follow (a byte).

use trishift_format::trits::NONZERO;
use trishift_format::{Group, Row};

/// Halves before the first chain.
const HEADER: usize = 6;

/// Halves of a segment without its columns, and of the chain that may begin with it.
const SEGMENT: usize = 6;

/// Distances of exponents that the int32 bound allows a group that is not all zeros: fewer than these.
const LEVELS: usize = 32;

/// What 2^7 can be taken times before 16 bits are full.
const MOST: usize = 255;

/// What a chain's sums are raised by at its end.
const RAISED: u32 = 1 << 15;

/// Set behind the last segment.
pub(super) const LAST: u16 = 1 << 15;
/// Set where sums are added to those of 32 bits, as behind the last segment.
pub(super) const WIDE: u16 = 1 << 14;
/// Set where there are none yet.
pub(super) const FIRST: u16 = 1 << 13;

/// The code that takes columns.
#[derive(Clone, Copy)]
pub(in crate::small_core) struct Turn {
    /// How many there are of it, each for one column: at least one, at most sixteen.
    pub(super) columns: usize,
    /// Bytes of each.
    pub(super) bytes: usize,
}

/// What becomes of a row's sums.
pub(in crate::small_core) struct Finish {
    /// The exponent of one step.
    pub(super) unit: i32,
    pub(super) bias: i32,
    /// To int8.
    pub(super) shift: i32,
    pub(super) relu: bool,
}

impl Finish {
    /// True where the shift rounds and leaves something.
    pub(super) const fn rounds(&self) -> bool {
        1 <= self.shift && self.shift <= 31
    }
}

/// Halves of a record without the columns, of which so many are not 0, at so many levels. A segment that is not the last one
/// of its level ends where the next group has no room, which takes at least the room that no group needs.
const fn halves_around(levels: usize, nonzero: usize) -> usize {
    HEADER + SEGMENT * (levels + nonzero / (MOST - trishift_format::GroupSize::MAX) + 1) + 1
}

/// Words of the longest record of a row with so many columns, each of which is taken so many times at most.
pub(super) const fn most_words(columns: usize, times: usize) -> usize {
    // No group has fewer than four columns, an int8 has eight digits, and an empty level may follow.
    let groups = if times == 1 { columns.div_ceil(4) + 1 } else { 9 };
    let levels = if groups < LEVELS { groups } else { LEVELS };
    (halves_around(levels, times * columns) + times * columns).div_ceil(2)
}

/// What a record is made of: columns at levels, each added or subtracted.
pub(super) trait Columns {
    /// Counts those of every level.
    fn count(&self, counts: &mut Counts);

    /// Adds those of one level, of which there are `left`.
    fn add(&self, level: u32, left: usize, chain: &mut Chain<'_>);
}

/// Writes a record and gives its length, which is even; `None` where there is no room.
pub(super) fn write(columns: &dyn Columns, finish: &Finish, turn: Turn, list: &mut [u16]) -> Option<usize> {
    let mut counts = Counts { columns: [0; LEVELS], levels: 1, all: 0 };
    columns.count(&mut counts);
    let room = halves_around(counts.levels.count_ones() as usize, counts.all) + counts.all;
    let mut chain = Chain { writer: Writer::new(list.get_mut(..room)?, turn), bound: 0 };
    let mut levels = counts.levels;
    loop {
        // The last one is 0, which always is there: nothing shifts it any more.
        let level = levels.checked_ilog2().unwrap_or(0);
        levels &= !(1 << level);
        let left = counts.at(level);
        if left > 0 {
            columns.add(level, left, &mut chain);
        }
        let Some(next) = levels.checked_ilog2() else { break };
        chain.shift(level - next, counts.at(next));
    }
    Some(chain.writer.finish(finish))
}

/// A chain of segments, and how often 2^7 may be in its sums.
pub(super) struct Chain<'a> {
    writer: Writer<'a>,
    bound: usize,
}

impl Chain<'_> {
    /// Begins another chain where this one has no room for so many columns.
    pub(super) fn make_room(&mut self, columns: usize) {
        if self.bound + columns > MOST {
            self.writer.end_chain(0);
            self.writer.begin_chain();
            self.bound = 0;
        }
    }

    /// True where there is room for so many columns.
    fn has_room(&self, columns: usize) -> bool {
        self.bound + columns <= MOST
    }

    /// Adds a column, or subtracts it. There is room.
    pub(super) fn push(&mut self, column: usize, subtracted: bool) {
        // Its place in bytes: four words each, and fewer than 2^12 columns.
        self.writer.column((column << 4) as u16, subtracted);
        self.bound += 1;
    }

    /// Shifts the sums to the next level, which has so many columns.
    fn shift(&mut self, shift: u32, following: usize) {
        // A shift is at most 31, and the bound at most 2^8.
        if (self.bound as u64) << shift <= MOST.saturating_sub(following) as u64 {
            self.writer.shift_chain(shift);
            self.bound <<= shift;
        } else {
            self.writer.end_chain(shift);
            self.writer.begin_chain();
            self.bound = 0;
        }
    }
}

/// A row of ternary weights whose sums have this unit.
pub(super) struct TernaryColumns<'a> {
    pub(super) row: &'a Row<'a>,
    pub(super) unit: i32,
}

impl TernaryColumns<'_> {
    /// A group's distance from the row's unit: in 0..32 by the int32 bound, but for groups of zeros.
    fn level_of(&self, group: &Group<'_>) -> u32 {
        (group.exponent - self.unit).clamp(0, LEVELS as i32 - 1).unsigned_abs()
    }
}

impl Columns for TernaryColumns<'_> {
    fn count(&self, counts: &mut Counts) {
        let mut number = 0;
        while let Some(group) = self.row.get(number) {
            counts.add(self.level_of(&group), nonzero(&group));
            number += 1;
        }
    }

    fn add(&self, level: u32, mut left: usize, chain: &mut Chain<'_>) {
        let (mut number, mut first) = (0, 0);
        while left > 0 {
            let Some(group) = self.row.get(number) else { return };
            number += 1;
            if self.level_of(&group) == level {
                // Mostly all that is left has room.
                if !chain.has_room(left) {
                    chain.make_room(nonzero(&group));
                }
                let count = chain.writer.columns(&group, first);
                chain.bound += count;
                left -= count;
            }
            first += group.len;
        }
    }
}

/// Trits of a group that are not 0.
pub(super) fn nonzero(group: &Group<'_>) -> usize {
    group.bytes.iter().fold(0, |sum, byte| sum + usize::from(NONZERO[usize::from(*byte)]))
}

/// Columns by level.
pub(super) struct Counts {
    columns: [u16; LEVELS],
    /// A bit for each level that has any, and for 0.
    levels: u32,
    all: usize,
}

impl Counts {
    /// So many more of this level.
    pub(super) fn add(&mut self, level: u32, columns: usize) {
        if let Some(count) = self.columns.get_mut(level as usize).filter(|_| columns > 0) {
            *count += columns as u16;
            self.levels |= 1 << level;
            self.all += columns;
        }
    }

    fn at(&self, level: u32) -> usize {
        self.columns.get(level as usize).copied().unwrap_or(0).into()
    }
}

/// A list that is being written. It has room for all of it.
struct Writer<'a> {
    list: &'a mut [u16],
    at: usize,
    turn: Turn,
    /// Columns of this segment that are subtracted: at the end of the list, from behind.
    minuses: usize,
    /// Where the number of those that are added stands.
    count: usize,
    /// Where this chain begins, and how far it has been shifted.
    chain: usize,
    packed: u32,
    /// What the lower halves' sums are raised by.
    raised: u32,
    /// Where the shift of the sums of 32 bits stands, once there are any.
    widened: Option<usize>,
}

/// For each code of five trits the places, in bytes of gathered columns, of those that are 1, then of those that are −1, a
/// byte each; and how many there are of either.
static PLACES: [[u8; 8]; 243] = {
    let mut table = [[0; 8]; 243];
    let mut code = 0;
    while code < 243 {
        let (mut digits, mut place, mut plus, mut minus) = (code, 0, 0, 0);
        while place < 5 {
            match digits % 3 {
                2 => {
                    table[code][plus] = 16 * place;
                    plus += 1;
                }
                0 => {
                    // From behind, until it is known how many are in front.
                    table[code][4 - minus] = 16 * place;
                    minus += 1;
                }
                _ => {}
            }
            digits /= 3;
            place += 1;
        }
        table[code][6] = plus as u8;
        table[code][7] = minus as u8;
        code += 1;
    }
    table
};

impl<'a> Writer<'a> {
    /// Begins a list.
    fn new(list: &'a mut [u16], turn: Turn) -> Self {
        let mut writer =
            Self { list, at: HEADER, turn, minuses: 0, count: 0, chain: 0, packed: 0, raised: 0, widened: None };
        writer.begin_chain();
        writer
    }

    fn push(&mut self, half: u16) {
        self.put(self.at, half);
        self.at += 1;
    }

    fn put(&mut self, at: usize, half: u16) {
        if let Some(place) = self.list.get_mut(at) {
            *place = half;
        }
    }

    fn begin_chain(&mut self) {
        (self.chain, self.packed) = (self.at, 0);
        self.push(0);
        self.begin_segment();
    }

    fn begin_segment(&mut self) {
        self.count = self.at;
        self.minuses = 0;
        // The number of columns, a word that is known later.
        self.at += 2;
    }

    /// Adds a column to the segment.
    fn column(&mut self, place: u16, subtracted: bool) {
        if subtracted {
            self.minuses += 1;
            self.put(self.list.len() - self.minuses, place);
        } else {
            self.push(place);
        }
    }

    /// Adds a group's columns to the segment, of which the first one is column number `first`, and says how many are not 0.
    #[allow(unsafe_code, reason = "writes without checks, as there is room")]
    #[inline(never)]
    fn columns(&mut self, group: &Group<'_>, first: usize) -> usize {
        let list = self.list.as_mut_ptr();
        let (plus, minus) = (list.wrapping_add(self.at), list.wrapping_add(self.list.len() - self.minuses));
        let (mut next_plus, mut next_minus) = (plus, minus);
        // A column's place in bytes: four words each, and fewer than 2^12 columns.
        let mut place = (first << 4) as u16;
        for byte in group.bytes {
            let Some(places) = PLACES.get(usize::from(*byte)) else { break };
            let mut from = places.as_ptr();
            let [.., added, subtracted] = *places;
            let mut left = added;
            while left > 0 {
                // SAFETY: `write` has counted this column, and all others, before it cut the list to its length, and an
                // entry holds as many places as it says.
                unsafe { *next_plus = place.wrapping_add((*from).into()) };
                (next_plus, from, left) = (next_plus.wrapping_add(1), from.wrapping_add(1), left - 1);
            }
            (from, left) = (places.as_ptr().wrapping_add(5), subtracted);
            while left > 0 {
                (next_minus, from, left) = (next_minus.wrapping_sub(1), from.wrapping_sub(1), left - 1);
                // SAFETY: as above.
                unsafe { *next_minus = place.wrapping_add((*from).into()) };
            }
            place = place.wrapping_add(16 * 5);
        }
        let added = (next_plus.addr() - plus.addr()) / size_of::<u16>();
        let subtracted = (minus.addr() - next_minus.addr()) / size_of::<u16>();
        (self.at, self.minuses) = (self.at + added, self.minuses + subtracted);
        added + subtracted
    }

    /// Writes what is subtracted, and what comes behind the segment.
    #[inline(never)]
    fn end_segment(&mut self, next: u16) {
        self.write_count(self.count, self.at - self.count - 2);
        self.write_count(self.at, self.minuses);
        self.at += 2;
        // Where the two overlap, at the end of the list, this one is in front.
        let mut from = self.list.len() - self.minuses;
        while let Some(place) = self.list.get(from) {
            self.push(*place);
            from += 1;
        }
        self.push(next);
    }

    /// Ends the segment and shifts the chain; the sums of 32 bits that came before it are shifted as far beforehand.
    fn shift_chain(&mut self, shift: u32) {
        self.end_segment(shift as u16);
        self.packed += shift;
        if let Some(widened) = self.widened.and_then(|widened| self.list.get_mut(widened)) {
            *widened += shift as u16;
            self.raised <<= shift;
        }
        self.begin_segment();
    }

    /// Adds the chain to the sums of 32 bits, and shifts those.
    fn end_chain(&mut self, shift: u32) {
        self.end_segment(WIDE | self.first() | shift as u16);
        self.widened = Some(self.at - 1);
        self.begin_with();
        self.raised = self.raised.wrapping_add(RAISED) << shift;
    }

    /// Whether there are no sums of 32 bits yet.
    fn first(&self) -> u16 {
        if self.widened.is_some() { 0 } else { FIRST }
    }

    /// Writes what the chain's sums begin with.
    fn begin_with(&mut self) {
        // Packed shifts are at most 7: a bound of 1 is not shifted further.
        self.put(self.chain, (RAISED >> self.packed) as u16);
    }

    /// Writes a number of columns.
    fn write_count(&mut self, at: usize, columns: usize) {
        let Turn { columns: of_turn, bytes } = self.turn;
        // Without columns, the whole first turn is left out and none follows.
        let (mut turns, mut left_out) = (0, of_turn.wrapping_sub(columns).cast_signed());
        while left_out < 0 {
            turns += 1;
            left_out += of_turn.cast_signed();
        }
        self.put(at, (bytes * left_out.unsigned_abs()) as u16);
        self.put(at + 1, (2 * left_out) as u16 | turns << 8);
    }

    /// Ends the last segment and writes what stands in front of the first one.
    fn finish(mut self, finish: &Finish) -> usize {
        self.end_segment(LAST | WIDE | self.first());
        self.begin_with();
        self.raised = self.raised.wrapping_add(RAISED);
        // The rounding constant is part of the int32 bound; what is raised comes off again.
        let rounding = if finish.rounds() { 1 << (finish.shift - 1) } else { 0 };
        let odd = finish.bias.wrapping_add(rounding).cast_unsigned();
        let even = odd.wrapping_sub(self.raised);
        let shift = if finish.rounds() { finish.shift as u16 } else { 1 };
        let header = [even as u16, (even >> 16) as u16, odd as u16, (odd >> 16) as u16, shift, finish.relu.into()];
        for (at, half) in header.into_iter().enumerate() {
            self.put(at, half);
        }
        // Records begin on a word's boundary.
        self.at.next_multiple_of(2)
    }
}
