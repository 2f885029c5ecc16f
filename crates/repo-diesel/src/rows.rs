//! Rows as a database returns them, and their conversion to the values of the domain.
//!
//! Each row is a tuple of columns in the order of its fields.

use std::sync::Arc;

use diesel::Queryable;
use order_domain::{
    BoxError, Coordinates, Metres, Order, OrderId, OrderState, OrderStatus, OrderSummary,
    PlacedOrder, Route, Timestamp,
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

/// An order as a list shows it.
#[derive(Queryable)]
#[expect(missing_docs, reason = "the columns; the values of the domain explain them")]
pub struct SummaryRow {
    pub id: i64,
    pub distance: i64,
    pub status: String,
}

/// An order as it was when it was placed. Points are latitude and longitude, in degrees.
#[derive(Queryable)]
#[expect(missing_docs, reason = "the columns; the values of the domain explain them")]
pub struct PlacedRow {
    pub id: i64,
    pub origin: (f64, f64),
    pub destination: (f64, f64),
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
        let point = |(latitude, longitude)| {
            Coordinates::from_degrees(latitude, longitude).map_err(CorruptRow::of(row.id))
        };
        Ok(Self {
            id: OrderId::try_from(row.id).map_err(CorruptRow::of(row.id))?,
            route: Route { origin: point(row.origin)?, destination: point(row.destination)? },
            distance: Metres::try_from(row.distance).map_err(CorruptRow::of(row.id))?,
        })
    }
}

impl TryFrom<OrderRow> for Order {
    type Error = CorruptRow;

    fn try_from(row: OrderRow) -> Result<Self, CorruptRow> {
        let row_id = row.placed.id;
        let PlacedOrder { id, route, distance } = row.placed.try_into()?;
        let timestamp =
            |micros| Timestamp::from_unix_micros(micros).map_err(CorruptRow::of(row_id));
        let created_at = timestamp(row.created_at)?;
        let taken_at = row.taken_at.map(timestamp).transpose()?;
        let state = match (row.status.parse().map_err(CorruptRow::of(row_id))?, taken_at) {
            (OrderStatus::Unassigned, None) => OrderState::Unassigned,
            (OrderStatus::Taken, Some(at)) if at >= created_at => OrderState::Taken { at },
            (OrderStatus::Unassigned | OrderStatus::Taken, _) => {
                return Err(CorruptRow::of(row_id)("its status contradicts the time of its take"));
            }
        };
        Ok(Self { id, route, distance, state, created_at })
    }
}
