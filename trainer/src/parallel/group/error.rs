//! Why ranks do not come together, or do not stay.

use super::Fault;
use std::io;
use thiserror::Error;

/// Why a group cannot be joined or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// A world of several ranks without rank 0's address.
    #[error("{world} ranks cannot meet without an address; set MASTER_ADDR to the name of rank 0's machine")]
    NoAddress {
        /// Ranks of the run.
        world: usize,
    },
    /// Rank 0 cannot listen.
    #[error("rank 0 cannot listen at {address} ({source}); set MASTER_PORT to a port that is free")]
    Listen {
        /// `host:port`.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Nobody listens where rank 0 should.
    #[error("rank 0 could not be reached at {address} within {seconds} s: {source}")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// The start-up limit.
        seconds: u64,
        /// What the last attempt met.
        source: io::Error,
    },
    /// Ranks that did not come.
    #[error("{ranks} of {world} did not come to {address} within {seconds} s")]
    Missing {
        /// Who, as `rank 2` or `ranks 2 and 3`.
        ranks: String,
        /// Ranks of the run.
        world: usize,
        /// `host:port`.
        address: String,
        /// The start-up limit.
        seconds: u64,
    },
    /// A rank of another run, by its number of ranks.
    #[error(
        "rank {rank} of a run of {world} came to {address}, where a run of {expected} meets; two runs share the port"
    )]
    OtherWorld {
        /// Its number.
        rank: usize,
        /// The ranks of its run.
        world: usize,
        /// `host:port`.
        address: String,
        /// The ranks of the run that meets there.
        expected: usize,
    },
    /// A number that is taken.
    #[error("rank {rank} came to {address} twice; two runs share the port, or two processes the number")]
    Twice {
        /// Its number.
        rank: usize,
        /// `host:port`.
        address: String,
    },
    /// Another version.
    #[error("rank {rank} is trishift {version}, rank 0 is {expected}; all ranks need the same version")]
    OtherVersion {
        /// Its number.
        rank: usize,
        /// Its version, and that of its messages.
        version: String,
        /// Rank 0's.
        expected: String,
    },
    /// A rank ended while others were awaited.
    #[error("rank {rank} was gone before all ranks had come")]
    LeftEarly {
        /// Its number.
        rank: usize,
    },
    /// Rank 0 called the start off; its reason is the same sentence on every rank.
    #[error("{message}")]
    CalledOff {
        /// The sentence.
        message: String,
    },
    /// Rank 0's end, or a program that is no rank 0.
    #[error("{address} broke off before the run began: rank 0 has ended, or another program listens there")]
    BrokenOff {
        /// `host:port`.
        address: String,
    },
    /// Too much to send.
    #[error("{bytes} bytes are too many for the control connection, which takes {most}")]
    TooLong {
        /// How many were given.
        bytes: usize,
        /// How many may be.
        most: usize,
    },
    /// A rank is waited for that has left in good order.
    #[error("rank {rank} has left the run")]
    HasLeft {
        /// Its number.
        rank: usize,
    },
    /// A rank failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The connections cannot be set up.
    #[error("cannot watch the other ranks: {0}")]
    Watch(#[from] io::Error),
}
