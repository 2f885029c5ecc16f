//! Requests and responses as bytes, including those that HTTP libraries neither send nor show.

use std::{io::Read, net::TcpStream};

use serde_json::Value;

/// A request, valid or not.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Request {
    /// Starts with, for example, `GET /orders`.
    pub(crate) fn new(method_and_target: &str) -> Self {
        let head = format!("{method_and_target} HTTP/1.1\r\nHost: x\r\n");
        Self { head: head.into(), body: vec![] }
    }

    /// Adds a header. Names may repeat, and values may be any bytes.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.head.extend([name.as_bytes(), b": ", value.as_ref(), b"\r\n"].concat());
        self
    }

    /// Sets the body and its `Content-Length`.
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Length", length)
    }

    /// Sets a body with the media type of JSON.
    pub(crate) fn json(self, body: impl AsRef<[u8]>) -> Self {
        self.header("Content-Type", "application/json").body(body)
    }

    /// Sets a chunked body. The caller frames the chunks, correctly or not.
    pub(crate) fn chunked(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self.header("Transfer-Encoding", "chunked")
    }

    /// Requests problem JSON for errors.
    pub(crate) fn problem_json(self) -> Self {
        self.header("Accept", "application/problem+json")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&*self.head, b"\r\n", &*self.body].concat()
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Reads until the connection is closed.
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = vec![];
        // A server that closes without reading the whole request causes an error after the response.
        let ended = stream.read_to_end(&mut bytes);
        let open = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!open, "the connection stays open: {}", String::from_utf8_lossy(&bytes));
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        let bytes = bytes.strip_prefix(interim).unwrap_or(&bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap().to_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// The values of a header, in the order in which they were sent.
    pub(crate) fn headers(&self, wanted: &str) -> Vec<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let wanted = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        wanted.map(|(_, value)| value).collect()
    }

    /// The value of a header, which may be missing but not repeated.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers(name);
        assert!(values.len() < 2, "{name} is repeated: {}", self.head);
        values.first().copied()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        let json = serde_json::from_slice(&self.body);
        json.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
