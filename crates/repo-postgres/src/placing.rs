//! The statements that place orders, store the keys of placements, and delete expired keys.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Double, Nullable, Text},
};
use order_domain::{IdempotencyKey, NewOrder, OrderId, PlaceOutcome, PlacedOrder, Route};
use order_repo_diesel::{
    fail_all,
    rows::{CorruptRow, PlacedRow},
};

use crate::{
    error::{Outcomes, StoreError},
    statement::{key_text, rows_by_request, statement},
};

/// SQL expression: keys that were stored before this time are expired. A macro, because `concat!`
/// accepts no constants.
macro_rules! oldest_key {
    () => {
        "(now() - interval '24 hours')"
    };
}

statement! {
    /// Places orders, and returns the id of each, or null if its key has placed an order before.
    ///
    /// Ids are assigned to requests before the insert, so that each row can be returned to its
    /// request. The statement waits for a key that another transaction is using, for any outcome of
    /// that transaction. Keys are inserted in order, which prevents deadlocks between batches. An
    /// expired key is reassigned to its new order.
    ///
    /// Each key deletes four expired keys at most, except for those that are in use: more than one,
    /// so that the table shrinks, and few, so that no request waits for the deletion. The locking
    /// subselect is a separate CTE, so that it runs once in any plan.
    PlaceOrders {
        origin_latitudes: Double => f64,
        origin_longitudes: Double => f64,
        destination_latitudes: Double => f64,
        destination_longitudes: Double => f64,
        distances: BigInt => i64,
        keys: Nullable<Text> => Option<String>,
    } -> Nullable<BigInt>,
    "WITH input AS MATERIALIZED ( \
         SELECT input.*, nextval('orders_id_seq') AS id FROM unnest(",
    concat!(") WITH ORDINALITY AS input (origin_latitude, origin_longitude, destination_latitude, \
         destination_longitude, distance, key, n) \
     ), claimed AS ( \
         INSERT INTO placement_keys (key, order_id, created_at) \
         SELECT DISTINCT ON (key) key, id, now() FROM input WHERE key IS NOT NULL ORDER BY key, n \
         ON CONFLICT (key) DO UPDATE \
             SET order_id = excluded.order_id, created_at = excluded.created_at \
             WHERE placement_keys.created_at < ", oldest_key!(), " \
         RETURNING order_id \
     ), placed AS ( \
         INSERT INTO orders (id, origin_latitude, origin_longitude, destination_latitude, \
             destination_longitude, distance, status, created_at, updated_at) \
         OVERRIDING SYSTEM VALUE \
         SELECT id, origin_latitude, origin_longitude, destination_latitude, \
             destination_longitude, distance, 'UNASSIGNED', now(), now() \
         FROM input WHERE key IS NULL OR id IN (SELECT order_id FROM claimed) \
         ORDER BY n \
         RETURNING id \
     ), expired AS MATERIALIZED ( \
         SELECT ctid FROM placement_keys \
         WHERE created_at < ", oldest_key!(), " \
             AND key NOT IN (SELECT key FROM input WHERE key IS NOT NULL) \
         ORDER BY created_at \
         LIMIT (SELECT 4 * count(key) FROM input) \
         FOR UPDATE SKIP LOCKED \
     ), deleted AS ( \
         DELETE FROM placement_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM expired)) \
     ) \
     SELECT placed.id FROM input LEFT JOIN placed ON placed.id = input.id ORDER BY input.n")
}

statement! {
    /// Finds the orders that were placed with keys. Each row begins with the number of its request.
    ///
    /// `IS TRUE` keeps `placement_keys_by_age` out of the plan, as in
    /// [`TakeOrders`](crate::taking).
    FindPlacements {
        keys: Text => String,
    } -> (BigInt, (BigInt, (Double, Double), (Double, Double), BigInt)),
    "SELECT input.n, placed.* FROM unnest(",
    concat!(") WITH ORDINALITY AS input (key, n) \
     CROSS JOIN LATERAL ( \
         SELECT order_id FROM placement_keys \
         WHERE key = input.key AND (created_at >= ", oldest_key!(), ") IS TRUE LIMIT 1 \
     ) AS used \
     CROSS JOIN LATERAL ( \
         SELECT id, origin_latitude, origin_longitude, destination_latitude, \
             destination_longitude, distance \
         FROM orders WHERE id = used.order_id LIMIT 1 \
     ) AS placed")
}

/// How often a placement is tried if its key is in use and then expires before its lookup.
const MAX_ATTEMPTS: usize = 3;

/// Places orders in one statement. A second one finds the orders whose keys were used before.
pub(crate) fn place_all(
    connection: &mut PgConnection,
    requests: &[NewOrder],
) -> Outcomes<PlaceOutcome> {
    let mut outcomes: Outcomes<PlaceOutcome> = fail_all(requests.len(), &StoreError::KeyContention);
    let mut pending: Vec<_> = (0..requests.len()).collect();
    for _ in 0..MAX_ATTEMPTS {
        if pending.is_empty() {
            break;
        }
        let batch: Vec<_> = pending.iter().map(|&n| &requests[n]).collect();
        let ids = match insert(connection, &batch) {
            Ok(ids) => ids,
            Err(error) => {
                let failure = StoreError::from(error);
                for n in pending {
                    outcomes[n] = Err(failure.clone());
                }
                break;
            }
        };
        let (mut replays, mut keys) = (vec![], vec![]);
        for (&n, id) in pending.iter().zip(ids) {
            let order = &requests[n];
            match (id, &order.key) {
                (Some(id), _) => outcomes[n] = placed(id, order),
                (None, Some(key)) => {
                    replays.push(n);
                    keys.push(key.clone());
                }
                (None, None) => {}
            }
        }
        pending.clear();
        for (n, earlier) in replays.into_iter().zip(find_placements(connection, &keys)) {
            match earlier {
                Ok(Some(earlier)) => outcomes[n] = Ok(PlaceOutcome::KeyUsed(earlier)),
                Ok(None) => pending.push(n),
                // Nothing was placed for this request: only the lookup failed.
                Err(failure) => outcomes[n] = Err(failure.without_change()),
            }
        }
    }
    outcomes
}

/// Finds the orders that were placed with keys that are not expired.
pub(crate) fn find_placements(
    connection: &mut PgConnection,
    keys: &[IdempotencyKey],
) -> Outcomes<Option<PlacedOrder>> {
    if keys.is_empty() {
        return vec![];
    }
    let keys = keys.iter().map(|key| key.as_str().to_owned()).collect();
    let statement = FindPlacements { keys };
    rows_by_request(statement.keys.len(), statement.load(connection), PlacedRow::try_into)
}

fn insert(connection: &mut PgConnection, requests: &[&NewOrder]) -> QueryResult<Vec<Option<i64>>> {
    let degrees = |of: fn(&Route) -> f64| requests.iter().map(|order| of(&order.route)).collect();
    let statement = PlaceOrders {
        origin_latitudes: degrees(|route| route.origin.latitude.degrees()),
        origin_longitudes: degrees(|route| route.origin.longitude.degrees()),
        destination_latitudes: degrees(|route| route.destination.latitude.degrees()),
        destination_longitudes: degrees(|route| route.destination.longitude.degrees()),
        distances: requests.iter().map(|order| order.distance.get()).collect(),
        keys: requests.iter().map(|order| key_text(order.key.as_ref())).collect(),
    };
    statement.load(connection)
}

fn placed(id: i64, order: &NewOrder) -> Result<PlaceOutcome, StoreError> {
    let NewOrder { route, distance, .. } = *order;
    let id = OrderId::try_from(id).map_err(CorruptRow::of(id))?;
    Ok(PlaceOutcome::Placed(PlacedOrder { id, route, distance }))
}

#[cfg(test)]
mod tests {
    mod on_postgres {
        use order_domain::RepoError;
        use order_test_postgres::Session;

        use crate::{
            placing::*,
            testing::{batch_of_placements, database, key, keyed, new_order},
        };

        fn place(session: &mut Session, batch: &[NewOrder]) -> Vec<PlaceOutcome> {
            let outcomes = place_all(session.connection(), batch);
            outcomes.into_iter().map(Result::unwrap).collect()
        }

        #[test]
        fn each_request_of_a_batch_has_its_own_outcome() {
            let (_database, mut session) = database();
            let [PlaceOutcome::Placed(earlier)] = place(&mut session, &[keyed(1, "used")])[..]
            else {
                panic!("a new key places")
            };

            // Each request consumes an id, whether it places an order or not.
            let batch = batch_of_placements(earlier, [2, 4, 5]);
            let (batch, expected): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            assert_eq!(place(&mut session, &batch), expected);
            assert_eq!(place(&mut session, &[]), []);
        }

        /// The placement is reported as successful. Only the request that needs a lookup fails.
        #[test]
        fn failed_lookup_after_a_placement_fails_only_replays() {
            let (_database, mut session) = database();
            place(&mut session, &[keyed(1, "used")]);
            // After a placement the session finds no table.
            session.execute(
                "CREATE FUNCTION hide_tables() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     PERFORM set_config('search_path', 'nowhere', false); RETURN NULL; END $$; \
                 CREATE TRIGGER hide_tables AFTER INSERT ON orders EXECUTE FUNCTION hide_tables()",
            );
            let mut outcomes = place_all(session.connection(), &[new_order(2), keyed(1, "used")]);
            let error = RepoError::from(outcomes.pop().unwrap().unwrap_err());
            assert!(matches!(error, RepoError::Unavailable(_)), "{error:?}");
            assert!(matches!(outcomes[..], [Ok(PlaceOutcome::Placed(_))]), "{outcomes:?}");
            assert_eq!(session.number("SELECT count(*) FROM public.orders"), 2);
        }

        /// The statement finds the key in use. The lookup of its order no longer finds it.
        #[test]
        fn key_that_expires_between_two_lookups_places() {
            let (_database, mut session) = database();
            place(&mut session, &[keyed(1, "old")]);
            session.execute(
                "UPDATE placement_keys SET created_at = now() - interval '23:59:59.5'; \
                 CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     PERFORM pg_sleep(0.7); RETURN NEW; END $$; \
                 CREATE TRIGGER wait BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION wait()",
            );
            let outcomes = place(&mut session, &[new_order(2), keyed(3, "old")]);
            let placed = |outcome: &_| matches!(outcome, PlaceOutcome::Placed(_));
            assert!(outcomes.iter().all(placed), "{outcomes:?}");
        }

        #[test]
        fn corrupt_row_fails_only_the_request_that_reads_it() {
            let (_database, mut session) = database();
            place(&mut session, &[keyed(1, "corrupt")]);
            session.execute(
                "ALTER TABLE orders DROP CONSTRAINT orders_distance_check; \
                 UPDATE orders SET distance = -1",
            );

            let batch = [keyed(1, "corrupt"), new_order(2)];
            let outcomes = place_all(session.connection(), &batch);

            assert!(outcomes[0].is_err());
            assert!(matches!(outcomes[1], Ok(PlaceOutcome::Placed(_))));
        }

        #[test]
        fn each_key_deletes_at_most_four_expired_keys() {
            let (_database, mut session) = database();
            for n in 0..10 {
                place(&mut session, &[keyed(n, &format!("old-{n}"))]);
            }
            session.execute(
                "UPDATE placement_keys SET created_at = created_at - interval '24 hours 1 second'",
            );
            let mut left = vec![];
            for n in 0..4 {
                place(&mut session, &[new_order(n)]);
                place(&mut session, &[keyed(n, &format!("new-{n}"))]);
                left.push(session.number("SELECT count(*) FROM placement_keys"));
            }
            assert_eq!(left, [10 - 4 + 1, 10 - 8 + 2, 3, 4]);
        }

        #[test]
        fn placement_waits_for_another_deletion_of_its_expired_key() {
            let (database, mut session) = database();
            place(&mut session, &[keyed(1, "old")]);
            session.execute("UPDATE placement_keys SET created_at = now() - interval '2 days'");
            let mut other = database.session();
            other.execute("BEGIN; DELETE FROM placement_keys");
            let ending = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(300));
                other.execute("COMMIT");
            });
            let outcome = place(&mut session, &[keyed(2, "old")]);
            assert!(matches!(outcome[..], [PlaceOutcome::Placed(_)]), "{outcome:?}");
            ending.join().unwrap();
            let found = find_placements(session.connection(), &[key("old")]).remove(0).unwrap();
            assert_eq!(found.map(PlaceOutcome::Placed), Some(outcome[0]));
        }
    }
}
