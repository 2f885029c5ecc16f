//! One event is one line, whatever text a client sends.

use std::{borrow::Cow, fmt::Write as _, io};

/// Escapes characters that break a line or hide a part of it.
///
/// Each write must be a whole line with its end, as the formatters of `tracing-subscriber` write
/// it.
pub(super) struct SanitizingWriter<W>(pub(super) W);

impl<W: io::Write> io::Write for SanitizingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&sanitize(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn sanitize(line: &[u8]) -> Cow<'_, [u8]> {
    let (text, end) = match line.split_last() {
        Some((b'\n', text)) => (text, "\n"),
        _ => (line, ""),
    };
    // Without an early exit, so that the compiler checks many bytes at a time.
    if text.iter().fold(true, |is_safe, byte| is_safe & matches!(byte, b' '..=b'~')) {
        return line.into();
    }
    let mut sanitized = String::with_capacity(line.len() + 16);
    for character in String::from_utf8_lossy(text).chars() {
        if is_unsafe_in_log(character) {
            // A JSON parser restores the character.
            let _ = write!(sanitized, "\\u{:04x}", u32::from(character));
        } else {
            sanitized.push(character);
        }
    }
    sanitized.push_str(end);
    sanitized.into_bytes().into()
}

/// Puts a text on one line: replaces white space by single spaces, and escapes as
/// [`SanitizingWriter`] does.
pub(crate) fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    String::from_utf8_lossy(&sanitize(text.as_bytes())).into_owned()
}

/// Whether a character is a control, separates lines or paragraphs, is invisible, or changes the
/// direction of the text.
fn is_unsafe_in_log(character: char) -> bool {
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

    fn sanitized(line: &str) -> String {
        let mut writer = SanitizingWriter(vec![]);
        writer.write_all(line.as_bytes()).unwrap();
        writer.flush().unwrap();
        String::from_utf8(writer.0).unwrap()
    }

    #[test]
    fn safe_line_is_unchanged() {
        for line in ["plain ~\n", "grüße, Київ, 東京 🚚\n", "\n", "", "no end"] {
            assert_eq!(sanitized(line), line);
        }
    }

    #[test]
    fn characters_that_break_a_line_are_escaped() {
        let line = "a\r\nb\u{1b}[2Jc\u{2028}d\u{85}e\u{202e}f\u{2066}g\u{0}h\u{7f}i\tj\n";
        let expected = "a\\u000d\\u000ab\\u001b[2Jc\\u2028d\\u0085e\\u202ef\\u2066g\\u0000h\
                        \\u007fi\\u0009j\n";
        assert_eq!(sanitized(line), expected);
    }

    #[test]
    fn any_text_becomes_one_line() {
        let text = "\n could not\r\n\tconnect:\u{2028}\u{85} no \u{1b}[31mroute\u{202e}\n\n";
        assert_eq!(one_line(text), "could not connect: no \\u001b[31mroute\\u202e");
        assert_eq!(one_line(""), "");
    }

    #[test]
    fn json_parser_restores_the_text() {
        let text = "a\u{2028}b\u{202e}c\u{7f}";
        let line = serde_json::json!({"it": text}).to_string();
        let parsed: serde_json::Value = serde_json::from_str(&sanitized(&line)).unwrap();
        assert_eq!(parsed["it"], text);
        assert!(sanitized(&line).is_ascii());
    }
}
