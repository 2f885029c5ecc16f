//! Who tells distances.

use std::{ffi::OsString, fmt};

use order_distance_google::Endpoint;
use secrecy::{ExposeSecret, SecretString};

use super::{InvalidSetting, Options, secret, set};

/// Who tells distances. Shown without the key.
#[derive(Clone, Debug)]
pub enum DistanceSettings {
    /// The geodesic on WGS 84: an estimate, without a network.
    Geodesic,
    /// Google Maps: the way by road.
    Google {
        /// The Distance Matrix API.
        endpoint: Endpoint,
        /// What Google knows this installation by.
        key: SecretString,
    },
}

impl DistanceSettings {
    /// Google where there is a key, unless something else is asked for.
    pub(super) fn parse(
        options: &Options,
        environment: &impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, InvalidSetting> {
        let key =
            secret("GMAP_TOKEN", environment, "GMAP_TOKEN_FILE", options.gmap_token_file.as_ref())?;
        if key
            .as_ref()
            .is_some_and(|key| !key.expose_secret().bytes().all(|b| b.is_ascii_graphic()))
        {
            let problem = "must be visible ASCII characters without spaces";
            return Err(InvalidSetting::new("GMAP_TOKEN", problem));
        }
        let api = "GMAP_DISTANCE_MATRIX_API";
        let endpoint = match set(api, options.gmap_distance_matrix_api.as_ref())? {
            Some(url) => {
                Endpoint::parse(url).map_err(|error| InvalidSetting::new(api, error.to_string()))?
            }
            None => Endpoint::default(),
        };
        match (set("DISTANCE_PROVIDER", options.distance_provider.as_ref())?, key) {
            (None | Some("google"), Some(key)) => Ok(Self::Google { endpoint, key }),
            (None, None) | (Some("geodesic"), _) => Ok(Self::Geodesic),
            (Some("google"), None) => Err(InvalidSetting::new(
                "GMAP_TOKEN",
                "must be set, because DISTANCE_PROVIDER is google",
            )),
            (Some(_), _) => {
                Err(InvalidSetting::new("DISTANCE_PROVIDER", "must be google or geodesic"))
            }
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
