//! Limits on the size of a batch.

use std::collections::HashSet;

use order_domain::{ListQuery, Window};

/// Decides for one batch, in the order of the requests, whether one more fits.
pub type BatchLimit<R> = Box<dyn FnMut(&R) -> bool>;

/// Requests in a batch. More would wait longer for each other than their own statement takes.
const MAX_BATCH_SIZE: usize = 128;

/// Orders that the lists of a batch return in all, if it is more than one list.
const MAX_BATCH_ROWS: usize = 2_000;

/// A page that skips more orders is deep: counting them takes long.
const DEEP_OFFSET: i64 = 1_000;

/// Deep pages in a batch. Each takes so long that more of them gain little.
const MAX_BATCH_DEEP_PAGES: usize = 4;

/// Limits requests that all cost the same.
#[must_use]
pub fn limit_batch_size<R>() -> BatchLimit<R> {
    at_most(MAX_BATCH_SIZE)
}

/// Limits deep pages, see [`is_deep`].
#[must_use]
pub fn limit_deep_pages() -> BatchLimit<ListQuery> {
    at_most(MAX_BATCH_DEEP_PAGES)
}

fn at_most<R>(requests: usize) -> BatchLimit<R> {
    let mut remaining = 0..requests;
    Box::new(move |_| remaining.next().is_some())
}

/// Limits lists. One that equals another costs nothing, see
/// [`Deduplicated`](crate::Deduplicated).
#[must_use]
pub fn limit_rows() -> BatchLimit<ListQuery> {
    let mut remaining = MAX_BATCH_ROWS;
    let mut seen = HashSet::new();
    Box::new(move |query| {
        if !seen.insert(*query) {
            return true;
        }
        let rows = usize::from(query.window.limit().get());
        let fits = remaining >= rows && seen.len() <= MAX_BATCH_SIZE;
        remaining = remaining.saturating_sub(rows);
        fits
    })
}

/// Whether a list belongs to a queue of its own, so that no other request waits for it.
#[must_use]
pub fn is_deep(query: &ListQuery) -> bool {
    matches!(query.window, Window::Page(page) if page.offset() > DEEP_OFFSET)
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
    fn batch_has_at_most_so_many_requests() {
        let mut fits = limit_batch_size();
        assert_eq!((0..1_000).filter(|n| fits(n)).count(), MAX_BATCH_SIZE);
        let mut fits = limit_deep_pages();
        assert_eq!((0..9).filter(|_| fits(&page("9", "1000"))).count(), MAX_BATCH_DEEP_PAGES);
    }

    #[test]
    fn lists_fit_by_their_rows_and_equal_ones_always() {
        let mut fits = limit_rows();
        assert!(fits(&before(9, "1000")) && fits(&before(8, "990")) && fits(&before(7, "10")));
        assert!(!fits(&before(6, "1")));
        assert!((0..1_000).all(|_| fits(&before(9, "1000"))));
        let mut fits = limit_rows();
        assert_eq!((1..999).filter(|id| fits(&before(*id, "1"))).count(), MAX_BATCH_SIZE);
    }

    #[test]
    fn page_is_deep_by_what_it_skips() {
        assert!(!is_deep(&page("2", "1000")) && !is_deep(&page("101", "10")));
        assert!(is_deep(&page("3", "1000")) && is_deep(&page("102", "10")));
        assert!(!is_deep(&before(1, "1000")));
    }
}
