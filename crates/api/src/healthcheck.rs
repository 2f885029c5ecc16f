//! Asks the running service how it is, as a container's health check does.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, ensure};

/// The body of the answer.
///
/// # Errors
/// When there is no answer within 5 s, or it is not 200.
pub(crate) fn ask(listen: SocketAddr) -> anyhow::Result<String> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false)
        // A proxy of the environment is for the outside; the service is on this machine.
        .proxy(None)
        .max_redirects(0)
        .build()
        .new_agent();
    let url = format!("http://{}/healthcheck", reachable(listen));
    let mut answer = agent.get(&url).call().with_context(|| format!("no answer from {listen}"))?;
    let status = answer.status();
    ensure!(status == 200, "{listen} answered {status}");
    answer.body_mut().read_to_string().context("the answer cannot be read")
}

/// An address to listen on everywhere is not one to connect to everywhere.
fn reachable(listen: SocketAddr) -> SocketAddr {
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
    fn a_service_that_listens_everywhere_is_asked_on_loopback() {
        let reached = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reached("[::]:8080"), "[::1]:8080");
        assert_eq!(reached("127.0.0.2:80"), "127.0.0.2:80");
    }
}
