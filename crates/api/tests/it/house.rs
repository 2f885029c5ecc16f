//! The rules of the house: which crate may use what, and that the documents tell the truth.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What a crate uses. It must be exactly this: an edge that is not listed fails the test, and so
/// does one that is listed and not used.
struct Room {
    name: &'static str,
    /// Crates of ours.
    ours: &'static [&'static str],
    /// Crates of others.
    others: &'static [&'static str],
    /// Crates of ours and of others, for tests only.
    tests: &'static [&'static str],
}

/// The allowed edges. The walls that matter: the domain uses nothing that does input or output;
/// adapters never see each other; nobody but the repositories, what they share, and what gives
/// them a server to be tested on has diesel; nobody but `order-distance-google` has reqwest,
/// nobody but `order-http` and
/// `order-http-server` has actix, nobody but `order-api` has clap and anyhow.
const ROOMS: &[Room] = &[
    Room {
        name: "order-domain",
        ours: &[],
        others: &["async-trait", "futures-util", "mockall", "thiserror"],
        tests: &["mockall", "proptest", "rstest", "tokio"],
    },
    Room {
        name: "order-conformance",
        ours: &["order-domain"],
        others: &["async-trait", "tokio"],
        tests: &[],
    },
    Room {
        name: "order-repo-diesel",
        ours: &["order-domain"],
        others: &["diesel", "thiserror", "tokio"],
        tests: &[],
    },
    Room {
        name: "order-repo-postgres",
        ours: &["order-domain", "order-repo-diesel"],
        others: &[
            "async-trait",
            "diesel",
            "diesel_migrations",
            "openssl-sys",
            "percent-encoding",
            "pq-sys",
            "thiserror",
        ],
        tests: &["order-conformance", "order-test-postgres", "rstest", "tokio"],
    },
    Room {
        name: "order-test-postgres",
        ours: &[],
        others: &["diesel", "pq-sys", "tempfile"],
        tests: &[],
    },
    Room {
        name: "order-repo-sqlite",
        ours: &["order-domain", "order-repo-diesel"],
        others: &[
            "async-trait",
            "diesel",
            "diesel_migrations",
            "libsqlite3-sys",
            "rustix",
            "tempfile",
            "thiserror",
        ],
        tests: &["order-conformance", "tokio"],
    },
    Room {
        name: "order-distance-geodesic",
        ours: &["order-domain"],
        others: &["async-trait", "geographiclib-rs"],
        tests: &["order-conformance", "tokio"],
    },
    Room {
        name: "order-distance-google",
        ours: &["order-domain"],
        others: &[
            "async-trait",
            "backon",
            "flate2",
            "reqwest",
            "rustls",
            "secrecy",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
        ],
        tests: &["order-conformance", "rstest", "tokio", "tracing-subscriber"],
    },
    Room {
        name: "order-http",
        ours: &["order-domain", "order-http-server"],
        others: &[
            "actix-web",
            "async-trait",
            "chrono",
            "flate2",
            "form_urlencoded",
            "futures-util",
            "mediatype",
            "prometheus",
            "serde",
            "serde_json",
            "tokio",
            "tracing",
            "utoipa",
            "utoipa-swagger-ui",
            "uuid",
            "validator",
        ],
        tests: &["order-domain", "proptest", "regex", "rstest", "socket2"],
    },
    Room {
        name: "order-http-server",
        ours: &[],
        others: &[
            "actix-http",
            "actix-service",
            "actix-web",
            "futures-util",
            "httparse",
            "prometheus",
            "socket2",
            "tokio",
            "tracing",
        ],
        tests: &["proptest", "rstest"],
    },
    Room {
        name: "order-metrics",
        ours: &["order-domain"],
        others: &["async-trait", "prometheus"],
        tests: &["order-domain", "tokio"],
    },
    Room {
        name: "order-api",
        ours: &[
            "order-distance-geodesic",
            "order-distance-google",
            "order-domain",
            "order-http",
            "order-http-server",
            "order-metrics",
            "order-repo-postgres",
            "order-repo-sqlite",
        ],
        others: &[
            "anyhow",
            "clap",
            "rlimit",
            "secrecy",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
            "tracing-appender",
            "tracing-log",
            "tracing-serde",
            "tracing-subscriber",
            "ureq",
        ],
        tests: &["order-test-postgres", "rstest", "tempfile"],
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// What cargo says of the workspace's own packages.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The names of a package's dependencies; with `tests`, of its development dependencies.
fn uses(package: &Value, tests: bool) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|dependency| (dependency["kind"] == "dev") == tests)
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_crate_uses_exactly_what_the_table_of_edges_says() {
    let set =
        |names: &[&str]| -> BTreeSet<String> { names.iter().map(ToString::to_string).collect() };
    let packages: BTreeMap<_, _> = packages()
        .into_iter()
        .map(|package| (package["name"].as_str().unwrap().to_owned(), package))
        .collect();

    let names: Vec<_> = ROOMS.iter().map(|room| room.name).collect();
    assert_eq!(packages.keys().cloned().collect::<BTreeSet<_>>(), set(&names));
    for room in ROOMS {
        let package = &packages[room.name];
        let listed = set(&[room.ours, room.others].concat());
        assert_eq!(uses(package, false), listed, "{}: what it uses, what is listed", room.name);
        let listed = set(room.tests);
        assert_eq!(
            uses(package, true),
            listed,
            "{}: what its tests use, what is listed",
            room.name
        );
    }
}

#[test]
fn versions_stand_in_the_workspace_and_every_crate_has_its_lints() {
    for package in packages() {
        let path = package["manifest_path"].as_str().unwrap();
        let manifest = fs::read_to_string(path).unwrap();
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && !line.is_empty() && !line.starts_with('#') {
                assert!(line.contains("workspace = true"), "{path}: {line}");
            }
        }
        assert!(manifest.contains("[lints]\nworkspace = true"), "{path} has no lints");
    }
}

/// All sources of one kind below a folder of the repository.
fn sources(folder: &str, kind: &str) -> String {
    fn gather(folder: &Path, kind: &str, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, kind, text);
            } else if path.extension().is_some_and(|extension| extension == kind) {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    gather(&root().join(folder), kind, &mut text);
    text
}

#[test]
fn no_test_is_ignored() {
    // In two parts, so that this line is not what it looks for.
    let attribute = ["#[", "ignore"].concat();
    assert!(
        !sources("crates", "rs").contains(&attribute),
        "a test that cannot run fails, it is not skipped"
    );
}

/// Each invariant ends with `Held by` and the names of tests in backticks.
#[test]
fn every_invariant_names_a_test_that_exists() {
    let document = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, invariants) = document.split_once("\n## Invariants\n").unwrap();
    let invariants = invariants.split("\n## ").next().unwrap();
    let (rust, python) = (sources("crates", "rs"), sources("tests", "py"));
    let exists = |name: &str| {
        rust.contains(&format!("fn {name}(")) || python.contains(&format!("def {name}("))
    };
    let mut numbered = 0;
    for invariant in invariants
        .split("\n\n")
        .filter(|text| text.trim_start().starts_with(|first: char| first.is_ascii_digit()))
    {
        numbered += 1;
        let (_, tests) = invariant
            .split_once("Held by")
            .unwrap_or_else(|| panic!("no test holds this invariant: {invariant}"));
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{invariant}");
        for name in names {
            assert!(exists(name), "there is no test {name}");
        }
    }
    assert!(numbered >= 5, "the invariants were not found");
}
