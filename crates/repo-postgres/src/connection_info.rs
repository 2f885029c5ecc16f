//! The address of a database: parses it, shows it without secrets, and converts it for libpq.
//!
//! libpq parses addresses itself, but its messages quote what it rejects, and that may be a
//! password. So an address is split into parameters here, and libpq receives those as a connection
//! string, `name='value'`. libpq alone decides which parameters and values it knows.

use std::{fmt, iter::zip};

use diesel::{Connection, ConnectionError, PgConnection};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::ConnectError;

/// The parameters of a connection, by their names in libpq.
///
/// `Display` and `Debug` show an address without secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Names and values. libpq uses the last of several values of one name.
    parameters: Vec<(String, String)>,
}

/// The parts of an address, without percent-encoding.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Parts {
    pub host: String,
    pub port: Option<u16>,
    pub user: String,
    pub password: Option<String>,
    pub database: String,
}

/// Why an address is invalid. The message continues a sentence and repeats nothing of the address,
/// which may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "their messages say it")]
pub enum InvalidUrl {
    #[error("must be postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Form,
    #[error("must have special characters of its user, password and database encoded as %XX")]
    Encoding,
    #[error("must not have control characters, also not as %XX")]
    Control,
    #[error("must not have white space at the beginning or end of a part, also not as %20")]
    WhiteSpace,
    #[error("must have ports from 1 to 65535")]
    Port,
    #[error("must have one port, or as many ports (and as many values of hostaddr) as hosts")]
    HostCount,
    #[error("must name a database: postgres://HOST/DATABASE")]
    NoDatabase,
    #[error("must have only parameters and values that libpq knows, such as ?sslmode=require")]
    Parameter,
    #[error(
        "cannot be used: libpq rejects an environment variable, such as PGSSLMODE or PGSERVICE; \
         correct or unset it"
    )]
    Environment,
    #[error("must not name a service of libpq: its file would decide about the address")]
    Service,
    #[error("must name a database by at most {MAX_NAME_BYTES} bytes")]
    LongName,
    #[error("must not ask for TLS (sslmode): this program is built without the feature pg-tls")]
    NoTls,
}

/// PostgreSQL truncates longer names, so two databases could become one.
const MAX_NAME_BYTES: usize = 63;

/// Parameters that libpq receives unless the address sets them.
///
/// libpq takes a missing parameter from the environment (`PGHOSTADDR`, `PGOPTIONS`, …) or from a
/// service file (`PGSERVICE`). So parameters that decide which server, database, role and schema
/// is used are always set: an empty value is libpq's own default. Parameters that protect or
/// authenticate a connection (`PGSSLROOTCERT`, `PGPASSFILE`, …) are left to the environment.
///
/// The timeouts detect a server that does not respond: each host has 2 s to accept a connection.
/// After a failover both are needed: the first for a server that is gone, the second for a
/// connection to it.
const DEFAULTS: &str = "host='' hostaddr='' port='' user='' options='' \
    target_session_attrs='any' load_balance_hosts='disable' client_encoding='UTF8' \
    connect_timeout='2' keepalives_idle='10' keepalives_interval='5' keepalives_count='3' \
    tcp_user_timeout='10000' application_name='order-api'";

/// The parameter that tells which servers of several are used.
const SESSION_ATTRIBUTES: &str = "target_session_attrs";

const SECRETS: [&str; 5] =
    ["password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"];

/// The values of `sslmode` with which libpq connects with TLS only.
const TLS_MODES: [&str; 3] = ["require", "verify-ca", "verify-full"];

/// Parameters that make libpq fail locally after it has checked all others.
const OFFLINE: &str = "host='/dev/null' hostaddr='' port='' user='-' password='-'";

impl ConnectionInfo {
    /// Parses `postgres://` or `postgresql://`, with several hosts and parameters of libpq:
    /// `postgres://user@h1:5432,h2/orders?target_session_attrs=read-write`.
    ///
    /// # Errors
    /// When the text is anything else, or libpq rejects a parameter or its environment.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or(InvalidUrl::Form)?;
        let (credentials, rest) = match rest.find(['@', '/']) {
            Some(end) if rest[end..].starts_with('@') => (&rest[..end], &rest[end + 1..]),
            _ => ("", rest),
        };
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        // These characters most likely belong to a password that is not encoded.
        if place.contains('@') || database.contains('/') {
            return Err(InvalidUrl::Encoding);
        }
        let (hosts, ports) = split_ports(hosts)?;
        let named = [user, password, &hosts, &ports, database];
        let mut parameters = vec![];
        for (name, value) in ["user", "password", "host", "port", "dbname"].into_iter().zip(named) {
            if !value.is_empty() {
                parameters.push((name.to_owned(), decode(value)?));
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            parameters.push(parse_parameter(pair)?);
        }
        Self { parameters }.validated()
    }

    /// Makes an address of its parts.
    ///
    /// # Errors
    /// When the name of the database is empty or too long, or a part begins or ends with white
    /// space.
    pub fn from_parts(parts: Parts) -> Result<Self, InvalidUrl> {
        let parameters = [
            ("host", Some(parts.host)),
            ("port", parts.port.map(|port| port.to_string())),
            ("user", Some(parts.user)),
            ("password", parts.password),
            ("dbname", Some(parts.database)),
        ];
        let set =
            parameters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Self { parameters: set.collect() }.validated()
    }

    fn validated(self) -> Result<Self, InvalidUrl> {
        let has = |is: fn(&str, &str) -> bool| {
            self.parameters.iter().any(|(name, value)| is(name, value))
        };
        if self.database().is_empty() {
            Err(InvalidUrl::NoDatabase)
        } else if self.database().len() > MAX_NAME_BYTES {
            Err(InvalidUrl::LongName)
        } else if has(is_padded) {
            Err(InvalidUrl::WhiteSpace)
        } else if has(|name, value| name == "port" && !value.split(',').all(is_port)) {
            Err(InvalidUrl::Port)
        } else if self.hosts().is_none() {
            Err(InvalidUrl::HostCount)
        } else if cfg!(not(feature = "tls"))
            && has(|name, value| name == "sslmode" && TLS_MODES.contains(&value))
        {
            Err(InvalidUrl::NoTls)
        } else if has(|name, value| is_integer(name) && value.parse::<i32>().is_err()) {
            Err(InvalidUrl::Parameter)
        } else if self.is_known_to_libpq() {
            Ok(self)
        } else if (Self { parameters: vec![] }).is_known_to_libpq() {
            Err(InvalidUrl::Parameter)
        } else {
            // Without parameters, only the environment can be at fault.
            Err(InvalidUrl::Environment)
        }
    }

    /// Whether libpq knows all parameters and their values, except for secrets. It checks them
    /// before it connects. The connection fails without a network: `/dev/null` contains no socket.
    fn is_known_to_libpq(&self) -> bool {
        let mut public = self.clone();
        public.parameters.retain(|(name, _)| !is_secret(name));
        let offline = format!("{} {OFFLINE}", public.to_connection_string());
        let attempt = PgConnection::establish(&offline);
        attempt.is_err_and(|error| is_safe(&error.to_string()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().rev().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether the address itself has a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.get("password").is_some_and(|password| !password.is_empty())
    }

    /// The same address with this password.
    #[must_use]
    pub fn with_password(self, password: &str) -> Self {
        self.with("password", password)
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> &str {
        self.get("dbname").unwrap_or_default()
    }

    /// The same server, another database.
    pub(crate) fn with_database(&self, database: &str) -> Self {
        self.clone().with("dbname", database)
    }

    /// A connection string for each host. Contains the password.
    ///
    /// Only one of several hosts can be the primary. Unless the address says otherwise, the others
    /// are not used.
    pub(crate) fn connection_strings(&self) -> Vec<String> {
        let mut hosts = self.hosts().expect("checked when the address was made");
        if hosts.len() > 1 && self.get(SESSION_ATTRIBUTES).is_none() {
            let read_write = |host: Self| host.with(SESSION_ATTRIBUTES, "read-write");
            hosts = hosts.into_iter().map(read_write).collect();
        }
        hosts.iter().map(Self::to_connection_string).collect()
    }

    /// The address of each host. `None` if there are not as many ports as hosts.
    fn hosts(&self) -> Option<Vec<Self>> {
        let split = |name| self.get(name).unwrap_or_default().split(',').collect::<Vec<_>>();
        let lists = ["host", "hostaddr", "port"].map(|name| (name, split(name)));
        let count = lists[0].1.len().max(lists[1].1.len());
        let mut hosts = vec![self.clone(); count];
        for (name, values) in lists {
            // One port applies to all hosts.
            let is_for_all = values.len() == 1 && (name == "port" || values[0].is_empty());
            if values.len() != count && !is_for_all {
                return None;
            }
            for (host, value) in zip(&mut hosts, values.into_iter().cycle()) {
                host.parameters.push((name.to_owned(), value.to_owned()));
            }
        }
        Some(hosts)
    }

    /// The connection string for libpq. Contains the password.
    fn to_connection_string(&self) -> String {
        self.parameters.iter().fold(DEFAULTS.to_owned(), |text, (name, value)| {
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            format!("{text} {name}='{value}'")
        })
    }
}

/// Connects to the database of a connection string. A message of libpq that may quote a parameter
/// is replaced.
pub(crate) fn connect(connection_string: &str) -> Result<PgConnection, ConnectError> {
    PgConnection::establish(connection_string).map_err(|error| match error {
        ConnectionError::BadConnection(message) if !is_safe(&message) => {
            ConnectError::new("libpq rejects the connection parameters")
        }
        other => ConnectError::new(&other.to_string()),
    })
}

/// Whether a message of libpq is about a host, a server or the system's user. All others are about
/// parameters and quote them.
fn is_safe(message: &str) -> bool {
    ["connection to server ", "could not translate host name ", "local user with ID "]
        .iter()
        .any(|beginning| message.starts_with(beginning))
}

fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

/// Padding makes another name, for example of a second, empty database. Secrets may be padded: a
/// wrong one is noticed.
fn is_padded(name: &str, value: &str) -> bool {
    let is_padded = |text: &str| text.trim() != text;
    match name {
        "host" => value.split(',').any(is_padded),
        _ => !is_secret(name) && is_padded(value),
    }
}

/// An empty port is the default.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// libpq checks these values only on a connection over TCP.
fn is_integer(name: &str) -> bool {
    name.starts_with("keepalives") || name.ends_with("_timeout")
}

/// Splits `h1:5432,[::1],h3` into the hosts and the ports, which libpq expects in separate lists.
/// The list of ports is empty if there is none.
fn split_ports(text: &str) -> Result<(String, String), InvalidUrl> {
    let (mut hosts, mut ports) = (vec![], vec![]);
    for place in text.split(',') {
        let (host, port) = match place.strip_prefix('[') {
            Some(address) => address.split_once(']').ok_or(InvalidUrl::Form)?,
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        hosts.push(host);
        ports.push(match port.strip_prefix(':') {
            Some(port) => port,
            None if port.is_empty() => "",
            None => return Err(InvalidUrl::Form),
        });
    }
    let has_port = ports.iter().any(|port| !port.is_empty());
    Ok((hosts.join(","), if has_port { ports.join(",") } else { String::new() }))
}

fn parse_parameter(pair: &str) -> Result<(String, String), InvalidUrl> {
    let (name, value) = pair.split_once('=').ok_or(InvalidUrl::Parameter)?;
    let (name, value) = (decode(name)?, decode(value)?);
    match (name.as_str(), value.as_str()) {
        ("service", _) => Err(InvalidUrl::Service),
        // They change the protocol, or write the keys of the connection to a file.
        ("replication" | "sslkeylogfile", _) => Err(InvalidUrl::Parameter),
        // libpq accepts JDBC's form, too, but only in an address.
        ("ssl", "true") => Ok(("sslmode".to_owned(), "require".to_owned())),
        // Names are not quoted in a connection string.
        (other, _) if !other.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
            Err(InvalidUrl::Parameter)
        }
        _ => Ok((name, value)),
    }
}

/// Rejects characters that should have been encoded: white space, and a `%` without two digits.
fn decode(text: &str) -> Result<String, InvalidUrl> {
    let is_hex = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| InvalidUrl::Encoding)?;
    if decoded.contains(char::is_control) {
        Err(InvalidUrl::Control)
    } else if text.contains(char::is_whitespace) || !text.split('%').skip(1).all(is_hex) {
        Err(InvalidUrl::Encoding)
    } else {
        Ok(decoded.into_owned())
    }
}

/// Characters that are encoded in the address that is shown.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Shows an address that can be parsed again, with `***` for each secret.
impl fmt::Display for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encode = |text| utf8_percent_encode(text, ENCODED).to_string();
        f.write_str("postgres://")?;
        if let Some(user) = self.get("user") {
            let password = if self.has_password() { ":***" } else { "" };
            write!(f, "{}{password}@", encode(user))?;
        }
        let hosts = self.get("host").unwrap_or_default().split(',');
        let ports = self.get("port").unwrap_or_default().split(',').cycle();
        let places = hosts.zip(ports).map(|(host, port)| {
            let host = if host.contains(':') { format!("[{host}]") } else { encode(host) };
            if port.is_empty() { host } else { format!("{host}:{port}") }
        });
        write!(f, "{}/{}", places.collect::<Vec<_>>().join(","), encode(self.database()))?;
        let shown = ["user", "password", "host", "port", "dbname"];
        let others = self.parameters.iter().filter(|(name, _)| !shown.contains(&name.as_str()));
        for (n, (name, value)) in others.enumerate() {
            let mark = if n == 0 { '?' } else { '&' };
            let value = if is_secret(name) { "***".to_owned() } else { encode(value) };
            write!(f, "{mark}{name}={value}")?;
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests;
