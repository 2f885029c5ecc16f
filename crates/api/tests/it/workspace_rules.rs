//! Rules of the whole workspace: dependencies, manifests, tests, and the tests of invariants.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The dependencies of a crate. A dependency that is not listed fails the test, and so does a
/// listed one that the crate does not have.
struct CrateRules {
    name: &'static str,
    /// Crates of this workspace.
    workspace: &'static [&'static str],
    external: &'static [&'static str],
    /// Development dependencies, of either kind.
    dev: &'static [&'static str],
}

/// The allowed dependencies. The domain has none that does input or output, and adapters do not
/// depend on each other. Only the repositories, the crate that they share and the one that starts
/// their test servers have diesel; only `order-distance-http` has reqwest; only `order-http` and
/// `order-http-server` have actix; only `order-api` has clap and anyhow.
const RULES: &[CrateRules] = &[
    CrateRules {
        name: "order-domain",
        workspace: &[],
        external: &["async-trait", "futures-util", "mockall", "thiserror"],
        dev: &["mockall", "proptest", "rstest", "tokio"],
    },
    CrateRules {
        name: "order-conformance",
        workspace: &["order-domain"],
        external: &["async-trait", "form_urlencoded", "tokio", "tracing", "tracing-subscriber"],
        dev: &[],
    },
    CrateRules {
        name: "order-repo-diesel",
        workspace: &["order-domain"],
        external: &["diesel", "thiserror", "tokio"],
        dev: &[],
    },
    CrateRules {
        name: "order-repo-postgres",
        workspace: &["order-domain", "order-repo-diesel"],
        external: &[
            "async-trait",
            "diesel",
            "diesel_migrations",
            "openssl-sys",
            "percent-encoding",
            "pq-sys",
            "thiserror",
        ],
        dev: &["order-conformance", "order-test-postgres", "rstest", "tokio"],
    },
    CrateRules {
        name: "order-test-postgres",
        workspace: &[],
        external: &["diesel", "pq-sys", "tempfile"],
        dev: &[],
    },
    CrateRules {
        name: "order-repo-sqlite",
        workspace: &["order-domain", "order-repo-diesel"],
        external: &[
            "async-trait",
            "diesel",
            "diesel_migrations",
            "libsqlite3-sys",
            "rustix",
            "tempfile",
            "thiserror",
        ],
        dev: &["order-conformance", "tokio"],
    },
    CrateRules {
        name: "order-distance-geodesic",
        workspace: &["order-domain"],
        external: &["async-trait", "geographiclib-rs"],
        dev: &["order-conformance", "tokio"],
    },
    CrateRules {
        name: "order-distance-http",
        workspace: &["order-domain"],
        external: &[
            "async-trait",
            "backon",
            "flate2",
            "percent-encoding",
            "reqwest",
            "rustls",
            "serde_json",
            "thiserror",
            "tokio",
            "tower",
            "tracing",
        ],
        dev: &["order-conformance", "rstest"],
    },
    CrateRules {
        name: "order-distance-google",
        workspace: &["order-distance-http", "order-domain"],
        external: &["secrecy", "serde_json", "tracing"],
        dev: &["order-conformance", "rstest", "tokio"],
    },
    CrateRules {
        name: "order-distance-osrm",
        workspace: &["order-distance-http", "order-domain"],
        external: &["serde_json", "thiserror"],
        dev: &["order-conformance", "rstest", "tokio"],
    },
    CrateRules {
        name: "order-http",
        workspace: &["order-domain", "order-http-server"],
        external: &[
            "actix-web",
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
        dev: &["async-trait", "order-domain", "proptest", "regex", "rstest", "socket2"],
    },
    CrateRules {
        name: "order-http-server",
        workspace: &[],
        external: &[
            "actix-http",
            "actix-service",
            "actix-web",
            "httparse",
            "prometheus",
            "socket2",
            "tokio",
            "tracing",
        ],
        dev: &["proptest", "rstest"],
    },
    CrateRules {
        name: "order-metrics",
        workspace: &["order-domain"],
        external: &["async-trait", "prometheus"],
        dev: &["order-domain", "tokio"],
    },
    CrateRules {
        name: "order-api",
        workspace: &[
            "order-distance-geodesic",
            "order-distance-google",
            "order-distance-http",
            "order-distance-osrm",
            "order-domain",
            "order-http",
            "order-http-server",
            "order-metrics",
            "order-repo-postgres",
            "order-repo-sqlite",
        ],
        external: &[
            "anyhow",
            "chrono",
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
        dev: &["order-test-postgres", "rstest", "tempfile"],
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The workspace's packages, as `cargo metadata` describes them.
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

/// The names of a package's development dependencies, or of all others.
fn dependencies(package: &Value, dev: bool) -> BTreeSet<&str> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies
        .filter(|dependency| (dependency["kind"] == "dev") == dev)
        .map(|dependency| dependency["name"].as_str().unwrap())
        .collect()
}

#[test]
fn crates_use_exactly_the_listed_dependencies() {
    let packages = packages();
    let packages: BTreeMap<_, _> =
        packages.iter().map(|package| (package["name"].as_str().unwrap(), package)).collect();

    let names = RULES.iter().map(|rules| rules.name).collect::<BTreeSet<_>>();
    assert_eq!(packages.keys().copied().collect::<BTreeSet<_>>(), names);
    for CrateRules { name, workspace, external, dev } in RULES {
        let listed = workspace.iter().chain(*external).copied().collect();
        assert_eq!(dependencies(packages[name], false), listed, "{name}: actual, listed");
        let listed = dev.iter().copied().collect();
        assert_eq!(dependencies(packages[name], true), listed, "{name}: actual, listed for tests");
    }
}

#[test]
fn manifests_use_workspace_versions_and_lints() {
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

/// All files with this extension below a folder of the repository.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, extension, files);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    let mut files = vec![];
    collect(&root().join(folder), extension, &mut files);
    files
}

/// The text of these files.
fn sources(folder: &str, extension: &str) -> String {
    files(folder, extension).iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn no_test_is_ignored() {
    // In two parts, so that the search does not find this line.
    let attribute = ["#[", "ignore"].concat();
    assert!(!sources("crates", "rs").contains(&attribute), "a test that cannot run must fail");
}

/// Includes clauses of `order-conformance`, whose names become names of tests.
#[test]
fn names_of_tests_have_at_most_60_characters() {
    let (rust, python) = (sources("crates", "rs"), sources("tests", "py"));
    let functions = rust.split("fn ").chain(python.split("def ")).map(|text| {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default()
    });
    let long: Vec<_> = functions.filter(|name| name.len() > 60).collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// Each invariant ends with `Held by` and the names of tests in backticks.
#[test]
fn invariants_name_existing_tests() {
    let document = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, invariants) = document.split_once("\n## Invariants\n").unwrap();
    let invariants = invariants.split("\n## ").next().unwrap();
    let (rust, python) = (sources("crates", "rs"), sources("tests", "py"));
    let exists = |name: &str| {
        ["(", "<"].iter().any(|next| rust.contains(&format!("fn {name}{next}")))
            || python.contains(&format!("def {name}("))
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

/// A name such as `http/routes.rs` omits `crates` and `src`.
#[test]
fn architecture_names_existing_files() {
    let document = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let paths: Vec<_> = files("crates", "rs")
        .iter()
        .map(|path| path.display().to_string().replace("/src/", "/"))
        .collect();
    let mut found = 0;
    let is_source = |name: &&str| Path::new(name).extension().is_some_and(|found| found == "rs");
    for name in document.split('`').filter(is_source) {
        found += 1;
        let ending = format!("/{name}");
        assert!(paths.iter().any(|path| path.ends_with(&ending)), "there is no file {name}");
    }
    assert!(found >= 5, "the names were not found");
}
