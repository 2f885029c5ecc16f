//! Rows as a database returns them, and their conversion to the values of the domain.
//!
//! Each row is a tuple of columns in the order of its fields. The macros list the columns of a
//! table: [`summary_columns!`](crate::summary_columns) and so on.

use std::sync::Arc;

use diesel::Queryable;
use order_domain::{
    BoxError, Coordinates, InvalidTimestamp, Metres, Order, OrderId, OrderState, OrderStatus,
    OrderSummary, PlacedOrder, Route, Timestamp,
};

/// A row that violates a rule of the domain.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the row of order {id} is corrupt")]
pub struct CorruptRow {
    id: i64,
    source: Arc<dyn std::error::Error + Send + Sync>,
}

impl CorruptRow {
    /// Makes a function for `map_err`: the row's id here, then what is wrong with it.
    pub fn of<E: Into<BoxError>>(id: i64) -> impl Fn(E) -> Self {
        move |source| Self { id, source: Arc::from(source.into()) }
    }
}

/// The columns of a [`SummaryRow`].
#[macro_export]
macro_rules! summary_columns {
    ($orders:ident) => {
        ($orders::id, $orders::distance, $orders::status)
    };
}

/// The columns of a [`PlacedRow`].
#[macro_export]
macro_rules! placed_columns {
    ($orders:ident) => {
        (
            $orders::id,
            (
                $orders::origin_latitude,
                $orders::origin_longitude,
                $orders::destination_latitude,
                $orders::destination_longitude,
            ),
            $orders::distance,
        )
    };
}

/// The columns of an [`OrderRow`].
#[macro_export]
macro_rules! order_columns {
    ($orders:ident) => {
        ($crate::placed_columns!($orders), $orders::status, $orders::created_at, $orders::taken_at)
    };
}

/// An order as a list shows it.
#[derive(Queryable)]
#[expect(missing_docs, reason = "the columns; the values of the domain explain them")]
pub struct SummaryRow {
    pub id: i64,
    pub distance: i64,
    pub status: String,
}

/// The origin and the destination of an order, in degrees.
#[derive(Queryable)]
#[expect(missing_docs, reason = "the columns; the values of the domain explain them")]
pub struct RouteRow {
    pub origin_latitude: f64,
    pub origin_longitude: f64,
    pub destination_latitude: f64,
    pub destination_longitude: f64,
}

/// An order as it was when it was placed.
#[derive(Queryable)]
#[expect(missing_docs, reason = "the columns; the values of the domain explain them")]
pub struct PlacedRow {
    pub id: i64,
    pub route: RouteRow,
    pub distance: i64,
}

/// An order with everything that is stored about it. Times are microseconds since
/// 1970-01-01T00:00:00Z.
#[derive(Queryable)]
#[expect(missing_docs, reason = "the columns; the values of the domain explain them")]
pub struct OrderRow {
    pub placed: PlacedRow,
    pub status: String,
    pub created_at: i64,
    pub taken_at: Option<i64>,
}

impl From<Route> for RouteRow {
    fn from(Route { origin, destination }: Route) -> Self {
        Self {
            origin_latitude: origin.latitude.degrees(),
            origin_longitude: origin.longitude.degrees(),
            destination_latitude: destination.latitude.degrees(),
            destination_longitude: destination.longitude.degrees(),
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
        let timestamp = |micros| {
            Timestamp::from_unix_micros(micros).map_err(CorruptRow::of::<InvalidTimestamp>(id))
        };
        let created_at = timestamp(row.created_at)?;
        let taken_at = row.taken_at.map(timestamp).transpose()?;
        let state = match (row.status.parse().map_err(CorruptRow::of(id))?, taken_at) {
            (OrderStatus::Unassigned, None) => OrderState::Unassigned,
            (OrderStatus::Taken, Some(at)) if at >= created_at => OrderState::Taken { at },
            (OrderStatus::Unassigned | OrderStatus::Taken, _) => {
                return Err(CorruptRow::of(id)("its status contradicts the time of its take"));
            }
        };
        Ok(Self {
            id: placed.id,
            route: placed.route,
            distance: placed.distance,
            state,
            created_at,
        })
    }
}
