//! Divides the input into requests, and overwrites the words that request another protocol.
//!
//! actix-http writes a response by the method, the version and the `Connection` header of the
//! request that it decoded last, even if the response belongs to an earlier request. A `HEAD` that
//! was pipelined after a `GET` would remove the body of the first response. Therefore actix-http
//! receives one request at a time.
//!
//! actix-http closes the connection after a request with `Connection: upgrade`, and reads
//! everything after `Upgrade: websocket` or `CONNECT` as one body without an end. This server has
//! no other protocol, so it overwrites these words with words of the same length and without a
//! meaning.

use std::mem::MaybeUninit;

use actix_web::{
    http::header::{self, HeaderName},
    web::BytesMut,
};

/// The limit of actix-http, which rejects a longer head.
const MAX_HEAD_BYTES: usize = 128 * 1024;
/// The limit of actix-http, which rejects a head with more headers.
const MAX_HEADERS: usize = 96;

/// Replaces `upgrade` in `Connection`, and the name of `Upgrade`.
const IGNORED: &[u8] = b"ignored";
/// Replaces a byte that is not ASCII in `Connection`. actix-http would ignore the whole value.
const SUBSTITUTE: &[u8] = b"_";
/// Replaces `CONNECT`. Methods are case-sensitive, so this is an unknown method.
const UNKNOWN_METHOD: &[u8] = b"connect";

/// The part of a request to which the next byte belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    /// A body, or the data of a chunk with its line break; `missing` bytes have not arrived.
    Data { missing: u64, is_chunked: bool },
    /// The line before the data of a chunk.
    ChunkSize,
    /// A line after the last chunk.
    Trailer,
    /// The request has ended.
    End,
    /// Not a request. actix-http rejects it and closes the connection.
    Malformed,
}

/// The bytes of a connection that were received and not yet passed to actix-http.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    received: BytesMut,
    /// How many of these bytes, from the first one, may be passed.
    released: usize,
    part: Part,
}

impl Framing {
    /// Adds bytes from the client.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        self.release();
    }

    /// Removes at most `limit` bytes that may be passed.
    pub(crate) fn pass(&mut self, limit: usize) -> BytesMut {
        let length = self.released.min(limit);
        self.released -= length;
        self.received.split_to(length)
    }

    /// Whether a whole request was passed, and nothing of the next one.
    pub(crate) fn is_at_end(&self) -> bool {
        self.part == Part::End && self.released == 0
    }

    /// The number of bytes that may not be passed yet.
    pub(crate) fn withheld(&self) -> usize {
        self.received.len() - self.released
    }

    /// Allows the next request to be passed.
    pub(crate) fn start_next(&mut self) {
        self.part = Part::Head;
        self.release();
    }

    fn release(&mut self) {
        while let Some((length, next)) = self.read_part() {
            self.released += length;
            self.part = next;
        }
    }

    /// Returns the length of the current part and the part after it, or `None` until more bytes
    /// arrive.
    fn read_part(&mut self) -> Option<(usize, Part)> {
        let rest = &mut self.received[self.released..];
        if rest.is_empty() {
            return None;
        }
        match self.part {
            Part::Head => read_head(rest),
            Part::Data { missing, is_chunked } => {
                let length = usize::try_from(missing).map_or(rest.len(), |it| it.min(rest.len()));
                Some((length, after_data(missing - length as u64, is_chunked)))
            }
            Part::ChunkSize => read_chunk_size(rest),
            Part::Trailer => {
                let length = rest.windows(2).position(|pair| pair == b"\r\n")? + 2;
                Some((length, if length == 2 { Part::End } else { Part::Trailer }))
            }
            Part::End => None,
            Part::Malformed => Some((rest.len(), Part::Malformed)),
        }
    }
}

fn after_data(missing: u64, is_chunked: bool) -> Part {
    match (missing, is_chunked) {
        (0, true) => Part::ChunkSize,
        (0, false) => Part::End,
        (missing, is_chunked) => Part::Data { missing, is_chunked },
    }
}

fn read_chunk_size(bytes: &[u8]) -> Option<(usize, Part)> {
    match httparse::parse_chunk_size(bytes) {
        Ok(httparse::Status::Complete((length, 0))) => Some((length, Part::Trailer)),
        Ok(httparse::Status::Complete((length, size))) => {
            let missing = size.saturating_add("\r\n".len() as u64);
            Some((length, Part::Data { missing, is_chunked: true }))
        }
        Ok(httparse::Status::Partial) => None,
        Err(_) => Some((bytes.len(), Part::Malformed)),
    }
}

/// Reads a head, and overwrites the words that request another protocol.
fn read_head(bytes: &mut [u8]) -> Option<(usize, Part)> {
    let mut headers = [MaybeUninit::uninit(); MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_BYTES => return None,
        Ok(httparse::Status::Partial) | Err(_) => return Some((bytes.len(), Part::Malformed)),
    };
    let mut next = Part::End;
    let offset = |part: &[u8]| part.as_ptr().addr() - bytes.as_ptr().addr();
    // The offset of each word, and its replacement.
    let mut replacements: Vec<(usize, &[u8])> = vec![];
    if let Some(method) = request.method.filter(|method| *method == "CONNECT") {
        replacements.push((offset(method.as_bytes()), UNKNOWN_METHOD));
    }
    for httparse::Header { name, value } in request.headers {
        let is = |known: HeaderName| name.eq_ignore_ascii_case(known.as_str());
        if is(header::UPGRADE) {
            replacements.push((offset(name.as_bytes()), IGNORED));
        } else if is(header::CONNECTION) {
            let options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let upgrades = options.filter(|option| option.eq_ignore_ascii_case(b"upgrade"));
            replacements.extend(upgrades.map(|option| (offset(option), IGNORED)));
            let others = (0..value.len()).filter(|at| !value[*at].is_ascii());
            replacements.extend(others.map(|at| (offset(value) + at, SUBSTITUTE)));
        } else if is(header::TRANSFER_ENCODING) {
            next = Part::ChunkSize;
        } else if is(header::CONTENT_LENGTH) && next == Part::End {
            let length = str::from_utf8(value).ok().and_then(|length| length.trim().parse().ok());
            next = length.map_or(Part::Malformed, |missing| after_data(missing, false));
        }
    }
    for (at, word) in replacements {
        bytes[at..at + word.len()].copy_from_slice(word);
    }
    Some((length, next))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// The bytes that are passed, with a bar after each request.
    fn passed(pieces: &[&[u8]]) -> String {
        let (mut framing, mut passed) = (Framing::default(), String::new());
        for piece in pieces {
            framing.receive(piece);
            loop {
                passed.push_str(str::from_utf8(&framing.pass(usize::MAX)).unwrap());
                if !framing.is_at_end() {
                    break;
                }
                passed.push('|');
                framing.start_next();
            }
        }
        passed
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[rstest]
    #[case::no_body("POST / HTTP/1.1\r\n\r\n")]
    #[case::no_length("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")]
    #[case::length("POST / HTTP/1.1\r\ncontent-LENGTH:  9 \r\n\r\nGET / HTT")]
    #[case::chunks(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nGET\r\nA\r\n 789012345\r\n0\r\n\r\n"
    )]
    #[case::trailers(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nG\r\n0\r\na: b\r\nc: d\r\n\r\n"
    )]
    #[case::empty_lines_before("\r\n\r\nGET / HTTP/1.0\r\n\r\n")]
    #[case::bare_line_feeds("GET / HTTP/1.1\nHost: x\n\n")]
    fn requests_pass_one_by_one_for_any_division_of_the_input(#[case] request: &str) {
        let sent = format!("{request}{GET}{request}");
        let expected = format!("{request}|{GET}|{request}|");
        assert_eq!(passed(&[sent.as_bytes()]), expected);
        for cut in 1..sent.len() {
            let (first, rest) = sent.as_bytes().split_at(cut);
            assert_eq!(passed(&[first, rest]), expected, "cut after {cut} bytes");
        }
        let bytes: Vec<_> = sent.as_bytes().chunks(1).collect();
        assert_eq!(passed(&bytes), expected);
    }

    #[test]
    fn next_request_is_withheld_until_it_is_started() {
        let mut framing = Framing::default();
        framing.receive(GET.repeat(2).as_bytes());
        assert_eq!(framing.pass(10), &GET[..10]);
        assert!(!framing.is_at_end());
        assert_eq!(framing.pass(1000), &GET[10..]);
        assert!(framing.is_at_end());
        assert_eq!((framing.pass(1000).len(), framing.withheld()), (0, GET.len()));
        framing.start_next();
        assert_eq!(framing.pass(1000), GET);
    }

    #[rstest]
    #[case("Connection: upgrade", "Connection: ignored")]
    #[case("connection:UpGrade", "connection:ignored")]
    #[case("CONNECTION: \t upgrade \t", "CONNECTION: \t ignored \t")]
    #[case("Connection: Upgrade, HTTP2-Settings", "Connection: ignored, HTTP2-Settings")]
    #[case("Connection: keep-alive,upgrade,,", "Connection: keep-alive,ignored,,")]
    #[case(
        "Connection: upgrade\r\nConnection: upgrade",
        "Connection: ignored\r\nConnection: ignored"
    )]
    #[case("Connection: close, \u{e4}, upgrade", "Connection: close, __, ignored")]
    #[case("Connection: close, upgrade", "Connection: close, ignored")]
    #[case("uPGRADE: websocket", "ignored: websocket")]
    #[case("Upgrade: h2c\r\nHTTP2-Settings: AA", "ignored: h2c\r\nHTTP2-Settings: AA")]
    #[case("Connection: upgraded, no-upgrade", "Connection: upgraded, no-upgrade")]
    #[case("Upgrade-Insecure-Requests: 1", "Upgrade-Insecure-Requests: 1")]
    #[case("X-Request-Id: upgrade", "X-Request-Id: upgrade")]
    fn words_that_request_another_protocol_are_overwritten(
        #[case] sent: &str,
        #[case] expected: &str,
    ) {
        let head =
            |headers| format!("POST / HTTP/1.1\r\n{headers}\r\nContent-Length: 9\r\n\r\nupgrade: ");
        assert_eq!(passed(&[head(sent).as_bytes()]), head(expected) + "|");
    }

    #[test]
    fn connect_is_an_unknown_method() {
        let sent = "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(passed(&[sent.as_bytes()]), sent.replace("CONNECT", "connect") + "|");
    }

    #[rstest]
    #[case::no_http("\u{16}\u{3}\u{1}")]
    #[case::folded("GET / HTTP/1.1\r\nConnection: a,\r\n upgrade\r\n\r\n")]
    #[case::no_number("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n")]
    #[case::no_chunk("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")]
    #[case::too_many_headers(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(97)))]
    #[case::too_long(&format!("GET / HTTP/1.1\r\na: {}", "b".repeat(MAX_HEAD_BYTES)))]
    fn malformed_request_passes_unchanged(#[case] sent: &str) {
        assert_eq!(passed(&[sent.as_bytes(), GET.as_bytes()]), format!("{sent}{GET}"));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_moved(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut framing = Framing::default();
            let mut passed = vec![];
            for piece in &pieces {
                framing.receive(piece);
                passed.extend_from_slice(&framing.pass(7));
            }
            while framing.released > 0 {
                passed.extend_from_slice(&framing.pass(7));
            }
            passed.extend_from_slice(&framing.received);
            prop_assert_eq!(passed, pieces.concat());
        }
    }
}
