//! The statement that takes orders.

use std::collections::HashMap;

use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error as QueryError},
    sql_types::{BigInt, Nullable, Text},
};
use order_domain::{IdempotencyKey, OrderId, OrderStatus, Take, TakeOutcome};
use order_repo_diesel::{fail_all, rows::CorruptRow};

use crate::{
    error::{Outcomes, StoreError},
    statement::{index, key_text, statement},
};

statement! {
    /// Takes the orders that are unassigned and not locked. Returns for each request its number,
    /// the order that its key has taken before, the number of the request that takes its order now,
    /// and if both are null, the status of its order.
    ///
    /// The row lock decides the winner: its holder sees the newest version of the row, whose status
    /// is checked again once it is locked. The statement never waits for a row: a row that another
    /// transaction has locked, or has just changed, is skipped. It waits for a key that another
    /// transaction is storing with another order, until that commits or `lock_timeout` expires.
    ///
    /// `LATERAL` fixes the order of the joins. `IS TRUE` keeps `orders_by_status` out of the plan:
    /// with statistics from a time when few orders were unassigned, PostgreSQL would scan all
    /// unassigned orders. A locked row is updated at its `ctid`, without a second lookup.
    ///
    /// No two requests may have one key and different orders.
    TakeOrders {
        ids: BigInt => i64,
        keys: Nullable<Text> => Option<String>,
    } -> (BigInt, Nullable<BigInt>, Nullable<BigInt>, Nullable<Text>),
    "WITH input AS MATERIALIZED ( \
         SELECT * FROM unnest(",
    ") WITH ORDINALITY AS input (id, key, n) \
     ), keyed AS MATERIALIZED ( \
         SELECT input.n, found.id FROM input \
         CROSS JOIN LATERAL ( \
             SELECT id FROM orders WHERE take_key = input.key LIMIT 1 \
         ) AS found \
     ), candidate AS MATERIALIZED ( \
         SELECT DISTINCT ON (id) id, key, n FROM input \
         WHERE n NOT IN (SELECT n FROM keyed) \
         ORDER BY id, n \
     ), locked AS MATERIALIZED ( \
         SELECT candidate.key, candidate.n, unassigned.ctid FROM candidate \
         CROSS JOIN LATERAL ( \
             SELECT ctid FROM orders \
             WHERE id = candidate.id AND (status = 'UNASSIGNED') IS TRUE \
             FOR UPDATE SKIP LOCKED \
         ) AS unassigned \
     ), taken AS ( \
         UPDATE orders SET \
             status = 'TAKEN', \
             take_key = locked.key, \
             taken_at = greatest(created_at, now()), \
             updated_at = greatest(created_at, now()) \
         FROM locked \
         WHERE orders.ctid = locked.ctid AND (status = 'UNASSIGNED') IS TRUE \
         RETURNING orders.id, locked.n \
     ) \
     SELECT input.n, keyed.id, taken.n, \
         CASE WHEN keyed.n IS NULL AND taken.n IS NULL \
             THEN (SELECT status FROM orders WHERE orders.id = input.id) END \
     FROM input \
     LEFT JOIN keyed ON keyed.n = input.n \
     LEFT JOIN taken ON taken.id = input.id \
     ORDER BY input.n"
}

/// A row that [`TakeOrders`] returns. Requests are numbered from 1.
#[derive(Queryable)]
struct TakeRow {
    n: i64,
    order_of_key: Option<i64>,
    taken_by: Option<i64>,
    status: Option<String>,
}

/// How often a single request may collide with another transaction that uses its key. The next
/// attempt finds the key, unless that transaction was rolled back.
const MAX_ATTEMPTS: usize = 3;

/// Takes orders, in one statement if possible. Requests with one key and different orders need
/// separate statements.
pub(crate) fn take_all(connection: &mut PgConnection, requests: &[Take]) -> Outcomes<TakeOutcome> {
    let mut outcomes = fail_all(requests.len(), &StoreError::KeyContention);
    for group in groups(requests) {
        let takes: Vec<_> = group.iter().map(|&n| &requests[n]).collect();
        for (n, outcome) in group.into_iter().zip(take_group(connection, &takes)) {
            outcomes[n] = outcome;
        }
    }
    outcomes
}

/// Divides requests, by their indices, into groups in which no key is used for two orders.
fn groups(requests: &[Take]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Vec<usize>, HashMap<&IdempotencyKey, OrderId>)> = vec![];
    for (n, Take { id, key }) in requests.iter().enumerate() {
        let fits = |keys: &HashMap<_, _>| {
            key.as_ref().and_then(|key| keys.get(key)).is_none_or(|other| other == id)
        };
        let place = groups.iter().position(|(_, keys)| fits(keys)).unwrap_or_else(|| {
            groups.push(Default::default());
            groups.len() - 1
        });
        let (group, keys) = &mut groups[place];
        group.push(n);
        keys.extend(key.as_ref().map(|key| (key, *id)));
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

fn take_group(connection: &mut PgConnection, group: &[&Take]) -> Outcomes<TakeOutcome> {
    let statement = || TakeOrders {
        ids: group.iter().map(|take| take.id.get()).collect(),
        keys: group.iter().map(|take| key_text(take.key.as_ref())).collect(),
    };
    for _ in 0..MAX_ATTEMPTS {
        match statement().load::<TakeRow>(connection) {
            Ok(rows) => {
                let rows = rows.into_iter().zip(group);
                return rows.map(|(row, take)| Ok(outcome(row, take, group)?)).collect();
            }
            // Each request of a larger group is tried alone later.
            Err(QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
                if group.len() == 1 => {}
            Err(error) => return fail_all(group.len(), &error.into()),
        }
    }
    fail_all(group.len(), &StoreError::KeyContention)
}

fn outcome(row: TakeRow, take: &Take, group: &[&Take]) -> Result<TakeOutcome, CorruptRow> {
    let id = take.id.get();
    Ok(match (row.order_of_key, row.taken_by, row.status) {
        (Some(order), _, _) if order == id => TakeOutcome::Replayed,
        (Some(_), _, _) => TakeOutcome::KeyUsedElsewhere,
        (None, Some(winner), _) if winner == row.n => TakeOutcome::Taken,
        (None, Some(winner), _) if take.key.is_some() && group[index(winner)].key == take.key => {
            TakeOutcome::Replayed
        }
        (None, Some(_), _) => TakeOutcome::AlreadyTaken,
        (None, None, None) => TakeOutcome::NotFound,
        (None, None, Some(status)) => match status.parse().map_err(CorruptRow::of(id))? {
            OrderStatus::Taken => TakeOutcome::AlreadyTaken,
            // It was unassigned when the statement began, and skipped because it was locked.
            OrderStatus::Unassigned => TakeOutcome::Busy,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::take_request;

    #[test]
    fn groups_never_pair_a_key_with_two_orders() {
        let requests = [
            take_request(1, Some("a")),
            take_request(1, None),
            take_request(2, Some("a")),
            take_request(1, Some("a")),
            take_request(3, Some("a")),
            take_request(2, Some("a")),
            take_request(9, None),
        ];
        assert_eq!(groups(&requests), [vec![0, 1, 3, 6], vec![2, 5], vec![4]]);
        assert!(groups(&[]).is_empty());
    }

    mod on_postgres {
        use order_domain::RepoError;
        use order_test_postgres::Session;

        use super::*;
        use crate::{
            placing::place_all,
            testing::{batch_of_takes, database, new_order},
        };

        fn take(session: &mut Session, batch: &[Take]) -> Vec<TakeOutcome> {
            let outcomes = take_all(session.connection(), batch);
            outcomes.into_iter().map(Result::unwrap).collect()
        }

        #[test]
        fn each_request_of_a_batch_has_its_own_outcome() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[1, 2, 3, 4, 5].map(new_order));
            assert_eq!(take(&mut session, &[take_request(1, Some("one"))]), [TakeOutcome::Taken]);

            let (batch, expected): (Vec<_>, Vec<_>) = batch_of_takes().into_iter().unzip();
            assert_eq!(take(&mut session, &batch), expected);
            assert_eq!(take(&mut session, &[]), []);
        }

        #[test]
        fn repeated_take_in_a_batch_finds_its_winner_by_number() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[1, 2].map(new_order));
            let batch = [
                take_request(1, Some("a")),
                take_request(2, Some("b")),
                take_request(1, Some("a")),
                take_request(1, Some("b2")),
            ];
            let expected = [
                TakeOutcome::Taken,
                TakeOutcome::Taken,
                TakeOutcome::Replayed,
                TakeOutcome::AlreadyTaken,
            ];
            assert_eq!(take(&mut session, &batch), expected);
        }

        #[test]
        fn key_that_is_never_free_ends_the_attempts() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[new_order(1)]);
            session.execute(
                "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     RAISE unique_violation; END $$; \
                 CREATE TRIGGER fail BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION fail()",
            );
            let outcome = take_all(session.connection(), &[take_request(1, None)]).remove(0);
            let error = RepoError::from(outcome.unwrap_err());
            assert!(matches!(error, RepoError::Unavailable(_)), "{error:?}");
        }

        /// Requests whose keys collide need separate statements: one may fail alone.
        #[test]
        fn failed_group_fails_no_other_group() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[1, 2].map(new_order));
            session.execute(
                "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     IF OLD.id = 2 THEN RAISE 'no'; END IF; RETURN NEW; END $$; \
                 CREATE TRIGGER fail BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION fail()",
            );
            let batch =
                [take_request(1, None), take_request(3, Some("key")), take_request(2, Some("key"))];
            let outcomes = take_all(session.connection(), &batch);
            assert!(
                matches!(outcomes[..], [Ok(TakeOutcome::Taken), Ok(TakeOutcome::NotFound), Err(_)]),
                "{outcomes:?}"
            );
        }

        #[test]
        fn locked_row_is_busy_and_fails_no_other_request() {
            let (database, mut session) = database();
            place_all(session.connection(), &[1, 2, 3].map(new_order));
            let mut other = database.session();
            other.execute("BEGIN; SELECT 1 FROM orders WHERE id = 2 FOR UPDATE");
            let batch =
                [take_request(1, None), take_request(2, Some("key")), take_request(3, None)];
            let expected = [TakeOutcome::Taken, TakeOutcome::Busy, TakeOutcome::Taken];
            assert_eq!(take(&mut session, &batch), expected);
            other.execute("ROLLBACK");
            assert_eq!(take(&mut session, &[take_request(2, Some("key"))]), [TakeOutcome::Taken]);
        }

        /// The key is not seen when the statement begins, and is there when it ends.
        #[test]
        fn take_waits_for_another_transaction_with_its_key() {
            let (database, mut session) = database();
            place_all(session.connection(), &[1, 2, 3].map(new_order));
            let mut other = database.session();
            other.execute(
                "BEGIN; UPDATE orders SET status = 'TAKEN', taken_at = now(), updated_at = now(), \
                 take_key = 'key' WHERE id = 1",
            );
            let ending = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(300));
                other.execute("COMMIT");
            });
            assert_eq!(
                take(&mut session, &[take_request(2, Some("key"))]),
                [TakeOutcome::KeyUsedElsewhere]
            );
            ending.join().unwrap();
        }

        #[test]
        fn order_is_not_taken_before_it_was_placed() {
            let (_database, mut session) = database();
            place_all(session.connection(), &[new_order(1)]);
            session.execute(
                "UPDATE orders SET created_at = now() + interval '1 minute', \
                 updated_at = now() + interval '1 minute'",
            );
            assert_eq!(take(&mut session, &[take_request(1, None)]), [TakeOutcome::Taken]);
            let same = "SELECT count(*) FROM orders WHERE taken_at = created_at";
            assert_eq!(session.number(same), 1);
        }
    }
}
