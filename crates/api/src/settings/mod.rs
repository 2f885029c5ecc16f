//! What can be set, from the command line and the environment, checked before anything starts.
//!
//! clap gathers the texts; their meaning is checked here, because clap quotes a bad value in its
//! message, and a value may hold a secret. All of them pass [`set`], where the rule that every value
//! obeys is applied.

mod database;
mod distance;
mod log;
#[cfg(test)]
mod tests;
mod unused;
mod value;

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, Read},
    net::SocketAddr,
    ops::RangeInclusive,
    str::FromStr,
    thread::available_parallelism,
    time::Duration,
};

use clap::Args;
pub use database::DatabaseSettings;
pub use distance::DistanceSettings;
pub use log::{LogFormat, LogSettings};
use secrecy::SecretString;
pub use unused::UnusedSettings;
pub use value::SettingValue;
use value::{flaw, set};

/// Far more than are at work at one time.
const DEFAULT_MAX_CONNECTIONS: usize = 20_000;

/// The settings as texts. Each is a command-line option and an environment variable.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Address and port to listen on; port 0 lets the system choose [default: 127.0.0.1:8080]
    #[arg(long, env = "LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub listen: Option<SettingValue>,

    /// Where orders are kept: `postgres://USER:PASSWORD@HOST:PORT/NAME` or `sqlite://PATH`
    /// [default: PostgreSQL at `DB_HOST` if that is set, else `sqlite://data/orders.db`]
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<SettingValue>,

    /// Where PostgreSQL is, where `DATABASE_URL` does not say it
    #[arg(long, env = "DB_HOST", global = true, value_name = "HOST")]
    pub db_host: Option<SettingValue>,

    /// The port of PostgreSQL [default: 5432]
    #[arg(long, env = "DB_PORT", global = true, value_name = "PORT")]
    pub db_port: Option<SettingValue>,

    /// The role that logs in to PostgreSQL
    #[arg(long, env = "DB_USERNAME", global = true, value_name = "NAME")]
    pub db_username: Option<SettingValue>,

    /// A file that holds the role's password
    #[arg(long, env = "DB_PASSWORD_FILE", global = true, value_name = "PATH")]
    pub db_password_file: Option<SettingValue>,

    /// The database in PostgreSQL; it is created if it is missing
    #[arg(long, env = "DB_NAME", global = true, value_name = "NAME")]
    pub db_name: Option<SettingValue>,

    /// Connections to PostgreSQL in all [default: 10]
    #[arg(long, env = "DB_POOL_SIZE", global = true, value_name = "NUMBER")]
    pub db_pool_size: Option<SettingValue>,

    /// Who tells distances: google, by road, or geodesic, an offline great-circle estimate
    /// [default: google if there is a token, else geodesic]
    #[arg(long, env = "DISTANCE_PROVIDER", global = true, value_name = "NAME")]
    pub distance_provider: Option<SettingValue>,

    /// A file that holds the key of Google Maps
    #[arg(long, env = "GMAP_TOKEN_FILE", global = true, value_name = "PATH")]
    pub gmap_token_file: Option<SettingValue>,

    /// The address of the Distance Matrix API [default: Google's]
    #[arg(
        long,
        env = "GMAP_DISTANCE_MATRIX_API",
        global = true,
        hide_env_values = true,
        value_name = "URL"
    )]
    pub gmap_distance_matrix_api: Option<SettingValue>,

    /// How log lines look: text or json [default: text on a terminal, else json]
    #[arg(long, env = "LOG_FORMAT", global = true, value_name = "FORMAT")]
    pub log_format: Option<SettingValue>,

    /// What is logged: error, warn, info, debug, trace, or a filter such as
    /// `info,order_http=debug` [default: info]
    #[arg(long, env = "LOG_LEVEL", global = true, value_name = "LEVEL")]
    pub log_level: Option<SettingValue>,

    /// Also write rotating log files, info.log and error.log, in this directory
    #[arg(long, env = "LOG_DIR", global = true, value_name = "PATH")]
    pub log_dir: Option<SettingValue>,

    /// Threads that serve requests [default: one for each core]
    #[arg(long, env = "WORKERS", global = true, value_name = "NUMBER")]
    pub workers: Option<SettingValue>,

    /// Connections of clients that may be open [default: 20000, or what the limit of file
    /// descriptors allows]
    #[arg(long, env = "MAX_CONNECTIONS", global = true, value_name = "NUMBER")]
    pub max_connections: Option<SettingValue>,

    /// How long a request may take, in seconds [default: 15]
    #[arg(long, env = "REQUEST_TIMEOUT", global = true, value_name = "SECONDS")]
    pub request_timeout: Option<SettingValue>,

    /// How long the service goes on accepting when it is told to stop, in seconds [default: 0]
    #[arg(long, env = "SHUTDOWN_DRAIN", global = true, value_name = "SECONDS")]
    pub shutdown_drain: Option<SettingValue>,
}

/// Settings that are secrets come from the environment or from files, and are no options: the
/// options of a process are for all to see.
pub(crate) const SECRETS_HELP: &str = "\
Secrets, from the environment only:
  GMAP_TOKEN   the key of Google Maps
  DB_PASSWORD  the password of the role that logs in to PostgreSQL";

/// The settings that are in effect.
#[derive(Clone, Debug)]
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
    /// Connections of clients that may be open. The file descriptors must suffice for them.
    pub max_connections: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long the service goes on accepting when it is told to stop.
    pub shutdown_drain: Duration,
    /// Settings that are set and have no effect.
    pub unused: Vec<UnusedSettings>,
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

impl Settings {
    /// Checks all settings. `environment` looks up the variables that are no options: secrets.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn parse(
        options: &Options,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, InvalidSetting> {
        let database = DatabaseSettings::parse(options, &environment)?;
        let distance = DistanceSettings::parse(options, &environment)?;
        Ok(Self {
            listen: Self::listen(options)?,
            unused: UnusedSettings::find(options, &environment, &database, &distance),
            database,
            distance,
            log: LogSettings::parse(options)?,
            workers: workers(set("WORKERS", options.workers.as_ref())?)?,
            max_connections: max_connections(set(
                "MAX_CONNECTIONS",
                options.max_connections.as_ref(),
            )?)?,
            request_timeout: seconds("REQUEST_TIMEOUT", options.request_timeout.as_ref(), 1, 15)?,
            shutdown_drain: seconds("SHUTDOWN_DRAIN", options.shutdown_drain.as_ref(), 0, 0)?,
        })
    }

    /// Checks only where to listen, for who only wants to know where the service is.
    pub(crate) fn listen(options: &Options) -> Result<SocketAddr, InvalidSetting> {
        let value = set("LISTEN", options.listen.as_ref())?;
        value.unwrap_or("127.0.0.1:8080").parse().map_err(|_| {
            InvalidSetting::new("LISTEN", "must be an address and a port, such as 127.0.0.1:8080")
        })
    }
}

/// A secret, from its variable or from the file that another setting names.
fn secret(
    name: &'static str,
    environment: &impl Fn(&str) -> Option<OsString>,
    file_name: &'static str,
    file: Option<&SettingValue>,
) -> Result<Option<SecretString>, InvalidSetting> {
    let value = environment(name).map(SettingValue::from);
    match (set(name, value.as_ref())?, set(file_name, file)?) {
        (Some(_), Some(_)) => {
            Err(InvalidSetting::new(file_name, format!("must not be set together with {name}")))
        }
        (Some(value), None) => Ok(Some(value.into())),
        (None, Some(path)) => {
            read_secret(path).map(Some).map_err(|problem| InvalidSetting::new(file_name, problem))
        }
        (None, None) => Ok(None),
    }
}

/// No secret is longer. A device has no end.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

fn read_secret(path: &str) -> Result<SecretString, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error: io::Error| {
            format!("must name a file that can be read: {}", error.kind())
        })?;
    // Editors and `echo` end a file with one line break.
    let secret =
        text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() {
        return Err("must name a file that is not empty".to_owned());
    }
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_SECRET_FILE_BYTES) {
        return Err(format!("must name a file of at most {MAX_SECRET_FILE_BYTES} bytes"));
    }
    match flaw(secret) {
        Some(flaw) => {
            Err(format!("must name a file without {flaw}, except for one line break at its end"))
        }
        None => Ok(secret.into()),
    }
}

/// An integer between two bounds, both included.
fn integer<T: FromStr + PartialOrd + fmt::Display>(
    name: &'static str,
    value: &str,
    bounds: RangeInclusive<T>,
) -> Result<T, InvalidSetting> {
    let number = value.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| {
        let (min, max) = (bounds.start(), bounds.end());
        InvalidSetting::new(name, format!("must be an integer from {min} to {max}"))
    })
}

fn workers(value: Option<&str>) -> Result<usize, InvalidSetting> {
    let Some(value) = value else { return Ok(available_parallelism().map_or(1, Into::into)) };
    integer("WORKERS", value, 1..=1024)
}

fn max_connections(value: Option<&str>) -> Result<usize, InvalidSetting> {
    let Some(value) = value else { return Ok(DEFAULT_MAX_CONNECTIONS) };
    integer("MAX_CONNECTIONS", value, 1..=1_000_000)
}

/// A time in whole seconds.
fn seconds(
    name: &'static str,
    value: Option<&SettingValue>,
    min: u64,
    default: u64,
) -> Result<Duration, InvalidSetting> {
    let seconds = match set(name, value)? {
        Some(value) => integer(name, value, min..=3600)?,
        None => default,
    };
    Ok(Duration::from_secs(seconds))
}

/// One `NAME=value` a line, as a file of environment variables has it.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "LISTEN={}", self.listen)?;
        writeln!(f, "DATABASE_URL={}", self.database)?;
        if let DatabaseSettings::Postgres { pool_size, .. } = &self.database {
            writeln!(f, "DB_POOL_SIZE={pool_size}")?;
        }
        writeln!(f, "DISTANCE_PROVIDER={}", self.distance)?;
        if let DistanceSettings::Google { endpoint, .. } = &self.distance {
            writeln!(f, "GMAP_DISTANCE_MATRIX_API={endpoint}")?;
            writeln!(f, "GMAP_TOKEN=***")?;
        }
        write!(f, "{}", self.log)?;
        writeln!(f, "WORKERS={}", self.workers)?;
        writeln!(f, "MAX_CONNECTIONS={}", self.max_connections)?;
        writeln!(f, "REQUEST_TIMEOUT={}", self.request_timeout.as_secs())?;
        writeln!(f, "SHUTDOWN_DRAIN={}", self.shutdown_drain.as_secs())
    }
}
