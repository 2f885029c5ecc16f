//! The schemas of values. Their bounds are the domain's. Tests compare the patterns with the
//! domain's parsers.
//!
//! Requests are closed: their bodies have no other members, and their values are enums. Responses
//! are open: they have no `additionalProperties: false`, and values that may be added are extensible
//! enums, so that generated clients accept a later version of the service.

use std::borrow::Cow;

use order_domain::{IdempotencyKey, Latitude, Limit, Longitude, Metres, OrderId, OrderStatus};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ArrayBuilder, Object, ObjectBuilder, RefOr, Schema, Type,
        extensions::ExtensionsBuilder,
        schema::{KnownFormat, SchemaFormat, SchemaType},
    },
};

/// A plain decimal number from -90 to 90.
const LATITUDE: &str = r"^-?0*([1-8]?[0-9](\.[0-9]+)?|90(\.0+)?)$";
/// A plain decimal number from -180 to 180.
const LONGITUDE: &str = r"^-?0*((1[0-7][0-9]|[1-9]?[0-9])(\.[0-9]+)?|180(\.0+)?)$";
/// The characters of an idempotency key and of a request id.
const VISIBLE_ASCII: &str = "^[!-~]+$";
/// RFC 3339 in UTC with microseconds.
const TIMESTAMP: &str = r"^[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$";

/// A point on the globe.
pub(crate) struct Point;

impl ToSchema for Point {
    fn name() -> Cow<'static, str> {
        "Point".into()
    }
}

impl PartialSchema for Point {
    fn schema() -> RefOr<Schema> {
        let degrees = |name: &str, pattern: &str, max: u8, max_length| {
            string()
                .description(Some(format!(
                    "The {name} in degrees, from -{max} to {max}: an optional minus, digits, \
                     optionally a point and digits. The value is the nearest double."
                )))
                .pattern(Some(pattern))
                .max_length(Some(max_length))
        };
        ArrayBuilder::new()
            .description(Some("A point on the globe (WGS 84): latitude, then longitude."))
            // The length is fixed. Some client generators fail on `items: false`.
            .prefix_items([
                degrees("latitude", LATITUDE, Latitude::MAX_DEGREES, Latitude::MAX_LENGTH),
                degrees("longitude", LONGITUDE, Longitude::MAX_DEGREES, Longitude::MAX_LENGTH),
            ])
            .items(string())
            .min_items(Some(2))
            .max_items(Some(2))
            .examples([json!(["50.456399", "12.707580"])])
            .into()
    }
}

/// Declares types for the schemas of parameters and headers.
macro_rules! schemas {
    ($($name:ident => $schema:expr,)+) => {$(
        pub(crate) struct $name;

        impl ToSchema for $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }
    )+};
}

schemas! {
    Key => visible_ascii(IdempotencyKey::MAX_LENGTH),
    ListLimit => integer(1, Limit::MAX.into()),
    PositiveInteger => integer(1, i64::MAX),
    Replayed => only("true"),
    StatusFilter => string().enum_values(Some(OrderStatus::ALL.map(OrderStatus::as_str))).build(),
}

pub(crate) fn order_id() -> Object {
    integer(OrderId::MIN.get(), OrderId::MAX.get())
        .description(Some(
            "Never reused. An order that is placed after another one was acknowledged has the \
             larger id. Ids may have gaps.",
        ))
        .build()
}

pub(crate) fn distance() -> Object {
    let description = "The distance from origin to destination, in metres.";
    integer(0, Metres::MAX).description(Some(description)).build()
}

pub(crate) fn status() -> Object {
    extensible_enum("The status of the order.", OrderStatus::ALL.map(OrderStatus::as_str))
}

pub(crate) fn taken() -> Object {
    only(OrderStatus::Taken.as_str())
}

pub(crate) fn created_at() -> Object {
    let description = "The time of the placement, by the clock of the database.";
    timestamp(Type::String.into()).description(Some(description)).build()
}

pub(crate) fn taken_at() -> Object {
    let description = "The time of the take; null until then.";
    let or_null = SchemaType::from_iter([Type::String, Type::Null]);
    timestamp(or_null).description(Some(description)).build()
}

pub(super) fn visible_ascii(max_length: usize) -> ObjectBuilder {
    string().pattern(Some(VISIBLE_ASCII)).min_length(Some(1)).max_length(Some(max_length))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A string of a response whose known values are listed. Values may be added.
///
/// The description lists them for people, `x-extensible-enum` for programs.
pub(crate) fn extensible_enum(
    description: &str,
    known: impl IntoIterator<Item = impl Into<String>>,
) -> Object {
    let known: Vec<String> = known.into_iter().map(Into::into).collect();
    let listed = known.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    string()
        .description(Some(format!(
            "{description} Known values: {listed}. New values may be added; a client must accept \
             them."
        )))
        .extensions(Some(ExtensionsBuilder::new().add("x-extensible-enum", known).build()))
        .build()
}

/// The extensible enum with the values and the description of a type whose schema is an enum.
pub(crate) fn extensible<T: PartialSchema>() -> Object {
    let (description, values) = match T::schema() {
        RefOr::T(Schema::Object(schema)) => (schema.description, schema.enum_values),
        _ => (None, None),
    };
    let values = values.expect("the type is an enum without data");
    let known = values.iter().filter_map(Value::as_str);
    extensible_enum(&description.expect("the type has a description"), known)
}

pub(super) fn only(value: &str) -> Object {
    string().enum_values(Some([value])).build()
}

fn timestamp(schema_type: SchemaType) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(schema_type)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .pattern(Some(TIMESTAMP))
        .examples([json!("2026-11-23T10:15:30.123456Z")])
}

fn integer(minimum: i64, maximum: i64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(minimum))
        .maximum(Some(maximum))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use regex::Regex;
    use rstest::rstest;

    use super::*;

    fn is_latitude(text: &str) -> bool {
        static PATTERN: LazyLock<Regex> = LazyLock::new(|| Regex::new(LATITUDE).unwrap());
        text.len() <= Latitude::MAX_LENGTH && PATTERN.is_match(text)
    }

    fn is_longitude(text: &str) -> bool {
        static PATTERN: LazyLock<Regex> = LazyLock::new(|| Regex::new(LONGITUDE).unwrap());
        text.len() <= Longitude::MAX_LENGTH && PATTERN.is_match(text)
    }

    /// Every whole number of degrees, and texts close to it.
    #[test]
    fn patterns_include_both_ends_of_the_range() {
        for degrees in 0..=1000 {
            for text in ["", "-", "0", "-00"].map(|sign| format!("{sign}{degrees}")) {
                for end in ["", ".0", ".000", ".000001", ".5", ".999999", ".", "e0", "\n"] {
                    let text = format!("{text}{end}");
                    assert_eq!(is_latitude(&text), Latitude::parse(&text).is_ok(), "{text:?}");
                    assert_eq!(is_longitude(&text), Longitude::parse(&text).is_ok(), "{text:?}");
                }
            }
        }
    }

    /// The only texts that the parsers accept and the patterns do not: they exceed the range so
    /// little that the nearest double is its end.
    #[rstest]
    #[case("90.000000000000001")]
    #[case("-90.0000000000000000000000000001")]
    fn patterns_reject_what_only_rounding_makes_valid(#[case] text: &str) {
        assert!(Latitude::parse(text).is_ok());
        assert!(!is_latitude(text));
    }

    proptest! {
        #[test]
        fn patterns_accept_what_the_parsers_accept(
            text in "-{0,2}0{0,3}[0-9]{0,3}\\.?[0-9]{0,12}[^0-9]?",
        ) {
            prop_assert_eq!(is_latitude(&text), Latitude::parse(&text).is_ok());
            prop_assert_eq!(is_longitude(&text), Longitude::parse(&text).is_ok());
        }

        #[test]
        fn patterns_reject_other_text(text in ".{0,40}") {
            prop_assert_eq!(is_latitude(&text), Latitude::parse(&text).is_ok());
            prop_assert_eq!(is_longitude(&text), Longitude::parse(&text).is_ok());
        }

        #[test]
        fn key_pattern_accepts_what_the_parser_accepts(text in "[ -\u{7f}é]{0,260}") {
            let pattern = Regex::new(VISIBLE_ASCII).unwrap();
            let valid = pattern.is_match(&text) && text.len() <= IdempotencyKey::MAX_LENGTH;
            prop_assert_eq!(valid, IdempotencyKey::parse(&text).is_ok());
        }
    }
}
