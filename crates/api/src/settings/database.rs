//! Where orders are kept.

use std::{ffi::OsString, fmt, net::Ipv6Addr, num::NonZero, path::PathBuf};

use order_repo_postgres::{ConnectionInfo, Parts};
use secrecy::ExposeSecret;

use super::{InvalidSetting, Options, integer, secret, set};

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
            Some(url) if url.starts_with("postgres") => ConnectionInfo::parse(url)
                .map(postgres)
                .map_err(|error| InvalidSetting::new("DATABASE_URL", error.to_string())),
            Some(url) => sqlite(url),
            None => match parts {
                None => sqlite("sqlite://data/orders.db"),
                Some(parts) => from_parts(parts).map(postgres),
            },
        }
    }
}

fn sqlite(url: &str) -> Result<DatabaseSettings, InvalidSetting> {
    let invalid = |problem| InvalidSetting::new("DATABASE_URL", problem);
    let path = url.strip_prefix("sqlite://").ok_or_else(|| {
        invalid("must be sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE")
    })?;
    // Whoever writes these means a database in memory, or options. The repository would take
    // them for the names of files, and that is not what was asked for.
    let special = path.starts_with(':') || path.starts_with("file:") || path.contains('?');
    if path.is_empty() || special {
        return Err(invalid("must name a file, without options: sqlite://data/orders.db"));
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

/// What is set of PostgreSQL's parts, if `DB_HOST` is. A part that is wrong is told in any case.
fn parts(
    options: &Options,
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Parts>, InvalidSetting> {
    let text = |name, value: &Option<OsString>| {
        Ok(set(name, value.as_ref())?.unwrap_or_default().to_owned())
    };
    let port = match set("DB_PORT", options.db_port.as_ref())? {
        Some(value) => Some(integer("DB_PORT", value, 1..=u16::MAX)?),
        None => None,
    };
    let password = secret(
        "DB_PASSWORD",
        environment("DB_PASSWORD").as_ref(),
        "DB_PASSWORD_FILE",
        options.db_password_file.as_ref(),
    )?;
    let parts = Parts {
        host: text("DB_HOST", &options.db_host)?,
        port,
        user: text("DB_USERNAME", &options.db_username)?,
        password: password.map(|password| password.expose_secret().to_owned()),
        database: text("DB_NAME", &options.db_name)?,
    };
    Ok((!parts.host.is_empty()).then_some(parts))
}

fn from_parts(parts: Parts) -> Result<ConnectionInfo, InvalidSetting> {
    for (name, value) in [("DB_NAME", &parts.database), ("DB_USERNAME", &parts.user)] {
        if value.is_empty() {
            return Err(InvalidSetting::new(name, "must be set, because DB_HOST is"));
        }
    }
    for host in parts.host.split(',') {
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
