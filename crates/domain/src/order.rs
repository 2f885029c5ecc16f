//! The order and the values it is made of.

use std::{fmt, str::FromStr};

use crate::{InvalidInteger, Route, integer};

/// The number of an order: positive, unique for ever.
///
/// An order placed after another was answered has the larger id; ids need not be dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(i64);

impl OrderId {
    /// Reads an ASCII decimal integer from 1 to 2⁶³−1.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidInteger> {
        integer::parse(text, 1, i64::MAX).map(Self)
    }

    /// The number.
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

/// A length in metres, from 0 to 2⁵³−1: the integers that every JSON reader keeps exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metres(i64);

/// The number is negative or too large to be a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a distance in metres")]
pub struct InvalidMetres(pub i64);

impl Metres {
    /// The largest distance.
    pub const MAX: i64 = (1 << 53) - 1;

    /// The number of metres.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Metres {
    type Error = InvalidMetres;

    fn try_from(metres: i64) -> Result<Self, InvalidMetres> {
        if (0..=Self::MAX).contains(&metres) {
            Ok(Self(metres))
        } else {
            Err(InvalidMetres(metres))
        }
    }
}

/// An instant: microseconds since 1970-01-01T00:00:00Z, by the clock of the database.
///
/// From year 0000 to year 9999, which is what RFC 3339 can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// The instant lies outside the years 0000 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} microseconds since 1970 lie outside the years 0000 to 9999")]
pub struct InvalidTimestamp(pub i64);

impl Timestamp {
    /// 0000-01-01T00:00:00Z.
    pub const MIN_UNIX_MICROS: i64 = -62_167_219_200_000_000;

    /// The last microsecond of 9999-12-31.
    pub const MAX_UNIX_MICROS: i64 = 253_402_300_799_999_999;

    /// The instant so many microseconds after the epoch.
    ///
    /// # Errors
    /// When it lies outside the years 0000 to 9999.
    pub fn from_unix_micros(micros: i64) -> Result<Self, InvalidTimestamp> {
        if (Self::MIN_UNIX_MICROS..=Self::MAX_UNIX_MICROS).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(InvalidTimestamp(micros))
        }
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn unix_micros(self) -> i64 {
        self.0
    }
}

/// Whether somebody has taken an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Nobody has it yet.
    Unassigned,
    /// A courier has it, for good.
    Taken,
}

/// The text names no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be UNASSIGNED or TAKEN")]
pub struct InvalidStatus;

impl OrderStatus {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Unassigned, Self::Taken];

    /// The name by which clients and databases know the status.
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

/// Where an order is in its life. The state carries what only it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// Nobody has it yet.
    Unassigned,
    /// A courier has it, for good.
    Taken {
        /// When it was taken.
        at: Timestamp,
    },
}

/// An order with all that is kept of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its number.
    pub id: OrderId,
    /// Where it goes from and to.
    pub route: Route,
    /// How far that is, as the provider said when it was placed.
    pub distance: Metres,
    /// Whether somebody has it.
    pub state: OrderState,
    /// When it was placed.
    pub created_at: Timestamp,
}

impl Order {
    /// The name of its state.
    #[must_use]
    pub fn status(&self) -> OrderStatus {
        match self.state {
            OrderState::Unassigned => OrderStatus::Unassigned,
            OrderState::Taken { .. } => OrderStatus::Taken,
        }
    }
}

/// An order as a list shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderSummary {
    /// Its number.
    pub id: OrderId,
    /// How far it goes.
    pub distance: Metres,
    /// Whether somebody has it.
    pub status: OrderStatus,
}

/// An order as it was at the moment it was placed: unassigned, whatever has happened since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlacedOrder {
    /// Its number.
    pub id: OrderId,
    /// Where it goes from and to.
    pub route: Route,
    /// How far that is.
    pub distance: Metres,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    fn what_is_no_positive_integer_is_no_id(
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
    fn the_largest_id_has_63_bits() {
        assert_eq!(OrderId::parse("9223372036854775807").unwrap().get(), i64::MAX);
    }

    #[test]
    fn a_distance_is_neither_negative_nor_beyond_what_json_keeps() {
        assert_eq!(Metres::try_from(0).map(Metres::get), Ok(0));
        assert_eq!(Metres::try_from(-5), Err(InvalidMetres(-5)));
        assert_eq!(Metres::try_from(1 << 53), Err(InvalidMetres(1 << 53)));
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
    fn a_status_is_spelt_exactly(
        #[values("", "taken", "TAKEN\n", " TAKEN", "Unassigned", "DONE")] text: &str,
    ) {
        assert_eq!(text.parse::<OrderStatus>(), Err(InvalidStatus));
    }

    #[test]
    fn a_status_reads_back_from_its_name() {
        for status in [OrderStatus::Unassigned, OrderStatus::Taken] {
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
