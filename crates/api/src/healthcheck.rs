//! Calls the running service, for a container's health check.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, ensure};

/// Returns the body of the response.
///
/// # Errors
/// When there is no response within 5 s, or its status is not 200.
pub(crate) fn call(listen: SocketAddr) -> anyhow::Result<String> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false)
        // The service is on this machine; a proxy of the environment is for other hosts.
        .proxy(None)
        .max_redirects(0)
        .build()
        .new_agent();
    let url = format!("http://{}/healthcheck", address_to_connect(listen));
    let response = agent.get(&url).call();
    let mut response = response.with_context(|| format!("no response from {listen}"))?;
    let status = response.status();
    ensure!(status == 200, "{listen} responded with {status}");
    response.body_mut().read_to_string().context("the response cannot be read")
}

/// Replaces an unspecified address by loopback: a client cannot connect to it on every system.
fn address_to_connect(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unspecified_address_is_called_on_loopback() {
        let called = |listen: &str| address_to_connect(listen.parse().unwrap()).to_string();
        assert_eq!(called("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(called("[::]:8080"), "[::1]:8080");
        assert_eq!(called("127.0.0.2:80"), "127.0.0.2:80");
    }
}
