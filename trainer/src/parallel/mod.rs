//! Training on several cards, one process a card: who is who, how they are started and how they learn of each other's end.
//!
//! [`Place`] is what a launcher says about a process: its number among all, its card, where the first one listens.
//! [`Group`] joins the processes over TCP; it carries what is needed to begin and news of faults, never gradients: those go
//! from card to card. [`launch()`] is the launcher for one machine; for more there are torchrun, mpirun and srun.
//!
//! What it promises: whichever process dies, stops or hangs, all others end too, say which one it was, and leave the last
//! checkpoint to go on from. `docs/parallel.md` has the times.

pub mod group;
pub mod launch;
pub mod place;

pub use group::{Fault, Group, GroupError, Limits};
pub use launch::{LaunchError, Outcome, launch};
pub use place::{Place, PlaceError};
