//! Where a database is and how to reach it, as libpq knows it.
//!
//! libpq reads addresses itself, but its messages quote what it could not read, and that may be
//! a password. So an address is read here, and libpq gets it in its other form, `key='value'`,
//! which cannot be misread.

mod parameters;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
pub use read::InvalidUrl;

/// The parameters that make a connection, by the names that libpq gives them.
///
/// Shown as an address without its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Names and values. Of two with one name the last counts, as libpq has it.
    parameters: Vec<(String, String)>,
}

/// The parts of an address, as they are: nothing is encoded.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Parts {
    pub host: String,
    pub port: Option<u16>,
    pub user: String,
    pub password: Option<String>,
    pub database: String,
}

/// What libpq is given unless the address says otherwise.
///
/// libpq takes a parameter that it is not given from the environment (`PGHOSTADDR`, `PGOPTIONS`, …)
/// or from a service file (`PGSERVICE`). Whatever decides which server, database and role a
/// connection is for, or where in the database it finds its tables, is therefore given always: an
/// empty value is libpq's own default. What protects or authenticates a connection
/// (`PGSSLROOTCERT`, `PGPASSFILE`, …) is left to the environment, as `LEFT_TO_LIBPQ` in the tests lists it.
///
/// A server that is gone must be noticed: a connection is made within 2 s for each host, and one
/// that does not respond is closed.
const DEFAULTS: [(&str, &str); 14] = [
    ("host", ""),
    ("hostaddr", ""),
    ("port", ""),
    ("user", ""),
    ("options", ""),
    ("target_session_attrs", "any"),
    ("load_balance_hosts", "disable"),
    ("client_encoding", "UTF8"),
    ("connect_timeout", "2"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("application_name", "order-api"),
];

const SECRETS: [&str; 4] = ["password", "sslpassword", "scram_client_key", "scram_server_key"];

impl ConnectionInfo {
    /// From the parts of an address.
    ///
    /// # Errors
    /// When the name of the database is empty or too long, or a part begins or ends with white space.
    pub fn from_parts(parts: Parts) -> Result<Self, InvalidUrl> {
        let parameters = [
            ("host", Some(parts.host)),
            ("port", parts.port.map(|port| port.to_string())),
            ("user", Some(parts.user)),
            ("password", parts.password),
            ("dbname", Some(parts.database)),
        ];
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Self { parameters: given.map(|(name, value)| (name.to_owned(), value)).collect() }.checked()
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().rev().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the address itself has a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.get("password").is_some_and(|password| !password.is_empty())
    }

    /// The same address with this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.parameters.push(("password".to_owned(), password.to_owned()));
        self
    }

    /// The database that is meant.
    pub(crate) fn database(&self) -> &str {
        self.get("dbname").unwrap_or_default()
    }

    /// The same server, another database.
    pub(crate) fn with_database(&self, database: &str) -> Self {
        let mut other = self.clone();
        other.parameters.push(("dbname".to_owned(), database.to_owned()));
        other
    }

    /// In the form that libpq reads without a doubt. Holds the password.
    pub(crate) fn for_libpq(&self) -> String {
        let own = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        DEFAULTS
            .into_iter()
            .chain(own)
            .map(|(name, value)| {
                format!("{name}='{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
            })
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// What need not be encoded anywhere in an address.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An address that can be read again, but for its secrets: they are `***`.
impl fmt::Display for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.get("user") {
            let password = if self.has_password() { ":***" } else { "" };
            write!(f, "{}{password}@", encode(user))?;
        }
        let hosts = self.get("host").unwrap_or_default().split(',');
        let ports = self.get("port").unwrap_or_default().split(',').cycle();
        let places: Vec<_> = hosts.zip(ports).map(|(host, port)| place(host, port)).collect();
        write!(f, "{}/{}", places.join(","), encode(self.database()))?;
        let above = ["user", "password", "host", "port", "dbname"];
        let others = self.parameters.iter().filter(|(name, _)| !above.contains(&name.as_str()));
        for (n, (name, value)) in others.enumerate() {
            let mark = if n == 0 { '?' } else { '&' };
            let secret = SECRETS.contains(&name.as_str());
            let value = if secret { "***".to_owned() } else { encode(value).to_string() };
            write!(f, "{mark}{name}={value}")?;
        }
        Ok(())
    }
}

fn place(host: &str, port: &str) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { encode(host).to_string() };
    if port.is_empty() { host } else { format!("{host}:{port}") }
}

fn encode(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ENCODED)
}

impl fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionInfo({self})")
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, database, .. } = self;
        write!(f, "Parts({user}:***@{host}:{port:?}/{database})")
    }
}
