//! Rules for the values of all settings, given as variables or as options.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStringExt,
    process::Output,
};

use super::support::{Fixture, Process, Store, order_api};

/// Values with control characters or white space around them, as deployments produce them.
fn flawed_values() -> Vec<OsString> {
    let texts = ["marker\n", "marker\r", "marker ", "\tmarker", "marker\u{a0}", "\u{2003}marker"];
    let others = ["mar\u{1b}ker", "\n", " "];
    let not_utf8 = OsString::from_vec(b"marker\xff".to_vec());
    texts.into_iter().chain(others).map(Into::into).chain([not_utf8]).collect()
}

/// The variables in the output of `--help`, each with its option if it has one.
fn all_settings() -> Vec<(String, Option<String>)> {
    let help = order_api().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (options, secrets) = help.split_once("Secrets, from the environment only:").unwrap();
    let mut settings = vec![];
    let mut option = None;
    for line in options.lines() {
        if let Some(name) = line.trim().strip_prefix("--") {
            option = name.split_whitespace().next().map(|name| format!("--{name}"));
        }
        if let Some((_, variable)) = line.split_once("[env: ") {
            let name = variable.split(['=', ']']).next().unwrap();
            settings.push((name.to_owned(), option.take()));
        }
    }
    let names = secrets.lines().filter_map(|line| line.split_whitespace().next());
    settings.extend(names.map(|name| (name.to_owned(), None)));
    settings
}

fn assert_rejected(output: &Output, name: &str, value: &OsStr) {
    let line = String::from_utf8_lossy(&output.stderr);
    let given = format!("{name}={}: {line}", value.display());
    assert_eq!(output.status.code(), Some(2), "{given}");
    assert!(line.starts_with(&format!("order-api: {name} must ")), "{given}");
    assert_eq!(line.matches('\n').count(), 1, "{given}");
    assert!(line.ends_with('\n') && !line.contains("mar"), "{given}");
}

#[test]
fn flawed_value_of_any_setting_exits_with_2() {
    let settings = all_settings();
    assert!(settings.len() >= 20, "{settings:?}");
    assert!(settings.iter().filter(|(_, option)| option.is_some()).count() >= 18, "{settings:?}");
    for (name, option) in &settings {
        for value in flawed_values() {
            let output = order_api().arg("config").env(name, &value).output().unwrap();
            assert_rejected(&output, name, &value);
            if let Some(option) = option {
                let output = order_api().arg("config").arg(option).arg(&value).output().unwrap();
                assert_rejected(&output, name, &value);
            }
        }
    }
}

#[test]
fn empty_value_of_any_setting_counts_as_unset() {
    let unset = order_api().arg("config").output().unwrap();
    for (name, _) in all_settings() {
        let output = order_api().arg("config").env(&name, "").output().unwrap();
        assert_eq!(output.stdout, unset.stdout, "{name}");
    }
}

#[test]
fn secret_file_with_more_than_a_line_break_exits_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    for name in ["DB_PASSWORD_FILE", "GMAP_TOKEN_FILE"] {
        for (text, code) in [
            ("marker\n", 0),
            ("marker\r\n", 0),
            ("marker\n\n", 2),
            ("marker \n", 2),
            (" marker", 2),
            ("mar\u{0}ker", 2),
        ] {
            std::fs::write(&path, text).unwrap();
            let output = order_api().arg("config").env(name, &path).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{name} with {text:?}");
            if code == 2 {
                assert_rejected(&output, name, text.as_ref());
            }
        }
    }
}

#[test]
fn sqlite_url_with_home_or_host_exits_with_2() {
    let directory = tempfile::tempdir().unwrap();
    for url in ["sqlite://~/orders.db", "sqlite://~root/orders.db", "sqlite://localhost/orders.db"]
    {
        for command in ["config", "migrate", "serve"] {
            let output = order_api()
                .arg(command)
                .env("DATABASE_URL", url)
                .current_dir(directory.path())
                .output()
                .unwrap();
            assert_rejected(&output, "DATABASE_URL", url.as_ref());
        }
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn sqlite_path_is_taken_as_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a%20b?c#d e/~/localhost/orders%2F.db");
    let url = format!("sqlite://{}", path.display());
    let output = order_api().arg("migrate").env("DATABASE_URL", &url).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(path.is_file());
}

#[test]
fn settings_without_effect_are_logged() {
    let fixture =
        Fixture::new(Store::Sqlite).with("DB_NAME", "orders").with("DB_PASSWORD", "marker");
    let mut service = Process::start(&fixture);
    service.stop();
    let log = service.log();
    let warning = log.lines().find(|line| line.contains("settings have no effect")).unwrap();
    assert!(warning.contains("\"settings\":\"DB_NAME, DB_PASSWORD\""), "{warning}");
    assert!(warning.contains("DATABASE_URL names an SQLite file"), "{warning}");
    assert!(!log.contains("marker"), "{log}");
}
