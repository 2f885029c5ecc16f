//! The URL of the Distance Matrix API, without the parameters of a request.

use std::fmt;

use reqwest::Url;

/// Google's Distance Matrix API with responses in JSON.
pub const DEFAULT_ENDPOINT: &str = "https://maps.googleapis.com/maps/api/distancematrix/json";

/// The URL of a Distance Matrix API: `http` or `https`. It contains no secrets and may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(pub(crate) Url);

/// Why a text is not an endpoint. Does not contain the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidEndpoint(&'static str);

impl Endpoint {
    /// Parses a URL. Keeps a query with other parameters than those of a request.
    ///
    /// # Errors
    /// When the text is not such a URL.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let Ok(url) = Url::parse(text) else {
            return Err(InvalidEndpoint("must be a URL with a host, such as https://HOST/PATH"));
        };
        let has_reserved_parameter = url.query_pairs().any(|(name, _)| {
            ["key", "origins", "destinations"].iter().any(|own| name.eq_ignore_ascii_case(own))
        });
        let problem = if !matches!(url.scheme(), "http" | "https") {
            "must begin with https:// or http://"
        } else if !url.username().is_empty() || url.password().is_some() {
            "must not contain a user or a password"
        } else if url.fragment().is_some() {
            "must not have a fragment (a part after #)"
        } else if has_reserved_parameter {
            // A key here would be logged.
            "must not have a parameter key, origins or destinations: each request adds them"
        } else {
            return Ok(Self(url));
        };
        Err(InvalidEndpoint(problem))
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

    #[rstest]
    #[case(DEFAULT_ENDPOINT)]
    #[case("https://example.org/")]
    #[case("http://127.0.0.1:8000/maps/api/distancematrix/json")]
    #[case("http://[::1]:8000/x")]
    #[case("https://example.org/json?language=et&region=ee")]
    fn display_is_the_parsed_text(#[case] text: &str) {
        assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
    }

    #[rstest]
    #[case("", "must be a URL")]
    #[case("S3CRET", "must be a URL")]
    #[case("/maps/S3CRET", "must be a URL")]
    #[case("https://", "must be a URL")]
    #[case("http://S3CRET:port/", "must be a URL")]
    #[case("http:///?S3CRET#", "must be a URL")]
    #[case("ftp://example.org/S3CRET", "must begin with")]
    #[case("file:///S3CRET", "must begin with")]
    #[case("example.org:80/S3CRET", "must begin with")]
    #[case("https://S3CRET@example.org/", "a user or a password")]
    #[case("https://:S3CRET@example.org/", "a user or a password")]
    #[case("https://example.org/#S3CRET", "a fragment")]
    #[case("https://example.org/?key=S3CRET", "a parameter")]
    #[case("https://example.org/?a=b&KEY=S3CRET", "a parameter")]
    #[case("https://example.org/?k%65y=S3CRET", "a parameter")]
    #[case("https://example.org/?origins=S3CRET", "a parameter")]
    #[case("https://example.org/?destinations", "a parameter")]
    fn invalid_endpoint_is_rejected_and_not_repeated(#[case] text: &str, #[case] expected: &str) {
        let error = Endpoint::parse(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("S3CRET"));
    }
}
