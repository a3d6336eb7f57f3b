//! Training on several cards, one process a card: who is who and how they learn of each other's end.
//!
//! [`Place`] is what a launcher says about a process: its number among all, its card, where the first one listens.
//! [`Group`] joins the processes over TCP; it carries what is needed to begin and news of faults, never gradients: those go
//! from card to card.

pub mod group;
pub mod place;

pub use group::{Fault, Group, GroupError, Limits};
pub use place::{Place, PlaceError};
