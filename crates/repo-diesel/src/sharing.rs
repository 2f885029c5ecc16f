//! Equal calls that wait together share one answer.

use std::{collections::HashMap, hash::Hash};

/// The different ones among the members of a batch, and who is equal to whom. For members that
/// only read: of two equal changes each happens.
pub struct Shared<M> {
    different: Vec<M>,
    /// Of each member, its number among the different ones.
    numbers: Vec<usize>,
}

impl<M: Clone + Eq + Hash> Shared<M> {
    /// Finds those that are equal.
    #[must_use]
    pub fn among(members: &[M]) -> Self {
        let mut different = Vec::with_capacity(members.len());
        let mut known = HashMap::with_capacity(members.len());
        let number = |member| {
            *known.entry(member).or_insert_with(|| {
                different.push(M::clone(member));
                different.len() - 1
            })
        };
        let numbers = members.iter().map(number).collect();
        Self { different, numbers }
    }

    /// The different ones.
    #[must_use]
    pub fn different(&self) -> &[M] {
        &self.different
    }

    /// Gives each member the outcome of the one that it is equal to.
    #[must_use]
    pub fn spread<T: Clone>(self, outcomes: Vec<T>) -> Vec<T> {
        if self.different.len() == self.numbers.len() {
            return outcomes;
        }
        self.numbers.into_iter().map(|number| outcomes[number].clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_members_are_one_and_each_has_its_outcome() {
        let shared = Shared::among(&[4, 3, 4, 8, 3, 4]);
        assert_eq!(shared.different(), [4, 3, 8]);
        assert_eq!(shared.spread(vec!["4", "3", "8"]), ["4", "3", "4", "8", "3", "4"]);
        let shared = Shared::among(&[2, 1]);
        assert_eq!(shared.different(), [2, 1]);
        assert_eq!(shared.spread(vec!["2", "1"]), ["2", "1"]);
    }
}
