//! Settings of the distance provider.

use std::fmt;

use order_distance_google::{DEFAULT_ENDPOINT, Endpoint};
use secrecy::{ExposeSecret, SecretString};

use super::{InvalidSetting, invalid, source::Source};

/// The distance provider. The `Debug` and `Display` forms do not contain the key.
#[derive(Clone, Debug)]
pub(crate) enum DistanceSettings {
    /// The length of the geodesic on WGS 84: an estimate, without a network.
    Geodesic,
    /// The road distance from Google Maps.
    Google {
        /// The Distance Matrix API.
        endpoint: Endpoint,
        /// The API key.
        key: SecretString,
    },
}

impl DistanceSettings {
    /// Google if there is a key, unless `DISTANCE_PROVIDER` is another one.
    pub(super) fn parse(source: Source<'_>) -> Result<Self, InvalidSetting> {
        let key = source.secret("GMAP_TOKEN", "GMAP_TOKEN_FILE")?;
        let mut characters = key.iter().flat_map(|key| key.expose_secret().chars());
        if characters.any(|character| !character.is_ascii_graphic()) {
            return invalid("GMAP_TOKEN", "must be visible ASCII characters without spaces");
        }
        let api = "GMAP_DISTANCE_MATRIX_API";
        let url = source.get(api)?;
        let endpoint = Endpoint::parse(url.as_deref().unwrap_or(DEFAULT_ENDPOINT))
            .map_err(|error| InvalidSetting::new(api, error))?;
        match (source.get("DISTANCE_PROVIDER")?.as_deref(), key) {
            (None | Some("google"), Some(key)) => Ok(Self::Google { endpoint, key }),
            (None, None) | (Some("geodesic"), _) => Ok(Self::Geodesic),
            (Some("google"), None) => {
                invalid("GMAP_TOKEN", "must be set, because DISTANCE_PROVIDER is google")
            }
            (Some(_), _) => invalid("DISTANCE_PROVIDER", "must be google or geodesic"),
        }
    }
}

impl fmt::Display for DistanceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Geodesic => "geodesic",
            Self::Google { .. } => "google",
        })
    }
}
