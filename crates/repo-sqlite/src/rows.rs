//! Rows, and the way from rows to the values of the domain. No statement is here.

use diesel::prelude::*;
use order_domain::{
    Coordinates, Metres, NewOrder, Order, OrderId, OrderState, OrderStatus, OrderSummary,
    PlacedOrder, Route, Timestamp,
};

use crate::{
    error::CorruptRow,
    schema::{clock, orders},
};

/// What a batch gives: one outcome for each member, in the order of the members. A row that
/// cannot be spoils the outcome of the member that met it, and no other.
pub(crate) type Outcomes<T> = QueryResult<Vec<Result<T, CorruptRow>>>;

/// Now, by the clock of the database.
pub(crate) fn now(connection: &mut SqliteConnection) -> QueryResult<i64> {
    clock::table.select(clock::now).first(connection)
}

/// The columns that a list shows.
pub(crate) type SummaryColumns = (orders::id, orders::distance, orders::status);
/// See [`SummaryColumns`].
pub(crate) const SUMMARY_COLUMNS: SummaryColumns = (orders::id, orders::distance, orders::status);

#[derive(Queryable)]
pub(crate) struct SummaryRow {
    id: i64,
    distance: i64,
    status: String,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(diesel::sqlite::Sqlite))]
pub(crate) struct PlacedRow {
    id: i64,
    #[diesel(embed)]
    route: RouteRow,
    distance: i64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(diesel::sqlite::Sqlite))]
pub(crate) struct OrderRow {
    #[diesel(embed)]
    placed: PlacedRow,
    status: String,
    created_at: i64,
    taken_at: Option<i64>,
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(diesel::sqlite::Sqlite))]
pub(crate) struct RouteRow {
    origin_latitude: f64,
    origin_longitude: f64,
    destination_latitude: f64,
    destination_longitude: f64,
}

#[derive(Insertable)]
#[diesel(table_name = orders)]
pub(crate) struct NewOrderRow {
    #[diesel(embed)]
    route: RouteRow,
    distance: i64,
    status: &'static str,
    created_at: i64,
    updated_at: i64,
}

impl NewOrderRow {
    pub(crate) fn new(order: &NewOrder, now: i64) -> Self {
        let Route { origin, destination } = order.route;
        Self {
            route: RouteRow {
                origin_latitude: origin.latitude.degrees(),
                origin_longitude: origin.longitude.degrees(),
                destination_latitude: destination.latitude.degrees(),
                destination_longitude: destination.longitude.degrees(),
            },
            distance: order.distance.get(),
            status: OrderStatus::Unassigned.as_str(),
            created_at: now,
            updated_at: now,
        }
    }
}

impl TryFrom<SummaryRow> for OrderSummary {
    type Error = CorruptRow;

    fn try_from(row: SummaryRow) -> Result<Self, CorruptRow> {
        Ok(Self {
            id: OrderId::try_from(row.id).map_err(CorruptRow::of(row.id))?,
            distance: Metres::try_from(row.distance).map_err(CorruptRow::of(row.id))?,
            status: row.status.parse().map_err(CorruptRow::of(row.id))?,
        })
    }
}

impl TryFrom<PlacedRow> for PlacedOrder {
    type Error = CorruptRow;

    fn try_from(row: PlacedRow) -> Result<Self, CorruptRow> {
        let point = |latitude, longitude| {
            Coordinates::from_degrees(latitude, longitude).map_err(CorruptRow::of(row.id))
        };
        let RouteRow { origin_latitude, origin_longitude, .. } = row.route;
        let RouteRow { destination_latitude, destination_longitude, .. } = row.route;
        Ok(Self {
            id: OrderId::try_from(row.id).map_err(CorruptRow::of(row.id))?,
            route: Route {
                origin: point(origin_latitude, origin_longitude)?,
                destination: point(destination_latitude, destination_longitude)?,
            },
            distance: Metres::try_from(row.distance).map_err(CorruptRow::of(row.id))?,
        })
    }
}

impl TryFrom<OrderRow> for Order {
    type Error = CorruptRow;

    fn try_from(row: OrderRow) -> Result<Self, CorruptRow> {
        let id = row.placed.id;
        let placed = PlacedOrder::try_from(row.placed)?;
        let state = match (row.status.parse().map_err(CorruptRow::of(id))?, row.taken_at) {
            (OrderStatus::Unassigned, None) => OrderState::Unassigned,
            (OrderStatus::Taken, Some(at)) => {
                OrderState::Taken { at: Timestamp::from_unix_micros(at) }
            }
            (OrderStatus::Unassigned, Some(_)) => {
                return Err(CorruptRow::of(id)("nobody has taken it, but it was taken at a time"));
            }
            (OrderStatus::Taken, None) => {
                return Err(CorruptRow::of(id)("it was taken, but at no time"));
            }
        };
        let created_at = Timestamp::from_unix_micros(row.created_at);
        Ok(Self {
            id: placed.id,
            route: placed.route,
            distance: placed.distance,
            state,
            created_at,
        })
    }
}
