//! The `Link` header of a list (RFC 8288): paths without host, so that they hold behind any
//! web server.

use order_domain::{Cursor, ListQuery, Page, PageNumber, Window};

/// `next` while there may be more, always as a cursor; `first` always; `prev` for pages.
pub(crate) fn header(query: &ListQuery, next: Option<Cursor>) -> String {
    let target = |window| target(&ListQuery { window, status: query.status });
    let limit = query.window.limit();
    let page = |number| Window::Page(Page { number, limit });
    let previous = match query.window {
        Window::Page(Page { number, .. }) => number.previous(),
        Window::Before(_) => None,
    };
    let links = [
        next.map(|cursor| (target(Window::Before(cursor)), "next")),
        Some((target(page(PageNumber::FIRST)), "first")),
        previous.map(|number| (target(page(number)), "prev")),
    ];
    let links: Vec<_> =
        links.into_iter().flatten().map(|(to, rel)| format!("<{to}>; rel=\"{rel}\"")).collect();
    links.join(", ")
}

fn target(query: &ListQuery) -> String {
    let limit = query.window.limit().get();
    let status =
        query.status.map(|status| format!("&status={}", status.as_str())).unwrap_or_default();
    let window = match query.window {
        Window::Page(page) => format!("page={}", page.number.get()),
        Window::Before(cursor) => format!("before={}", cursor.before),
    };
    format!("/orders?limit={limit}{status}&{window}")
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
    fn the_first_page_links_to_the_cursor_after_it() {
        let query = ListQuery { window: page("1"), status: None };
        assert_eq!(
            header(&query, Some(cursor(1759))),
            "</orders?limit=3&before=1759>; rel=\"next\", </orders?limit=3&page=1>; rel=\"first\""
        );
    }

    #[test]
    fn a_later_page_links_back_and_the_last_one_not_on() {
        let query = ListQuery { window: page("5"), status: None };
        assert_eq!(
            header(&query, None),
            "</orders?limit=3&page=1>; rel=\"first\", </orders?limit=3&page=4>; rel=\"prev\""
        );
    }

    #[test]
    fn a_cursor_has_no_page_before_it_and_the_status_is_kept() {
        let query =
            ListQuery { window: Window::Before(cursor(9)), status: Some(OrderStatus::Unassigned) };
        assert_eq!(
            header(&query, Some(cursor(4))),
            "</orders?limit=3&status=UNASSIGNED&before=4>; rel=\"next\", \
             </orders?limit=3&status=UNASSIGNED&page=1>; rel=\"first\""
        );
    }
}
