//! The statements that read the list and single orders. None of them counts.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Text},
    sqlite::Sqlite,
};
use order_domain::{ListQuery, Order, OrderId, OrderSummary, Window};
use order_repo_diesel::{
    order_columns,
    rows::{OrderRow, SummaryRow},
    summary_columns,
};

use crate::{error::StoreError, rows::Outcomes, schema::orders};

/// Parts of the list, newest first.
pub(crate) fn list_all(
    connection: &mut SqliteConnection,
    members: &[ListQuery],
) -> Result<Outcomes<Vec<OrderSummary>>, StoreError> {
    let mut outcomes = Vec::with_capacity(members.len());
    for query in members {
        let rows: Vec<SummaryRow> = statement(query).load(connection)?;
        let orders: Result<_, _> = rows.into_iter().map(OrderSummary::try_from).collect();
        outcomes.push(orders.map_err(StoreError::from));
    }
    Ok(outcomes)
}

/// Single orders.
pub(crate) fn find_all(
    connection: &mut SqliteConnection,
    members: &[OrderId],
) -> Result<Outcomes<Option<Order>>, StoreError> {
    let mut outcomes = Vec::with_capacity(members.len());
    for id in members {
        let order = orders::table.find(id.get()).select(order_columns!(orders));
        let row: Option<OrderRow> = order.first(connection).optional()?;
        outcomes.push(row.map(Order::try_from).transpose().map_err(StoreError::from));
    }
    Ok(outcomes)
}

/// The four forms of the question. The test below holds each to its index.
fn statement(query: &ListQuery) -> orders::BoxedQuery<'static, Sqlite, (BigInt, BigInt, Text)> {
    let limit = i64::from(query.window.limit().get());
    let all = orders::table.select(summary_columns!(orders)).order(orders::id.desc()).limit(limit);
    let part = match query.window {
        Window::Page(page) => all.offset(page.offset()).into_boxed(),
        Window::Before(cursor) => all.into_boxed().filter(orders::id.lt(cursor.before.get())),
    };
    match query.status {
        Some(status) => part.filter(orders::status.eq(status.as_str())),
        None => part,
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
    fn each_member_of_a_batch_has_its_own_part() {
        let mut connection = database();
        place_all(&mut connection, &[1, 2, 3, 4, 5].map(new_order)).unwrap();
        let all = |window| ListQuery { window, status: None };
        let taken = ListQuery { window: page(1, 9), status: Some(OrderStatus::Taken) };
        let batch = [all(page(1, 2)), all(page(3, 2)), taken, all(before(4, 2))];
        let ids: Vec<Vec<i64>> = list_all(&mut connection, &batch)
            .unwrap()
            .into_iter()
            .map(|part| part.unwrap().iter().map(|order| order.id.get()).collect())
            .collect();
        assert_eq!(ids, [vec![5, 4], vec![1], vec![], vec![3, 2]]);
    }

    #[test]
    fn every_part_of_the_list_is_found_without_sorting() {
        let mut connection = database();
        let free = Some(OrderStatus::Unassigned);
        let expected = [
            // From the newest on, in the order of the table itself; LIMIT ends it.
            (page(3, 20), None, "SCAN orders"),
            (before(100, 20), None, "SEARCH orders USING INTEGER PRIMARY KEY (rowid<?)"),
            (page(3, 20), free, "SEARCH orders USING INDEX orders_by_status (status=?)"),
            (
                before(100, 20),
                free,
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
