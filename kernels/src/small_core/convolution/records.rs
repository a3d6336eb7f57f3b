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

use trishift_format::trits::{DECODE, NONZERO};
use trishift_format::{Group, Row};

/// Halves before the first chain.
const HEADER: usize = 6;

/// Halves of a segment without its columns, and of the chain that may begin with it.
const SEGMENT: usize = 6;

/// Most segments: one for each distance that the int32 bound allows, and one more wherever 16 bits are full, for less than
/// which 255 columns that are not 0 do not suffice.
const MOST_SEGMENTS: usize = 32;

/// What 2^7 can be taken times before 16 bits are full.
const MOST: u32 = 255;

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
pub(super) struct Turn {
    /// How many there are of it, each for one column: at least one, at most sixteen.
    pub(super) columns: usize,
    /// Bytes of each.
    pub(super) bytes: usize,
}

/// What becomes of a row's sums.
pub(super) struct Finish {
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

/// Words of the longest record of a row with so many columns.
pub(super) const fn most_words(columns: usize) -> usize {
    // No group has fewer than four columns.
    let groups = columns.div_ceil(4);
    let segments = if groups < MOST_SEGMENTS { groups } else { MOST_SEGMENTS } + columns / (MOST as usize - 95) + 2;
    (HEADER + SEGMENT * segments + columns).div_ceil(2)
}

/// A list that is being written.
struct Writer<'a> {
    list: &'a mut [u16],
    at: usize,
    turn: Turn,
    /// Columns of this segment that are subtracted.
    minus: [u16; MOST as usize],
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

/// Writes the record of a row and gives its length, which is even; `None` where there is no room.
pub(super) fn write(row: &Row<'_>, finish: &Finish, turn: Turn, list: &mut [u16]) -> Option<usize> {
    let distance = |group: &Group<'_>| (group.exponent - finish.unit).clamp(0, 31).unsigned_abs();
    // The last segment is the one that nothing shifts any more, be it empty.
    let mut levels = 1u32;
    for group in row.groups() {
        if nonzero(&group) > 0 {
            levels |= 1 << distance(&group);
        }
    }
    let mut writer = Writer {
        list,
        at: HEADER,
        turn,
        minus: [0; MOST as usize],
        minuses: 0,
        count: 0,
        chain: 0,
        packed: 0,
        raised: 0,
        widened: None,
    };
    writer.begin_chain()?;
    let mut bound = 0;
    loop {
        let level = levels.checked_ilog2().unwrap_or(0);
        levels &= !(1 << level);
        let mut first = 0;
        for group in row.groups() {
            let count = if distance(&group) == level { nonzero(&group) } else { 0 };
            if count > 0 {
                if bound + count > MOST {
                    writer.end_chain(0)?;
                    writer.begin_chain()?;
                    bound = 0;
                }
                bound += count;
                writer.columns(&group, first)?;
            }
            first += group.len;
        }
        let Some(next) = levels.checked_ilog2() else { break };
        let following: u32 = row.groups().filter(|group| distance(group) == next).map(|group| nonzero(&group)).sum();
        let shift = level - next;
        // `shift` is at most 31, and the bound at most 2^8.
        if u64::from(bound) << shift <= u64::from(MOST.saturating_sub(following)) {
            writer.shift_chain(shift)?;
            bound <<= shift;
        } else {
            writer.end_chain(shift as u16)?;
            writer.begin_chain()?;
            bound = 0;
        }
    }
    writer.finish(finish)
}

/// Trits of a group that are not 0.
fn nonzero(group: &Group<'_>) -> u32 {
    group.bytes.iter().map(|byte| u32::from(NONZERO[usize::from(*byte)])).sum()
}

impl Writer<'_> {
    fn push(&mut self, half: u16) -> Option<()> {
        *self.list.get_mut(self.at)? = half;
        self.at += 1;
        Some(())
    }

    fn begin_chain(&mut self) -> Option<()> {
        (self.chain, self.packed) = (self.at, 0);
        self.push(0)?;
        self.begin_segment()
    }

    fn begin_segment(&mut self) -> Option<()> {
        self.count = self.at;
        self.minuses = 0;
        // The number of columns.
        self.push(0)?;
        self.push(0)
    }

    /// Adds a group's columns to the segment, of which the first one is column number `first`.
    fn columns(&mut self, group: &Group<'_>, first: usize) -> Option<()> {
        // A column's place in bytes: four words each, and fewer than 2^12 columns.
        let mut place = (first << 4) as u16;
        for byte in group.bytes {
            for trit in DECODE[usize::from(*byte)] {
                match trit {
                    0 => {}
                    1 => self.push(place)?,
                    _ => {
                        *self.minus.get_mut(self.minuses)? = place;
                        self.minuses += 1;
                    }
                }
                place = place.wrapping_add(16);
            }
        }
        Some(())
    }

    /// Writes what is subtracted, and what comes behind the segment.
    fn end_segment(&mut self, next: u16) -> Option<()> {
        let added = self.at - self.count - 2;
        self.write_count(self.count, added)?;
        let count = self.at;
        self.push(0)?;
        self.push(0)?;
        let places = self.list.get_mut(self.at..)?.get_mut(..self.minuses)?;
        places.copy_from_slice(self.minus.get(..self.minuses)?);
        self.at += self.minuses;
        self.write_count(count, self.minuses)?;
        self.push(next)
    }

    /// Ends the segment and shifts the chain; the sums of 32 bits that came before it are shifted as far beforehand.
    fn shift_chain(&mut self, shift: u32) -> Option<()> {
        self.end_segment(shift as u16)?;
        self.packed += shift;
        if let Some(widened) = self.widened {
            *self.list.get_mut(widened)? += shift as u16;
            self.raised <<= shift;
        }
        self.begin_segment()
    }

    /// Adds the chain to the sums of 32 bits, and shifts those.
    fn end_chain(&mut self, shift: u16) -> Option<()> {
        self.end_segment(WIDE | self.first() | shift)?;
        self.widened = Some(self.at - 1);
        self.begin_with()?;
        self.raised = self.raised.wrapping_add(RAISED) << shift;
        Some(())
    }

    /// Whether there are no sums of 32 bits yet.
    fn first(&self) -> u16 {
        if self.widened.is_some() { 0 } else { FIRST }
    }

    /// Writes what the chain's sums begin with.
    fn begin_with(&mut self) -> Option<()> {
        // Packed shifts are at most 7: a bound of 1 is not shifted further.
        *self.list.get_mut(self.chain)? = (RAISED >> self.packed) as u16;
        Some(())
    }

    fn write_count(&mut self, at: usize, columns: usize) -> Option<()> {
        // Without columns, the whole first turn is left out and none follows.
        let Turn { columns: of_turn, bytes } = self.turn;
        let turns = columns.div_ceil(of_turn).max(1);
        let left_out = turns * of_turn - columns;
        *self.list.get_mut(at)? = (bytes * left_out) as u16;
        *self.list.get_mut(at + 1)? = (2 * left_out) as u16 | ((turns - 1) as u16) << 8;
        Some(())
    }

    /// Ends the last segment and writes what stands in front of the first one.
    fn finish(mut self, finish: &Finish) -> Option<usize> {
        self.end_segment(LAST | WIDE | self.first())?;
        self.begin_with()?;
        self.raised = self.raised.wrapping_add(RAISED);
        // The rounding constant is part of the int32 bound; what is raised comes off again.
        let rounding = if finish.rounds() { 1 << (finish.shift - 1) } else { 0 };
        let odd = finish.bias.wrapping_add(rounding).cast_unsigned();
        let even = odd.wrapping_sub(self.raised);
        let shift = if finish.rounds() { finish.shift as u16 } else { 1 };
        let header = [even as u16, (even >> 16) as u16, odd as u16, (odd >> 16) as u16, shift, finish.relu.into()];
        self.list.get_mut(..HEADER)?.copy_from_slice(&header);
        // Records begin on a word's boundary.
        if self.at % 2 == 1 {
            self.push(0)?;
        }
        Some(self.at)
    }
}
