//! Several workers that train one network: which part of a step each does, what they tell each other, and on several cards,
//! one process a card, how they are started and how they learn of each other's end.
//!
//! A step's batch is cut into shards ([`crate::rule::ballot`]); a worker does some of them ([`Share`]), and integers that all
//! shards make are summed over the workers ([`Exchange`]). A shard's arithmetic does not depend on who does it, and integers add
//! up to the same in any order: the network is the same, bit for bit, for every number of workers.
//!
//! [`Place`] is what a launcher says about a process: its number among all, its card, where the first one listens.
//! [`Group`] joins the processes over TCP; it carries what is needed to begin and news of faults, never votes or gradients: those
//! go from card to card. [`launch()`] is the launcher for one machine; for more there are torchrun, mpirun and srun.
//!
//! What it promises: whichever process dies, stops or hangs, all others end too, say which one it was, and leave the last
//! checkpoint to go on from. `docs/parallel.md` has the times.

mod exchange;
pub mod group;
pub mod launch;
pub mod place;
mod share;

pub use exchange::{Alone, Exchange, ExchangeError, InProcess, Integers};
pub use group::{Fault, Group, GroupError, Limits};
pub use launch::{LaunchError, Outcome, launch};
pub use place::{Place, PlaceError};
pub use share::{Link, Share, ShareError, Worker};
