//! One event is one line, whatever a client sends.

use std::{borrow::Cow, fmt::Write as _, io, mem, sync::atomic::Ordering};

use super::UNWRITTEN;

/// Passes lines on without the characters that break a line, or make one look like another.
pub(super) struct OneLine<W>(pub(super) W);

impl<W: io::Write> io::Write for OneLine<W> {
    /// `line` is a whole one, with its end: so it comes from the formatters of
    /// `tracing-subscriber`.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&clean(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Counts the lines that a writer with a buffer does not take.
pub(super) struct Counted<W> {
    writer: W,
    /// Lines that may still be in the buffer.
    buffered: u64,
}

impl<W> Counted<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, buffered: 0 }
    }

    fn count<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        if outcome.is_err() {
            UNWRITTEN.fetch_add(mem::take(&mut self.buffered), Ordering::Relaxed);
        }
        outcome
    }
}

impl<W: io::Write> io::Write for Counted<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.buffered += 1;
        let written = self.writer.write(line);
        self.count(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        self.count(flushed)?;
        self.buffered = 0;
        Ok(())
    }
}

fn clean(line: &[u8]) -> Cow<'_, [u8]> {
    let (text, end) = match line.split_last() {
        Some((b'\n', text)) => (text, "\n"),
        _ => (line, ""),
    };
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return line.into();
    }
    let mut cleaned = String::with_capacity(line.len() + 16);
    for character in String::from_utf8_lossy(text).chars() {
        if is_treacherous(character) {
            // JSON reads the same character again.
            let _ = write!(cleaned, "\\u{:04x}", u32::from(character));
        } else {
            cleaned.push(character);
        }
    }
    cleaned.push_str(end);
    cleaned.into_bytes().into()
}

/// The text as one line: white space becomes single spaces, and characters that hide a part of the
/// text are written out.
pub(crate) fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    String::from_utf8_lossy(&clean(text.as_bytes())).into_owned()
}

/// Controls, the separators of lines and paragraphs, and what turns the direction of a text.
fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(line: &str) -> String {
        let mut writer = OneLine(vec![]);
        writer.write_all(line.as_bytes()).unwrap();
        writer.flush().unwrap();
        String::from_utf8(writer.0).unwrap()
    }

    #[test]
    fn a_line_stays_as_it_is_where_it_is_one() {
        for line in ["plain ~\n", "grüße, Київ, 東京 🚚\n", "\n", "", "no end"] {
            assert_eq!(written(line), line);
        }
    }

    #[test]
    fn what_breaks_a_line_is_written_out() {
        let line = "a\r\nb\u{1b}[2Jc\u{2028}d\u{85}e\u{202e}f\u{2066}g\u{0}h\u{7f}i\tj\n";
        let expected = "a\\u000d\\u000ab\\u001b[2Jc\\u2028d\\u0085e\\u202ef\\u2066g\\u0000h\
                        \\u007fi\\u0009j\n";
        assert_eq!(written(line), expected);
    }

    #[test]
    fn any_text_becomes_one_line() {
        let text = "\n could not\r\n\tconnect:\u{2028}\u{85} no \u{1b}[31mroute\u{202e}\n\n";
        assert_eq!(one_line(text), "could not connect: no \\u001b[31mroute\\u202e");
        assert_eq!(one_line(""), "");
    }

    #[test]
    fn lines_that_are_not_taken_are_counted() {
        let before = UNWRITTEN.load(Ordering::Relaxed);
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut writer = Counted::new(io::BufWriter::new(full));
        for _ in 0..3 {
            writer.write_all(b"a line\n").unwrap();
        }
        writer.flush().unwrap_err();
        assert!(UNWRITTEN.load(Ordering::Relaxed) >= before + 3);
    }

    #[test]
    fn json_reads_the_same_text_again() {
        let text = "a\u{2028}b\u{202e}c\u{7f}";
        let line = serde_json::json!({"it": text}).to_string();
        let read: serde_json::Value = serde_json::from_str(&written(&line)).unwrap();
        assert_eq!(read["it"], text);
        assert!(written(&line).is_ascii());
    }
}
