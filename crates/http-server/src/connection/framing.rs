//! Divides what a client sends into requests, and hides from the server what would make it take a
//! request for the start of another protocol.
//!
//! The server applies the method, the version and the `Connection` header of the request that it
//! decoded last to the response that it writes, whichever request that response belongs to. A
//! `HEAD` that was pipelined after a `GET` would remove the body of the first response. So the
//! server receives one request at a time.
//!
//! The server closes the connection after a request with `Connection: upgrade`, and reads all that
//! follows `Upgrade: websocket` or `CONNECT` as one body without an end. This service has no other
//! protocol, so these words are overwritten by words of the same length without a meaning.

use actix_web::{
    http::header::{self, HeaderName},
    web::BytesMut,
};

/// The same bound as the server's: it rejects a head that is longer.
const MAX_HEAD_BYTES: usize = 128 * 1024;
/// The same bound as the server's: it rejects a head with more headers.
const MAX_HEADERS: usize = 96;

/// Overwrites an `upgrade` in `Connection`, and the name of `Upgrade`.
const IGNORED: &[u8] = b"ignored";
/// Overwrites what is not ASCII in `Connection`: the server would ignore all of the value.
const SUBSTITUTE: &[u8] = b"_";
/// Overwrites `CONNECT`. Methods are case-sensitive, so it is an unknown method.
const UNKNOWN_METHOD: &[u8] = b"connect";

/// The part of a request to which the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Head,
    /// A body, or the data of a chunk with its line break, of which this many bytes are missing.
    Data {
        missing: u64,
        chunked: bool,
    },
    /// The line before the data of a chunk.
    ChunkSize,
    /// A line after the last chunk.
    Trailer,
    /// The request has ended.
    End,
    /// This is no request. The server rejects it, and closes the connection.
    Malformed,
}

/// The bytes of a connection on their way to the server.
#[derive(Debug)]
pub(super) struct Framing {
    received: BytesMut,
    /// How many of these, from the first, may be passed to the server.
    released: usize,
    part: Part,
}

impl Framing {
    pub(super) fn new() -> Self {
        Self { received: BytesMut::new(), released: 0, part: Part::Head }
    }

    /// Adds bytes from the client.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        self.release();
    }

    /// Removes at most `limit` bytes that the server may have.
    pub(super) fn pass(&mut self, limit: usize) -> BytesMut {
        let length = self.released.min(limit);
        self.released -= length;
        self.received.split_to(length)
    }

    /// Whether the server has received a whole request, and nothing of the next one.
    pub(super) fn is_at_end(&self) -> bool {
        self.part == Part::End && self.released == 0
    }

    /// How many bytes of the client the server may not have yet.
    pub(super) fn withheld(&self) -> usize {
        self.received.len() - self.released
    }

    /// Lets the server have the next request.
    pub(super) fn start_next(&mut self) {
        self.part = Part::Head;
        self.release();
    }

    fn release(&mut self) {
        while let Some((length, next)) = self.read_part() {
            self.released += length;
            self.part = next;
        }
    }

    /// The length of the part at hand, and the part after it; `None` while there is no more to
    /// release.
    fn read_part(&mut self) -> Option<(usize, Part)> {
        let rest = &mut self.received[self.released..];
        if rest.is_empty() {
            return None;
        }
        match self.part {
            Part::Head => read_head(rest),
            Part::Data { missing, chunked } => {
                let length = usize::try_from(missing).map_or(rest.len(), |it| it.min(rest.len()));
                Some((length, after_data(missing - length as u64, chunked)))
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

fn after_data(missing: u64, chunked: bool) -> Part {
    match (missing, chunked) {
        (0, true) => Part::ChunkSize,
        (0, false) => Part::End,
        (missing, chunked) => Part::Data { missing, chunked },
    }
}

fn read_chunk_size(bytes: &[u8]) -> Option<(usize, Part)> {
    match httparse::parse_chunk_size(bytes) {
        Ok(httparse::Status::Complete((length, 0))) => Some((length, Part::Trailer)),
        Ok(httparse::Status::Complete((length, size))) => {
            let missing = size.saturating_add("\r\n".len() as u64);
            Some((length, Part::Data { missing, chunked: true }))
        }
        Ok(httparse::Status::Partial) => None,
        Err(_) => Some((bytes.len(), Part::Malformed)),
    }
}

/// Reads a head, and overwrites what the server must not see.
fn read_head(bytes: &mut [u8]) -> Option<(usize, Part)> {
    let Head { length, next, overwritten } = match Head::parse(bytes) {
        Ok(Some(head)) => head,
        Ok(None) if bytes.len() < MAX_HEAD_BYTES => return None,
        Ok(None) | Err(_) => return Some((bytes.len(), Part::Malformed)),
    };
    for (at, word) in overwritten {
        bytes[at..at + word.len()].copy_from_slice(word);
    }
    Some((length, next))
}

/// A head as far as it matters here.
struct Head {
    length: usize,
    /// What follows it.
    next: Part,
    /// Words that would start another protocol: where they are, and what replaces them.
    overwritten: Vec<(usize, &'static [u8])>,
}

impl Head {
    /// `None` while it is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, httparse::Error> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(bytes)? else { return Ok(None) };
        let offset = |part: &[u8]| part.as_ptr().addr() - bytes.as_ptr().addr();
        let mut head = Self { length, next: Part::End, overwritten: vec![] };
        if let Some(method) = request.method.filter(|method| *method == "CONNECT") {
            head.overwritten.push((offset(method.as_bytes()), UNKNOWN_METHOD));
        }
        for httparse::Header { name, value } in request.headers {
            if is(name, &header::UPGRADE) {
                head.overwritten.push((offset(name.as_bytes()), IGNORED));
            } else if is(name, &header::CONNECTION) {
                let options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                let upgrades = options.filter(|option| option.eq_ignore_ascii_case(b"upgrade"));
                head.overwritten.extend(upgrades.map(|option| (offset(option), IGNORED)));
                let others = (0..value.len()).filter(|at| !value[*at].is_ascii());
                head.overwritten.extend(others.map(|at| (offset(value) + at, SUBSTITUTE)));
            } else if is(name, &header::TRANSFER_ENCODING) {
                head.next = Part::ChunkSize;
            } else if is(name, &header::CONTENT_LENGTH) && head.next == Part::End {
                head.next = body_of(value);
            }
        }
        Ok(Some(head))
    }
}

fn is(name: &str, known: &HeaderName) -> bool {
    name.eq_ignore_ascii_case(known.as_str())
}

/// What follows a head with this `Content-Length`.
fn body_of(length: &[u8]) -> Part {
    let length = str::from_utf8(length).ok().and_then(|length| length.trim().parse().ok());
    length.map_or(Part::Malformed, |missing| after_data(missing, false))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// All that passes while each request is followed by the next, with a bar after each.
    fn passed(pieces: &[&[u8]]) -> String {
        let (mut framing, mut passed) = (Framing::new(), String::new());
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
    fn requests_pass_one_by_one_however_they_are_cut(#[case] request: &str) {
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
    fn nothing_of_the_next_request_passes_before_it_is_started() {
        let mut framing = Framing::new();
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
    fn words_that_start_another_protocol_are_overwritten(
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
    fn what_is_no_request_passes_for_the_server_to_reject(#[case] sent: &str) {
        assert_eq!(passed(&[sent.as_bytes(), GET.as_bytes()]), format!("{sent}{GET}"));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_moved(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut framing = Framing::new();
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
