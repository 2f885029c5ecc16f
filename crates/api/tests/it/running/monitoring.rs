//! The files for Prometheus and Grafana name only exported metrics, and all of the service's own.

use std::{collections::BTreeSet, fs, path::Path};

use super::support::{Fixture, Process, Store};

/// All words in a text that look like names of metrics, without the suffixes of histograms.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metrics = words.filter(|word| word.starts_with("orders_") || word.starts_with("process_"));
    let family = |word: &str| {
        let suffixes = ["_bucket", "_sum", "_count"];
        let word = suffixes.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        word.to_owned()
    };
    metrics.map(family).collect()
}

#[test]
fn dashboard_and_alerts_cover_exactly_the_metrics() {
    // A provider over HTTP has metrics of its own. This one is never called.
    let fixture = Fixture::new(Store::Sqlite).with("OSRM_URL", "http://127.0.0.1:9");
    let service = Process::start(&fixture);
    service.client.get("/healthcheck");
    let text = service.client.metrics();
    let exported: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(ToOwned::to_owned)
        .collect();
    assert!(
        exported.iter().all(|name| name.starts_with("orders_") || name.starts_with("process_"))
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/monitoring");
    let read = |file: &str| names(&fs::read_to_string(folder.join(file)).unwrap());
    let (dashboard, alerts) = (read("dashboard.json"), read("alerts.yml"));

    for (file, named) in [("dashboard.json", &dashboard), ("alerts.yml", &alerts)] {
        let unknown: Vec<_> = named.difference(&exported).collect();
        assert!(named.len() > 5 && unknown.is_empty(), "{file} names {unknown:?}");
    }
    let shown = dashboard.union(&alerts).cloned().collect();
    let missing: Vec<_> =
        exported.difference(&shown).filter(|name| name.starts_with("orders_")).collect();
    assert!(missing.is_empty(), "neither file names {missing:?}");
}
