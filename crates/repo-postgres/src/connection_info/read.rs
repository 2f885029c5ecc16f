//! Reads an address of a database.

use percent_encoding::percent_decode_str;

use super::{
    ConnectionInfo, SECRETS,
    parameters::{check, is_port},
};

/// Why a text is no address of a database. It repeats nothing of the text, which may hold a
/// password. A predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "their messages say it")]
pub enum InvalidUrl {
    #[error("must be postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Form,
    #[error("must have special characters of its user, password and database as %XX")]
    Encoding,
    #[error("must not have control characters, also not as %XX")]
    Control,
    #[error("must not have white space at the beginning or end of a part, also not as %20")]
    WhiteSpace,
    #[error("must have ports from 1 to 65535")]
    Port,
    #[error("must name a database: postgres://HOST/DATABASE")]
    NoDatabase,
    #[error("must have only parameters that libpq knows, such as ?sslmode=require")]
    Parameter,
    #[error("must not name a service of libpq: its file would decide about the address")]
    Service,
    #[error("must have a value for {0} that libpq knows")]
    Value(&'static str),
    #[error("must name a database by at most {MAX_NAME_BYTES} bytes")]
    LongName,
    #[error("must not ask for TLS (sslmode): this program is built without the feature pg-tls")]
    NoTls,
}

/// PostgreSQL cuts longer names, and two databases would become one.
const MAX_NAME_BYTES: usize = 63;

type Parameters = Vec<(String, String)>;

impl ConnectionInfo {
    /// Reads `postgres://` or `postgresql://`, several hosts and parameters of libpq included:
    /// `postgres://user@h1:5432,h2/orders?target_session_attrs=read-write`.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let rest = ["postgres://", "postgresql://"]
            .into_iter()
            .find_map(|scheme| url.strip_prefix(scheme))
            .ok_or(InvalidUrl::Form)?;
        if url.contains(char::is_control) {
            return Err(InvalidUrl::Control);
        }
        if url.contains(char::is_whitespace) {
            return Err(InvalidUrl::Encoding);
        }
        let mut parameters = vec![];
        let rest = match rest.find(['@', '/']) {
            Some(end) if rest[end..].starts_with('@') => {
                read_credentials(&rest[..end], &mut parameters)?;
                &rest[end + 1..]
            }
            _ => rest,
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        // One of these here is most likely a part of a password that should have been encoded.
        if place.contains('@') || database.contains('/') {
            return Err(InvalidUrl::Encoding);
        }
        read_hosts(hosts, &mut parameters)?;
        if !database.is_empty() {
            parameters.push(("dbname".to_owned(), decode(database)?));
        }
        read_query(query, &mut parameters)?;
        Self { parameters }.checked()
    }

    pub(super) fn checked(self) -> Result<Self, InvalidUrl> {
        if self.database().is_empty() {
            return Err(InvalidUrl::NoDatabase);
        }
        if self.database().len() > MAX_NAME_BYTES {
            return Err(InvalidUrl::LongName);
        }
        if self.parameters.iter().any(|(name, value)| is_padded(name, value)) {
            return Err(InvalidUrl::WhiteSpace);
        }
        let needs_tls = ["require", "verify-ca", "verify-full"];
        if cfg!(not(feature = "tls"))
            && self.get("sslmode").is_some_and(|mode| needs_tls.contains(&mode))
        {
            return Err(InvalidUrl::NoTls);
        }
        Ok(self)
    }
}

/// White space around a name makes another name, for example of a second, empty database. A secret
/// may have it: a wrong one is noticed.
fn is_padded(name: &str, value: &str) -> bool {
    let is_padded = |text: &str| text.trim() != text;
    match name {
        "host" => value.split(',').any(is_padded),
        _ => !SECRETS.contains(&name) && is_padded(value),
    }
}

fn read_credentials(text: &str, parameters: &mut Parameters) -> Result<(), InvalidUrl> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    if !user.is_empty() {
        parameters.push(("user".to_owned(), decode(user)?));
    }
    if let Some(password) = password.filter(|password| !password.is_empty()) {
        parameters.push(("password".to_owned(), decode(password)?));
    }
    Ok(())
}

/// `h1:5432,[::1],h3`: libpq wants the hosts and the ports each in a list of its own.
fn read_hosts(text: &str, parameters: &mut Parameters) -> Result<(), InvalidUrl> {
    if text.is_empty() {
        return Ok(());
    }
    let (mut hosts, mut ports) = (vec![], vec![]);
    for place in text.split(',') {
        let (host, port) = match place.strip_prefix('[') {
            Some(address) => {
                let (address, port) = address.split_once(']').ok_or(InvalidUrl::Form)?;
                let follows = port.is_empty() || port.starts_with(':');
                (address, follows.then(|| port.trim_start_matches(':')).ok_or(InvalidUrl::Form)?)
            }
            None => place.split_once(':').unwrap_or((place, "")),
        };
        if !is_port(port) {
            return Err(InvalidUrl::Port);
        }
        hosts.push(decode(host)?);
        ports.push(port);
    }
    parameters.push(("host".to_owned(), hosts.join(",")));
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.push(("port".to_owned(), ports.join(",")));
    }
    Ok(())
}

fn read_query(text: &str, parameters: &mut Parameters) -> Result<(), InvalidUrl> {
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(InvalidUrl::Parameter)?;
        let (name, value) = (decode(name)?, decode(value)?);
        match (name.as_str(), value.as_str()) {
            // As JDBC says it; libpq understands that, too.
            ("ssl", "true") => parameters.push(("sslmode".to_owned(), "require".to_owned())),
            (known, given) => {
                check(known, given)?;
                parameters.push((name, value));
            }
        }
    }
    Ok(())
}

/// A `%` that encodes nothing is a `%` that was not encoded.
fn decode(text: &str) -> Result<String, InvalidUrl> {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let broken = (0..bytes.len())
        .any(|at| bytes[at] == b'%' && !(is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2))));
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| InvalidUrl::Encoding)?;
    if broken {
        return Err(InvalidUrl::Encoding);
    }
    if decoded.contains(char::is_control) {
        return Err(InvalidUrl::Control);
    }
    Ok(decoded.into_owned())
}
