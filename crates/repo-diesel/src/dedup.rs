//! Equal reads that wait together share one outcome.

use std::{collections::HashMap, hash::Hash};

/// The different requests of a batch, and which request equals which. For reads only: of two equal
/// changes each happens.
pub struct Deduplicated<R> {
    /// The different requests.
    pub unique: Vec<R>,
    /// For each request, its index in `unique`.
    indexes: Vec<usize>,
}

impl<R: Clone + Eq + Hash> Deduplicated<R> {
    /// Finds the different requests.
    #[must_use]
    pub fn new(requests: &[R]) -> Self {
        let mut unique = Vec::with_capacity(requests.len());
        let mut known = HashMap::with_capacity(requests.len());
        let index = |request| {
            *known.entry(request).or_insert_with(|| {
                unique.push(R::clone(request));
                unique.len() - 1
            })
        };
        let indexes = requests.iter().map(index).collect();
        Self { unique, indexes }
    }

    /// Gives each request the outcome of the unique request that it equals.
    #[must_use]
    pub fn fan_out<O: Clone>(self, outcomes: Vec<O>) -> Vec<O> {
        if self.unique.len() == self.indexes.len() {
            return outcomes;
        }
        self.indexes.into_iter().map(|index| outcomes[index].clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_requests_share_an_outcome() {
        let requests = Deduplicated::new(&[4, 3, 4, 8, 3, 4]);
        assert_eq!(requests.unique, [4, 3, 8]);
        assert_eq!(requests.fan_out(vec!["4", "3", "8"]), ["4", "3", "4", "8", "3", "4"]);
        let requests = Deduplicated::new(&[2, 1]);
        assert_eq!(requests.unique, [2, 1]);
        assert_eq!(requests.fan_out(vec!["2", "1"]), ["2", "1"]);
    }
}
