//! The statements that read the list and single orders. None of them counts.

use diesel::{
    pg::data_types::PgTimestamp,
    prelude::*,
    sql_types::{BigInt, Text},
};
use order_domain::{ListQuery, Order, OrderId, OrderStatus, OrderSummary, Window};
use order_repo_diesel::{
    order_columns,
    rows::{CorruptRow, OrderRow, PlacedRow, SummaryRow},
};

use crate::{
    error::StoreError,
    schema::orders,
    statement::{Outcomes, statement},
};

statement! {
    /// Parts of the list of all orders: each row with the number of the member it is for.
    ListAll {
        before: BigInt => i64,
        skip: BigInt => i64,
        show: BigInt => i64,
    } -> (BigInt, (BigInt, BigInt, Text)),
    "SELECT part.n, found.* FROM unnest(",
    ") WITH ORDINALITY AS part (before, skip, show, n) \
     CROSS JOIN LATERAL ( \
         SELECT id, distance, status FROM orders WHERE id < part.before \
         ORDER BY id DESC OFFSET part.skip LIMIT part.show \
     ) AS found \
     ORDER BY part.n, found.id DESC"
}

statement! {
    /// The same of the orders with one status, in words that only the index `orders_by_status`
    /// fits: for `status = ?` PostgreSQL may walk over all orders, if it believes that there are
    /// many with that status.
    ListByStatus {
        before: BigInt => i64,
        skip: BigInt => i64,
        show: BigInt => i64,
        status: Text => &'static str,
    } -> (BigInt, (BigInt, BigInt, Text)),
    "SELECT part.n, found.* FROM unnest(",
    ") WITH ORDINALITY AS part (before, skip, show, status, n) \
     CROSS JOIN LATERAL ( \
         SELECT id, distance, status FROM orders \
         WHERE (status, id) < (part.status, part.before) AND (status, id) > (part.status, 0) \
         ORDER BY status DESC, id DESC OFFSET part.skip LIMIT part.show \
     ) AS found \
     ORDER BY part.n, found.id DESC"
}

/// Parts of the list, newest first.
pub(crate) fn list_all(
    connection: &mut PgConnection,
    members: &[ListQuery],
) -> Outcomes<Vec<OrderSummary>> {
    let (all, some): (Vec<_>, Vec<_>) =
        (0..members.len()).partition(|&member| members[member].status.is_none());
    let mut outcomes: Vec<_> = members.iter().map(|_| Ok(vec![])).collect();
    if !all.is_empty() {
        let Bounds { before, skip, show } = Bounds::of(members, &all);
        let rows = ListAll { before, skip, show }.load(connection)?;
        sort_out(rows, &all, &mut outcomes);
    }
    if !some.is_empty() {
        let Bounds { before, skip, show } = Bounds::of(members, &some);
        let status = some.iter().filter_map(|&member| members[member].status);
        let status = status.map(OrderStatus::as_str).collect();
        let rows = ListByStatus { before, skip, show, status }.load(connection)?;
        sort_out(rows, &some, &mut outcomes);
    }
    Ok(outcomes)
}

/// Where each part begins and how long it is. A page is all but its offset of what lies before
/// the end.
struct Bounds {
    before: Vec<i64>,
    skip: Vec<i64>,
    show: Vec<i64>,
}

impl Bounds {
    fn of(members: &[ListQuery], chosen: &[usize]) -> Self {
        let windows = || chosen.iter().map(|&member| members[member].window);
        Self {
            before: windows()
                .map(|window| match window {
                    Window::Page(_) => i64::MAX,
                    Window::Before(cursor) => cursor.before.get(),
                })
                .collect(),
            skip: windows()
                .map(|window| match window {
                    Window::Page(page) => page.offset(),
                    Window::Before(_) => 0,
                })
                .collect(),
            show: windows().map(|window| window.limit().get().into()).collect(),
        }
    }
}

/// Gives each row to the member whose number it carries: the first of `chosen` is number 1.
fn sort_out(
    rows: Vec<(i64, SummaryRow)>,
    chosen: &[usize],
    outcomes: &mut [Result<Vec<OrderSummary>, CorruptRow>],
) {
    for (n, row) in rows {
        let n = usize::try_from(n - 1).expect("ordinality begins at 1");
        let outcome = &mut outcomes[chosen[n]];
        match (outcome.as_mut(), OrderSummary::try_from(row)) {
            (Ok(part), Ok(order)) => part.push(order),
            (Ok(_), Err(corrupt)) => *outcome = Err(corrupt),
            (Err(_), _) => {}
        }
    }
}

/// One order.
pub(crate) fn find(
    connection: &mut PgConnection,
    id: OrderId,
) -> Result<Option<Order>, StoreError> {
    let row: Option<(PlacedRow, String, PgTimestamp, Option<PgTimestamp>)> =
        orders::table.find(id.get()).select(order_columns!(orders)).first(connection).optional()?;
    let row = row.map(|(placed, status, created_at, taken_at)| OrderRow {
        placed,
        status,
        created_at: unix_micros(created_at),
        taken_at: taken_at.map(unix_micros),
    });
    Ok(row.map(Order::try_from).transpose()?)
}

/// PostgreSQL counts microseconds from 2000-01-01T00:00:00Z.
fn unix_micros(PgTimestamp(since_2000): PgTimestamp) -> i64 {
    const FROM_1970_TO_2000: i64 = 946_684_800 * 1_000_000;
    since_2000.saturating_add(FROM_1970_TO_2000)
}

#[cfg(test)]
mod tests {
    mod on_postgres {
        use crate::{
            listing::*,
            placing::place_all,
            testing::{before, database, fill, new_order, page, plan, text},
        };

        #[test]
        fn each_member_of_a_batch_has_its_own_part() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[1, 2, 3, 4, 5].map(new_order)).unwrap();
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
                .unwrap()
                .into_iter()
                .map(|part| part.unwrap().iter().map(|order| order.id.get()).collect())
                .collect();
            let expected =
                [vec![4, 2], vec![5, 4], vec![1], vec![3, 1], vec![], vec![2], vec![3, 2]];
            assert_eq!(ids, expected);
            assert!(list_all(session.connection(), &[]).unwrap().is_empty());
        }

        #[test]
        fn a_row_that_cannot_be_spoils_one_members_part_only() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[1, 2, 3].map(new_order)).unwrap();
            session.execute(
                "ALTER TABLE orders DROP CONSTRAINT orders_distance_check; \
                 UPDATE orders SET distance = -1 WHERE id = 2",
            );
            let all = |window| ListQuery { window, status: None };
            let batch = [all(page(1, 1)), all(page(1, 3)), all(before(2, 3))];
            let outcomes = list_all(session.connection(), &batch).unwrap();
            let good: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
            assert_eq!(good, [true, false, true]);
        }

        #[test]
        fn every_part_of_the_list_is_found_without_sorting_the_table() {
            let (_database, mut session) = database();
            fill(&mut session, 20_000);
            let bounds = [("bigint", "100"), ("bigint", "0"), ("bigint", "20")];
            let (before, skip, show) = (vec![], vec![], vec![]);
            let sql = text(&ListAll { before, skip, show });
            let all = plan(&mut session, &sql, &bounds);
            assert!(all.contains("Index Scan Backward using orders_pkey"), "{all}");
            let (before, skip, show) = (vec![], vec![], vec![]);
            let sql = text(&ListByStatus { before, skip, show, status: vec![] });
            let some = plan(&mut session, &sql, &[&bounds[..], &[("text", "TAKEN")]].concat());
            assert!(some.contains("Index Scan Backward using orders_by_status"), "{some}");
            for plan in [all, some] {
                assert!(!plan.contains("Seq Scan"), "{plan}");
                // Only the rows that were found are sorted, once all parts are together.
                assert_eq!(plan.matches("Sort Key").count(), 1, "{plan}");
            }
        }
    }
}
