//! What a batch gives: one outcome for each member, in the order of the members.

use std::iter::repeat_with;

/// The outcomes of so many members that share a failure.
#[must_use]
pub fn all_fail<T, E: Clone>(members: usize, failure: &E) -> Vec<Result<T, E>> {
    repeat_with(|| Err(failure.clone())).take(members).collect()
}

/// The outcome of a batch of one.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn only<T>(outcomes: Vec<T>) -> T {
    outcomes.into_iter().next().expect("a batch gives each member its outcome")
}
