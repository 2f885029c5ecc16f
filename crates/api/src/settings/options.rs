//! The command-line options for settings. Each has the name of its environment variable.

use std::ffi::OsString;

use clap::{Arg, value_parser};

/// A setting that is an environment variable and an option.
pub(crate) struct SettingOption {
    pub(crate) name: &'static str,
    value_name: &'static str,
    help: &'static str,
}

impl SettingOption {
    /// The argument of clap, for example `--log-level` for `LOG_LEVEL`. Its value is checked later,
    /// because clap quotes an invalid value in its message, and the value may be a secret.
    pub(crate) fn argument(&self) -> Arg {
        Arg::new(self.name)
            .long(self.name.to_lowercase().replace('_', "-"))
            .env(self.name)
            .hide_env_values(true)
            .global(true)
            .value_name(self.value_name)
            .value_parser(value_parser!(OsString))
            .help(self.help.trim_start())
    }
}

/// Secrets are not options, because process arguments are world-readable.
pub(crate) const SECRETS_HELP: &str = "\
Secrets, from the environment only:
  GMAP_TOKEN   the API key of Google Maps
  DB_PASSWORD  the password of the PostgreSQL role";

macro_rules! options {
    ($($(#[doc = $help:literal])* $name:ident: $value_name:literal;)*) => {
        /// The settings that are options.
        pub(crate) const OPTIONS: &[SettingOption] = &[$(SettingOption {
            name: stringify!($name),
            value_name: $value_name,
            help: concat!($($help),*),
        }),*];
    };
}

options! {
    /// Address and port to listen on; port 0 lets the system choose [default: 127.0.0.1:8080]
    LISTEN: "ADDRESS:PORT";

    /// The database: postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite://PATH [default: PostgreSQL
    /// at DB_HOST if that is set, else sqlite://data/orders.db]
    DATABASE_URL: "URL";

    /// Host of PostgreSQL, if DATABASE_URL is not set
    DB_HOST: "HOST";

    /// Port of PostgreSQL [default: 5432]
    DB_PORT: "PORT";

    /// PostgreSQL role
    DB_USERNAME: "NAME";

    /// File that contains the password of the role
    DB_PASSWORD_FILE: "PATH";

    /// PostgreSQL database; it is created if it is missing
    DB_NAME: "NAME";

    /// Total number of PostgreSQL connections [default: 10]
    DB_POOL_SIZE: "NUMBER";

    /// Distance provider: google (Distance Matrix API), google-routes (Routes API), osrm or geodesic
    /// (offline great-circle estimate) [default: google if there is a token, else osrm if there is
    /// its URL, else geodesic]
    DISTANCE_PROVIDER: "NAME";

    /// File that contains the API key of Google Maps
    GMAP_TOKEN_FILE: "PATH";

    /// URL of the Distance Matrix API [default: Google's]
    GMAP_DISTANCE_MATRIX_API: "URL";

    /// URL of the Routes API [default: Google's]
    GMAP_ROUTES_API: "URL";

    /// An OSRM server: http(s)://HOST:PORT, optionally with the profile as path
    OSRM_URL: "URL";

    /// How many metres a point may be away from the nearest road, with osrm [default: 1000]
    DISTANCE_SNAP_LIMIT: "METRES";

    /// Format of log lines: text or json [default: text on a terminal, else json]
    LOG_FORMAT: "FORMAT";

    /// Log level: error, warn, info, debug, trace, or a filter such as info,order_http=debug
    /// [default: info]
    LOG_LEVEL: "LEVEL";

    /// Directory for rotating log files, info.log and error.log, in addition to standard output
    LOG_DIR: "PATH";

    /// HTTP worker threads [default: one for each core]
    WORKERS: "NUMBER";

    /// Client connections that may be open [default: 20000, or fewer if the limit of file
    /// descriptors is lower]
    MAX_CONNECTIONS: "NUMBER";

    /// Deadline of a request, in seconds [default: 15]
    REQUEST_TIMEOUT: "SECONDS";

    /// Time between the signal to stop and the end of accepting, in seconds [default: 0]
    SHUTDOWN_DRAIN: "SECONDS";
}
