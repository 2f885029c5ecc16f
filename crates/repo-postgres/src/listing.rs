//! The statements that read the list and single orders. None of them counts.

use diesel::{
    pg::data_types::PgTimestamp,
    prelude::*,
    sql_types::{BigInt, Double, Nullable, Text, Timestamptz},
};
use order_domain::{ListQuery, Order, OrderId, OrderStatus, OrderSummary, Window};
use order_repo_diesel::rows::{OrderRow, PlacedRow, SummaryRow};

use crate::{
    error::StoreError,
    statement::{Outcomes, each_its_row, index, statement},
};

statement! {
    /// Parts of the list of all orders, each by where it begins: each row with the number of the
    /// member it is for.
    ListAll {
        before: BigInt => i64,
        show: BigInt => i64,
    } -> (BigInt, (BigInt, BigInt, Text)),
    "SELECT part.n, found.* FROM unnest(",
    ") WITH ORDINALITY AS part (before, show, n) \
     CROSS JOIN LATERAL ( \
         SELECT id, distance, status FROM orders WHERE id < part.before \
         ORDER BY id DESC LIMIT part.show \
     ) AS found \
     ORDER BY part.n, found.id DESC"
}

statement! {
    /// The same, each by how many orders are newer. These are counted in the index: no row is
    /// read but those that are shown, where the table has been vacuumed since they were placed.
    SkipAndListAll {
        skip: BigInt => i64,
        show: BigInt => i64,
    } -> (BigInt, (BigInt, BigInt, Text)),
    "SELECT part.n, found.* FROM unnest(",
    ") WITH ORDINALITY AS part (skip, show, n) \
     CROSS JOIN LATERAL ( \
         SELECT id, distance, status FROM orders \
         WHERE id <= (SELECT id FROM orders ORDER BY id DESC OFFSET part.skip LIMIT 1) \
         ORDER BY id DESC LIMIT part.show \
     ) AS found \
     ORDER BY part.n, found.id DESC"
}

/// Parts of the list of orders with one status are told apart in words that only the index
/// `orders_by_status` fits: for `status = ?` PostgreSQL may walk over all orders, if it believes
/// that there are many with that status.
macro_rules! with_status {
    ($and:literal) => {
        concat!(
            "(status, id) ",
            $and,
            " AND (status, id) > (part.status, 0) ORDER BY status DESC, id DESC "
        )
    };
}

statement! {
    /// The same as [`ListAll`] of the orders with one status.
    ListByStatus {
        before: BigInt => i64,
        show: BigInt => i64,
        status: Text => &'static str,
    } -> (BigInt, (BigInt, BigInt, Text)),
    "SELECT part.n, found.* FROM unnest(",
    concat!(") WITH ORDINALITY AS part (before, show, status, n) \
     CROSS JOIN LATERAL ( \
         SELECT id, distance, status FROM orders WHERE ",
             with_status!("< (part.status, part.before)"), "LIMIT part.show \
     ) AS found \
     ORDER BY part.n, found.id DESC")
}

statement! {
    /// The same as [`SkipAndListAll`] of the orders with one status.
    SkipAndListByStatus {
        skip: BigInt => i64,
        show: BigInt => i64,
        status: Text => &'static str,
    } -> (BigInt, (BigInt, BigInt, Text)),
    "SELECT part.n, found.* FROM unnest(",
    concat!(") WITH ORDINALITY AS part (skip, show, status, n) \
     CROSS JOIN LATERAL ( \
         SELECT id, distance, status FROM orders WHERE ",
             with_status!("<= (part.status, ( \
                 SELECT id FROM orders WHERE (status, id) > (part.status, 0) \
                     AND (status, id) <= (part.status, 9223372036854775807) \
                 ORDER BY status DESC, id DESC OFFSET part.skip LIMIT 1 \
             ))"), "LIMIT part.show \
     ) AS found \
     ORDER BY part.n, found.id DESC")
}

statement! {
    /// Single orders, each with the number of the member it is for.
    FindOrders {
        ids: BigInt => i64,
    } -> (
        BigInt,
        (
            (BigInt, (Double, Double, Double, Double), BigInt),
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

/// Parts of the list, newest first. In one statement those that are of one form.
pub(crate) fn list_all(
    connection: &mut PgConnection,
    members: &[ListQuery],
) -> Outcomes<Vec<OrderSummary>> {
    let mut outcomes: Vec<_> = members.iter().map(|_| Ok(vec![])).collect();
    let (mut all, mut some, mut later, mut some_later) =
        (Parts::default(), Parts::default(), Parts::default(), Parts::default());
    for (member, query) in members.iter().enumerate() {
        let (start, parts) = match (start(query.window), query.status) {
            (Start::Before(id), None) => (id, &mut all),
            (Start::Before(id), Some(_)) => (id, &mut some),
            (Start::After(skip), None) => (skip, &mut later),
            (Start::After(skip), Some(_)) => (skip, &mut some_later),
        };
        parts.add(member, start, query);
    }
    all.read(&mut outcomes, |Parts { start: before, show, .. }| {
        ListAll { before, show }.load(connection)
    });
    some.read(&mut outcomes, |Parts { start: before, show, status, .. }| {
        ListByStatus { before, show, status }.load(connection)
    });
    later.read(&mut outcomes, |Parts { start: skip, show, .. }| {
        SkipAndListAll { skip, show }.load(connection)
    });
    some_later.read(&mut outcomes, |Parts { start: skip, show, status, .. }| {
        SkipAndListByStatus { skip, show, status }.load(connection)
    });
    outcomes
}

/// Where a part of the list begins.
enum Start {
    /// With the newest order below this id.
    Before(i64),
    /// After so many orders.
    After(i64),
}

/// The first page is all that lies before the end.
fn start(window: Window) -> Start {
    match window {
        Window::Before(cursor) => Start::Before(cursor.before.get()),
        Window::Page(page) if page.offset() == 0 => Start::Before(i64::MAX),
        Window::Page(page) => Start::After(page.offset()),
    }
}

/// Parts of the list that are asked for in the same form: an entry for each.
#[derive(Default)]
struct Parts {
    members: Vec<usize>,
    start: Vec<i64>,
    show: Vec<i64>,
    /// Where all parts have one.
    status: Vec<&'static str>,
}

type Part = Result<Vec<OrderSummary>, StoreError>;

impl Parts {
    fn add(&mut self, member: usize, start: i64, query: &ListQuery) {
        self.members.push(member);
        self.start.push(start);
        self.show.push(query.window.limit().get().into());
        self.status.extend(query.status.map(OrderStatus::as_str));
    }

    /// Gives each row to the member it is for.
    fn read(
        mut self,
        outcomes: &mut [Part],
        rows: impl FnOnce(Self) -> QueryResult<Vec<(i64, SummaryRow)>>,
    ) {
        let members = std::mem::take(&mut self.members);
        if members.is_empty() {
            return;
        }
        match rows(self) {
            Err(error) => {
                let failure = StoreError::from(error);
                for member in members {
                    outcomes[member] = Err(failure.clone());
                }
            }
            Ok(rows) => {
                for (n, row) in rows {
                    let outcome = &mut outcomes[members[index(n)]];
                    match (outcome.as_mut(), OrderSummary::try_from(row)) {
                        (Ok(part), Ok(order)) => part.push(order),
                        (Ok(_), Err(corrupt)) => *outcome = Err(corrupt.into()),
                        (Err(_), _) => {}
                    }
                }
            }
        }
    }
}

/// Single orders.
pub(crate) fn find_all(
    connection: &mut PgConnection,
    members: &[OrderId],
) -> Outcomes<Option<Order>> {
    type Row = (PlacedRow, String, PgTimestamp, Option<PgTimestamp>);
    let statement = FindOrders { ids: members.iter().map(|id| id.get()).collect() };
    let rows = statement.load(connection);
    each_its_row(members.len(), rows, |(placed, status, created_at, taken_at): Row| {
        let (created_at, taken_at) = (unix_micros(created_at), taken_at.map(unix_micros));
        Ok(Order::try_from(OrderRow { placed, status, created_at, taken_at })?)
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
        fn each_member_of_a_batch_has_its_own_part() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[1, 2, 3, 4, 5].map(new_order));
            session.execute(
                "UPDATE orders SET status = 'TAKEN', taken_at = now(), updated_at = now() \
                 WHERE id IN (2, 4)",
            );
            let all = |window| ListQuery { window, status: None };
            let some = |window, status| ListQuery { window, status: Some(status) };
            let batch = [
                some(page(1, 9), OrderStatus::Taken),
                all(page(1, 2)),
                all(page(3, 2)),
                some(before(5, 9), OrderStatus::Unassigned),
                all(page(9, 9)),
                some(page(2, 1), OrderStatus::Taken),
                all(before(4, 2)),
            ];
            let ids: Vec<Vec<i64>> = list_all(session.connection(), &batch)
                .into_iter()
                .map(|part| part.unwrap().iter().map(|order| order.id.get()).collect())
                .collect();
            let expected =
                [vec![4, 2], vec![5, 4], vec![1], vec![3, 1], vec![], vec![2], vec![3, 2]];
            assert_eq!(ids, expected);
            assert!(list_all(session.connection(), &[]).is_empty());
        }

        #[test]
        fn a_row_that_cannot_be_spoils_one_members_part_only() {
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

        /// Counted, not timed: the pages of the table that are read.
        #[test]
        fn what_a_page_skips_is_counted_in_the_index_and_not_read() {
            let (_database, mut session) = database();
            fill(&mut session, 20_000);
            session.execute("VACUUM orders");
            let sql = text(&SkipAndListAll { skip: vec![], show: vec![] });
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
