//! The key that makes a retry safe.

use std::fmt;

/// Chosen by a client for one intention; a retry carries the same key.
///
/// 1 to 255 visible ASCII characters (`!` to `~`). Keys of placements and keys of takes are
/// apart: one never meets the other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// The text is empty, too long, or has a character that is not visible ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {} visible ASCII characters, without spaces", IdempotencyKey::MAX_LENGTH)]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// The longest key, in characters.
    pub const MAX_LENGTH: usize = 255;

    /// Reads a key.
    ///
    /// # Errors
    /// When the text is empty, longer than 255 characters, or not visible ASCII throughout.
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

/// Only the length: whoever knows a winner's key can pass for the winner, so it is in no log.
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
    fn a_key_has_1_to_255_visible_ascii_characters() {
        assert!(IdempotencyKey::parse("!").is_ok());
        assert!(IdempotencyKey::parse(&"~".repeat(255)).is_ok());
        for refused in ["", " ", "a b", "a\tb", "a\n", "é", "\u{7f}", "\0"] {
            assert_eq!(IdempotencyKey::parse(refused), Err(InvalidIdempotencyKey), "{refused:?}");
        }
        assert_eq!(IdempotencyKey::parse(&"a".repeat(256)), Err(InvalidIdempotencyKey));
    }

    #[test]
    fn a_key_is_not_shown_by_debug() {
        let key = IdempotencyKey::parse("marker-key").unwrap();
        assert_eq!(format!("{key:?}"), "IdempotencyKey(10 characters)");
    }

    proptest! {
        #[test]
        fn a_key_keeps_its_text(text in "[!-~]{1,255}") {
            let key = IdempotencyKey::parse(&text).unwrap();
            prop_assert_eq!(key.as_str(), text.as_str());
        }
    }
}
