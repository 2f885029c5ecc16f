//! The URL of a provider, without the parameters of a request.

use std::fmt;

use reqwest::Url;

/// The URL of a provider: `http` or `https`. Its `Display` form has no values of the query, which
/// may be secrets of a proxy, so it may be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not an endpoint. Does not contain the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidEndpoint(&'static str);

impl Endpoint {
    /// Parses a URL. Keeps its query, which must not have a parameter of `reserved`: each request
    /// adds those.
    ///
    /// # Errors
    /// When the text is not such a URL.
    pub fn parse(text: &str, reserved: &[&str]) -> Result<Self, InvalidEndpoint> {
        let Ok(url) = Url::parse(text) else {
            return Err(InvalidEndpoint("must be a URL with a host, such as https://HOST/PATH"));
        };
        // The parser accepts `http:HOST` and `http:///HOST` as well.
        let has_host =
            text.split_once("://").is_some_and(|(_, rest)| !rest.starts_with(['/', '\\']));
        let is_reserved = |name: &str| reserved.iter().any(|own| name.eq_ignore_ascii_case(own));
        let problem = if !matches!(url.scheme(), "http" | "https") || !has_host {
            "must begin with https:// or http://"
        } else if !url.username().is_empty() || url.password().is_some() {
            "must not contain a user or a password"
        } else if url.fragment().is_some() {
            "must not have a fragment (a part after #)"
        } else if url.query_pairs().any(|(name, _)| is_reserved(&name)) {
            "must not have a parameter that each request adds, such as the key"
        } else {
            return Ok(Self(url));
        };
        Err(InvalidEndpoint(problem))
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.0.clone();
        let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        if !names.is_empty() {
            url.query_pairs_mut().clear().extend_pairs(names.iter().map(|name| (name, "***")));
        }
        url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const RESERVED: &[&str] = &["key", "origins"];

    #[rstest]
    #[case("https://example.org/")]
    #[case("http://127.0.0.1:8000/maps/api/distancematrix/json")]
    #[case("http://[::1]:8000/x")]
    fn display_is_the_parsed_text(#[case] text: &str) {
        assert_eq!(Endpoint::parse(text, RESERVED).unwrap().to_string(), text);
    }

    #[test]
    fn display_has_no_values_of_the_query() {
        let endpoint = Endpoint::parse("https://example.org/json?a=S3CRET&b=et", RESERVED).unwrap();
        assert_eq!(endpoint.to_string(), "https://example.org/json?a=***&b=***");
        assert_eq!(endpoint.url().as_str(), "https://example.org/json?a=S3CRET&b=et");
    }

    #[rstest]
    #[case("", "must be a URL")]
    #[case("S3CRET", "must be a URL")]
    #[case("/maps/S3CRET", "must be a URL")]
    #[case("https://", "must be a URL")]
    #[case("http://S3CRET:port/", "must be a URL")]
    #[case("http:///?S3CRET#", "must be a URL")]
    #[case("http:///S3CRET", "must begin with")]
    #[case("http:S3CRET:5000", "must begin with")]
    #[case("http:\\\\S3CRET", "must begin with")]
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
    #[case("https://example.org/?origins", "a parameter")]
    fn invalid_endpoint_is_rejected_and_not_repeated(#[case] text: &str, #[case] expected: &str) {
        let error = Endpoint::parse(text, RESERVED).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("S3CRET"));
    }
}
