//! Points on the globe, and routes between two of them.

use std::fmt;

/// The reason why a text or a number is not a coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCoordinate {
    /// The text does not have the form `-12.345`.
    #[error(
        "must be a plain decimal number such as -12.345: an optional minus, ASCII digits, \
         optionally a point and digits, at most {} characters",
        Latitude::MAX_LENGTH
    )]
    NotDecimal,
    /// The number is not on the globe.
    #[error("must lie between -{limit} and {limit} degrees")]
    OutOfRange {
        /// The largest magnitude allowed, in degrees.
        limit: u8,
    },
}

/// Degrees from -`MAX` to `MAX`, both included.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Degrees<const MAX: u8>(f64);

/// Degrees north of the equator, from -90 to 90, both included.
pub type Latitude = Degrees<90>;

/// Degrees east of Greenwich, from -180 to 180, both included.
pub type Longitude = Degrees<180>;

impl<const MAX: u8> Degrees<MAX> {
    /// The largest magnitude, in degrees.
    pub const MAX_DEGREES: u8 = MAX;

    /// The longest text that is accepted, in characters. It exceeds every useful precision: the
    /// 15th digit after the point is below a nanometre.
    pub const MAX_LENGTH: usize = 32;

    /// Parses a plain decimal number; the value is the nearest double.
    ///
    /// # Errors
    /// When the text is not a plain decimal number or is out of range.
    pub fn parse(text: &str) -> Result<Self, InvalidCoordinate> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let magnitude = text.strip_prefix('-').unwrap_or(text);
        let well_formed = match magnitude.split_once('.') {
            None => digits(magnitude),
            Some((whole, fraction)) => digits(whole) && digits(fraction),
        };
        if !well_formed || text.len() > Self::MAX_LENGTH {
            return Err(InvalidCoordinate::NotDecimal);
        }
        // `f64::from_str` rounds to the nearest double. It also accepts `inf`, `nan`, `1e3`, `+1`
        // and `.5`, so the form is checked above.
        text.parse::<f64>().map_err(|_| InvalidCoordinate::NotDecimal)?.try_into()
    }

    /// The value in degrees.
    #[must_use]
    pub fn degrees(self) -> f64 {
        self.0
    }
}

impl<const MAX: u8> TryFrom<f64> for Degrees<MAX> {
    type Error = InvalidCoordinate;

    /// Checks the range. Negative zero becomes zero, so that equal numbers have equal bits in a
    /// database.
    fn try_from(degrees: f64) -> Result<Self, InvalidCoordinate> {
        if degrees.abs() <= f64::from(MAX) {
            Ok(Self(degrees + 0.0))
        } else {
            Err(InvalidCoordinate::OutOfRange { limit: MAX })
        }
    }
}

/// Writes the shortest plain decimal number that parses to the same value.
impl<const MAX: u8> fmt::Display for Degrees<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A point on the globe (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinates {
    /// Degrees north of the equator.
    pub latitude: Latitude,
    /// Degrees east of Greenwich.
    pub longitude: Longitude,
}

impl Coordinates {
    /// Creates a point from degrees.
    ///
    /// # Errors
    /// When a value is out of range or not a number.
    pub fn from_degrees(latitude: f64, longitude: f64) -> Result<Self, InvalidCoordinate> {
        Ok(Self { latitude: latitude.try_into()?, longitude: longitude.try_into()? })
    }
}

/// The route of an order. Its two points may be equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Route {
    /// The point of pickup.
    pub origin: Coordinates,
    /// The point of delivery.
    pub destination: Coordinates,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", 0.0)]
    #[case("-0", 0.0)]
    #[case("90", 90.0)]
    #[case("-90", -90.0)]
    #[case("90.000", 90.0)]
    #[case("0050.5", 50.5)]
    #[case("50.456399", 50.456_399)]
    #[case("89.99999999999999999999999999999", 90.0)]
    fn plain_decimal_is_a_latitude(#[case] text: &str, #[case] degrees: f64) {
        let parsed = Latitude::parse(text).unwrap().degrees();
        assert_eq!(parsed.to_bits(), degrees.to_bits());
    }

    #[rstest]
    fn other_text_is_rejected(
        #[values(
            "",
            "-",
            ".",
            ".5",
            "5.",
            "-.5",
            "+1",
            " 1",
            "1 ",
            "1\n",
            "1e1",
            "1E1",
            "NaN",
            "inf",
            "-inf",
            "0x10",
            "1,5",
            "1.2.3",
            "--1",
            "1-",
            "\u{661}\u{662}",
            "\u{ff11}",
            "\u{2212}1",
            "1_0",
            "\0"
        )]
        text: &str,
    ) {
        assert_eq!(Latitude::parse(text), Err(InvalidCoordinate::NotDecimal));
        assert_eq!(Longitude::parse(text), Err(InvalidCoordinate::NotDecimal));
    }

    #[test]
    fn text_longer_than_32_characters_is_rejected() {
        let text = format!("0.{}", "1".repeat(30));
        assert!(Latitude::parse(&text).is_ok());
        assert_eq!(Latitude::parse(&(text + "1")), Err(InvalidCoordinate::NotDecimal));
    }

    #[test]
    fn range_includes_both_ends() {
        assert!(Latitude::parse("-90").is_ok() && Latitude::parse("90").is_ok());
        assert!(Longitude::parse("-180").is_ok() && Longitude::parse("180").is_ok());
        let out = |limit| InvalidCoordinate::OutOfRange { limit };
        assert_eq!(Latitude::parse("90.0000001"), Err(out(90)));
        assert_eq!(Latitude::parse("-91"), Err(out(90)));
        assert_eq!(Longitude::parse("180.0000001"), Err(out(180)));
        assert_eq!(Longitude::try_from(f64::NAN), Err(out(180)));
        assert_eq!(Latitude::try_from(f64::INFINITY), Err(out(90)));
    }

    proptest! {
        #[test]
        fn printed_value_parses_to_itself(degrees in -180.0..=180.0_f64) {
            let longitude = Longitude::try_from(degrees).unwrap();
            let text = longitude.to_string();
            prop_assert!(!text.contains(['e', 'E', '+']), "{}", text);
            // Very small magnitudes print more digits than the parser accepts. No text yields them.
            if text.len() <= Longitude::MAX_LENGTH {
                prop_assert_eq!(Longitude::parse(&text), Ok(longitude));
            }
        }

        #[test]
        fn accepted_text_is_accepted_again_when_printed(text in "-?[0-9]{1,2}(\\.[0-9]{1,20})?") {
            if let Ok(latitude) = Latitude::parse(&text) {
                let printed = latitude.to_string();
                prop_assert!(printed.len() <= text.len().max(1));
                prop_assert_eq!(Latitude::parse(&printed), Ok(latitude));
            }
        }

        #[test]
        fn parser_accepts_only_plain_decimals_and_never_panics(text in ".{0,40}") {
            if Latitude::parse(&text).is_ok() {
                prop_assert!(text.bytes().all(|b| b.is_ascii_digit() || b == b'-' || b == b'.'));
            }
        }
    }
}
