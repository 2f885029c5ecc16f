//! The number of lines that were logged and not written.

use std::{
    io, mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts lines that a file or standard output did not accept.
pub(super) type DroppedLines = Arc<AtomicU64>;

/// Counts the lines that a buffered writer does not accept.
pub(super) struct CountingWriter<W> {
    writer: W,
    /// Lines that may still be in the buffer.
    buffered: u64,
    dropped: DroppedLines,
}

impl<W> CountingWriter<W> {
    pub(super) fn new(writer: W, dropped: DroppedLines) -> Self {
        Self { writer, buffered: 0, dropped }
    }

    /// Counts the lines in the buffer as dropped.
    fn drop_buffered(&mut self) {
        self.dropped.fetch_add(mem::take(&mut self.buffered), Ordering::Relaxed);
    }
}

impl<W: io::Write> io::Write for CountingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.buffered += 1;
        self.writer.write(line).inspect_err(|_| self.drop_buffered())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush().inspect_err(|_| self.drop_buffered())?;
        self.buffered = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_that_are_not_accepted_are_counted() {
        let dropped = DroppedLines::default();
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut writer = CountingWriter::new(io::BufWriter::new(full), dropped.clone());
        for _ in 0..3 {
            writer.write_all(b"a line\n").unwrap();
        }
        writer.flush().unwrap_err();
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }
}
