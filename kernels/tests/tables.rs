//! Which tables a machine has.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use trishift_kernels::{SCALAR, available, best, from_environment, select};

#[test]
fn the_definition_is_last_and_names_are_unique() {
    let names: Vec<_> = available().map(|kernels| kernels.name).collect();
    assert_eq!(names.last(), Some(&SCALAR.name));
    for (index, name) in names.iter().enumerate() {
        assert_eq!(select(name).unwrap().name, *name);
        assert!(!names[..index].contains(name), "{name} twice");
    }
    assert_eq!(best().name, names[0]);
}

/// Whoever means to test a certain table says so in the variable, and learns here if the processor has not got it.
#[test]
fn the_table_that_the_environment_names_is_there() {
    assert!(available().any(|kernels| kernels.name == from_environment().unwrap().name));
}
