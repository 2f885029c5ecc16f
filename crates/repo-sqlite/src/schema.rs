//! The tables and the clock, for diesel. `migrations/sqlite` documents them.

use diesel::prelude::*;

diesel::table! {
    orders (id) {
        id -> BigInt,
        origin_latitude -> Double,
        origin_longitude -> Double,
        destination_latitude -> Double,
        destination_longitude -> Double,
        distance -> BigInt,
        status -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        taken_at -> Nullable<BigInt>,
        take_key -> Nullable<Text>,
    }
}

diesel::table! {
    placement_keys (key) {
        key -> Text,
        order_id -> BigInt,
        created_at -> BigInt,
    }
}

/// The columns of a [`PlacedRow`](order_repo_diesel::rows::PlacedRow).
macro_rules! placed_columns {
    () => {
        (
            orders::id,
            (orders::origin_latitude, orders::origin_longitude),
            (orders::destination_latitude, orders::destination_longitude),
            orders::distance,
        )
    };
}
pub(crate) use placed_columns;

// A view with one row: the current time of the database.
diesel::table! {
    clock (now) {
        now -> BigInt,
    }
}

/// The time by the clock of the database, in microseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now(connection: &mut SqliteConnection) -> QueryResult<i64> {
    clock::table.select(clock::now).first(connection)
}

diesel::joinable!(placement_keys -> orders (order_id));
diesel::allow_tables_to_appear_in_same_query!(orders, placement_keys);

#[diesel::declare_sql_function]
extern "SQL" {
    /// The later of two times. With two arguments, `max` is a scalar function in SQLite.
    #[sql_name = "max"]
    fn later_of(
        one: diesel::sql_types::BigInt,
        other: diesel::sql_types::BigInt,
    ) -> diesel::sql_types::BigInt;
}
