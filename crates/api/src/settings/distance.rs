//! Settings of the distance provider.

use std::fmt;

use order_distance_google::{DistanceMatrixApi, RoutesApi};
use order_distance_http::{Endpoint, InvalidEndpoint};
use order_distance_osrm::OsrmEndpoint;
use secrecy::{ExposeSecret, SecretString};

use super::{InvalidSetting, invalid, source::Source};

/// Metres, for `DISTANCE_SNAP_LIMIT`.
const DEFAULT_SNAP_LIMIT: u32 = 1_000;
const MAX_SNAP_LIMIT: u32 = 1_000_000;

/// The distance provider. The `Debug` and `Display` forms do not contain the key.
#[derive(Clone, Debug)]
pub(crate) enum DistanceSettings {
    /// The length of the geodesic on WGS 84: an estimate, without a network.
    Geodesic,
    /// The road distance from Google's Distance Matrix API.
    Google { endpoint: Endpoint, key: SecretString },
    /// The road distance from Google's Routes API.
    GoogleRoutes { endpoint: Endpoint, key: SecretString },
    /// The road distance from an OSRM server. The limit is in metres.
    Osrm { endpoint: OsrmEndpoint, snap_limit: u32 },
}

impl DistanceSettings {
    /// Google if there is a key, OSRM if there is only its URL, unless `DISTANCE_PROVIDER` is set.
    pub(super) fn parse(source: Source<'_>) -> Result<Self, InvalidSetting> {
        let key = source.secret("GMAP_TOKEN", "GMAP_TOKEN_FILE")?;
        let mut characters = key.iter().flat_map(|key| key.expose_secret().chars());
        if characters.any(|character| !character.is_ascii_graphic()) {
            return invalid("GMAP_TOKEN", "must be visible ASCII characters without spaces");
        }
        // An invalid value is an error even if it is not used.
        let matrix = endpoint(
            source,
            "GMAP_DISTANCE_MATRIX_API",
            DistanceMatrixApi::DEFAULT_ENDPOINT,
            DistanceMatrixApi::parse_endpoint,
        )?;
        let routes = endpoint(
            source,
            "GMAP_ROUTES_API",
            RoutesApi::DEFAULT_ENDPOINT,
            RoutesApi::parse_endpoint,
        )?;
        let osrm = source.parsed("OSRM_URL", OsrmEndpoint::parse)?;
        let snap_limit = source.integer("DISTANCE_SNAP_LIMIT", 1..=MAX_SNAP_LIMIT)?;

        let provider = source.get("DISTANCE_PROVIDER")?;
        let provider = match provider.as_deref() {
            Some(name) => name,
            None if key.is_some() => "google",
            None if osrm.is_some() => "osrm",
            None => "geodesic",
        };
        let unset = |name| {
            let reason = format!("must be set, because DISTANCE_PROVIDER is {provider}");
            InvalidSetting::new(name, reason)
        };
        let key = || key.ok_or_else(|| unset("GMAP_TOKEN"));
        match provider {
            "geodesic" => Ok(Self::Geodesic),
            "google" => Ok(Self::Google { endpoint: matrix, key: key()? }),
            "google-routes" => Ok(Self::GoogleRoutes { endpoint: routes, key: key()? }),
            "osrm" => Ok(Self::Osrm {
                endpoint: osrm.ok_or_else(|| unset("OSRM_URL"))?,
                snap_limit: snap_limit.unwrap_or(DEFAULT_SNAP_LIMIT),
            }),
            _ => invalid("DISTANCE_PROVIDER", "must be google, google-routes, osrm or geodesic"),
        }
    }

    /// The settings that the provider uses, besides `DISTANCE_PROVIDER`.
    pub(super) const fn used(&self) -> &'static [&'static str] {
        match self {
            Self::Geodesic => &[],
            Self::Google { .. } => &["GMAP_TOKEN", "GMAP_TOKEN_FILE", "GMAP_DISTANCE_MATRIX_API"],
            Self::GoogleRoutes { .. } => &["GMAP_TOKEN", "GMAP_TOKEN_FILE", "GMAP_ROUTES_API"],
            Self::Osrm { .. } => &["OSRM_URL", "DISTANCE_SNAP_LIMIT"],
        }
    }

    /// Writes the effective settings as environment variables, without the key.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "DISTANCE_PROVIDER={self}")?;
        match self {
            Self::Geodesic => Ok(()),
            Self::Google { endpoint, .. } => {
                writeln!(f, "GMAP_DISTANCE_MATRIX_API={endpoint}\nGMAP_TOKEN=***")
            }
            Self::GoogleRoutes { endpoint, .. } => {
                writeln!(f, "GMAP_ROUTES_API={endpoint}\nGMAP_TOKEN=***")
            }
            Self::Osrm { endpoint, snap_limit } => {
                writeln!(f, "OSRM_URL={endpoint}\nDISTANCE_SNAP_LIMIT={snap_limit}")
            }
        }
    }
}

/// Returns the URL of an API of Google.
fn endpoint(
    source: Source<'_>,
    name: &'static str,
    default: &str,
    parse: impl FnOnce(&str) -> Result<Endpoint, InvalidEndpoint>,
) -> Result<Endpoint, InvalidSetting> {
    let text = source.get(name)?;
    parse(text.as_deref().unwrap_or(default)).map_err(|error| InvalidSetting::new(name, error))
}

impl fmt::Display for DistanceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Geodesic => "geodesic",
            Self::Google { .. } => "google",
            Self::GoogleRoutes { .. } => "google-routes",
            Self::Osrm { .. } => "osrm",
        })
    }
}
