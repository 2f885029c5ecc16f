//! Words of others made fit for a log: without the key, without control characters, short.

/// What stands where the key stood.
const MASK: &[u8] = b"***";

/// A log line is for reading, and Google's reasons are one or two sentences.
const MAX_CHARACTERS: usize = 300;

/// The text without the key, however it is spelt in it, escaped and cut to 300 characters.
///
/// The order matters: a key that was escaped or cut in two would not be found any more.
pub(crate) fn scrubbed(text: &str, key: &str) -> String {
    let without_key = mask(text.as_bytes(), key.as_bytes());
    String::from_utf8_lossy(&without_key).escape_debug().take(MAX_CHARACTERS).collect()
}

fn mask(text: &[u8], key: &[u8]) -> Vec<u8> {
    if key.is_empty() {
        return text.to_vec();
    }
    let mut masked = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, others @ ..] = rest {
        if let Some(after) = rest.strip_prefix(key).or_else(|| strip_encoded(rest, key)) {
            masked.extend_from_slice(MASK);
            rest = after;
        } else {
            masked.push(*first);
            rest = others;
        }
    }
    masked
}

/// What follows the key, if the text begins with it and any of its bytes may be
/// percent-encoded. Which ones are is the choice of who encodes.
fn strip_encoded<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    key.iter().try_fold(text, |rest, &byte| match rest {
        [b'%', high, low, after @ ..] if hex(*high, *low) == Some(byte) => Some(after),
        [b'+', after @ ..] if byte == b' ' => Some(after),
        [first, after @ ..] if *first == byte => Some(after),
        _ => None,
    })
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
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
    fn the_key_is_masked_however_it_is_spelt(#[case] text: &str, #[case] masked: &str) {
        assert_eq!(scrubbed(text, "AIza/b+c d"), masked);
    }

    #[test]
    fn a_key_that_looks_encoded_is_masked_both_ways() {
        assert_eq!(scrubbed("a%25b a%2525b", "a%25b"), "*** ***");
    }

    #[test]
    fn without_a_key_nothing_is_masked() {
        assert_eq!(scrubbed("a reason", ""), "a reason");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(scrubbed("a\r\nb\u{1b}[31m\u{2028}", "k"), r"a\r\nb\u{1b}[31m\u{2028}");
    }

    #[test]
    fn a_long_text_is_cut_after_the_key_was_masked() {
        let text = format!("{}{}", "é".repeat(297), "SECRET".repeat(99));
        assert_eq!(scrubbed(&text, "SECRET"), format!("{}***", "é".repeat(297)));
    }
}
