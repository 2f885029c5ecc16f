use rstest::rstest;

use super::*;

fn libpq(url: &str) -> String {
    let text = ConnectionInfo::parse(url).unwrap().to_connection_string();
    text.split_once("application_name='order-api'").unwrap().1.trim_start().to_owned()
}

#[rstest]
#[case("postgres://h/d", "host='h' dbname='d'")]
#[case("postgresql:///d", "dbname='d'")]
#[case("postgres://u@h/d", "user='u' host='h' dbname='d'")]
#[case("postgres://u:p@h:5433/d", "user='u' password='p' host='h' port='5433' dbname='d'")]
#[case("postgres://u:@h:/d", "user='u' host='h' dbname='d'")]
#[case(
    "postgres://u:a%40b%2Fc'%5C%20:?%20@h/d%2Fe",
    r"user='u' password='a@b/c\'\\ :? ' host='h' dbname='d/e'"
)]
#[case(
    "postgres://u@h1:1,h2,[::1]:3/d?target_session_attrs=read-write&connect_timeout=5",
    "user='u' host='h1,h2,::1' port='1,,3' dbname='d' target_session_attrs='read-write' \
     connect_timeout='5'"
)]
#[case("postgres://%2Fvar%2Frun/d", "host='/var/run' dbname='d'")]
#[case(
    "postgresql://?host=/tmp&dbname=d&user=u&password=p",
    "host='/tmp' dbname='d' user='u' password='p'"
)]
fn address_is_parsed_as_libpq_parses_it(#[case] url: &str, #[case] expected: &str) {
    assert_eq!(libpq(url), expected);
}

#[rstest]
#[case("postgres://h/d", &["host='h' hostaddr='' port=''"])]
#[case("postgres:///d", &["host='' hostaddr='' port=''"])]
#[case(
    "postgres://h1:1,h2,[::1]:3/d",
    &["host='h1' hostaddr='' port='1' target_session_attrs='read-write'",
      "host='h2' hostaddr='' port='' target_session_attrs='read-write'",
      "host='::1' hostaddr='' port='3' target_session_attrs='read-write'"]
)]
#[case(
    "postgres:///d?host=a,b&port=1,2",
    &["host='a' hostaddr='' port='1' target_session_attrs='read-write'",
      "host='b' hostaddr='' port='2' target_session_attrs='read-write'"]
)]
#[case(
    "postgres:///d?hostaddr=127.0.0.1,::1&port=5433",
    &["host='' hostaddr='127.0.0.1' port='5433' target_session_attrs='read-write'",
      "host='' hostaddr='::1' port='5433' target_session_attrs='read-write'"]
)]
#[case(
    "postgres://a,b/d?target_session_attrs=any",
    &["host='a' hostaddr='' port=''", "host='b' hostaddr='' port=''"]
)]
fn each_host_has_its_connection_string(#[case] url: &str, #[case] expected: &[&str]) {
    let strings = ConnectionInfo::parse(url).unwrap().connection_strings();
    assert_eq!(strings.len(), expected.len());
    for (string, expected) in strings.iter().zip(expected) {
        assert!(string.ends_with(expected), "{string}");
    }
}

#[rstest]
#[case("", InvalidUrl::Form)]
#[case("mysql://secret@h/d", InvalidUrl::Form)]
#[case("postgres:secret", InvalidUrl::Form)]
#[case("postgres://[::1/d", InvalidUrl::Form)]
#[case("postgres://[::1]secret/d", InvalidUrl::Form)]
#[case("postgres://u:sec@ret@h/d", InvalidUrl::Encoding)]
#[case("postgres://u/secret@h/d", InvalidUrl::Encoding)]
#[case("postgres://u:secret%@h/d", InvalidUrl::Encoding)]
#[case("postgres://u:secret%4@h/d", InvalidUrl::Encoding)]
#[case("postgres://u:secret%zz@h/d", InvalidUrl::Encoding)]
#[case("postgres://u:secret%00@h/d", InvalidUrl::Control)]
#[case("postgres://u:secret%0A@h/d", InvalidUrl::Control)]
#[case("postgres://u%0D:secret@h/d", InvalidUrl::Control)]
#[case("postgres://u:secret@h%7F/d", InvalidUrl::Control)]
#[case("postgres://u:secret@h/d%C2%85", InvalidUrl::Control)]
#[case("postgres://h/d?options=-c%20a=secret%0A", InvalidUrl::Control)]
#[case("postgres://u:secret@h/d%20", InvalidUrl::WhiteSpace)]
#[case("postgres://u:secret@h/%C2%A0d", InvalidUrl::WhiteSpace)]
#[case("postgres://u%20:secret@h/d", InvalidUrl::WhiteSpace)]
#[case("postgres://u:secret@h1,%20h2/d", InvalidUrl::WhiteSpace)]
#[case("postgres://u:secret@h/d?dbname=e%20", InvalidUrl::WhiteSpace)]
#[case("postgres://h/d?service=secret", InvalidUrl::Service)]
#[case("postgres://u:secret%ff@h/d", InvalidUrl::Encoding)]
#[case("postgres://u:sec/ret@h/d", InvalidUrl::Encoding)]
#[case("postgres://h:secret/d", InvalidUrl::Port)]
#[case("postgres://h:0/d", InvalidUrl::Port)]
#[case("postgres://h:65536/d", InvalidUrl::Port)]
#[case("postgres://u:secret@h", InvalidUrl::NoDatabase)]
#[case("postgres://u:secret@h/", InvalidUrl::NoDatabase)]
#[case("postgres://h/d?secret", InvalidUrl::Parameter)]
#[case("postgres://h/d?secret=1", InvalidUrl::Parameter)]
#[case("postgres://h/d?replication=true", InvalidUrl::Parameter)]
#[case("postgres://h/d?sslkeylogfile=secret", InvalidUrl::Parameter)]
#[case("postgres://h/d?options%3D''%20service=secret", InvalidUrl::Parameter)]
#[case("postgres://h/d?sslmode=secret", InvalidUrl::Parameter)]
#[case("postgres://h/d?connect_timeout=secret", InvalidUrl::Parameter)]
#[case("postgres://h/d?tcp_user_timeout=secret", InvalidUrl::Parameter)]
#[case("postgres://h/d?port=1,secret", InvalidUrl::Port)]
#[case("postgres://secret,b/d?port=1,2,3", InvalidUrl::HostCount)]
#[case("postgres://secret/d?port=1,2", InvalidUrl::HostCount)]
#[case("postgres://secret,b/d?hostaddr=127.0.0.1", InvalidUrl::HostCount)]
#[case("postgres://h/d?target_session_attrs=secret", InvalidUrl::Parameter)]
#[case("postgres://u:secret@h/d\n", InvalidUrl::Control)]
#[case("postgres://u:sec ret@h/d", InvalidUrl::Encoding)]
#[case(
    "postgres://h/secret_3456789_123456789_123456789_123456789_123456789_123456789",
    InvalidUrl::LongName
)]
fn invalid_address_is_rejected_and_not_repeated(#[case] url: &str, #[case] expected: InvalidUrl) {
    let error = ConnectionInfo::parse(url).unwrap_err();
    assert_eq!(error, expected);
    assert!(error.to_string().starts_with("must ") && !error.to_string().contains("secret"));
}

#[rstest]
fn tls_is_rejected_where_it_is_not_built_in(
    #[values("sslmode=require", "sslmode=verify-ca", "sslmode=verify-full", "ssl=true")]
    parameter: &str,
) {
    let url = format!("postgres://h/d?{parameter}");
    let built_in = cfg!(feature = "tls");
    assert_eq!(ConnectionInfo::parse(&url).err(), (!built_in).then_some(InvalidUrl::NoTls));
    assert!(ConnectionInfo::parse("postgres://h/d?sslmode=prefer").is_ok());
}

#[test]
fn parts_are_not_percent_decoded() {
    let info = ConnectionInfo::from_parts(Parts {
        host: "h".to_owned(),
        port: Some(5433),
        user: "u@%41".to_owned(),
        password: Some(r"p'\ @/?%".to_owned()),
        database: "d e".to_owned(),
    })
    .unwrap();
    let expected = r"host='h' port='5433' user='u@%41' password='p\'\\ @/?%' dbname='d e'";
    assert!(info.to_connection_string().ends_with(expected), "{}", info.to_connection_string());
    assert_eq!(info.database(), "d e");
    assert_eq!(info.to_string(), "postgres://u%40%2541:***@h:5433/d%20e");
}

#[rstest]
#[case("postgres://u:marker@h:5433/d", "postgres://u:***@h:5433/d")]
#[case("postgresql://u@h1,[::1]:2,h3/d", "postgres://u@h1,[::1]:2,h3/d")]
#[case("postgres:///d?host=/tmp&password=marker", "postgres://%2Ftmp/d")]
#[case(
    "postgres://h/d?sslpassword=marker&scram_client_key=marker&options=-c%20a=b",
    "postgres://h/d?sslpassword=***&scram_client_key=***&options=-c%20a%3Db"
)]
fn address_is_shown_without_its_secrets(#[case] url: &str, #[case] expected: &str) {
    let info = ConnectionInfo::parse(url).unwrap();
    assert_eq!(info.to_string(), expected);
    assert!(!format!("{info:?}").contains("marker"));
    let shown = ConnectionInfo::parse(&info.to_string()).unwrap();
    assert_eq!(shown.to_string(), info.to_string(), "it can be parsed again");
}

#[test]
fn timeouts_are_set_unless_the_address_sets_them() {
    let libpq = |url| ConnectionInfo::parse(url).unwrap().to_connection_string();
    let default = libpq("postgres://h/d");
    for bound in ["connect_timeout='2'", "tcp_user_timeout='10000'", "keepalives_idle='10'"] {
        assert!(default.contains(bound), "{default}");
    }
    // libpq uses the last value.
    let own = libpq("postgres://h/d?connect_timeout=7");
    assert!(own.find("connect_timeout='2'") < own.find("connect_timeout='7'"), "{own}");
}

#[test]
fn address_is_never_left_to_libpqs_environment() {
    let set = "host hostaddr port dbname user options target_session_attrs load_balance_hosts \
        client_encoding connect_timeout keepalives_idle keepalives_interval keepalives_count \
        tcp_user_timeout application_name";
    // They protect or authenticate a connection, or have no variable.
    let left_to_libpq = "channel_binding fallback_application_name gssdelegation gssencmode gsslib \
        keepalives krbsrvname max_protocol_version min_protocol_version passfile password \
        require_auth requirepeer scram_client_key scram_server_key ssl_max_protocol_version \
        ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey \
        sslmode sslnegotiation sslpassword sslrootcert sslsni";
    let given = ConnectionInfo::parse("postgres:///d").unwrap().to_connection_string();
    let is_given =
        |name: &&str| given.split(' ').any(|pair| pair.starts_with(&format!("{name}='")));
    assert_eq!(set.split(' ').filter(|name| !is_given(name)).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(left_to_libpq.split(' ').filter(is_given).collect::<Vec<_>>(), [""; 0]);
}

/// Only a connection shows that this value is invalid.
#[test]
fn message_of_libpq_that_quotes_a_parameter_is_dropped() {
    let info = ConnectionInfo::parse("postgres://h/d?hostaddr=secret").unwrap();
    let Err(error) = connect(&info.to_connection_string()) else { panic!("it connects") };
    assert_eq!(error.to_string(), "libpq rejects the connection parameters");
}

#[test]
fn password_is_added_to_an_address_without_one() {
    let info = ConnectionInfo::parse("postgres://u@h1,h2/d?connect_timeout=7").unwrap();
    assert!(!info.has_password());
    let info = info.with_password(r"p'\ %41");
    assert!(info.has_password());
    assert!(
        info.to_connection_string().ends_with(r" password='p\'\\ %41'"),
        "{}",
        info.to_connection_string()
    );
    assert_eq!(info.to_string(), "postgres://u:***@h1,h2/d?connect_timeout=7");
}

#[test]
fn with_database_changes_nothing_else() {
    let info = ConnectionInfo::parse("postgres://u:p@h/d?dbname=e").unwrap();
    assert_eq!(info.database(), "e");
    let other = info.with_database("postgres");
    assert_eq!(other.database(), "postgres");
    assert_eq!(
        other.to_connection_string(),
        format!("{} dbname='postgres'", info.to_connection_string())
    );
}
