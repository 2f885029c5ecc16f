//! The size of a body: at most 1 MiB, regardless of its transfer and content coding.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use order_conformance::distance::stub::{Action, Then};
use rstest::rstest;

use crate::{metres, stubbed, texts};

const LIMIT: usize = 1 << 20;

const PACKED: &str = "Content-Encoding: gzip\r\n";

/// A valid response, padded with spaces.
fn good(length: usize) -> String {
    let good = r#"{"metres":7,"and":"a member that is not used"}"#;
    good.to_owned() + &" ".repeat(length.saturating_sub(good.len()))
}

fn chunked(body: &str) -> Action {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    Action::new(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()), Then::Serve)
}

fn until_the_end(body: &str) -> Action {
    Action::new(format!("HTTP/1.1 200 OK\r\n\r\n{body}"), Then::Close)
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(vec![], Compression::best());
    packer.write_all(body).unwrap();
    packer.finish().unwrap()
}

fn damaged(mut packed: Vec<u8>) -> Vec<u8> {
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    packed
}

#[rstest]
#[case::declared(Action::http(200, good(LIMIT)))]
#[case::chunked(chunked(&good(LIMIT)))]
#[case::until_the_end(until_the_end(&good(LIMIT)))]
#[case::packed(Action::http_with(200, PACKED, packed(good(LIMIT).as_bytes())))]
#[tokio::test]
async fn body_of_one_mebibyte_is_accepted(#[case] action: Action) {
    let stubbed = stubbed([action]).await;
    assert_eq!(stubbed.call().await.unwrap(), metres(7));
}

#[rstest]
#[case::declared(Action::http(200, good(LIMIT + 1)))]
#[case::declared_and_never_sent(Action::new(
    "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n",
    Then::Stall
))]
#[case::two_megabytes(Action::http(200, good(2_000_000)))]
#[case::chunked(chunked(&good(LIMIT + 1)))]
#[case::chunked_without_end(Action::new(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    Then::Repeat(format!("8000\r\n{}\r\n", " ".repeat(0x8000)).into_bytes()),
))]
#[case::until_the_end(until_the_end(&good(LIMIT + 1)))]
#[case::without_end(Action::new("HTTP/1.1 200 OK\r\n\r\n", Then::Repeat(vec![b' '; 65_536])))]
#[case::packed(Action::http_with(200, PACKED, packed(good(LIMIT + 1).as_bytes())))]
#[case::packed_in_capital_letters(coded("Content-Encoding: GZIP\r\n", 1, LIMIT + 1))]
#[case::packed_twice(coded("Content-Encoding: gzip, gzip\r\n", 2, LIMIT + 1))]
#[case::bomb_packed_twice(coded("Content-Encoding: gzip, gzip\r\n", 2, 64 << 20))]
#[case::bomb(Action::http_with(200, PACKED, packed(&vec![b' '; 64 << 20])))]
#[tokio::test]
async fn longer_body_is_invalid_and_not_retried(#[case] action: Action) {
    let stubbed = stubbed([action]).await;
    let error = stubbed.assert_fails("invalid_response", 1).await;
    assert!(texts(&error).contains("longer than 1048576 bytes"), "{}", texts(&error));
}

/// A valid response of this length with these header lines, compressed this many times.
fn coded(lines: &str, times: usize, length: usize) -> Action {
    let body = (0..times).fold(good(length).into_bytes(), |body, _| packed(&body));
    Action::http_with(200, lines, body)
}

#[rstest]
#[case::capital_letters("Content-Encoding: GZIP\r\n", 1)]
#[case::old_name("content-encoding:x-gzip\r\n", 1)]
#[case::old_name_in_capital_letters("Content-Encoding: X-GZip\r\n", 1)]
#[case::white_space("Content-Encoding: \t gzip \t \r\n", 1)]
#[case::empty("Content-Encoding:\r\n", 0)]
#[case::identity("Content-Encoding: identity\r\n", 0)]
#[case::identity_and_gzip("Content-Encoding: identity, Gzip,\r\n", 1)]
#[case::twice("Content-Encoding: gzip, x-gzip\r\n", 2)]
#[case::twice_in_two_lines("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", 2)]
#[tokio::test]
async fn content_coding_is_decoded_in_every_spelling(
    #[case] lines: &str,
    #[case] times: usize,
    #[values(0, LIMIT)] length: usize,
) {
    let stubbed = stubbed([coded(lines, times, length)]).await;
    assert_eq!(stubbed.call().await.unwrap(), metres(7));
    assert_eq!(stubbed.stub.requests()[0].header("Accept-Encoding"), ["gzip"]);
}

#[tokio::test]
async fn members_of_gzip_are_joined() {
    let good = good(0);
    let (first, second) = good.split_at(20);
    let body = [packed(first.as_bytes()), packed(second.as_bytes())].concat();
    let stubbed = stubbed([Action::http_with(200, PACKED, body)]).await;
    assert_eq!(stubbed.call().await.unwrap(), metres(7));
}

#[rstest]
#[case::not_packed(Action::http_with(200, PACKED, good(0)))]
#[case::packed_and_damaged(Action::http_with(200, PACKED, damaged(packed(good(0).as_bytes()))))]
#[case::packed_once_instead_of_twice(coded("Content-Encoding: gzip, gzip\r\n", 1, 0))]
#[case::cut_off(Action::http_with(200, PACKED, &packed(good(0).as_bytes())[..40]))]
#[case::packed_otherwise(coded("Content-Encoding: br\r\n", 0, 0))]
#[case::packed_otherwise_before(coded("Content-Encoding: deflate, gzip\r\n", 1, 0))]
#[case::not_ascii(coded("Content-Encoding: gzip\u{e4}\r\n", 1, 0))]
#[case::not_chunked(Action::new(
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", good(0)),
    Then::Stall,
))]
#[tokio::test]
async fn wrongly_encoded_body_is_invalid_and_not_retried(#[case] action: Action) {
    let stubbed = stubbed([action]).await;
    stubbed.assert_fails("invalid_response", 1).await;
}
