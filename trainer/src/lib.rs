//! Trains networks whose weights are W = T·2^E, with integers as the only lasting state, and exports them for the
//! `trishift` runtime.
//!
//! The way of the data: [`data`] reads and quantises a data set; [`config`] says what to train; [`network`] is the
//! resolved graph; a [`backend`] runs it, applying a [`rule`] to the state of every layer; [`checkpoint`] keeps that
//! state; [`export`] folds it into a model file; [`evaluate`] runs that file through the runtime, and [`mod@reference`] is
//! the trainer's own arithmetic to hold it against. [`run`] ties them together into a folder that can be interrupted and resumed.
//! [`report`] shows such a folder as a page, with what its network [`cost`]s on microcontrollers.
//! [`parallel`] is how the processes of a run on several cards find each other, and notice that one has failed.
//! [`random`] fills a network without training.
//! [`ternary`] is the algorithm primitive by primitive: the definition that rules and backends are held against.
//!
//! Nothing flows back up, and what is reported is what the exported file does.
//!
//! Unsafe code is found in [`backend`]`::cuda` only: launches of kernels and calls of NVIDIA's libraries.
#![deny(unsafe_code)]

pub mod backend;
pub mod bench;
pub mod checkpoint;
pub mod compare;
pub mod config;
pub mod cost;
pub mod data;
pub mod evaluate;
pub mod export;
pub mod file;
pub mod frozen;
pub mod generate;
pub mod listen;
pub mod network;
pub mod number;
pub mod parallel;
pub mod plan;
pub mod random;
pub mod reference;
pub mod report;
pub mod rule;
pub mod run;
pub mod schedule;
pub mod teacher;
pub mod ternary;
