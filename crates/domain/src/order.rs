//! The order and its values.

use std::{fmt, str::FromStr};

use crate::{InvalidInteger, Route, integer};

/// The largest integer that every JSON parser reads exactly.
const MAX_JSON_INTEGER: i64 = (1 << 53) - 1;

/// The id of an order: a positive integer that is never reused.
///
/// An order that is placed after another one was acknowledged has the larger id. Ids may have gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(i64);

impl OrderId {
    /// The smallest id.
    pub const MIN: Self = Self(1);

    /// The largest id that a repository assigns: 2⁵³−1, the largest integer that every JSON parser
    /// reads exactly. A client may send a larger id, which no order has.
    pub const MAX: Self = Self(MAX_JSON_INTEGER);

    /// Parses an ASCII decimal integer from 1 to 2⁶³−1.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidInteger> {
        integer::parse(text, 1, i64::MAX).map(Self)
    }

    /// The id as a number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for OrderId {
    type Error = InvalidInteger;

    fn try_from(id: i64) -> Result<Self, InvalidInteger> {
        integer::check(id, 1, i64::MAX).map(Self)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A distance in metres, from 0 to 2⁵³−1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metres(i64);

/// The error for a number that is negative or too large to be a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a distance in metres: expected 0 to {max}", max = Metres::MAX)]
pub struct InvalidMetres;

impl Metres {
    /// The largest distance.
    pub const MAX: i64 = MAX_JSON_INTEGER;

    /// The number of metres.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// Rounds a length to the nearest metre.
    ///
    /// # Errors
    /// When it is not a number, negative, or too large.
    pub fn rounded(metres: f64) -> Result<Self, InvalidMetres> {
        // A cast would turn "not a number" into 0, and so would rounding some negative numbers.
        if metres.is_nan() || metres < 0.0 {
            return Err(InvalidMetres);
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float cast saturates, and the conversion checks the range"
        )]
        let rounded = metres.round() as i64;
        Self::try_from(rounded)
    }
}

impl TryFrom<i64> for Metres {
    type Error = InvalidMetres;

    fn try_from(metres: i64) -> Result<Self, InvalidMetres> {
        let range = 0..=Self::MAX;
        if range.contains(&metres) { Ok(Self(metres)) } else { Err(InvalidMetres) }
    }
}

/// An instant on the clock of the database, in microseconds since 1970-01-01T00:00:00Z.
///
/// It lies in the years 0000 to 9999, which RFC 3339 can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// The error for an instant outside the years 0000 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} microseconds since 1970 lie outside the years 0000 to 9999")]
pub struct InvalidTimestamp(pub i64);

impl Timestamp {
    /// The first instant: 0000-01-01T00:00:00Z.
    pub const MIN_UNIX_MICROS: i64 = -62_167_219_200_000_000;

    /// The last instant: the last microsecond of 9999-12-31.
    pub const MAX_UNIX_MICROS: i64 = 253_402_300_799_999_999;

    /// The instant that is `micros` microseconds after the epoch.
    ///
    /// # Errors
    /// When it is outside the years 0000 to 9999.
    pub fn from_unix_micros(micros: i64) -> Result<Self, InvalidTimestamp> {
        let range = Self::MIN_UNIX_MICROS..=Self::MAX_UNIX_MICROS;
        if range.contains(&micros) { Ok(Self(micros)) } else { Err(InvalidTimestamp(micros)) }
    }

    /// The number of microseconds since the epoch.
    #[must_use]
    pub fn unix_micros(self) -> i64 {
        self.0
    }
}

/// The status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// No courier has taken the order.
    Unassigned,
    /// A courier has taken the order. This is final.
    Taken,
}

/// The error for a text that is not a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {}", OrderStatus::ALL.map(OrderStatus::as_str).join(" or "))]
pub struct InvalidStatus;

impl OrderStatus {
    /// All statuses, in the order of an order's life.
    pub const ALL: [Self; 2] = [Self::Unassigned, Self::Taken];

    /// The name of the status in the API and in databases.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Taken => "TAKEN",
        }
    }
}

impl FromStr for OrderStatus {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(InvalidStatus)
    }
}

/// The state of an order: its status, with the data that only this status has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// No courier has taken the order.
    Unassigned,
    /// A courier has taken the order. This is final.
    Taken {
        /// The time of the take.
        at: Timestamp,
    },
}

/// An order with all its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The id.
    pub id: OrderId,
    /// The route.
    pub route: Route,
    /// The length of the route that the distance provider returned for the placement.
    pub distance: Metres,
    /// The state.
    pub state: OrderState,
    /// The time of the placement.
    pub created_at: Timestamp,
}

impl Order {
    /// The status.
    #[must_use]
    pub fn status(&self) -> OrderStatus {
        match self.state {
            OrderState::Unassigned => OrderStatus::Unassigned,
            OrderState::Taken { .. } => OrderStatus::Taken,
        }
    }
}

/// An order in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderSummary {
    /// The id.
    pub id: OrderId,
    /// The length of the route.
    pub distance: Metres,
    /// The status.
    pub status: OrderStatus,
}

/// An order as it was placed: unassigned, even if it has been taken since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlacedOrder {
    /// The id.
    pub id: OrderId,
    /// The route.
    pub route: Route,
    /// The length of the route.
    pub distance: Metres,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    fn other_text_is_not_an_id(
        #[values(
            "",
            "0",
            "-1",
            "+1",
            "1.0",
            "1e3",
            " 1",
            "1\n",
            "\u{661}",
            "abc",
            "9223372036854775808"
        )]
        text: &str,
    ) {
        assert_eq!(OrderId::parse(text), Err(InvalidInteger { min: 1, max: i64::MAX }));
    }

    #[test]
    fn parsed_id_has_at_most_63_bits() {
        assert_eq!(OrderId::parse("9223372036854775807").unwrap().get(), i64::MAX);
    }

    #[test]
    fn distance_is_from_0_to_the_largest_exact_integer() {
        assert_eq!(Metres::try_from(0).map(Metres::get), Ok(0));
        assert_eq!(Metres::try_from(-5), Err(InvalidMetres));
        assert_eq!(Metres::try_from(1 << 53), Err(InvalidMetres));
    }

    #[test]
    fn length_is_rounded_to_the_nearest_metre() {
        for (metres, rounded) in [(0.4, 0), (0.5, 1), (1_258_740.4, 1_258_740), (-0.0, 0)] {
            assert_eq!(Metres::rounded(metres).unwrap().get(), rounded);
        }
    }

    #[test]
    fn invalid_length_is_an_error_and_not_zero() {
        for metres in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.3, 1e300] {
            assert_eq!(Metres::rounded(metres), Err(InvalidMetres), "{metres}");
        }
    }

    #[test]
    fn timestamp_is_within_the_years_of_rfc_3339() {
        for micros in [Timestamp::MIN_UNIX_MICROS, -1, 0, Timestamp::MAX_UNIX_MICROS] {
            assert_eq!(Timestamp::from_unix_micros(micros).map(Timestamp::unix_micros), Ok(micros));
        }
        let (before, after) = (Timestamp::MIN_UNIX_MICROS - 1, Timestamp::MAX_UNIX_MICROS + 1);
        for micros in [i64::MIN, before, after, i64::MAX] {
            assert_eq!(Timestamp::from_unix_micros(micros), Err(InvalidTimestamp(micros)));
        }
    }

    #[rstest]
    fn status_is_spelt_exactly(
        #[values("", "taken", "TAKEN\n", " TAKEN", "Unassigned", "DONE")] text: &str,
    ) {
        assert_eq!(text.parse::<OrderStatus>(), Err(InvalidStatus));
    }

    #[test]
    fn status_parses_from_its_name() {
        for status in OrderStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
    }

    proptest! {
        #[test]
        fn every_positive_integer_is_an_id(id in 1..=i64::MAX) {
            prop_assert_eq!(OrderId::parse(&id.to_string()), OrderId::try_from(id));
            prop_assert_eq!(OrderId::parse(&id.to_string()).unwrap().get(), id);
        }
    }
}
