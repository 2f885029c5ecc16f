//! The URL of an OSRM server.

use std::fmt;

use order_distance_http::{Endpoint, InvalidEndpoint};

/// What to check when an HTTP status rejects a request.
pub(crate) const SETTING: &str = "OSRM_URL";

/// The profile if the URL has none. A server has one profile and does not check this name.
const DEFAULT_PROFILE: &str = "driving";

/// Servers for demonstrations. Their operators do not permit use by a service.
const PUBLIC_SERVERS: [&str; 2] = ["router.project-osrm.org", "routing.openstreetmap.de"];

/// The URL of an OSRM server, and the profile for its requests. It contains no secrets and may be
/// logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsrmEndpoint {
    server: Endpoint,
    profile: String,
}

/// Why a text is not the URL of an OSRM server. Does not contain the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOsrmEndpoint {
    /// The text is not the URL of a server.
    #[error(transparent)]
    Url(#[from] InvalidEndpoint),
    /// Each request has a query of its own.
    #[error("must not have a query (a part after ?)")]
    Query,
    /// The path is not a profile.
    #[error("must have no path, or a profile as its path, such as http://HOST:PORT/driving")]
    Path,
    /// The server is a public one.
    #[error("must not be a public demo server of OSRM; run a server of your own")]
    PublicServer,
}

impl OsrmEndpoint {
    /// Parses `http(s)://HOST:PORT`, optionally with the profile as path.
    ///
    /// # Errors
    /// When the text is not such a URL, or names a public server.
    pub fn parse(text: &str) -> Result<Self, InvalidOsrmEndpoint> {
        let server = Endpoint::parse(text, &[])?;
        let url = server.url();
        if url.query().is_some() {
            return Err(InvalidOsrmEndpoint::Query);
        }
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        if PUBLIC_SERVERS.iter().any(|public| host.eq_ignore_ascii_case(public)) {
            return Err(InvalidOsrmEndpoint::PublicServer);
        }
        let path = url.path().strip_prefix('/').unwrap_or_default();
        let profile = match path.strip_suffix('/').unwrap_or(path) {
            "" => DEFAULT_PROFILE,
            profile if profile.bytes().all(is_of_profile) => profile,
            _ => return Err(InvalidOsrmEndpoint::Path),
        };
        let profile = profile.to_owned();
        Ok(Self { server, profile })
    }

    pub(crate) fn server(&self) -> &Endpoint {
        &self.server
    }

    pub(crate) fn profile(&self) -> &str {
        &self.profile
    }
}

fn is_of_profile(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

impl fmt::Display for OsrmEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://127.0.0.1:5000", "driving")]
    #[case("http://127.0.0.1:5000/", "driving")]
    #[case("https://osrm.example.org/bicycle", "bicycle")]
    #[case("http://[::1]:5000/car_2-a/", "car_2-a")]
    fn path_is_the_profile(#[case] text: &str, #[case] profile: &str) {
        assert_eq!(OsrmEndpoint::parse(text).unwrap().profile(), profile);
    }

    #[rstest]
    #[case("127.0.0.1:5000", "must be a URL")]
    #[case("ftp://S3CRET:5000", "must begin with")]
    #[case("http://S3CRET@127.0.0.1:5000", "a user or a password")]
    #[case("http://127.0.0.1:5000?S3CRET", "a query")]
    #[case("http://127.0.0.1:5000/?", "a query")]
    #[case("http://127.0.0.1:5000/table/v1/S3CRET", "a profile")]
    #[case("http://127.0.0.1:5000/a;S3CRET", "a profile")]
    #[case("http://127.0.0.1:5000//driving", "a profile")]
    #[case("http://127.0.0.1:5000/%64riving", "a profile")]
    #[case("https://router.project-osrm.org", "a public demo server")]
    #[case("http://ROUTER.project-osrm.org.:80/driving", "a public demo server")]
    #[case("https://routing.openstreetmap.de/routed-car", "a public demo server")]
    fn invalid_endpoint_is_rejected_and_not_repeated(#[case] text: &str, #[case] expected: &str) {
        let error = OsrmEndpoint::parse(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("S3CRET"));
    }
}
