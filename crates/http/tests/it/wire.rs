//! A client that sends and receives HTTP/1.1 as bytes, without a library that adds or hides any.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A connection to the service.
pub(crate) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response as received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RawResponse {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl RawResponse {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    /// The response without the headers that differ between equal requests, and with the others
    /// sorted.
    pub(crate) fn normalized(self) -> Self {
        let mut lines = self.head.trim_end().split("\r\n");
        let status = lines.next().unwrap();
        let mut headers: Vec<_> = lines
            .filter(|line| !line.starts_with("date: ") && !line.starts_with("x-request-id: "))
            .collect();
        headers.sort_unstable();
        Self { head: format!("{status}\r\n{}\r\n", headers.join("\r\n")), body: self.body }
    }
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self { stream, received: vec![] }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads the next response; `None` if the connection ends before it.
    pub(crate) fn response(&mut self, method: &str) -> Option<RawResponse> {
        let end = loop {
            match find(&self.received, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.receive()?,
            }
        };
        let head = String::from_utf8(self.received[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = if method == "HEAD" { 0 } else { length.map_or(0, |it| it.parse().unwrap()) };
        while self.received.len() < end + length {
            self.receive()?;
        }
        let body = String::from_utf8(self.received[end..end + length].to_vec()).unwrap();
        self.received.drain(..end + length);
        Some(RawResponse { head, body })
    }

    fn receive(&mut self) -> Option<()> {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece).unwrap() {
            0 => None,
            length => {
                self.received.extend(&piece[..length]);
                Some(())
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
