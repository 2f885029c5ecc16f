//! The statements that read the list and single orders. None returns a total.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Text},
    sqlite::Sqlite,
};
use order_domain::{ListQuery, Order, OrderId, OrderSummary, Window};
use order_repo_diesel::rows::{OrderRow, SummaryRow};

use crate::{
    error::{Outcomes, StoreError, serve_each},
    schema::{orders, placed_columns},
};

/// Lists orders, newest first.
pub(crate) fn list_all(
    connection: &mut SqliteConnection,
    requests: &[ListQuery],
) -> Result<Outcomes<Vec<OrderSummary>>, StoreError> {
    serve_each(requests, |query| {
        let rows: Vec<SummaryRow> = statement(query).load(connection)?;
        Ok(rows.into_iter().map(OrderSummary::try_from).collect::<Result<_, _>>()?)
    })
}

/// Finds single orders.
pub(crate) fn find_all(
    connection: &mut SqliteConnection,
    requests: &[OrderId],
) -> Result<Outcomes<Option<Order>>, StoreError> {
    serve_each(requests, |id| {
        let columns = (placed_columns!(), orders::status, orders::created_at, orders::taken_at);
        let order = orders::table.find(id.get()).select(columns);
        let row: Option<OrderRow> = order.first(connection).optional()?;
        Ok(row.map(Order::try_from).transpose()?)
    })
}

/// The four forms of the query. A test below checks the index that each uses.
fn statement(query: &ListQuery) -> orders::BoxedQuery<'static, Sqlite, (BigInt, BigInt, Text)> {
    let limit = i64::from(query.window.limit().get());
    let columns = (orders::id, orders::distance, orders::status);
    let all = orders::table.select(columns).order(orders::id.desc()).limit(limit);
    let page = match query.window {
        Window::Page(page) => all.offset(page.offset()).into_boxed(),
        Window::Before(cursor) => all.into_boxed().filter(orders::id.lt(cursor.before.get())),
    };
    match query.status {
        Some(status) => page.filter(orders::status.eq(status.as_str())),
        None => page,
    }
}

#[cfg(test)]
mod tests {
    use order_domain::OrderStatus;

    use super::*;
    use crate::{
        placing::place_all,
        testing::{before, database, new_order, page, plan},
    };

    #[test]
    fn each_request_of_a_batch_has_its_own_page() {
        let mut connection = database();
        place_all(&mut connection, &[1, 2, 3, 4, 5].map(new_order)).unwrap();
        let all = |window| ListQuery { window, status: None };
        let taken = ListQuery { window: page(1, 9), status: Some(OrderStatus::Taken) };
        let batch = [all(page(1, 2)), all(page(3, 2)), taken, all(before(4, 2))];
        let ids: Vec<Vec<i64>> = list_all(&mut connection, &batch)
            .unwrap()
            .into_iter()
            .map(|orders| orders.unwrap().iter().map(|order| order.id.get()).collect())
            .collect();
        assert_eq!(ids, [vec![5, 4], vec![1], vec![], vec![3, 2]]);
    }

    #[test]
    fn every_page_is_found_without_sorting() {
        let mut connection = database();
        let unassigned = Some(OrderStatus::Unassigned);
        let expected = [
            // From the newest order on, in the order of the table, until LIMIT.
            (page(3, 20), None, "SCAN orders"),
            (before(100, 20), None, "SEARCH orders USING INTEGER PRIMARY KEY (rowid<?)"),
            (page(3, 20), unassigned, "SEARCH orders USING INDEX orders_by_status (status=?)"),
            (
                before(100, 20),
                unassigned,
                "SEARCH orders USING INDEX orders_by_status (status=? AND rowid<?)",
            ),
        ];
        for (window, status, expected) in expected {
            let query = ListQuery { window, status };
            let sql = diesel::debug_query::<Sqlite, _>(&statement(&query)).to_string();
            assert_eq!(plan(&mut connection, &sql), expected, "{query:?}");
        }
    }
}
