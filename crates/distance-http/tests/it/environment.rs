//! The environment of the process: proxies and root certificates. The environment cannot be changed
//! while threads run, so the tests run in separate processes.

use std::{env, io::ErrorKind, net::TcpListener, process::Command};

use order_distance_http::{Endpoint, HttpDistanceProvider};

use crate::ExampleApi;

/// Runs another test of this binary with these variables.
fn assert_passes(test: &str, variables: &[(&str, &str)]) {
    let child = Command::new(env::current_exe().unwrap())
        .args([test, "--exact"])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && report.contains("1 passed"), "{report}");
}

#[test]
fn proxy_of_the_environment_is_ignored() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    assert_passes(
        "transport::consecutive_calls_share_a_connection",
        &["http_proxy", "HTTP_PROXY", "ALL_PROXY"].map(|name| (name, url.as_str())),
    );
    assert_eq!(
        proxy.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "the proxy received a connection"
    );
}

/// Set in the process that finds no root certificates.
const WITHOUT_ROOTS: &str = "TEST_WITHOUT_ROOTS";

#[test]
fn http_needs_no_root_certificates_and_https_does() {
    if env::var_os(WITHOUT_ROOTS).is_none() {
        let nothing = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| (name, "/dev/null"));
        return assert_passes(
            "environment::http_needs_no_root_certificates_and_https_does",
            &[&nothing[..], &[(WITHOUT_ROOTS, "1")]].concat(),
        );
    }
    let new = |url| HttpDistanceProvider::new(ExampleApi::<64>(Endpoint::parse(url, &[]).unwrap()));
    let error = new("https://example.org/").unwrap_err();
    assert_eq!(error.to_string(), "the HTTP client for the distance provider cannot be created");
    new("http://127.0.0.1:9/").unwrap();
}
