//! Captures what this thread logs: every level, every crate, and the records of `log`.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{filter::LevelFilter, fmt, util::SubscriberInitExt};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Captures until it is dropped. Each test has a runtime with one thread, so the background tasks
/// of the HTTP client are captured, too.
pub struct Logs {
    buffer: Buffer,
    _guard: DefaultGuard,
}

impl Logs {
    /// Starts to capture.
    #[must_use]
    pub fn capture() -> Self {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let guard = fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish()
            .set_default();
        Self { buffer, _guard: guard }
    }

    /// What was logged.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.buffer.0.lock().unwrap().clone()).unwrap()
    }

    /// How many lines contain `part`.
    #[must_use]
    pub fn count(&self, part: &str) -> usize {
        self.text().lines().filter(|line| line.contains(part)).count()
    }
}
