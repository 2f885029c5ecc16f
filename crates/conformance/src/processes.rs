//! Tests that several processes take part in.

use std::{env, ffi::OsStr, process::Command};

/// Runs a test of this program in several processes at once, with an environment variable.
pub fn run_in_processes(count: usize, test: &str, variable: &str, value: impl AsRef<OsStr>) {
    let start = |_| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test]).env(variable, &value).spawn().unwrap()
    };
    let children: Vec<_> = (0..count).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}
