//! The control connection of a run's ranks: a star of TCP connections around rank 0.
//!
//! It carries what is needed to begin (the identifier of NCCL's communicator) and, every second, that each rank lives and moves
//! on. A process that waits for others on its card cannot be told that one of them is dead; this is how it learns of it. Rank
//! 0 hears all and tells all, so every rank can say which one failed; the others watch rank 0 themselves.
//!
//! A rank is *gone* at the end of its connection (its process was killed: noticed at once), *silent* without heartbeats (its
//! process is stopped, its machine lost), *stuck* where its main thread does not call [`Group::tick`]; or it says itself why
//! it *failed*. Messages are neither secret nor signed, as are NCCL's: ranks meet in a network that is trusted.

mod error;
mod fault;
mod meeting;
mod message;
#[cfg(test)]
mod tests;
mod watch;

pub use error::GroupError;
pub use fault::Fault;

use super::Place;
use meeting::Meeting;
use message::{LONGEST_BROADCAST, Message};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use watch::Watch;

/// Longest wait for room in a connection. Messages are short; a connection without room has not been read for minutes.
const WRITE_PATIENCE: Duration = Duration::from_secs(1);

/// How long rank 0 stays for the others to read of a fault.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long ranks wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For all to come together.
    pub start_up: Duration,
    /// Between two heartbeats.
    pub beat: Duration,
    /// For a heartbeat.
    pub silence: Duration,
    /// For a main thread to move on.
    pub stuck: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { start_up: seconds(120), beat: seconds(1), silence: seconds(15), stuck: seconds(600) }
    }
}

/// This process among the ranks of its run.
///
/// Dropped without [`leave`](Self::leave) or [`fail`](Self::fail), it is gone for the others.
pub struct Group {
    rank: usize,
    world: usize,
    local_rank: usize,
    /// `None` in a world of 1.
    watch: Option<Arc<Watch>>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("rank", &self.rank).field("world", &self.world).finish_non_exhaustive()
    }
}

impl Group {
    /// Waits until all ranks have come.
    ///
    /// # Errors
    /// [`GroupError`] says who is missing, or why these ranks do not belong together; then no rank has begun.
    pub fn join(place: &Place, limits: Limits) -> Result<Self, GroupError> {
        let &Place { rank, world, .. } = place;
        if world == 1 {
            return Ok(Self::alone());
        }
        let address = place.address.as_deref().ok_or(GroupError::NoAddress { world })?;
        let meeting = Meeting { address, rank, world, version: env!("CARGO_PKG_VERSION"), limits };
        let streams = match rank {
            0 => (1..).zip(meeting.gather(&meeting.listen()?)?).collect(),
            _ => vec![(0, meeting.reach()?)],
        };
        Self::over(place, streams, limits)
    }

    /// A group over connections to these ranks.
    fn over(place: &Place, streams: Vec<(usize, TcpStream)>, limits: Limits) -> Result<Self, GroupError> {
        let &Place { rank, world, local_rank, .. } = place;
        Ok(Self { rank, world, local_rank, watch: Some(Watch::start(rank, streams, limits)?) })
    }

    /// A world of 1: nothing to wait for, nobody to watch.
    pub fn alone() -> Self {
        Self { rank: 0, world: 1, local_rank: 0, watch: None }
    }

    /// The number of this process among all.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn world(&self) -> usize {
        self.world
    }

    /// The number of this process among those of its machine.
    pub fn local_rank(&self) -> usize {
        self.local_rank
    }

    /// Rank 0's bytes, on every rank; those that the others give are ignored. All ranks call it equally often. Rank 0 does not
    /// wait for the others, they wait for it without a limit: only a fault ends that.
    ///
    /// # Errors
    /// [`GroupError::TooLong`] beyond 64 KiB; [`GroupError::Fault`], [`GroupError::HasLeft`].
    pub fn broadcast(&self, bytes: &[u8]) -> Result<Vec<u8>, GroupError> {
        let Some(watch) = &self.watch else { return Ok(bytes.to_vec()) };
        if self.rank > 0 {
            return watch.receive();
        }
        if bytes.len() > LONGEST_BROADCAST {
            return Err(GroupError::TooLong { bytes: bytes.len(), most: LONGEST_BROADCAST });
        }
        if let Some(fault) = watch.wait_for_fault(Duration::ZERO) {
            return Err(fault.into());
        }
        watch.send(&Message::Bytes(bytes.to_vec()))?;
        Ok(bytes.to_vec())
    }

    /// Tells of a fault as soon as it is found, once at most, from another thread; one that was found before, from this one.
    /// From this call on every rank has to [`tick`](Self::tick).
    ///
    /// The main thread may wait for a rank that is no more, where nothing wakes it: `on_fault` is to end the process.
    pub fn watch(&self, on_fault: impl FnOnce(Fault) + Send + 'static) {
        if let Some(watch) = &self.watch {
            watch.tell(Box::new(on_fault));
        }
    }

    /// The main thread moves on. Costs nothing; to be called more often than [`Limits::stuck`] wherever it works.
    pub fn tick(&self) {
        if let Some(watch) = &self.watch {
            watch.tick();
        }
    }

    /// The fault that is found within `limit`. For an error of what goes from card to card, which is mostly what another rank's
    /// end looks like from here. Does not return where `on_fault` ends the process.
    pub fn wait_for_fault(&self, limit: Duration) -> Option<Fault> {
        self.watch.as_ref()?.wait_for_fault(limit)
    }

    /// Tells the others why this rank ends, as one sentence. Where a fault was found before, the others know of that instead,
    /// and it is returned once `on_fault` has been told, or not at all where that ends the process.
    pub fn fail(&self, message: &str) -> Option<Fault> {
        self.watch.as_ref()?.fail(message)
    }

    /// This rank has done its work: its end is no fault. Waits for no one.
    pub fn leave(mut self) {
        if let Some(watch) = self.watch.take() {
            watch.leave();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.break_off();
        }
    }
}
