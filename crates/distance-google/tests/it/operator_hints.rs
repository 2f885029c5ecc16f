//! Log lines for the operator.

use order_conformance::logs::Logs;
use order_domain::DistanceProvider;
use rstest::rstest;

use crate::{Action, Stub, element, found_action, matrix, sample_route, status, stubbed, texts};

#[rstest]
#[case("REQUEST_DENIED", &["GMAP_TOKEN", "Distance Matrix API (Legacy)", "DISTANCE_PROVIDER=google-routes"])]
#[case("OVER_DAILY_LIMIT", &["GMAP_TOKEN", "billing", "quota"])]
#[tokio::test]
async fn rejection_logs_its_hint_once(#[case] name: &str, #[case] hint: &[&str]) {
    let stubbed = stubbed([status(name)]).await;
    let logs = Logs::capture();
    for _ in 0..3 {
        stubbed.call().await.unwrap_err();
    }
    assert_eq!(stubbed.stub.request_count(), 3);
    let errors = logs.text();
    let errors: Vec<_> = errors.lines().filter(|line| line.contains("ERROR")).collect();
    let [line] = errors[..] else { panic!("{errors:?}") };
    for part in [name].iter().chain(hint) {
        assert!(line.contains(part), "{line} lacks {part}");
    }
}

#[tokio::test]
async fn each_kind_of_rejection_logs_its_own_hint() {
    let actions = ["REQUEST_DENIED", "OVER_DAILY_LIMIT", "REQUEST_DENIED"].map(status);
    let stubbed = stubbed(actions).await;
    let logs = Logs::capture();
    for _ in 0..3 {
        stubbed.call().await.unwrap_err();
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
    let provider = matrix(&stub.url(""), key);
    let logs = Logs::capture();
    let error = provider.distance(&sample_route()).await.unwrap_err();

    let text = logs.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("of no use")).collect();
    let [line] = lines[..] else { panic!("{text}") };
    assert!(line.contains("The key ***") && line.contains("(?key=***) is of no use"), "{line}");
    assert!(line.len() < 1_000, "{line}");
    assert!(!text.contains("cret") && !texts(&error).contains("of no use"), "{text}{error:?}");
}

#[rstest]
#[case::found(found_action("1"))]
#[case::no_route(element(r#"{"status":"NOT_FOUND"}"#))]
#[case::invalid(Action::http(200, "<html>"))]
#[case::transient(Action::http(503, ""))]
#[tokio::test]
async fn other_results_log_nothing(#[case] action: Action) {
    let stubbed = stubbed([action]).await;
    let logs = Logs::capture();
    let _ = stubbed.call().await;
    for level in ["ERROR", "WARN", "INFO"] {
        assert_eq!(logs.count(level), 0, "{}", logs.text());
    }
}
