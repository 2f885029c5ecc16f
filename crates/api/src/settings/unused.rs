//! Settings that are set and have no effect.

use std::{ffi::OsString, fmt};

use order_repo_postgres::ConnectionInfo;

use super::{DatabaseSettings, DistanceSettings, Options, SettingValue, set};

/// Settings that are set and have no effect beside the others, and why.
///
/// They are not invalid: deployments pass on more settings than an installation uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedSettings {
    /// The names of their variables.
    pub names: Vec<&'static str>,
    /// Why they have no effect.
    pub reason: &'static str,
}

impl UnusedSettings {
    /// All of them, for settings that are valid.
    pub(super) fn find(
        options: &Options,
        environment: &impl Fn(&str) -> Option<OsString>,
        database: &DatabaseSettings,
        distance: &DistanceSettings,
    ) -> Vec<Self> {
        let variable = |name| environment(name).map(SettingValue::from);
        let place = names([
            ("DB_HOST", options.db_host.as_ref()),
            ("DB_PORT", options.db_port.as_ref()),
            ("DB_USERNAME", options.db_username.as_ref()),
            ("DB_NAME", options.db_name.as_ref()),
        ]);
        let password = names([
            ("DB_PASSWORD", variable("DB_PASSWORD").as_ref()),
            ("DB_PASSWORD_FILE", options.db_password_file.as_ref()),
        ]);
        let pool_size = names([("DB_POOL_SIZE", options.db_pool_size.as_ref())]);
        let google = names([
            ("GMAP_TOKEN", variable("GMAP_TOKEN").as_ref()),
            ("GMAP_TOKEN_FILE", options.gmap_token_file.as_ref()),
            ("GMAP_DISTANCE_MATRIX_API", options.gmap_distance_matrix_api.as_ref()),
        ]);
        let url = set("DATABASE_URL", options.database_url.as_ref()).ok().flatten();
        let url_has_password = url
            .and_then(|url| ConnectionInfo::parse(url).ok())
            .is_some_and(|info| info.has_password());
        let mut unused = vec![];
        let mut add = |names, reason| unused.push(Self { names, reason });
        match (database, url) {
            (DatabaseSettings::Sqlite { .. }, Some(_)) => {
                add([place, password, pool_size].concat(), "DATABASE_URL names an SQLite file");
            }
            (DatabaseSettings::Sqlite { .. }, None) => {
                let reason = "neither DATABASE_URL nor DB_HOST is set, so orders are in SQLite";
                add([place, password, pool_size].concat(), reason);
            }
            (DatabaseSettings::Postgres { .. }, Some(_)) => {
                add(place, "DATABASE_URL is set");
                if url_has_password {
                    add(password, "DATABASE_URL has a password");
                }
            }
            (DatabaseSettings::Postgres { .. }, None) => {}
        }
        if matches!(distance, DistanceSettings::Geodesic) {
            add(google, "the distance provider is geodesic");
        }
        unused.retain(|unused| !unused.names.is_empty());
        unused
    }
}

/// The names of those that are set.
fn names<const N: usize>(
    settings: [(&'static str, Option<&SettingValue>); N],
) -> Vec<&'static str> {
    let set = |(name, value)| set(name, value).ok().flatten().map(|_| name);
    settings.into_iter().filter_map(set).collect()
}

impl fmt::Display for UnusedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))
    }
}
