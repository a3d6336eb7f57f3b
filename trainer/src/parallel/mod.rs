//! Training on several cards, one process a card: who is who.
//!
//! [`Place`] is what a launcher says about a process: its number among all, its card, where the first one listens.

pub mod place;

pub use place::{Place, PlaceError};
