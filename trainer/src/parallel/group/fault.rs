//! What ends a run of several ranks before its time, as a sentence that names the rank.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What happened to a rank.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fault {
    /// Its connection ended without a word.
    #[error("rank {rank} is gone: its process has ended or its machine is out of reach")]
    Gone {
        /// Its number.
        rank: usize,
    },
    /// It sends nothing, though its connection is there.
    #[error("rank {rank} has been silent for {seconds} s: its process or its machine has stopped")]
    Silent {
        /// Its number.
        rank: usize,
        /// How long.
        seconds: u64,
    },
    /// It lives, but its training stands still.
    #[error("rank {rank} has made no progress for {seconds} s")]
    Stuck {
        /// Its number.
        rank: usize,
        /// How long.
        seconds: u64,
    },
    /// All of them stand still, and nobody was first.
    #[error("no rank has made progress for {seconds} s")]
    AllStuck {
        /// How long.
        seconds: u64,
    },
    /// It ended by an error of its own.
    #[error("rank {rank} failed: {message}")]
    Failed {
        /// Its number.
        rank: usize,
        /// Why, as one sentence.
        message: String,
    },
    /// It sent bytes that say nothing.
    #[error("rank {rank} sent something that is no message of trishift")]
    Garbled {
        /// Its number.
        rank: usize,
    },
}
