//! The `Link` header of a list (RFC 8288). Its targets are paths without a host, so that they are
//! valid behind any proxy.

use std::fmt::{self, Write};

use order_domain::{Cursor, ListQuery, Page, PageNumber, Window};

/// The value of the header: `next` unless the list has ended, always as a cursor; `first` always;
/// `prev` for pages.
pub(crate) fn header(query: &ListQuery, next: Option<Cursor>) -> String {
    let limit = query.window.limit();
    let page = |number| Window::Page(Page { number, limit });
    let previous = match query.window {
        Window::Page(Page { number, .. }) => number.previous(),
        Window::Before(_) => None,
    };
    let links = [
        next.map(|cursor| (Window::Before(cursor), "next")),
        Some((page(PageNumber::FIRST), "first")),
        previous.map(|number| (page(number), "prev")),
    ];
    // One allocation, because every list has the header.
    let mut header = String::with_capacity(160);
    for (window, rel) in links.into_iter().flatten() {
        let separator = if header.is_empty() { "" } else { ", " };
        let target = Target(ListQuery { window, status: query.status });
        write!(header, "{separator}<{target}>; rel=\"{rel}\"")
            .expect("writing to a string does not fail");
    }
    header
}

/// The target of a link: a list query as a path.
struct Target(ListQuery);

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(query) = self;
        write!(f, "/orders?limit={}", query.window.limit().get())?;
        if let Some(status) = query.status {
            write!(f, "&status={}", status.as_str())?;
        }
        match query.window {
            Window::Page(page) => write!(f, "&page={}", page.number.get()),
            Window::Before(cursor) => write!(f, "&before={}", cursor.before),
        }
    }
}

#[cfg(test)]
mod tests {
    use order_domain::{Limit, OrderStatus};

    use super::*;

    fn limit() -> Limit {
        Limit::parse("3").unwrap()
    }

    fn cursor(before: i64) -> Cursor {
        Cursor { before: before.try_into().unwrap(), limit: limit() }
    }

    fn page(number: &str) -> Window {
        Window::Page(Page { number: PageNumber::parse(number).unwrap(), limit: limit() })
    }

    #[test]
    fn first_page_links_to_the_next_cursor() {
        let query = ListQuery { window: page("1"), status: None };
        assert_eq!(
            header(&query, Some(cursor(1759))),
            "</orders?limit=3&before=1759>; rel=\"next\", </orders?limit=3&page=1>; rel=\"first\""
        );
    }

    #[test]
    fn last_page_links_back_only() {
        let query = ListQuery { window: page("5"), status: None };
        assert_eq!(
            header(&query, None),
            "</orders?limit=3&page=1>; rel=\"first\", </orders?limit=3&page=4>; rel=\"prev\""
        );
    }

    #[test]
    fn cursor_has_no_previous_page_and_keeps_the_status() {
        let query =
            ListQuery { window: Window::Before(cursor(9)), status: Some(OrderStatus::Unassigned) };
        assert_eq!(
            header(&query, Some(cursor(4))),
            "</orders?limit=3&status=UNASSIGNED&before=4>; rel=\"next\", \
             </orders?limit=3&status=UNASSIGNED&page=1>; rel=\"first\""
        );
    }
}
