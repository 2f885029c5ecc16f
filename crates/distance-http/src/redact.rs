//! Prepares messages of a provider for the log: removes the key and control characters, and shortens
//! them.

use percent_encoding::percent_decode_str;

const MASK: &str = "***";

/// Messages are one or two sentences.
const MAX_CHARACTERS: usize = 300;

/// Replaces the key in the text, also where it is percent-encoded; then escapes and shortens the
/// text. In this order, because a key that is escaped or cut would not be found.
#[must_use]
pub fn redact(text: &str, key: &str) -> String {
    let mut text = text.to_owned();
    if !key.is_empty() {
        // Before decoding as well: the key itself may look encoded.
        text = text.replace(key, MASK);
        text = percent_decode_str(&text).decode_utf8_lossy().replace(key, MASK);
        // Forms encode a space as a plus sign.
        text = text.replace(&key.replace(' ', "+"), MASK);
    }
    text.escape_debug().take(MAX_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("the key AIza/b+c d is bad", "the key *** is bad")]
    #[case("AIza/b+c d", "***")]
    #[case("?key=AIza%2Fb%2Bc+d&x", "?key=***&x")]
    #[case("?key=AIza%2fb%2bc%20d&x", "?key=***&x")]
    #[case("?key=AIza/b%2Bc%20d&x", "?key=***&x")]
    #[case("%41%49%7A%61%2F%62%2B%63%20%64", "***")]
    #[case("AIza/b+c dAIza/b+c d", "******")]
    #[case("AIAIza/b+c d", "AI***")]
    #[case("AIza/b+c", "AIza/b+c")]
    #[case("100 % sure: %4 %zz %", "100 % sure: %4 %zz %")]
    #[case("", "")]
    fn key_is_redacted_in_every_encoding(#[case] text: &str, #[case] redacted: &str) {
        assert_eq!(redact(text, "AIza/b+c d"), redacted);
    }

    #[test]
    fn key_that_looks_encoded_is_redacted_both_ways() {
        assert_eq!(redact("a%25b a%2525b", "a%25b"), "*** ***");
    }

    #[test]
    fn empty_key_redacts_nothing() {
        assert_eq!(redact("a reason", ""), "a reason");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(redact("a\r\nb\u{1b}[31m\u{2028}", "k"), r"a\r\nb\u{1b}[31m\u{2028}");
    }

    #[test]
    fn long_text_is_shortened_after_the_key_is_redacted() {
        let text = format!("{}{}", "é".repeat(297), "SECRET".repeat(99));
        assert_eq!(redact(&text, "SECRET"), format!("{}***", "é".repeat(297)));
    }
}
