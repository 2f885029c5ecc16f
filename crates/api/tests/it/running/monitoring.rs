//! The files for Prometheus and Grafana name what the service exports, and all that is its own.

use std::{collections::BTreeSet, fs, path::Path};

use super::support::{Fixture, Process, Store};

/// All names in a text that look like those of metrics, without what Prometheus adds to them.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metrics = words.filter(|word| word.starts_with("orders_") || word.starts_with("process_"));
    let family = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        let word = ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        word.to_owned()
    };
    metrics.map(family).collect()
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_exist_and_miss_none_of_ours() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    service.client.get("/healthcheck");
    let text = service.client.metrics();
    let exist: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(ToOwned::to_owned)
        .collect();
    assert!(exist.iter().all(|name| name.starts_with("orders_") || name.starts_with("process_")));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/monitoring");
    let read = |file: &str| names(&fs::read_to_string(folder.join(file)).unwrap());
    let (dashboard, alerts) = (read("dashboard.json"), read("alerts.yml"));

    for (file, named) in [("dashboard.json", &dashboard), ("alerts.yml", &alerts)] {
        let unknown: Vec<_> = named.difference(&exist).collect();
        assert!(named.len() > 5 && unknown.is_empty(), "{file} names {unknown:?}");
    }
    let shown = dashboard.union(&alerts).cloned().collect();
    let missing: Vec<_> =
        exist.difference(&shown).filter(|name| name.starts_with("orders_")).collect();
    assert!(missing.is_empty(), "neither file names {missing:?}");
}
