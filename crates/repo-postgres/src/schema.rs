//! The tables, for diesel. `migrations/postgres` documents them.

diesel::table! {
    orders (id) {
        id -> BigInt,
        origin_latitude -> Double,
        origin_longitude -> Double,
        destination_latitude -> Double,
        destination_longitude -> Double,
        distance -> BigInt,
        status -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        taken_at -> Nullable<Timestamptz>,
        take_key -> Nullable<Text>,
    }
}

diesel::table! {
    placement_keys (key) {
        key -> Text,
        order_id -> BigInt,
        created_at -> Timestamptz,
    }
}

// PostgreSQL's catalog of databases.
diesel::table! {
    pg_database (oid) {
        oid -> Oid,
        datname -> Text,
    }
}

diesel::joinable!(placement_keys -> orders (order_id));
diesel::allow_tables_to_appear_in_same_query!(orders, placement_keys);
