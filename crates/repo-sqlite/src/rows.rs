//! Rows that are inserted, and the clock of SQLite. Rows that are read are in
//! `order_repo_diesel::rows`.

use diesel::prelude::*;
use order_domain::{NewOrder, OrderStatus};
use order_repo_diesel::rows::RouteRow;

use crate::schema::{clock, orders};

/// The time by the clock of the database, in microseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now(connection: &mut SqliteConnection) -> QueryResult<i64> {
    clock::table.select(clock::now).first(connection)
}

#[derive(Insertable)]
#[diesel(table_name = orders)]
pub(crate) struct NewOrderRow {
    origin_latitude: f64,
    origin_longitude: f64,
    destination_latitude: f64,
    destination_longitude: f64,
    distance: i64,
    status: &'static str,
    created_at: i64,
    updated_at: i64,
}

impl NewOrderRow {
    pub(crate) fn new(order: &NewOrder, now: i64) -> Self {
        let route = RouteRow::from(order.route);
        Self {
            origin_latitude: route.origin_latitude,
            origin_longitude: route.origin_longitude,
            destination_latitude: route.destination_latitude,
            destination_longitude: route.destination_longitude,
            distance: order.distance.get(),
            status: OrderStatus::Unassigned.as_str(),
            created_at: now,
            updated_at: now,
        }
    }
}
