//! Queries for a part of the list of orders. The list is newest first: ids descending.

use crate::{InvalidInteger, OrderId, OrderStatus, OrderSummary, integer};

/// The maximum number of orders in a response: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(u16);

impl Limit {
    /// The largest limit.
    pub const MAX: u16 = 1000;

    /// Parses an ASCII decimal integer from 1 to 1000.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidInteger> {
        let max = i64::from(Self::MAX);
        let limit = integer::parse(text, 1, max)?;
        u16::try_from(limit).map(Self).map_err(|_| InvalidInteger { min: 1, max })
    }

    /// The maximum number of orders.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// The number of a page, starting with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageNumber(i64);

impl PageNumber {
    /// The page with the newest orders.
    pub const FIRST: Self = Self(1);

    /// Parses an ASCII decimal integer from 1 to 2⁶³−1.
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

    /// The preceding page; none for the first page.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        (self > Self::FIRST).then(|| Self(self.0 - 1))
    }
}

/// A page, identified by its number. New orders shift pages; they do not shift a [`Cursor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The number of the page.
    pub number: PageNumber,
    /// The length of a page.
    pub limit: Limit,
}

impl Page {
    /// The number of orders that precede the page. It saturates at `i64::MAX`.
    #[must_use]
    pub fn offset(self) -> i64 {
        (self.number.0 - 1).saturating_mul(self.limit.0.into())
    }
}

/// The newest orders whose ids are smaller than a given id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// All ids are smaller than this one.
    pub before: OrderId,
    /// The maximum number of orders.
    pub limit: Limit,
}

/// A part of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// A part selected by page number.
    Page(Page),
    /// A part selected by cursor, which costs the same at any depth.
    Before(Cursor),
}

impl Window {
    /// The maximum number of orders.
    #[must_use]
    pub fn limit(&self) -> Limit {
        let (Self::Page(Page { limit, .. }) | Self::Before(Cursor { limit, .. })) = self;
        *limit
    }
}

/// A list query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListQuery {
    /// The requested part of the list.
    pub window: Window,
    /// The status of the listed orders; all orders if absent.
    pub status: Option<OrderStatus>,
}

impl ListQuery {
    /// The cursor of the part after `orders`, which this query returned; none at the end of the
    /// list.
    ///
    /// It is a cursor after a page, too. Following it returns every order that existed when the
    /// walk began exactly once, even while new orders are placed.
    #[must_use]
    pub fn next(&self, orders: &[OrderSummary]) -> Option<Cursor> {
        let limit = self.window.limit();
        let last = orders.last().filter(|_| orders.len() >= limit.0.into())?;
        (last.id > OrderId::MIN).then_some(Cursor { before: last.id, limit })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::Metres;

    fn summaries(ids: &[i64]) -> Vec<OrderSummary> {
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
    fn limit_is_an_integer_from_1_to_1000(
        #[values("", "0", "1001", "-1", "+5", "5.0", "ten", "99999999999999999999")] text: &str,
    ) {
        assert_eq!(Limit::parse(text), Err(InvalidInteger { min: 1, max: 1000 }));
    }

    #[test]
    fn limit_includes_both_ends() {
        assert_eq!(Limit::parse("1").map(Limit::get), Ok(1));
        assert_eq!(Limit::parse("1000").map(Limit::get), Ok(1000));
    }

    #[test]
    fn offset_saturates() {
        assert_eq!(page("1", "10").offset(), 0);
        assert_eq!(page("3", "10").offset(), 20);
        assert_eq!(page("9223372036854775807", "1000").offset(), i64::MAX);
    }

    #[test]
    fn first_page_has_no_previous_page() {
        assert_eq!(PageNumber::FIRST.previous(), None);
        assert_eq!(PageNumber::parse("2").unwrap().previous(), Some(PageNumber::FIRST));
    }

    #[test]
    fn only_a_full_page_has_a_next_one() {
        let query = ListQuery { window: Window::Page(page("1", "2")), status: None };
        let next = query.next(&summaries(&[9, 7])).unwrap();
        assert_eq!((next.before.get(), next.limit.get()), (7, 2));
        assert_eq!(query.next(&summaries(&[9])), None);
        assert_eq!(query.next(&[]), None);
        assert_eq!(query.next(&summaries(&[2, 1])), None, "no id is smaller than 1");
    }

    proptest! {
        #[test]
        fn following_the_cursor_returns_every_order_once(count in 0..60_i64, limit in 1..10_i64) {
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
                match (ListQuery { window, status: None }).next(&summaries(&part)) {
                    Some(cursor) => window = Window::Before(cursor),
                    None => break,
                }
            }
            prop_assert_eq!(seen, all);
        }
    }
}
