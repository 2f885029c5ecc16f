//! Which part of the list of orders is asked for. The list is newest first: ids descending.

use crate::{InvalidInteger, OrderId, OrderStatus, OrderSummary, integer};

/// How many orders to show at most: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(u16);

impl Limit {
    /// The largest number of orders.
    pub const MAX: u16 = 1000;

    /// Reads an ASCII decimal integer from 1 to 1000.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidInteger> {
        let max = i64::from(Self::MAX);
        let limit = integer::parse(text, 1, max)?;
        u16::try_from(limit).map(Self).map_err(|_| InvalidInteger { min: 1, max })
    }

    /// The number of orders.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// The number of a page, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageNumber(i64);

impl PageNumber {
    /// The newest orders.
    pub const FIRST: Self = Self(1);

    /// Reads an ASCII decimal integer from 1 to 2⁶³−1.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidInteger> {
        integer::parse(text, 1, i64::MAX).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// The page before this one, if there is one.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        (self > Self::FIRST).then(|| Self(self.0 - 1))
    }
}

/// A page by its number. Pages shift while orders are placed; a [`Cursor`] does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// Which page.
    pub number: PageNumber,
    /// How long a page is.
    pub limit: Limit,
}

impl Page {
    /// How many orders are newer than the page. A number past all that can exist stays there.
    #[must_use]
    pub fn offset(self) -> i64 {
        (self.number.0 - 1).saturating_mul(self.limit.0.into())
    }
}

/// The newest orders with ids below a given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Only smaller ids than this.
    pub before: OrderId,
    /// How many at most.
    pub limit: Limit,
}

/// The two ways to ask for a part of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// By page number.
    Page(Page),
    /// By cursor: costs the same at any depth.
    Before(Cursor),
}

impl Window {
    /// How many orders it shows at most.
    #[must_use]
    pub fn limit(&self) -> Limit {
        match self {
            Self::Page(page) => page.limit,
            Self::Before(cursor) => cursor.limit,
        }
    }
}

/// A question to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListQuery {
    /// Which part of it.
    pub window: Window,
    /// Only orders with this status; all when absent.
    pub status: Option<OrderStatus>,
}

impl ListQuery {
    /// Where to go on after `shown`, the answer to this question, while there may be more.
    ///
    /// Always a cursor, also after a page: who follows it meets every order that was there at
    /// the beginning exactly once, though others are placed meanwhile.
    #[must_use]
    pub fn next(&self, shown: &[OrderSummary]) -> Option<Cursor> {
        let limit = self.window.limit();
        let last = shown.last().filter(|_| shown.len() >= limit.0.into())?;
        let smallest = last.id.get() == 1;
        (!smallest).then_some(Cursor { before: last.id, limit })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::Metres;

    fn shown(ids: &[i64]) -> Vec<OrderSummary> {
        ids.iter()
            .map(|&id| OrderSummary {
                id: id.try_into().unwrap(),
                distance: Metres::try_from(1).unwrap(),
                status: OrderStatus::Unassigned,
            })
            .collect()
    }

    fn page(number: &str, limit: &str) -> Page {
        Page { number: PageNumber::parse(number).unwrap(), limit: Limit::parse(limit).unwrap() }
    }

    #[rstest]
    fn a_limit_is_an_integer_from_1_to_1000(
        #[values("", "0", "1001", "-1", "+5", "5.0", "ten", "99999999999999999999")] text: &str,
    ) {
        assert_eq!(Limit::parse(text), Err(InvalidInteger { min: 1, max: 1000 }));
    }

    #[test]
    fn both_ends_of_the_limit_are_included() {
        assert_eq!(Limit::parse("1").map(Limit::get), Ok(1));
        assert_eq!(Limit::parse("1000").map(Limit::get), Ok(1000));
    }

    #[test]
    fn an_offset_past_all_that_can_exist_does_not_wrap() {
        assert_eq!(page("1", "10").offset(), 0);
        assert_eq!(page("3", "10").offset(), 20);
        assert_eq!(page("9223372036854775807", "1000").offset(), i64::MAX);
    }

    #[test]
    fn the_first_page_has_none_before_it() {
        assert_eq!(PageNumber::FIRST.previous(), None);
        assert_eq!(PageNumber::parse("2").unwrap().previous(), Some(PageNumber::FIRST));
    }

    #[test]
    fn a_full_page_may_be_followed_by_more_and_a_short_one_is_not() {
        let query = ListQuery { window: Window::Page(page("1", "2")), status: None };
        let next = query.next(&shown(&[9, 7])).unwrap();
        assert_eq!((next.before.get(), next.limit.get()), (7, 2));
        assert_eq!(query.next(&shown(&[9])), None);
        assert_eq!(query.next(&[]), None);
        assert_eq!(query.next(&shown(&[2, 1])), None, "no id is smaller than 1");
    }

    proptest! {
        #[test]
        fn following_the_cursor_shows_everything_once(count in 0..60_i64, limit in 1..10_i64) {
            let all: Vec<i64> = (1..=count).rev().collect();
            let limit = Limit::parse(&limit.to_string()).unwrap();
            let mut window = Window::Page(Page { number: PageNumber::FIRST, limit });
            let mut seen: Vec<i64> = vec![];
            loop {
                let below = match window {
                    Window::Page(_) => i64::MAX,
                    Window::Before(cursor) => cursor.before.get(),
                };
                let part: Vec<i64> = all.iter().copied().filter(|&id| id < below)
                    .take(limit.get().into()).collect();
                seen.extend(&part);
                match (ListQuery { window, status: None }).next(&shown(&part)) {
                    Some(cursor) => window = Window::Before(cursor),
                    None => break,
                }
            }
            prop_assert_eq!(seen, all);
        }
    }
}
