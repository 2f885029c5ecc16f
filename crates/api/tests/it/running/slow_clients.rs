//! Thousands of deliberately slow clients, and one that is not.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use super::support::{Fixture, Process, Request, Store};

const SLOW_CLIENTS: usize = 5_000;
/// Each of them must be closed within this time.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// The limit of the service's memory meanwhile.
const MAX_MEMORY_KIB: u64 = 150 * 1024;

/// Half of these clients stop in the head, half in the body. Half of each send one byte a second.
struct SlowClient {
    stream: TcpStream,
    sends_bytes: bool,
    start: Instant,
    /// After which time it was closed, and with which response.
    closed: Option<(Duration, Vec<u8>)>,
}

impl SlowClient {
    fn start(service: &Process, number: usize) -> Self {
        let start = Instant::now();
        let mut stream = service.client.connect();
        let part = if number.is_multiple_of(2) {
            "POST /orders HTTP/1.1\r\nHost: x\r\nX-Slow: "
        } else {
            "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: 1000\r\n\r\n{"
        };
        stream.write_all(part.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, sends_bytes: number % 4 < 2, start, closed: None }
    }

    /// Sends its byte, and checks whether the connection is closed.
    fn poll(&mut self) {
        if self.closed.is_some() {
            return;
        }
        if self.sends_bytes {
            // A closed connection is detected by the read.
            let _ = self.stream.write(b" ");
        }
        let mut response = vec![];
        match self.stream.read_to_end(&mut response) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && response.is_empty() => {}
            // A response. The end of the connection follows.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.stream.set_nonblocking(false).unwrap();
                let _ = self.stream.read_to_end(&mut response);
                self.closed = Some((self.start.elapsed(), response));
            }
            _ => self.closed = Some((self.start.elapsed(), response)),
        }
    }
}

/// The median duration of requests of a normal client.
fn median_latency(service: &Process, count: usize) -> Duration {
    let request = Request::new("GET /orders?page=1&limit=1").bytes();
    let mut times: Vec<_> = (0..count)
        .map(|_| {
            let start = Instant::now();
            let mut stream = service.client.connect();
            stream.write_all(&request).unwrap();
            let mut response = [0; 16];
            stream.read_exact(&mut response).unwrap();
            assert!(response.starts_with(b"HTTP/1.1 200"));
            thread::sleep(Duration::from_millis(1));
            start.elapsed().saturating_sub(Duration::from_millis(1))
        })
        .collect();
    times.sort_unstable();
    times[count / 2]
}

/// The highest memory use of the service so far.
fn peak_memory_kib(service: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Each client requests 30 MB of responses.
#[test]
fn clients_that_read_nothing_cost_little_memory() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let requests = Request::new("GET /openapi.json").bytes().repeat(500);
    let clients: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = service.client.connect();
            stream.set_nonblocking(true).unwrap();
            // As much as the socket accepts.
            let _ = stream.write(&requests);
            stream
        })
        .collect();
    thread::sleep(Duration::from_secs(3));
    let peak = peak_memory_kib(&service);
    drop(clients);
    assert!(peak < MAX_MEMORY_KIB, "{peak} KiB");
}

#[test]
fn five_thousand_slow_clients_delay_no_other_request() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    service.client.place();
    let without_load = median_latency(&service, 500);

    let mut slow: Vec<_> =
        (0..SLOW_CLIENTS).map(|number| SlowClient::start(&service, number)).collect();
    let (mut slow, under_attack) = thread::scope(|scope| {
        let normal = scope.spawn(|| median_latency(&service, 500));
        while !normal.is_finished() {
            let start = Instant::now();
            slow.iter_mut().for_each(SlowClient::poll);
            thread::sleep(Duration::from_secs(1).saturating_sub(start.elapsed()));
        }
        (slow, normal.join().unwrap())
    });
    let open = slow.iter().filter(|client| client.closed.is_none()).count();
    let peak = peak_memory_kib(&service);
    assert!(open > SLOW_CLIENTS * 9 / 10, "the attack was over too early: {open} were open");
    while slow.iter().any(|client| client.closed.is_none()) {
        slow.iter_mut().for_each(SlowClient::poll);
        thread::sleep(Duration::from_millis(50));
        assert!(slow[0].start.elapsed() < 3 * CLOSED_WITHIN, "some clients were not closed");
    }

    assert!(peak < MAX_MEMORY_KIB, "{peak} KiB");
    // The machine may have become slower for other reasons.
    let without_load = without_load.max(median_latency(&service, 500));
    assert!(
        under_attack < 2 * without_load,
        "{under_attack:?} under attack, {without_load:?} before or after"
    );
    let mut latest = Duration::ZERO;
    for (number, client) in slow.into_iter().enumerate() {
        let (after, response) = client.closed.unwrap();
        latest = latest.max(after);
        let expected = if number.is_multiple_of(2) { "" } else { "{\"error\":" };
        let response = String::from_utf8_lossy(&response);
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
        // A client that is sending when the connection is closed may lose the response.
        let may_be_lost = head.is_empty() && client.sends_bytes;
        assert!(
            may_be_lost || head.starts_with("HTTP/1.1 408 ") && body.starts_with(expected),
            "{response}"
        );
    }
    assert!(latest < CLOSED_WITHIN, "one was closed after {latest:?}");
}
