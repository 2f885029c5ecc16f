//! Settings of the database.

use std::{fmt, net::Ipv6Addr, num::NonZero, path::PathBuf};

use order_repo_postgres::{ConnectionInfo, Parts};
use secrecy::ExposeSecret;

use super::{InvalidSetting, invalid, source::Source};

/// Enough for a database with a few cores. More connections only wait for each other there.
const DEFAULT_POOL_SIZE: NonZero<u32> = NonZero::new(10).expect("it is not zero");
const MAX_POOL_SIZE: NonZero<u32> = NonZero::new(1000).expect("it is not zero");

/// The database. Displayed without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DatabaseSettings {
    /// A file of the embedded database.
    Sqlite {
        /// The file; it is created if it is missing.
        path: PathBuf,
    },
    /// A PostgreSQL database.
    Postgres {
        /// The database; it is created if it is missing.
        database: ConnectionInfo,
        /// The maximum number of connections.
        pool_size: NonZero<u32>,
    },
}

impl DatabaseSettings {
    /// `DATABASE_URL`, or else PostgreSQL part by part, or else the default file.
    pub(super) fn parse(source: Source<'_>) -> Result<Self, InvalidSetting> {
        let pool_size = source.integer("DB_POOL_SIZE", NonZero::<u32>::MIN..=MAX_POOL_SIZE)?;
        let pool_size = pool_size.unwrap_or(DEFAULT_POOL_SIZE);
        let parts = parts(source)?;
        let postgres = |database| Self::Postgres { database, pool_size };
        match source.get("DATABASE_URL")? {
            Some(url) if url.starts_with("postgres") => {
                from_url(&url, parts.password.as_deref()).map(postgres)
            }
            Some(url) => sqlite(&url),
            None if parts.host.is_empty() => sqlite("sqlite://data/orders.db"),
            None => from_parts(parts).map(postgres),
        }
    }
}

fn from_url(url: &str, password: Option<&str>) -> Result<ConnectionInfo, InvalidSetting> {
    let info =
        ConnectionInfo::parse(url).map_err(|error| InvalidSetting::new("DATABASE_URL", error))?;
    Ok(match password {
        Some(password) if !info.has_password() => info.with_password(password),
        _ => info,
    })
}

/// The text after `sqlite://` is the path. It is not decoded.
fn sqlite(url: &str) -> Result<DatabaseSettings, InvalidSetting> {
    let invalid = |problem| invalid("DATABASE_URL", problem);
    let Some(path) = url.strip_prefix("sqlite://") else {
        return invalid("must be sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE");
    };
    // A shell expands `~`, and other programs accept a host. Here both would be names of
    // directories, with another, empty database.
    if path.starts_with('~') {
        return invalid("must have a path without ~: it is not replaced by a home directory");
    }
    let host = path.get(.."localhost/".len());
    if host.is_some_and(|host| host.eq_ignore_ascii_case("localhost/")) {
        return invalid("must have no host: what follows sqlite:// is the path");
    }
    // A database in memory, and options, would be names of files.
    let has_options = path.rsplit_once('?').is_some_and(|(_, options)| options.contains('='));
    if path.is_empty() || path.starts_with(':') || path.starts_with("file:") || has_options {
        return invalid("must name a file, without options: sqlite://data/orders.db");
    }
    Ok(DatabaseSettings::Sqlite { path: path.into() })
}

/// The parts of a PostgreSQL address. Each is checked, also if `DATABASE_URL` is set.
fn parts(source: Source<'_>) -> Result<Parts, InvalidSetting> {
    let text = |name| Ok(source.get(name)?.unwrap_or_default());
    let password = source.secret("DB_PASSWORD", "DB_PASSWORD_FILE")?;
    Ok(Parts {
        host: text("DB_HOST")?,
        port: source.integer("DB_PORT", 1..=u16::MAX)?,
        user: text("DB_USERNAME")?,
        password: password.map(|password| password.expose_secret().to_owned()),
        database: text("DB_NAME")?,
    })
}

/// The address of a database from its parts.
fn from_parts(parts: Parts) -> Result<ConnectionInfo, InvalidSetting> {
    for (name, value) in [("DB_NAME", &parts.database), ("DB_USERNAME", &parts.user)] {
        if value.is_empty() {
            return invalid(name, "must be set, because DB_HOST is");
        }
    }
    for host in parts.host.split(',') {
        if host.trim() != host {
            return invalid("DB_HOST", "must not have white space around a host");
        }
        if host.contains(':') && host.parse::<Ipv6Addr>().is_err() {
            return invalid("DB_HOST", "must be a host alone; its port is DB_PORT");
        }
    }
    ConnectionInfo::from_parts(parts).map_err(|error| InvalidSetting::new("DB_NAME", error))
}

impl fmt::Display for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite://{}", path.display()),
            Self::Postgres { database, .. } => database.fmt(f),
        }
    }
}
