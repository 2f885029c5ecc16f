//! How many calls a batch may have: for each batch, a judge of whether one more still fits.

use std::collections::HashSet;

use order_domain::{ListQuery, Window};

/// Members of a batch. More would wait longer for each other than a statement of their own takes.
const MEMBERS: usize = 128;

/// Orders that the lists of a batch show in all, if it is more than one list.
const SHOWN: usize = 2_000;

/// A page after so many orders is deep: to count them takes long.
const DEEP: i64 = 1_000;

/// Deep pages of a batch. Each takes so long that little is gained by more.
const DEEP_PAGES: usize = 4;

/// For calls that are all alike.
pub fn few<M>() -> impl FnMut(&M) -> bool {
    at_most(MEMBERS)
}

/// For pages that are deep, see [`is_deep`].
pub fn few_deep_pages() -> impl FnMut(&ListQuery) -> bool {
    at_most(DEEP_PAGES)
}

fn at_most<M>(members: usize) -> impl FnMut(&M) -> bool {
    let mut left = members;
    move |_| {
        let fits = left > 0;
        left = left.saturating_sub(1);
        fits
    }
}

/// For lists. One that is equal to another costs nothing, see [`Shared`](crate::Shared).
pub fn short_lists() -> impl FnMut(&ListQuery) -> bool {
    let mut left = SHOWN;
    let mut seen = HashSet::new();
    move |query| {
        if !seen.insert(*query) {
            return true;
        }
        let shown = usize::from(query.window.limit().get());
        let fits = left >= shown && seen.len() <= MEMBERS;
        left = left.saturating_sub(shown);
        fits
    }
}

/// Whether a list should wait in a queue of its own, so that nobody else has to wait for it.
#[must_use]
pub fn is_deep(query: &ListQuery) -> bool {
    matches!(query.window, Window::Page(page) if page.offset() > DEEP)
}

#[cfg(test)]
mod tests {
    use order_domain::{Cursor, Limit, Page, PageNumber};

    use super::*;

    fn before(id: i64, limit: &str) -> ListQuery {
        let before = id.try_into().unwrap();
        let cursor = Cursor { before, limit: Limit::parse(limit).unwrap() };
        ListQuery { window: Window::Before(cursor), status: None }
    }

    fn page(number: &str, limit: &str) -> ListQuery {
        let (number, limit) = (PageNumber::parse(number).unwrap(), Limit::parse(limit).unwrap());
        ListQuery { window: Window::Page(Page { number, limit }), status: None }
    }

    #[test]
    fn a_batch_has_so_many_members_and_no_more() {
        let mut fits = few();
        assert_eq!((0..1_000).filter(|n| fits(n)).count(), MEMBERS);
        let mut fits = few_deep_pages();
        assert_eq!((0..9).filter(|_| fits(&page("9", "1000"))).count(), DEEP_PAGES);
    }

    #[test]
    fn lists_fit_by_what_they_show_and_equal_ones_always() {
        let mut fits = short_lists();
        assert!(fits(&before(9, "1000")) && fits(&before(8, "990")) && fits(&before(7, "10")));
        assert!(!fits(&before(6, "1")));
        assert!((0..1_000).all(|_| fits(&before(9, "1000"))));
        let mut fits = short_lists();
        assert_eq!((1..999).filter(|id| fits(&before(*id, "1"))).count(), MEMBERS);
    }

    #[test]
    fn a_page_is_deep_by_what_it_skips() {
        assert!(!is_deep(&page("2", "1000")) && !is_deep(&page("101", "10")));
        assert!(is_deep(&page("3", "1000")) && is_deep(&page("102", "10")));
        assert!(!is_deep(&before(1, "1000")));
    }
}
