//! The `Link` header of lists.

use rstest::rstest;

use super::super::support::{Fixture, Process, Request, Response, Store};

/// Pairs of relation and target.
struct Links(Vec<(String, String)>);

impl Links {
    fn of(response: &Response) -> Self {
        assert_eq!(response.status, 200, "{response:?}");
        let link =
            response.header("link").unwrap_or_else(|| panic!("there is no Link: {response:?}"));
        let parse = |link: &str| {
            let (target, relation) = link.split_once(">; rel=\"").unwrap();
            let target = target.strip_prefix('<').unwrap().to_owned();
            (relation.strip_suffix('"').unwrap().to_owned(), target)
        };
        Self(link.split(", ").map(parse).collect())
    }

    fn to(&self, relation: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(known, _)| known == relation);
        let first = found.next();
        assert!(found.next().is_none(), "{relation} is repeated");
        first.map(|(_, target)| target.as_str())
    }
}

/// A service with `count` orders, and their ids, newest first.
fn start_with_orders(count: usize, store: Store) -> (Fixture, Process, Vec<i64>) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let mut ids: Vec<_> = (0..count).map(|_| service.client.place()).collect();
    ids.reverse();
    (fixture, service, ids)
}

fn links(service: &Process, query: &str) -> Links {
    Links::of(&service.client.send_request(&Request::new(&format!("GET /orders?{query}"))))
}

/// The parameters of a target, sorted because their order has no meaning.
fn query(target: Option<&str>) -> Vec<&str> {
    let (path, query) = target.unwrap().split_once('?').unwrap();
    assert_eq!(path, "/orders", "a path without host");
    let mut parameters: Vec<_> = query.split('&').collect();
    parameters.sort_unstable();
    parameters
}

#[rstest]
fn full_page_links_to_next_by_cursor(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let (_fixture, service, ids) = start_with_orders(5, store);
    let before = |id: i64| vec![format!("before={id}"), "limit=2".to_owned()];
    assert_eq!(query(links(&service, "page=1&limit=2").to("next")), before(ids[1]));
    assert_eq!(query(links(&service, "page=2&limit=2").to("next")), before(ids[3]));
    let cursor = format!("before={}&limit=2", ids[0]);
    assert_eq!(query(links(&service, &cursor).to("next")), before(ids[2]));
}

#[test]
fn next_link_has_the_documented_form() {
    let (_fixture, service, ids) = start_with_orders(4, Store::Sqlite);
    let response = service.client.send_request(&Request::new("GET /orders?page=1&limit=3"));
    let link = response.header("link").unwrap();
    let next = format!("</orders?limit=3&before={}>; rel=\"next\"", ids[2]);
    assert!(link.split(", ").any(|link| link == next), "{link}");
}

#[rstest]
#[case::an_empty_page("page=9&limit=2")]
#[case::a_page_far_past_the_end("page=9223372036854775807&limit=1000")]
#[case::a_short_page("page=3&limit=2")]
#[case::a_page_for_all("page=1&limit=1000")]
#[case::an_empty_cursor("before=1&limit=2")]
#[case::an_unused_status("page=1&limit=2&status=TAKEN")]
fn empty_or_short_page_has_no_next(#[case] query: &str) {
    let (_fixture, service, _) = start_with_orders(5, Store::Sqlite);
    let links = links(&service, query);
    assert_eq!(links.to("next"), None);
    assert!(links.to("first").is_some());
}

#[rstest]
#[case("page=1&limit=2")]
#[case("page=2&limit=2")]
#[case("page=9&limit=2")]
#[case("before=9&limit=2")]
#[case("before=1&limit=2")]
fn first_link_is_always_present(#[case] list: &str) {
    let (_fixture, service, _) = start_with_orders(3, Store::Sqlite);
    assert_eq!(query(links(&service, list).to("first")), ["limit=2", "page=1"]);
}

#[rstest]
#[case("page=1&limit=2", None)]
#[case("page=2&limit=2", Some("page=1"))]
#[case("page=9&limit=2", Some("page=8"))]
#[case("before=9&limit=2", None)]
#[case("before=1&limit=2", None)]
fn prev_link_is_present_after_the_first_page(#[case] list: &str, #[case] page: Option<&str>) {
    let (_fixture, service, _) = start_with_orders(3, Store::Sqlite);
    let links = links(&service, list);
    match page {
        Some(page) => assert_eq!(query(links.to("prev")), ["limit=2", page]),
        None => assert_eq!(links.to("prev"), None),
    }
}

#[rstest]
#[case("UNASSIGNED")]
#[case("TAKEN")]
fn links_keep_limit_and_status(#[case] status: &str) {
    let (_fixture, service, ids) = start_with_orders(9, Store::Sqlite);
    for id in ids.iter().step_by(2) {
        assert_eq!(service.client.take(*id, None).unwrap().status, 200);
    }
    let links = links(&service, &format!("status={status}&limit=2&page=2"));
    let kept = ["limit=2".to_owned(), format!("status={status}")];
    for relation in ["next", "first", "prev"] {
        let mut others = query(links.to(relation));
        others.retain(|parameter| !kept.iter().any(|kept| kept == parameter));
        assert!(others.len() == 1, "{relation}: {others:?}");
        let form = if relation == "next" { "before=" } else { "page=1" };
        assert!(others[0].starts_with(form), "{relation}: {others:?}");
    }
}

#[rstest]
#[case::pages("/orders?page=1&limit=3")]
#[case::cursor("/orders?before=9223372036854775807&limit=5")]
#[case::one_by_one("/orders?page=1&limit=1")]
#[case::a_whole_number_of_pages("/orders?page=1&limit=5")]
fn following_next_returns_every_order_once(
    #[case] start: &str,
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let (_fixture, service, ids) = start_with_orders(10, store);
    let pages = service.client.pages(start).inspect(|_| {
        service.client.place();
    });
    assert_eq!(pages.flatten().collect::<Vec<_>>(), ids);
}
