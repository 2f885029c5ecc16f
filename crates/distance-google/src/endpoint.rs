//! The URL of the Distance Matrix API, without the parameters of a request.

use std::fmt;

use reqwest::Url;

/// Google's Distance Matrix API with responses in JSON.
pub const DEFAULT_ENDPOINT: &str = "https://maps.googleapis.com/maps/api/distancematrix/json";

/// The URL of a Distance Matrix API: `http` or `https`. It contains no secrets and may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not an endpoint. Does not contain the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is not an absolute URL with a host.
    #[error("must be a URL with a host, for example {DEFAULT_ENDPOINT}")]
    NotAUrl,
    /// Its scheme is not `http` or `https`.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// It contains a user or a password.
    #[error("must not contain a user or a password")]
    UserInfo,
    /// It has a fragment, which is never sent to a server.
    #[error("must not have a fragment (a part after #)")]
    Fragment,
    /// Its query has a parameter that each request sets. A key in the endpoint would be logged.
    #[error("must not have the parameter {0}: it is added to each request")]
    ReservedParameter(&'static str),
}

impl Endpoint {
    /// Parses a URL. Keeps a query with other parameters.
    ///
    /// # Errors
    /// When the text is not such a URL.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let url = Url::parse(text).map_err(|_| InvalidEndpoint::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidEndpoint::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidEndpoint::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(InvalidEndpoint::Fragment);
        }
        for reserved in ["key", "origins", "destinations"] {
            if url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case(reserved)) {
                return Err(InvalidEndpoint::ReservedParameter(reserved));
            }
        }
        Ok(Self(url))
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::parse(DEFAULT_ENDPOINT).expect("a test parses it")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn default_endpoint_is_google() {
        assert_eq!(Endpoint::default().to_string(), DEFAULT_ENDPOINT);
    }

    #[rstest]
    #[case("https://example.org/")]
    #[case("http://127.0.0.1:8000/maps/api/distancematrix/json")]
    #[case("http://[::1]:8000/x")]
    #[case("https://example.org/json?language=et&region=ee")]
    fn display_is_the_parsed_text(#[case] text: &str) {
        assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
    }

    #[rstest]
    #[case("", InvalidEndpoint::NotAUrl)]
    #[case("S3CRET", InvalidEndpoint::NotAUrl)]
    #[case("/maps/S3CRET", InvalidEndpoint::NotAUrl)]
    #[case("https://", InvalidEndpoint::NotAUrl)]
    #[case("http://S3CRET:port/", InvalidEndpoint::NotAUrl)]
    #[case("http:///?S3CRET#", InvalidEndpoint::NotAUrl)]
    #[case("ftp://example.org/S3CRET", InvalidEndpoint::Scheme)]
    #[case("file:///S3CRET", InvalidEndpoint::Scheme)]
    #[case("example.org:80/S3CRET", InvalidEndpoint::Scheme)]
    #[case("https://S3CRET@example.org/", InvalidEndpoint::UserInfo)]
    #[case("https://:S3CRET@example.org/", InvalidEndpoint::UserInfo)]
    #[case("https://example.org/#S3CRET", InvalidEndpoint::Fragment)]
    #[case("https://example.org/?key=S3CRET", InvalidEndpoint::ReservedParameter("key"))]
    #[case("https://example.org/?a=b&KEY=S3CRET", InvalidEndpoint::ReservedParameter("key"))]
    #[case("https://example.org/?k%65y=S3CRET", InvalidEndpoint::ReservedParameter("key"))]
    #[case("https://example.org/?origins=S3CRET", InvalidEndpoint::ReservedParameter("origins"))]
    #[case("https://example.org/?destinations", InvalidEndpoint::ReservedParameter("destinations"))]
    fn invalid_endpoint_is_rejected_and_not_repeated(
        #[case] text: &str,
        #[case] why: InvalidEndpoint,
    ) {
        assert_eq!(Endpoint::parse(text), Err(why));
        assert!(!format!("{why} {why:?}").contains("S3CRET"));
    }
}
