//! The parameters of libpq, and what may stand in them.

use super::InvalidUrl;

pub(super) enum Values {
    Text,
    Integer,
    Ports,
    OneOf(&'static [&'static str]),
}
use Values::{Integer, OneOf, Ports, Text};

const TLS_VERSIONS: Values = OneOf(&["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]);
const PROTOCOL_VERSIONS: Values = OneOf(&["3.0", "3.2", "latest"]);

/// The parameters of libpq 18, as *Parameter Key Words* in PostgreSQL's manual has them, but for
/// those that request another protocol, a log of keys, or a login in a browser, and for `service`:
/// its file would decide about the address, which could then not be shown.
pub(super) const PARAMETERS: [(&str, Values); 43] = [
    ("application_name", Text),
    ("channel_binding", OneOf(&["disable", "prefer", "require"])),
    ("client_encoding", Text),
    ("connect_timeout", Integer),
    ("dbname", Text),
    ("fallback_application_name", Text),
    ("gssdelegation", OneOf(&["0", "1"])),
    ("gssencmode", OneOf(&["disable", "prefer", "require"])),
    ("gsslib", Text),
    ("host", Text),
    ("hostaddr", Text),
    ("keepalives", Integer),
    ("keepalives_count", Integer),
    ("keepalives_idle", Integer),
    ("keepalives_interval", Integer),
    ("krbsrvname", Text),
    ("load_balance_hosts", OneOf(&["disable", "random"])),
    ("max_protocol_version", PROTOCOL_VERSIONS),
    ("min_protocol_version", PROTOCOL_VERSIONS),
    ("options", Text),
    ("passfile", Text),
    ("password", Text),
    ("port", Ports),
    ("require_auth", Text),
    ("requirepeer", Text),
    ("scram_client_key", Text),
    ("scram_server_key", Text),
    ("ssl_max_protocol_version", TLS_VERSIONS),
    ("ssl_min_protocol_version", TLS_VERSIONS),
    ("sslcert", Text),
    ("sslcertmode", OneOf(&["disable", "allow", "require"])),
    ("sslcompression", OneOf(&["0", "1"])),
    ("sslcrl", Text),
    ("sslcrldir", Text),
    ("sslkey", Text),
    ("sslmode", OneOf(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])),
    ("sslnegotiation", OneOf(&["postgres", "direct"])),
    ("sslpassword", Text),
    ("sslrootcert", Text),
    ("sslsni", OneOf(&["0", "1"])),
    (
        "target_session_attrs",
        OneOf(&["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]),
    ),
    ("tcp_user_timeout", Integer),
    ("user", Text),
];

/// Refuses what libpq would refuse, in words that repeat nothing.
pub(super) fn check(name: &str, value: &str) -> Result<(), InvalidUrl> {
    if name == "service" {
        return Err(InvalidUrl::Service);
    }
    let Some((name, values)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
        return Err(InvalidUrl::Parameter);
    };
    let fits = match values {
        Text => true,
        Integer => value.parse::<i32>().is_ok(),
        Ports => value.split(',').all(is_port),
        OneOf(known) => known.contains(&value),
    };
    fits.then_some(()).ok_or(InvalidUrl::Value(name))
}

/// Nothing stands for the default.
pub(super) fn is_port(text: &str) -> bool {
    text.is_empty() || text.parse::<u16>().is_ok_and(|port| port > 0)
}
