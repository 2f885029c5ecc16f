//! What can be set, from the command line and the environment, checked before anything starts.
//!
//! clap gathers the texts; their meaning is checked here, because clap quotes a bad value in its
//! message, and a value may hold a secret.

use std::{
    ffi::OsString, fmt, io::IsTerminal, net::SocketAddr, path::PathBuf,
    thread::available_parallelism,
};

use clap::Args;
use tracing_subscriber::EnvFilter;

/// The settings as texts. Each is a command-line option and an environment variable.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Address and port to listen on; port 0 lets the system choose [default: 127.0.0.1:8080]
    #[arg(long, env = "LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub listen: Option<OsString>,

    /// Where orders are kept: `sqlite://PATH` [default: `sqlite://data/orders.db`]
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<OsString>,

    /// Who tells distances: geodesic, an offline great-circle estimate [default: geodesic]
    #[arg(long, env = "DISTANCE_PROVIDER", global = true, value_name = "NAME")]
    pub distance_provider: Option<OsString>,

    /// How log lines look: text or json [default: text on a terminal, else json]
    #[arg(long, env = "LOG_FORMAT", global = true, value_name = "FORMAT")]
    pub log_format: Option<OsString>,

    /// What is logged: error, warn, info, debug, trace, or a filter such as
    /// `info,order_http=debug` [default: info]
    #[arg(long, env = "LOG_LEVEL", global = true, value_name = "LEVEL")]
    pub log_level: Option<OsString>,

    /// Threads that serve requests [default: one for each core]
    #[arg(long, env = "WORKERS", global = true, value_name = "NUMBER")]
    pub workers: Option<OsString>,
}

/// The settings that are in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where orders are kept.
    pub database: DatabaseSettings,
    /// Who tells distances.
    pub distance: DistanceSettings,
    /// How and what is logged.
    pub log: LogSettings,
    /// Threads that serve requests.
    pub workers: usize,
}

/// Where orders are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseSettings {
    /// In a file of the embedded database.
    Sqlite {
        /// The file; it is created if it is missing.
        path: PathBuf,
    },
}

/// Who tells distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistanceSettings {
    /// The geodesic on WGS 84: an estimate, without a network.
    Geodesic,
}

/// How and what is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// A level or a filter of `tracing-subscriber`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// A setting has a value that it cannot have. The value is not repeated: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct InvalidSetting {
    /// The name of the environment variable.
    pub name: &'static str,
    /// What is wrong with it, as a predicate.
    pub problem: String,
}

impl InvalidSetting {
    fn new(name: &'static str, problem: impl Into<String>) -> Self {
        Self { name, problem: problem.into() }
    }
}

/// The settings of the contract that this version cannot serve yet. To ignore them would keep
/// orders in another place, or tell other distances, than the operator thinks.
const NOT_YET: [&str; 3] = ["DB_HOST", "GMAP_TOKEN", "GMAP_TOKEN_FILE"];

impl Settings {
    /// Checks all settings. `environment` looks up variables that are no options.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn parse(
        options: &Options,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, InvalidSetting> {
        for name in NOT_YET {
            if environment(name).is_some_and(|value| !value.is_empty()) {
                return Err(InvalidSetting::new(name, "is not supported by this version"));
            }
        }
        Ok(Self {
            listen: listen(set("LISTEN", options.listen.as_ref())?)?,
            database: database(set("DATABASE_URL", options.database_url.as_ref())?)?,
            distance: distance(set("DISTANCE_PROVIDER", options.distance_provider.as_ref())?)?,
            log: LogSettings {
                format: log_format(set("LOG_FORMAT", options.log_format.as_ref())?)?,
                filter: log_filter(set("LOG_LEVEL", options.log_level.as_ref())?)?,
            },
            workers: workers(set("WORKERS", options.workers.as_ref())?)?,
        })
    }
}

/// An empty value counts as unset: compose files pass on variables that nobody has set.
fn set<'a>(
    name: &'static str,
    value: Option<&'a OsString>,
) -> Result<Option<&'a str>, InvalidSetting> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    value.to_str().map(Some).ok_or_else(|| InvalidSetting::new(name, "must be UTF-8"))
}

fn listen(value: Option<&str>) -> Result<SocketAddr, InvalidSetting> {
    value.unwrap_or("127.0.0.1:8080").parse().map_err(|_| {
        InvalidSetting::new("LISTEN", "must be an address and a port, such as 127.0.0.1:8080")
    })
}

fn database(value: Option<&str>) -> Result<DatabaseSettings, InvalidSetting> {
    let invalid = |problem| InvalidSetting::new("DATABASE_URL", problem);
    let path = value
        .unwrap_or("sqlite://data/orders.db")
        .strip_prefix("sqlite://")
        .ok_or_else(|| invalid("must be sqlite://PATH, such as sqlite://data/orders.db"))?;
    // Whoever writes these means a database in memory, or options. The repository would take
    // them for the names of files, and that is not what was asked for.
    let special = path.starts_with(':') || path.starts_with("file:") || path.contains('?');
    if path.is_empty() || special {
        return Err(invalid("must name a file, without options: sqlite://data/orders.db"));
    }
    Ok(DatabaseSettings::Sqlite { path: path.into() })
}

fn distance(value: Option<&str>) -> Result<DistanceSettings, InvalidSetting> {
    match value {
        None | Some("geodesic") => Ok(DistanceSettings::Geodesic),
        Some(_) => Err(InvalidSetting::new("DISTANCE_PROVIDER", "must be geodesic")),
    }
}

fn log_format(value: Option<&str>) -> Result<LogFormat, InvalidSetting> {
    let default = if std::io::stdout().is_terminal() { "text" } else { "json" };
    match value.unwrap_or(default) {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(InvalidSetting::new("LOG_FORMAT", "must be text or json")),
    }
}

/// A lone word is a level: the filter language would take a misspelt one for the name of a
/// module, and log nothing else.
fn log_filter(value: Option<&str>) -> Result<String, InvalidSetting> {
    let value = value.unwrap_or("info");
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let level = levels.iter().any(|level| level.eq_ignore_ascii_case(value));
    let filter = value.contains('=') && EnvFilter::builder().parse(value).is_ok();
    if level || filter {
        return Ok(value.to_owned());
    }
    let problem =
        "must be error, warn, info, debug, trace or a filter such as info,order_http=debug";
    Err(InvalidSetting::new("LOG_LEVEL", problem))
}

fn workers(value: Option<&str>) -> Result<usize, InvalidSetting> {
    let Some(value) = value else { return Ok(available_parallelism().map_or(1, Into::into)) };
    match value.parse() {
        Ok(workers @ 1..=1024) => Ok(workers),
        _ => Err(InvalidSetting::new("WORKERS", "must be an integer from 1 to 1024")),
    }
}

/// One `NAME=value` a line, as a file of environment variables has it.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "LISTEN={}", self.listen)?;
        writeln!(f, "DATABASE_URL={}", self.database)?;
        writeln!(f, "DISTANCE_PROVIDER={}", self.distance)?;
        writeln!(f, "LOG_FORMAT={}", self.log.format)?;
        writeln!(f, "LOG_LEVEL={}", self.log.filter)?;
        writeln!(f, "WORKERS={}", self.workers)
    }
}

impl fmt::Display for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite://{}", path.display()),
        }
    }
}

impl fmt::Display for DistanceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geodesic => f.write_str("geodesic"),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn none(_: &str) -> Option<OsString> {
        None
    }

    fn options(name: &str, value: &str) -> Options {
        let mut options = Options::default();
        let slot = match name {
            "LISTEN" => &mut options.listen,
            "DATABASE_URL" => &mut options.database_url,
            "DISTANCE_PROVIDER" => &mut options.distance_provider,
            "LOG_FORMAT" => &mut options.log_format,
            "LOG_LEVEL" => &mut options.log_level,
            "WORKERS" => &mut options.workers,
            _ => panic!("{name} is no setting"),
        };
        *slot = Some(value.into());
        options
    }

    #[test]
    fn nothing_has_to_be_set() {
        let settings = Settings::parse(&Options::default(), none).unwrap();

        assert_eq!(settings.listen, "127.0.0.1:8080".parse().unwrap());
        let path = PathBuf::from("data/orders.db");
        assert_eq!(settings.database, DatabaseSettings::Sqlite { path });
        assert_eq!(settings.distance, DistanceSettings::Geodesic);
        assert_eq!(settings.log.filter, "info");
        assert!(settings.workers >= 1);
    }

    #[rstest]
    #[case("LISTEN", "")]
    #[case("LISTEN", "[::1]:0")]
    #[case("LISTEN", "0.0.0.0:80")]
    #[case("DATABASE_URL", "")]
    #[case("DATABASE_URL", "sqlite:///var/lib/order api/orders.db")]
    #[case("DISTANCE_PROVIDER", "geodesic")]
    #[case("LOG_FORMAT", "json")]
    #[case("LOG_LEVEL", "trace")]
    #[case("LOG_LEVEL", "WARN")]
    #[case("LOG_LEVEL", "info,order_http=debug")]
    #[case("WORKERS", "1024")]
    fn what_is_right_is_taken(#[case] name: &str, #[case] value: &str) {
        let settings = Settings::parse(&options(name, value), none).unwrap();

        let line = format!("{name}={value}");
        let shown = settings.to_string();
        assert!(value.is_empty() || shown.lines().any(|shown| shown == line), "{shown}");
    }

    #[rstest]
    #[case("LISTEN", "secret")]
    #[case("LISTEN", "secret:8080")]
    #[case("LISTEN", "127.0.0.1:secret")]
    #[case("DATABASE_URL", "secret")]
    #[case("DATABASE_URL", "postgres://user:secret@localhost/orders")]
    #[case("DATABASE_URL", "sqlite://")]
    #[case("DATABASE_URL", "sqlite://:memory:")]
    #[case("DATABASE_URL", "sqlite://file:secret")]
    #[case("DATABASE_URL", "sqlite://secret?mode=ro")]
    #[case("DISTANCE_PROVIDER", "secret")]
    #[case("LOG_FORMAT", "secret")]
    #[case("LOG_LEVEL", "secret")]
    #[case("LOG_LEVEL", "order_http=secret")]
    #[case("WORKERS", "secret")]
    #[case("WORKERS", "0")]
    #[case("WORKERS", "1025")]
    fn what_is_wrong_is_named_and_not_repeated(#[case] name: &str, #[case] value: &str) {
        let error = Settings::parse(&options(name, value), none).unwrap_err();

        assert_eq!(error.name, name);
        let line = error.to_string();
        assert!(line.starts_with(&format!("{name} must ")), "{line}");
        assert!(!line.contains("secret") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn what_is_no_text_is_named_too() {
        use std::os::unix::ffi::OsStringExt;

        let listen = Some(OsString::from_vec(b"\xffsecret".to_vec()));
        let error = Settings::parse(&Options { listen, ..Options::default() }, none).unwrap_err();
        assert_eq!(error.to_string(), "LISTEN must be UTF-8");
    }

    #[rstest]
    fn what_cannot_be_served_yet_is_refused_and_not_ignored(
        #[values("DB_HOST", "GMAP_TOKEN", "GMAP_TOKEN_FILE")] name: &str,
    ) {
        let has = |wanted: &str| (wanted == name).then(|| "secret".into());

        let error = Settings::parse(&Options::default(), has).unwrap_err();

        assert_eq!(error.to_string(), format!("{name} is not supported by this version"));
        assert!(Settings::parse(&Options::default(), |_| Some(OsString::new())).is_ok());
    }
}
