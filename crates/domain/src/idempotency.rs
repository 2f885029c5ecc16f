//! The idempotency key, which makes retries safe.

use std::fmt;

/// An idempotency key. The client generates one for each order that it places or takes, and sends
/// it again with each retry.
///
/// It has 1 to 255 visible ASCII characters (`!` to `~`). Keys of placements and keys of takes are
/// independent of each other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// The error for a text that is empty, too long, or not visible ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {} visible ASCII characters, without spaces", IdempotencyKey::MAX_LENGTH)]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// The length of the longest key, in characters.
    pub const MAX_LENGTH: usize = 255;

    /// Parses a key.
    ///
    /// # Errors
    /// When the text is empty, longer than 255 characters, or contains another character than
    /// visible ASCII.
    pub fn parse(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let length = 1..=Self::MAX_LENGTH;
        if length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidIdempotencyKey)
        }
    }

    /// The text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes only the length. A caller that knows the winner's key is treated as the winner, so the
/// key must not reach a log.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({} characters)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn key_has_1_to_255_visible_ascii_characters() {
        assert!(IdempotencyKey::parse("!").is_ok());
        assert!(IdempotencyKey::parse(&"~".repeat(255)).is_ok());
        for rejected in ["", " ", "a b", "a\tb", "a\n", "é", "\u{7f}", "\0"] {
            assert_eq!(IdempotencyKey::parse(rejected), Err(InvalidIdempotencyKey), "{rejected:?}");
        }
        assert_eq!(IdempotencyKey::parse(&"a".repeat(256)), Err(InvalidIdempotencyKey));
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let key = IdempotencyKey::parse("marker-key").unwrap();
        assert_eq!(format!("{key:?}"), "IdempotencyKey(10 characters)");
    }

    proptest! {
        #[test]
        fn key_keeps_its_text(text in "[!-~]{1,255}") {
            let key = IdempotencyKey::parse(&text).unwrap();
            prop_assert_eq!(key.as_str(), text.as_str());
        }
    }
}
