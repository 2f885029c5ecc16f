//! The statements that read the list and single orders. None returns a total.

use diesel::{
    pg::data_types::PgTimestamp,
    prelude::*,
    sql_types::{BigInt, Double, Nullable, Text, Timestamptz},
};
use order_domain::{ListQuery, Order, OrderId, OrderStatus, OrderSummary, Window};
use order_repo_diesel::rows::{OrderRow, PlacedRow, SummaryRow};

use crate::{
    error::{Outcomes, StoreError},
    statement::{index, rows_by_request, statement},
};

/// The SQL of a list, after its arrays. `$condition` selects orders and sorts them.
macro_rules! list_sql {
    ($arrays:literal, $condition:expr) => {
        concat!(
            ") WITH ORDINALITY AS input (",
            $arrays,
            ", n) CROSS JOIN LATERAL (SELECT id, distance, status FROM orders WHERE ",
            $condition,
            " LIMIT input.max_rows) AS found ORDER BY input.n, found.id DESC"
        )
    };
}

/// A condition on the status that only the index `orders_by_status` can serve. For `status = ?`
/// PostgreSQL may scan all orders if it expects many with that status.
macro_rules! with_status {
    ($and:literal) => {
        concat!(
            "(status, id) ",
            $and,
            " AND (status, id) > (input.status, 0) ORDER BY status DESC, id DESC"
        )
    };
}

/// The number of the request, and a row for it.
type ListRow = (BigInt, (BigInt, BigInt, Text));

statement! {
    /// Lists orders with ids below a bound.
    ListAll { before: BigInt => i64, max_rows: BigInt => i64, } -> ListRow,
    "SELECT input.n, found.* FROM unnest(",
    list_sql!("before, max_rows", "id < input.before ORDER BY id DESC")
}

statement! {
    /// Lists orders after a number of newer ones. Those are counted in the index: only rows that
    /// are returned are read, if the table has been vacuumed since the others were placed.
    SkipAndListAll { skip: BigInt => i64, max_rows: BigInt => i64, } -> ListRow,
    "SELECT input.n, found.* FROM unnest(",
    list_sql!("skip, max_rows", "id <= ( \
         SELECT id FROM orders ORDER BY id DESC OFFSET input.skip LIMIT 1 \
     ) ORDER BY id DESC")
}

statement! {
    /// [`ListAll`] for orders with one status.
    ListByStatus {
        before: BigInt => i64,
        max_rows: BigInt => i64,
        status: Text => &'static str,
    } -> ListRow,
    "SELECT input.n, found.* FROM unnest(",
    list_sql!("before, max_rows, status", with_status!("< (input.status, input.before)"))
}

statement! {
    /// [`SkipAndListAll`] for orders with one status.
    SkipAndListByStatus {
        skip: BigInt => i64,
        max_rows: BigInt => i64,
        status: Text => &'static str,
    } -> ListRow,
    "SELECT input.n, found.* FROM unnest(",
    list_sql!("skip, max_rows, status", with_status!("<= (input.status, ( \
         SELECT id FROM orders WHERE (status, id) > (input.status, 0) \
             AND (status, id) <= (input.status, 9223372036854775807) \
         ORDER BY status DESC, id DESC OFFSET input.skip LIMIT 1 \
     ))"))
}

statement! {
    /// Finds single orders. Each row begins with the number of its request.
    FindOrders {
        ids: BigInt => i64,
    } -> (
        BigInt,
        (
            (BigInt, (Double, Double), (Double, Double), BigInt),
            Text,
            Timestamptz,
            Nullable<Timestamptz>,
        ),
    ),
    "SELECT input.n, found.* FROM unnest(",
    ") WITH ORDINALITY AS input (id, n) \
     CROSS JOIN LATERAL ( \
         SELECT id, origin_latitude, origin_longitude, destination_latitude, \
             destination_longitude, distance, status, created_at, taken_at \
         FROM orders WHERE id = input.id LIMIT 1 \
     ) AS found"
}

/// Lists orders, newest first. Requests that need the same statement share it.
pub(crate) fn list_all(
    connection: &mut PgConnection,
    requests: &[ListQuery],
) -> Outcomes<Vec<OrderSummary>> {
    let mut outcomes: Vec<_> = requests.iter().map(|_| Ok(vec![])).collect();
    let (mut all, mut by_status) = (Group::default(), Group::default());
    let (mut skip_all, mut skip_by_status) = (Group::default(), Group::default());
    for (request, query) in requests.iter().enumerate() {
        let (start, is_skip) = match query.window {
            Window::Before(cursor) => (cursor.before.get(), false),
            // The first page needs no counting.
            Window::Page(page) if page.offset() == 0 => (i64::MAX, false),
            Window::Page(page) => (page.offset(), true),
        };
        let group = match (is_skip, query.status) {
            (false, None) => &mut all,
            (false, Some(_)) => &mut by_status,
            (true, None) => &mut skip_all,
            (true, Some(_)) => &mut skip_by_status,
        };
        group.add(request, start, query);
    }
    all.load(&mut outcomes, |Group { start: before, max_rows, .. }| {
        ListAll { before, max_rows }.load(connection)
    });
    by_status.load(&mut outcomes, |Group { start: before, max_rows, status, .. }| {
        ListByStatus { before, max_rows, status }.load(connection)
    });
    skip_all.load(&mut outcomes, |Group { start: skip, max_rows, .. }| {
        SkipAndListAll { skip, max_rows }.load(connection)
    });
    skip_by_status.load(&mut outcomes, |Group { start: skip, max_rows, status, .. }| {
        SkipAndListByStatus { skip, max_rows, status }.load(connection)
    });
    outcomes
}

/// Requests that share a statement, with one entry for each.
#[derive(Default)]
struct Group {
    requests: Vec<usize>,
    /// An id or a number of orders, depending on the statement.
    start: Vec<i64>,
    max_rows: Vec<i64>,
    /// Empty if the statement lists all orders.
    status: Vec<&'static str>,
}

impl Group {
    fn add(&mut self, request: usize, start: i64, query: &ListQuery) {
        self.requests.push(request);
        self.start.push(start);
        self.max_rows.push(query.window.limit().get().into());
        self.status.extend(query.status.map(OrderStatus::as_str));
    }

    /// Runs the statement and adds each row to the outcome of its request.
    fn load(
        mut self,
        outcomes: &mut [Result<Vec<OrderSummary>, StoreError>],
        statement: impl FnOnce(Self) -> QueryResult<Vec<(i64, SummaryRow)>>,
    ) {
        let requests = std::mem::take(&mut self.requests);
        if requests.is_empty() {
            return;
        }
        match statement(self) {
            Err(error) => {
                let failure = StoreError::from(error);
                for request in requests {
                    outcomes[request] = Err(failure.clone());
                }
            }
            Ok(rows) => {
                for (n, row) in rows {
                    let outcome = &mut outcomes[requests[index(n)]];
                    match (outcome.as_mut(), OrderSummary::try_from(row)) {
                        (Ok(orders), Ok(order)) => orders.push(order),
                        (Ok(_), Err(corrupt)) => *outcome = Err(corrupt.into()),
                        (Err(_), _) => {}
                    }
                }
            }
        }
    }
}

/// Finds single orders.
pub(crate) fn find_all(
    connection: &mut PgConnection,
    requests: &[OrderId],
) -> Outcomes<Option<Order>> {
    type Row = (PlacedRow, String, PgTimestamp, Option<PgTimestamp>);
    let statement = FindOrders { ids: requests.iter().map(|id| id.get()).collect() };
    let rows = statement.load(connection);
    rows_by_request(requests.len(), rows, |(placed, status, created_at, taken_at): Row| {
        let (created_at, taken_at) = (unix_micros(created_at), taken_at.map(unix_micros));
        OrderRow { placed, status, created_at, taken_at }.try_into()
    })
}

/// PostgreSQL counts microseconds from 2000-01-01T00:00:00Z.
fn unix_micros(PgTimestamp(since_2000): PgTimestamp) -> i64 {
    const FROM_1970_TO_2000: i64 = 946_684_800 * 1_000_000;
    since_2000.saturating_add(FROM_1970_TO_2000)
}

#[cfg(test)]
mod tests {
    mod on_postgres {
        use order_test_postgres::Session;

        use crate::{
            listing::*,
            placing::place_all,
            testing::{before, database, fill, new_order, page, text},
        };

        #[test]
        fn each_request_of_a_batch_has_its_own_page() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[1, 2, 3, 4, 5].map(new_order));
            session.execute(
                "UPDATE orders SET status = 'TAKEN', taken_at = now(), updated_at = now() \
                 WHERE id IN (2, 4)",
            );
            let all = |window| ListQuery { window, status: None };
            let with_status = |window, status| ListQuery { window, status: Some(status) };
            let batch = [
                with_status(page(1, 9), OrderStatus::Taken),
                all(page(1, 2)),
                all(page(3, 2)),
                with_status(before(5, 9), OrderStatus::Unassigned),
                all(page(9, 9)),
                with_status(page(2, 1), OrderStatus::Taken),
                all(before(4, 2)),
            ];
            let ids: Vec<Vec<i64>> = list_all(session.connection(), &batch)
                .into_iter()
                .map(|orders| orders.unwrap().iter().map(|order| order.id.get()).collect())
                .collect();
            let expected =
                [vec![4, 2], vec![5, 4], vec![1], vec![3, 1], vec![], vec![2], vec![3, 2]];
            assert_eq!(ids, expected);
            assert!(list_all(session.connection(), &[]).is_empty());
        }

        #[test]
        fn corrupt_row_fails_only_the_request_that_reads_it() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[1, 2, 3].map(new_order));
            session.execute(
                "ALTER TABLE orders DROP CONSTRAINT orders_distance_check; \
                 UPDATE orders SET distance = -1 WHERE id = 2",
            );
            let all = |window| ListQuery { window, status: None };
            let batch = [all(page(1, 1)), all(page(1, 3)), all(before(2, 3))];
            let outcomes = list_all(session.connection(), &batch);
            let good: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
            assert_eq!(good, [true, false, true]);
        }

        /// Compares the numbers of disk pages that are read, not times.
        #[test]
        fn skipped_orders_are_counted_in_the_index_and_not_read() {
            let (_database, mut session) = database();
            fill(&mut session, 20_000);
            session.execute("VACUUM orders");
            let sql = text(&SkipAndListAll { skip: vec![], max_rows: vec![] });
            let pages = |session: &mut Session, skip: &str| -> u32 {
                let plan = session.plan(&format!(
                    "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {}",
                    sql.replace("$1", &format!("ARRAY[{skip}]::bigint[]"))
                        .replace("$2", "ARRAY[10]::bigint[]")
                ));
                assert!(plan.contains("Heap Fetches: 0"), "{plan}");
                let hits = plan.split("shared hit=").nth(1).unwrap();
                hits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
            };
            let table = session.number("SELECT relpages FROM pg_class WHERE relname = 'orders'");
            let table = u32::try_from(table).unwrap();
            let (first, last) = (pages(&mut session, "1"), pages(&mut session, "19990"));
            assert!(last > first && last < table / 2, "{first}, {last} of {table}");
        }
    }
}
