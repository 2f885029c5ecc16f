//! The statement that places orders, and remembers and forgets the keys that made them.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Double, Nullable, Text},
};
use order_domain::{IdempotencyKey, NewOrder, OrderId, PlaceOutcome, PlacedOrder};
use order_repo_diesel::{
    all_fail,
    rows::{CorruptRow, PlacedRow, RouteRow},
};

use crate::{
    error::StoreError,
    statement::{Outcomes, each_its_row, entry, statement},
};

/// The moment since which keys are remembered, as SQL.
macro_rules! oldest_key {
    () => {
        "(now() - interval '24 hours')"
    };
}

statement! {
    /// Places orders, and returns the id of each; none where the key had made an order before.
    ///
    /// Each request has its id from the beginning, so that each gets its own. A key that another
    /// transaction is using is waited for, whatever its outcome; the order of keys prevents
    /// deadlocks between batches. An expired key belongs to its new order.
    ///
    /// Each key sweeps up to four expired ones, except those that are used here or elsewhere: more
    /// than one, so that the table shrinks; few, so that no request waits for the sweep. The
    /// locking subselect is a CTE of its own, so that it runs once whatever the plan.
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
     ), swept AS ( \
         DELETE FROM placement_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM expired)) \
     ) \
     SELECT placed.id FROM input LEFT JOIN placed ON placed.id = input.id ORDER BY input.n")
}

statement! {
    /// The orders that keys have made, each with the number of the request it is for.
    ///
    /// `IS TRUE` keeps `placement_keys_by_age` out of the plan, as in
    /// [`TakeOrders`](crate::taking).
    FindPlacements {
        keys: Text => String,
    } -> (BigInt, (BigInt, (Double, Double, Double, Double), BigInt)),
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

/// How often a key may be found used and then not be there, because it expired in between.
const TRIES: usize = 3;

/// Places orders in one statement. Those whose key was used are told the order that it made.
pub(crate) fn place_all(
    connection: &mut PgConnection,
    members: &[NewOrder],
) -> Outcomes<PlaceOutcome> {
    let mut outcomes: Outcomes<PlaceOutcome> = all_fail(members.len(), &StoreError::Restless);
    let mut waiting: Vec<_> = (0..members.len()).collect();
    for _ in 0..TRIES {
        if waiting.is_empty() {
            break;
        }
        let batch: Vec<_> = waiting.iter().map(|&member| &members[member]).collect();
        let ids = match insert(connection, &batch) {
            Ok(ids) => ids,
            Err(error) => {
                let failure = StoreError::from(error);
                for member in waiting {
                    outcomes[member] = Err(failure.clone());
                }
                break;
            }
        };
        let mut used = (vec![], vec![]);
        for (&member, id) in waiting.iter().zip(ids) {
            let order = &members[member];
            match (id, &order.key) {
                (Some(id), _) => outcomes[member] = placed(id, order),
                (None, Some(key)) => {
                    used.0.push(member);
                    used.1.push(key.clone());
                }
                (None, None) => {}
            }
        }
        let (used, keys) = used;
        waiting.clear();
        for (member, earlier) in used.into_iter().zip(find_placements(connection, &keys)) {
            match earlier {
                Ok(Some(earlier)) => outcomes[member] = Ok(PlaceOutcome::KeyUsed(earlier)),
                Ok(None) => waiting.push(member),
                // Nothing was placed for this member: all it met was a look.
                Err(failure) => outcomes[member] = Err(failure.of_a_read()),
            }
        }
    }
    outcomes
}

/// The orders that keys have made, while the keys are remembered.
pub(crate) fn find_placements(
    connection: &mut PgConnection,
    keys: &[IdempotencyKey],
) -> Outcomes<Option<PlacedOrder>> {
    if keys.is_empty() {
        return vec![];
    }
    let keys = keys.iter().map(|key| key.as_str().to_owned()).collect();
    let statement = FindPlacements { keys };
    each_its_row(statement.keys.len(), statement.load(connection), |row: PlacedRow| {
        Ok(PlacedOrder::try_from(row)?)
    })
}

fn insert(connection: &mut PgConnection, members: &[&NewOrder]) -> QueryResult<Vec<Option<i64>>> {
    let routes = || members.iter().map(|order| RouteRow::from(order.route));
    let statement = PlaceOrders {
        origin_latitudes: routes().map(|route| route.origin_latitude).collect(),
        origin_longitudes: routes().map(|route| route.origin_longitude).collect(),
        destination_latitudes: routes().map(|route| route.destination_latitude).collect(),
        destination_longitudes: routes().map(|route| route.destination_longitude).collect(),
        distances: members.iter().map(|order| order.distance.get()).collect(),
        keys: members.iter().map(|order| entry(order.key.as_ref())).collect(),
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
            testing::{database, key, keyed, new_order},
        };

        fn place(session: &mut Session, batch: &[NewOrder]) -> Vec<PlaceOutcome> {
            let outcomes = place_all(session.connection(), batch);
            outcomes.into_iter().map(Result::unwrap).collect()
        }

        #[test]
        fn each_member_of_a_batch_has_its_own_outcome() {
            let (_database, mut session) = database();
            let [PlaceOutcome::Placed(earlier)] = place(&mut session, &[keyed(1, "used")])[..]
            else {
                panic!("a new key places")
            };

            let batch = [
                new_order(2),
                keyed(3, "used"),
                keyed(4, "twice"),
                new_order(2),
                keyed(5, "twice"),
            ];
            let outcomes = place(&mut session, &batch);

            // A number for each member, used or not.
            let placed = |id: i64, n: u16| {
                let NewOrder { route, distance, .. } = new_order(n);
                PlacedOrder { id: id.try_into().unwrap(), route, distance }
            };
            let expected = [
                PlaceOutcome::Placed(placed(2, 2)),
                PlaceOutcome::KeyUsed(earlier),
                PlaceOutcome::Placed(placed(4, 4)),
                PlaceOutcome::Placed(placed(5, 2)),
                PlaceOutcome::KeyUsed(placed(4, 4)),
            ];
            assert_eq!(outcomes, expected);
            assert_eq!(place(&mut session, &[]), []);
        }

        /// The change is done and told; only who needs a second look hears that it failed.
        #[test]
        fn a_look_that_fails_after_a_change_fails_only_who_needs_it() {
            let (_database, mut session) = database();
            place(&mut session, &[keyed(1, "used")]);
            // Whoever places finds no table afterwards.
            session.execute(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     PERFORM set_config('search_path', 'nowhere', false); RETURN NULL; END $$; \
                 CREATE TRIGGER spoil AFTER INSERT ON orders EXECUTE FUNCTION spoil()",
            );
            let mut outcomes = place_all(session.connection(), &[new_order(2), keyed(1, "used")]);
            let error = RepoError::from(outcomes.pop().unwrap().unwrap_err());
            assert!(matches!(error, RepoError::Unavailable(_)), "{error:?}");
            assert!(matches!(outcomes[..], [Ok(PlaceOutcome::Placed(_))]), "{outcomes:?}");
            assert_eq!(session.number("SELECT count(*) FROM public.orders"), 2);
        }

        /// The statement finds it used, the look for its order does not find it any more.
        #[test]
        fn a_key_that_expires_between_two_looks_places() {
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
        fn a_row_that_cannot_be_spoils_one_members_outcome_only() {
            let (_database, mut session) = database();
            place(&mut session, &[keyed(1, "spoilt")]);
            session.execute(
                "ALTER TABLE orders DROP CONSTRAINT orders_distance_check; \
                 UPDATE orders SET distance = -1",
            );

            let batch = [keyed(1, "spoilt"), new_order(2)];
            let outcomes = place_all(session.connection(), &batch);

            assert!(outcomes[0].is_err());
            assert!(matches!(outcomes[1], Ok(PlaceOutcome::Placed(_))));
        }

        #[test]
        fn few_expired_keys_are_swept_at_a_time() {
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
        fn an_expired_key_that_another_process_sweeps_is_waited_for() {
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
