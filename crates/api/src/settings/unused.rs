//! Settings that are set and have no effect.

use order_repo_postgres::ConnectionInfo;

use super::{DatabaseSettings, DistanceSettings, source::Source};

const ADDRESS: &[&str] = &["DB_HOST", "DB_PORT", "DB_USERNAME", "DB_NAME"];
const PASSWORD: &[&str] = &["DB_PASSWORD", "DB_PASSWORD_FILE"];
const POOL: &[&str] = &["DB_POOL_SIZE"];
const DISTANCE: &[&str] = &[
    "GMAP_TOKEN",
    "GMAP_TOKEN_FILE",
    "GMAP_DISTANCE_MATRIX_API",
    "GMAP_ROUTES_API",
    "OSRM_URL",
    "DISTANCE_SNAP_LIMIT",
];

/// Settings that are set and have no effect because of other settings.
///
/// They are valid: deployments pass on more settings than an installation uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnusedSettings {
    /// The names of their variables.
    pub(crate) names: Vec<&'static str>,
    /// Why they have no effect.
    pub(crate) reason: String,
}

impl UnusedSettings {
    /// Finds them among valid settings.
    pub(super) fn find(
        source: Source<'_>,
        database: &DatabaseSettings,
        distance: &DistanceSettings,
    ) -> Vec<Self> {
        let url = source.get("DATABASE_URL").ok().flatten();
        let postgres = [ADDRESS, PASSWORD, POOL].concat();
        let mut unused: Vec<(Vec<_>, &str)> = match (database, &url) {
            (DatabaseSettings::Sqlite { .. }, Some(_)) => {
                vec![(postgres, "DATABASE_URL names an SQLite file")]
            }
            (DatabaseSettings::Sqlite { .. }, None) => {
                vec![(postgres, "neither DATABASE_URL nor DB_HOST is set, so orders are in SQLite")]
            }
            (DatabaseSettings::Postgres { .. }, Some(_)) => {
                vec![(ADDRESS.to_vec(), "DATABASE_URL is set")]
            }
            (DatabaseSettings::Postgres { .. }, None) => vec![],
        };
        let info = url.and_then(|url| ConnectionInfo::parse(&url).ok());
        if info.is_some_and(|info| info.has_password()) {
            unused.push((PASSWORD.to_vec(), "DATABASE_URL has a password"));
        }
        let used = distance.used();
        let unused_by_provider = DISTANCE.iter().filter(|name| !used.contains(name));
        let by_provider = format!("the distance provider is {distance}");
        unused.push((unused_by_provider.copied().collect(), &by_provider));
        for (names, _) in &mut unused {
            names.retain(|name| matches!(source.get(name), Ok(Some(_))));
        }
        unused.retain(|(names, _)| !names.is_empty());
        unused
            .into_iter()
            .map(|(names, reason)| Self { names, reason: reason.to_owned() })
            .collect()
    }
}
