//! Where the Distance Matrix API is: a URL that is checked once. What is added to it for a
//! question lives in `provider`.

use std::fmt;

use reqwest::Url;

/// Google's own address of the Distance Matrix API, with answers in JSON.
pub const DEFAULT_ENDPOINT: &str = "https://maps.googleapis.com/maps/api/distancematrix/json";

/// The URL of a Distance Matrix API: `http` or `https`, without secrets, so it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is no endpoint. Never repeats the text: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// Not absolute, without a host, or no URL at all.
    #[error("must be a URL with a host, for example {DEFAULT_ENDPOINT}")]
    NotAUrl,
    /// Another scheme.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// It names a user or a password.
    #[error("must not hold a user or a password")]
    UserInfo,
    /// It has a fragment, which no server would ever see.
    #[error("must not have a fragment (a part after #)")]
    Fragment,
    /// Its query has a parameter that each question sets anew. A key there would be shown
    /// wherever the endpoint is.
    #[error("must not have the parameter {0}: it is added to each request")]
    OwnParameter(&'static str),
}

impl Endpoint {
    /// Reads a URL. A query with parameters of other names is kept.
    ///
    /// # Errors
    /// When the text is no URL that may be asked and shown.
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
        for own in ["key", "origins", "destinations"] {
            if url.query_pairs().any(|(name, _)| name.eq_ignore_ascii_case(own)) {
                return Err(InvalidEndpoint::OwnParameter(own));
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
        Self::parse(DEFAULT_ENDPOINT).expect("a test reads it")
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
    fn the_default_is_googles_own_address() {
        assert_eq!(Endpoint::default().to_string(), DEFAULT_ENDPOINT);
    }

    #[rstest]
    #[case("https://example.org/")]
    #[case("http://127.0.0.1:8000/maps/api/distancematrix/json")]
    #[case("http://[::1]:8000/x")]
    #[case("https://example.org/json?language=et&region=ee")]
    fn a_url_is_shown_as_it_was_read(#[case] text: &str) {
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
    #[case("https://example.org/?key=S3CRET", InvalidEndpoint::OwnParameter("key"))]
    #[case("https://example.org/?a=b&KEY=S3CRET", InvalidEndpoint::OwnParameter("key"))]
    #[case("https://example.org/?k%65y=S3CRET", InvalidEndpoint::OwnParameter("key"))]
    #[case("https://example.org/?origins=S3CRET", InvalidEndpoint::OwnParameter("origins"))]
    #[case("https://example.org/?destinations", InvalidEndpoint::OwnParameter("destinations"))]
    fn what_may_not_be_asked_or_shown_is_refused_and_not_repeated(
        #[case] text: &str,
        #[case] why: InvalidEndpoint,
    ) {
        assert_eq!(Endpoint::parse(text), Err(why));
        assert!(!format!("{why} {why:?}").contains("S3CRET"));
    }
}
