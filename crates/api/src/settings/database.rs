//! Where orders are kept.

use std::{ffi::OsString, fmt, net::Ipv6Addr, num::NonZero, path::PathBuf};

use order_repo_postgres::{ConnectionInfo, Parts};
use secrecy::ExposeSecret;

use super::{InvalidSetting, Options, SettingValue, integer, secret, set};

/// Enough to keep a database of a few cores busy. More only wait for each other there.
const DEFAULT_POOL_SIZE: u32 = 10;

/// Where orders are kept. Shown without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseSettings {
    /// In a file of the embedded database.
    Sqlite {
        /// The file; it is created if it is missing.
        path: PathBuf,
    },
    /// In PostgreSQL.
    Postgres {
        /// The database; it is created if it is missing.
        database: ConnectionInfo,
        /// How many connections there are at most.
        pool_size: NonZero<u32>,
    },
}

impl DatabaseSettings {
    /// `DATABASE_URL`, or else PostgreSQL part by part, or else the default file.
    pub(super) fn parse(
        options: &Options,
        environment: &impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, InvalidSetting> {
        let pool_size = pool_size(options)?;
        let parts = parts(options, environment)?;
        let postgres = |database| Self::Postgres { database, pool_size };
        match set("DATABASE_URL", options.database_url.as_ref())? {
            Some(url) if url.starts_with("postgres") => {
                from_url(url, parts.password.as_deref()).map(postgres)
            }
            Some(url) => sqlite(url),
            None if parts.host.is_empty() => sqlite("sqlite://data/orders.db"),
            None => from_parts(parts).map(postgres),
        }
    }
}

fn from_url(url: &str, password: Option<&str>) -> Result<ConnectionInfo, InvalidSetting> {
    let info = ConnectionInfo::parse(url)
        .map_err(|error| InvalidSetting::new("DATABASE_URL", error.to_string()))?;
    Ok(match password {
        Some(password) if !info.has_password() => info.with_password(password),
        _ => info,
    })
}

/// What follows `sqlite://` is the path as it stands: nothing in it is decoded.
fn sqlite(url: &str) -> Result<DatabaseSettings, InvalidSetting> {
    let invalid = |problem: &str| Err(InvalidSetting::new("DATABASE_URL", problem));
    let Some(path) = url.strip_prefix("sqlite://") else {
        return invalid("must be sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE");
    };
    // The shell replaces `~`, and other programs a host; here both would be names of folders, and
    // the database a second, empty one.
    if path.starts_with('~') {
        return invalid("must have a path without ~: nothing replaces it by a home directory");
    }
    let host = path.get(.."localhost/".len());
    if host.is_some_and(|host| host.eq_ignore_ascii_case("localhost/")) {
        return invalid("must have no host: what follows sqlite:// is the path");
    }
    // The same holds for a database in memory, and for options.
    let has_options = path.rsplit_once('?').is_some_and(|(_, options)| options.contains('='));
    if path.is_empty() || path.starts_with(':') || path.starts_with("file:") || has_options {
        return invalid("must name a file, without options: sqlite://data/orders.db");
    }
    Ok(DatabaseSettings::Sqlite { path: path.into() })
}

fn pool_size(options: &Options) -> Result<NonZero<u32>, InvalidSetting> {
    let size = match set("DB_POOL_SIZE", options.db_pool_size.as_ref())? {
        Some(value) => integer("DB_POOL_SIZE", value, 1..=1000)?,
        None => DEFAULT_POOL_SIZE,
    };
    Ok(NonZero::new(size).expect("it is 1 at least"))
}

/// What is set of PostgreSQL's parts. Each is checked, also where `DATABASE_URL` is set.
fn parts(
    options: &Options,
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<Parts, InvalidSetting> {
    let text = |name, value: &Option<SettingValue>| {
        Ok(set(name, value.as_ref())?.unwrap_or_default().to_owned())
    };
    let port = match set("DB_PORT", options.db_port.as_ref())? {
        Some(value) => Some(integer("DB_PORT", value, 1..=u16::MAX)?),
        None => None,
    };
    let password =
        secret("DB_PASSWORD", environment, "DB_PASSWORD_FILE", options.db_password_file.as_ref())?;
    Ok(Parts {
        host: text("DB_HOST", &options.db_host)?,
        port,
        user: text("DB_USERNAME", &options.db_username)?,
        password: password.map(|password| password.expose_secret().to_owned()),
        database: text("DB_NAME", &options.db_name)?,
    })
}

fn from_parts(parts: Parts) -> Result<ConnectionInfo, InvalidSetting> {
    for (name, value) in [("DB_NAME", &parts.database), ("DB_USERNAME", &parts.user)] {
        if value.is_empty() {
            return Err(InvalidSetting::new(name, "must be set, because DB_HOST is"));
        }
    }
    for host in parts.host.split(',') {
        if host.trim() != host {
            let problem = "must not have white space around a host";
            return Err(InvalidSetting::new("DB_HOST", problem));
        }
        if host.contains(':') && host.parse::<Ipv6Addr>().is_err() {
            let problem = "must be a host alone; its port is DB_PORT";
            return Err(InvalidSetting::new("DB_HOST", problem));
        }
    }
    ConnectionInfo::from_parts(parts)
        .map_err(|error| InvalidSetting::new("DB_NAME", error.to_string()))
}

impl fmt::Display for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite://{}", path.display()),
            Self::Postgres { database, .. } => database.fmt(f),
        }
    }
}
