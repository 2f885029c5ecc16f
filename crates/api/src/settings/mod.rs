//! Settings from the command line and the environment, checked before anything starts.

mod database;
mod distance;
mod log;
mod options;
mod source;
#[cfg(test)]
mod tests;
mod unused;

use std::{ffi::OsString, fmt, net::SocketAddr, thread::available_parallelism, time::Duration};

pub(crate) use self::{
    database::DatabaseSettings,
    distance::DistanceSettings,
    log::LogSettings,
    options::{OPTIONS, SECRETS_HELP, SettingOption},
    source::Source,
    unused::UnusedSettings,
};

/// Far more than are busy at the same time.
const DEFAULT_MAX_CONNECTIONS: usize = 20_000;

/// The effective settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on; with port 0 the system chooses the port.
    pub(crate) listen: SocketAddr,
    /// The database.
    pub(crate) database: DatabaseSettings,
    /// The distance provider.
    pub(crate) distance: DistanceSettings,
    /// The log.
    pub(crate) log: LogSettings,
    /// Number of HTTP worker threads.
    pub(crate) workers: usize,
    /// Client connections that may be open, each of which needs a file descriptor.
    pub(crate) max_connections: usize,
    /// Deadline of a request.
    pub(crate) request_timeout: Duration,
    /// Time between the signal to stop and the end of accepting.
    pub(crate) shutdown_drain: Duration,
    /// Settings that are set and have no effect.
    pub(crate) unused: Vec<UnusedSettings>,
}

/// A setting with an invalid value. The value is not repeated, because it may contain a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct InvalidSetting {
    /// The name of the environment variable.
    pub name: &'static str,
    /// What is wrong with it, as a predicate.
    pub problem: String,
}

impl InvalidSetting {
    pub(crate) fn new(name: &'static str, problem: impl fmt::Display) -> Self {
        Self { name, problem: problem.to_string() }
    }
}

fn invalid<T>(name: &'static str, problem: impl fmt::Display) -> Result<T, InvalidSetting> {
    Err(InvalidSetting::new(name, problem))
}

impl Settings {
    /// Checks all settings. `lookup` returns the value of a setting by the name of its variable.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn parse(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, InvalidSetting> {
        let source = Source(&lookup);
        let database = DatabaseSettings::parse(source)?;
        let distance = DistanceSettings::parse(source)?;
        let workers = source.integer("WORKERS", 1..=1024)?;
        let max_connections = source.integer("MAX_CONNECTIONS", 1..=1_000_000)?;
        let request_timeout = source.integer("REQUEST_TIMEOUT", 1..=3600)?;
        let shutdown_drain = source.integer("SHUTDOWN_DRAIN", 0..=3600)?;
        Ok(Self {
            listen: Self::listen(source)?,
            unused: UnusedSettings::find(source, &database, &distance),
            database,
            distance,
            log: LogSettings::parse(source)?,
            workers: workers.unwrap_or_else(|| available_parallelism().map_or(1, Into::into)),
            max_connections: max_connections.unwrap_or(DEFAULT_MAX_CONNECTIONS),
            request_timeout: Duration::from_secs(request_timeout.unwrap_or(15)),
            shutdown_drain: Duration::from_secs(shutdown_drain.unwrap_or(0)),
        })
    }

    /// Checks only the address to listen on, for callers that need only that.
    pub(crate) fn listen(source: Source<'_>) -> Result<SocketAddr, InvalidSetting> {
        let value = source.get("LISTEN")?;
        value.as_deref().unwrap_or("127.0.0.1:8080").parse().map_err(|_| {
            InvalidSetting::new("LISTEN", "must be an address and a port, such as 127.0.0.1:8080")
        })
    }
}

/// One `NAME=value` in each line, like a file of environment variables.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "LISTEN={}", self.listen)?;
        writeln!(f, "DATABASE_URL={}", self.database)?;
        if let DatabaseSettings::Postgres { pool_size, .. } = &self.database {
            writeln!(f, "DB_POOL_SIZE={pool_size}")?;
        }
        self.distance.write(f)?;
        writeln!(f, "LOG_FORMAT={}", if self.log.is_json { "json" } else { "text" })?;
        writeln!(f, "LOG_LEVEL={}", self.log.filter)?;
        if let Some(directory) = &self.log.directory {
            writeln!(f, "LOG_DIR={}", directory.display())?;
        }
        writeln!(f, "WORKERS={}", self.workers)?;
        writeln!(f, "MAX_CONNECTIONS={}", self.max_connections)?;
        writeln!(f, "REQUEST_TIMEOUT={}", self.request_timeout.as_secs())?;
        writeln!(f, "SHUTDOWN_DRAIN={}", self.shutdown_drain.as_secs())
    }
}
