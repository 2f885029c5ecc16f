//! Thousands of clients that are slow on purpose, and one that is not.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use super::support::{Fixture, Process, Request, Store};

const SLOW: usize = 5_000;
/// Each of them must be closed within this time.
const IN_TIME: Duration = Duration::from_secs(10);
/// The memory of the service meanwhile, in KiB.
const MEMORY: u64 = 150 * 1024;

/// Half of them are stuck in the head, half in the body; of each half every second one sends a
/// byte a second.
struct Slow {
    stream: TcpStream,
    drips: bool,
    since: Instant,
    /// When it was closed, and what it was told.
    closed: Option<(Duration, Vec<u8>)>,
}

impl Slow {
    fn start(service: &Process, number: usize) -> Self {
        let since = Instant::now();
        let mut stream = service.client.connect();
        let half = if number.is_multiple_of(2) {
            "POST /orders HTTP/1.1\r\nHost: x\r\nX-Slow: "
        } else {
            "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: 1000\r\n\r\n{"
        };
        stream.write_all(half.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, drips: number % 4 < 2, since, closed: None }
    }

    /// Sends its byte, and sees whether it is over.
    fn go_on(&mut self) {
        if self.closed.is_some() {
            return;
        }
        if self.drips {
            // What is closed is seen when it is read.
            let _ = self.stream.write(b" ");
        }
        let mut response = vec![];
        match self.stream.read_to_end(&mut response) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && response.is_empty() => {}
            // An answer; the end follows.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.stream.set_nonblocking(false).unwrap();
                let _ = self.stream.read_to_end(&mut response);
                self.closed = Some((self.since.elapsed(), response));
            }
            _ => self.closed = Some((self.since.elapsed(), response)),
        }
    }
}

/// The median of many requests of a client that behaves.
fn median(service: &Process, count: usize) -> Duration {
    let request = Request::new("GET /orders?page=1&limit=1").bytes();
    let mut times: Vec<_> = (0..count)
        .map(|_| {
            let began = Instant::now();
            let mut stream = service.client.connect();
            stream.write_all(&request).unwrap();
            let mut answer = [0; 16];
            stream.read_exact(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"));
            thread::sleep(Duration::from_millis(1));
            began.elapsed().saturating_sub(Duration::from_millis(1))
        })
        .collect();
    times.sort_unstable();
    times[count / 2]
}

/// The most memory that the service has had, in KiB.
fn peak(service: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Each could have 30 MB of answers.
#[test]
fn clients_that_send_requests_and_read_nothing_cost_little_memory() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let asks = Request::new("GET /openapi.json").bytes().repeat(500);
    let clients: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = service.client.connect();
            stream.set_nonblocking(true).unwrap();
            // As much as is taken.
            let _ = stream.write(&asks);
            stream
        })
        .collect();
    thread::sleep(Duration::from_secs(3));
    let peak = peak(&service);
    drop(clients);
    assert!(peak < MEMORY, "{peak} KiB");
}

#[test]
fn five_thousand_slow_clients_are_closed_in_time_and_slow_nobody_down() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    service.client.place();
    let calm = median(&service, 500);

    let mut slow: Vec<_> = (0..SLOW).map(|number| Slow::start(&service, number)).collect();
    let (mut slow, under_attack) = thread::scope(|scope| {
        let normal = scope.spawn(|| median(&service, 500));
        while !normal.is_finished() {
            let began = Instant::now();
            slow.iter_mut().for_each(Slow::go_on);
            thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
        }
        (slow, normal.join().unwrap())
    });
    let open = slow.iter().filter(|client| client.closed.is_none()).count();
    let peak = peak(&service);
    assert!(open > SLOW * 9 / 10, "the attack was over too early: {open} were open");
    while slow.iter().any(|client| client.closed.is_none()) {
        slow.iter_mut().for_each(Slow::go_on);
        thread::sleep(Duration::from_millis(50));
        assert!(slow[0].since.elapsed() < 3 * IN_TIME, "some stay open");
    }

    assert!(peak < MEMORY, "{peak} KiB");
    // The machine may have become slower by itself.
    let calm = calm.max(median(&service, 500));
    assert!(under_attack < 2 * calm, "{under_attack:?} under attack, {calm:?} before or after");
    let mut late = Duration::ZERO;
    for (number, client) in slow.into_iter().enumerate() {
        let (after, response) = client.closed.unwrap();
        late = late.max(after);
        let expected = if number.is_multiple_of(2) { "" } else { "{\"error\":" };
        let response = String::from_utf8_lossy(&response);
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
        // Who is sending when the connection ends may lose what it was told.
        let lost = head.is_empty() && client.drips;
        assert!(
            lost || head.starts_with("HTTP/1.1 408 ") && body.starts_with(expected),
            "{response}"
        );
    }
    assert!(late < IN_TIME, "one was closed after {late:?}");
}
