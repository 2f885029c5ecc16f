//! Parsing of decimal integers.

/// The error for a text that is not an ASCII decimal integer within its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an integer from {min} to {max}")]
pub struct InvalidInteger {
    /// The smallest allowed value.
    pub min: i64,
    /// The largest allowed value.
    pub max: i64,
}

/// Parses ASCII digits. `str::parse` alone would also accept a leading `+`.
pub(crate) fn parse(text: &str, min: i64, max: i64) -> Result<i64, InvalidInteger> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|_| is_decimal);
    check(value.ok_or(InvalidInteger { min, max })?, min, max)
}

pub(crate) fn check(value: i64, min: i64, max: i64) -> Result<i64, InvalidInteger> {
    if (min..=max).contains(&value) { Ok(value) } else { Err(InvalidInteger { min, max }) }
}
