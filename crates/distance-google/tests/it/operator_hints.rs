//! Log lines for the operator.

use order_domain::DistanceProvider;
use rstest::rstest;

use crate::{
    chain,
    logs::Logs,
    provider, sample_route,
    stub::{Action, Stub},
    stubbed,
};

#[rstest]
#[case("REQUEST_DENIED", &["GMAP_TOKEN", "Distance Matrix API (Legacy)", "enabled"])]
#[case("OVER_DAILY_LIMIT", &["GMAP_TOKEN", "billing", "quota"])]
#[tokio::test]
async fn rejection_logs_its_hint_once(#[case] status: &str, #[case] hint: &[&str]) {
    let stubbed = stubbed([Action::status(status)]).await;
    let logs = Logs::capture();
    for _ in 0..3 {
        stubbed.distance(&sample_route()).await.unwrap_err();
    }
    assert_eq!(stubbed.stub.request_count(), 3);
    let errors = logs.text();
    let errors: Vec<_> = errors.lines().filter(|line| line.contains("ERROR")).collect();
    let [line] = errors[..] else { panic!("{errors:?}") };
    for part in [status].iter().chain(hint) {
        assert!(line.contains(part), "{line} lacks {part}");
    }
}

#[tokio::test]
async fn each_kind_of_rejection_logs_its_own_hint() {
    let actions = ["REQUEST_DENIED", "OVER_DAILY_LIMIT", "REQUEST_DENIED"].map(Action::status);
    let stubbed = stubbed(actions).await;
    let logs = Logs::capture();
    for _ in 0..3 {
        stubbed.distance(&sample_route()).await.unwrap_err();
    }
    assert_eq!(logs.count("ERROR"), 2, "{}", logs.text());
}

#[tokio::test]
async fn reason_is_logged_in_one_line_without_the_key() {
    let key = "AIza/se cret";
    let message = r"The key AIza/se cret\n(?key=AIza%2Fse+cret) is of no use. ";
    let body = format!(
        r#"{{"status":"REQUEST_DENIED","error_message":"{}","rows":[]}}"#,
        message.repeat(50)
    );
    let stub = Stub::script(vec![Action::http(200, body)]).await;
    let provider = provider(&stub.url(""), key);
    let logs = Logs::capture();
    let error = provider.distance(&sample_route()).await.unwrap_err();

    let text = logs.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("of no use")).collect();
    let [line] = lines[..] else { panic!("{text}") };
    assert!(line.contains("The key ***") && line.contains("(?key=***) is of no use"), "{line}");
    assert!(line.len() < 1_000, "{line}");
    assert!(!text.contains("cret") && !chain(&error).contains("of no use"), "{text}{error:?}");
}

#[rstest]
#[case::found(Action::found("1"))]
#[case::no_route(Action::element(r#"{"status":"NOT_FOUND"}"#))]
#[case::invalid(Action::http(200, "<html>"))]
#[case::transient(Action::http(503, ""))]
#[tokio::test]
async fn other_results_log_nothing(#[case] action: Action) {
    let stubbed = stubbed([action]).await;
    let logs = Logs::capture();
    let _ = stubbed.distance(&sample_route()).await;
    for level in ["ERROR", "WARN", "INFO"] {
        assert_eq!(logs.count(level), 0, "{}", logs.text());
    }
}
