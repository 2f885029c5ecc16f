//! Which `Accept` headers select which error format.

use rstest::rstest;

use super::super::support::{Fixture, Process, Request, Response, Store};

const PROBLEM_JSON: &str = "application/problem+json";

fn not_found(accept: &[&str]) -> Response {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = Request::new("GET /orders/7");
    let request = accept.iter().fold(request, |request, line| request.header("Accept", line));
    service.client.send_request(&request)
}

#[rstest]
#[case::alone(&["application/problem+json"])]
#[case::in_any_case(&["Application/Problem+JSON"])]
#[case::with_the_least_q(&["application/problem+json;q=0.001"])]
#[case::with_a_parameter(&["application/problem+json;charset=utf-8"])]
#[case::beside_others(&["text/html, application/problem+json;q=0.1, */*;q=0.9"])]
#[case::beside_empty_elements(&[",,application/problem+json,"])]
#[case::beside_an_invalid_range(&["invalid, application/problem+json"])]
#[case::after_a_quoted_comma(&[r#"text/plain;x="a,b", application/problem+json"#])]
#[case::after_an_escaped_quote(&[r#"text/plain;x="a\",b", application/problem+json"#])]
#[case::with_a_quoted_q(&[r#"application/problem+json;x=";q=0""#])]
#[case::on_a_second_line(&["text/html", "application/problem+json"])]
#[case::before_another_line(&["application/problem+json", "text/html"])]
#[case::beside_non_ascii(&["text/é", "application/problem+json"])]
#[case::before_non_ascii(&["application/problem+json", "text/é"])]
fn accept_with_problem_json_selects_problem_documents(#[case] accept: &[&str]) {
    let response = not_found(accept);
    assert_eq!(
        (response.status, response.header("content-type")),
        (404, Some(PROBLEM_JSON)),
        "{response:?}"
    );
    assert_eq!(response.json()["code"], "order_not_found");
}

#[rstest]
#[case::no_header(&[])]
#[case::an_empty_one(&[""])]
#[case::wildcards(&["*/*"])]
#[case::half_a_wildcard(&["application/*"])]
#[case::json(&["application/json"])]
#[case::another_type(&["application/problem+xml, text/html"])]
#[case::a_longer_name(&["application/problem+json2"])]
#[case::q_of_0(&["application/problem+json;q=0"])]
#[case::q_of_0_beside_a_wildcard(&["*/*, application/problem+json; q=0.000"])]
#[case::q_of_0_in_capitals(&["application/problem+json;Q=0"])]
#[case::only_quoted(&[r#"text/plain;x=",application/problem+json;q=1""#])]
#[case::only_between_quoted_commas(&[r#"text/plain;x=",application/problem+json,""#])]
#[case::only_quoted_after_an_escape(&[r#"text/plain;x="\",application/problem+json;q=1""#])]
#[case::only_non_ascii(&["text/é"])]
fn other_accept_values_select_the_default_format(#[case] accept: &[&str]) {
    let response = not_found(accept);
    assert_eq!(response.status, 400, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    let body = response.json();
    assert!(body["error"].is_string() && body.as_object().unwrap().len() == 1, "{body}");
}

#[rstest]
#[case("GET /healthcheck")]
#[case("GET /orders?page=1&limit=1")]
fn accept_does_not_change_success_responses(#[case] line: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let response = service.client.send_request(&Request::new(line).problem_json());
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
}
