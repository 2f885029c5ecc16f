//! The statements that place orders, store the keys of placements, and delete expired keys.

use diesel::{prelude::*, upsert::excluded};
use order_domain::{IdempotencyKey, NewOrder, OrderId, OrderStatus, PlaceOutcome, PlacedOrder};
use order_repo_diesel::rows::{CorruptRow, PlacedRow};

use crate::{
    error::{Outcomes, StoreError, serve_each},
    schema::{now, orders, placed_columns, placement_keys},
};

/// How long the key of a placement is valid: 24 hours.
const KEY_LIFETIME_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// How many expired keys a new key deletes: more than one, so that the table shrinks, and few, so
/// that no caller waits for the deletion.
const MAX_DELETED_PER_KEY: i64 = 4;

/// Places orders. To be run with the write lock held, so that no other process places an order with
/// the same key between the lookup of the key and the insert.
pub(crate) fn place_all(
    connection: &mut SqliteConnection,
    requests: &[NewOrder],
) -> Result<Outcomes<PlaceOutcome>, StoreError> {
    let now = now(connection)?;
    serve_each(requests, |order| match &order.key {
        None => Ok(PlaceOutcome::Placed(insert(connection, order, now)?)),
        Some(key) => place_once(connection, order, key, now),
    })
}

/// Finds the orders that were placed with keys that are not expired.
pub(crate) fn find_placements(
    connection: &mut SqliteConnection,
    requests: &[IdempotencyKey],
) -> Result<Outcomes<Option<PlacedOrder>>, StoreError> {
    let now = now(connection)?;
    serve_each(requests, |key| find_placement(connection, key, now))
}

fn place_once(
    connection: &mut SqliteConnection,
    order: &NewOrder,
    key: &IdempotencyKey,
    now: i64,
) -> Result<PlaceOutcome, StoreError> {
    if let Some(earlier) = find_placement(connection, key, now)? {
        return Ok(PlaceOutcome::KeyUsed(earlier));
    }
    delete_expired_keys(connection, now)?;
    let placed = insert(connection, order, now)?;
    store_key(connection, key, placed.id, now)?;
    Ok(PlaceOutcome::Placed(placed))
}

fn insert(
    connection: &mut SqliteConnection,
    order: &NewOrder,
    now: i64,
) -> Result<PlacedOrder, StoreError> {
    let NewOrder { route, distance, .. } = *order;
    let id: i64 = diesel::insert_into(orders::table)
        .values((
            orders::origin_latitude.eq(route.origin.latitude.degrees()),
            orders::origin_longitude.eq(route.origin.longitude.degrees()),
            orders::destination_latitude.eq(route.destination.latitude.degrees()),
            orders::destination_longitude.eq(route.destination.longitude.degrees()),
            orders::distance.eq(distance.get()),
            orders::status.eq(OrderStatus::Unassigned.as_str()),
            orders::created_at.eq(now),
            orders::updated_at.eq(now),
        ))
        .returning(orders::id)
        .get_result(connection)?;
    let id = OrderId::try_from(id).map_err(CorruptRow::of(id))?;
    Ok(PlacedOrder { id, route, distance })
}

fn find_placement(
    connection: &mut SqliteConnection,
    key: &IdempotencyKey,
    now: i64,
) -> Result<Option<PlacedOrder>, StoreError> {
    let row: Option<PlacedRow> = placement_keys::table
        .inner_join(orders::table)
        .filter(placement_keys::key.eq(key.as_str()))
        .filter(placement_keys::created_at.ge(now - KEY_LIFETIME_MICROS))
        .select(placed_columns!())
        .first(connection)
        .optional()?;
    Ok(row.map(PlacedOrder::try_from).transpose()?)
}

/// Stores a key. An expired key is reassigned to its new order.
fn store_key(
    connection: &mut SqliteConnection,
    key: &IdempotencyKey,
    id: OrderId,
    now: i64,
) -> QueryResult<()> {
    diesel::insert_into(placement_keys::table)
        .values((
            placement_keys::key.eq(key.as_str()),
            placement_keys::order_id.eq(id.get()),
            placement_keys::created_at.eq(now),
        ))
        .on_conflict(placement_keys::key)
        .do_update()
        .set((
            placement_keys::order_id.eq(excluded(placement_keys::order_id)),
            placement_keys::created_at.eq(excluded(placement_keys::created_at)),
        ))
        .execute(connection)
        .map(drop)
}

fn delete_expired_keys(connection: &mut SqliteConnection, now: i64) -> QueryResult<()> {
    let old = diesel::alias!(placement_keys as old_keys);
    let oldest = old
        .filter(old.field(placement_keys::created_at).lt(now - KEY_LIFETIME_MICROS))
        .order(old.field(placement_keys::created_at))
        .limit(MAX_DELETED_PER_KEY)
        .select(old.field(placement_keys::key));
    diesel::delete(placement_keys::table.filter(placement_keys::key.eq_any(oldest)))
        .execute(connection)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{batch_of_placements, database, key, keyed, new_order, plans_of};

    fn place(connection: &mut SqliteConnection, batch: &[NewOrder]) -> Vec<PlaceOutcome> {
        place_all(connection, batch).unwrap().into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn each_request_of_a_batch_has_its_own_outcome() {
        let mut connection = database();
        let [PlaceOutcome::Placed(earlier)] = place(&mut connection, &[keyed(1, "used")])[..]
        else {
            panic!("a new key places")
        };

        let batch = batch_of_placements(earlier, [2, 3, 4]);
        let (batch, expected): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        assert_eq!(place(&mut connection, &batch), expected);
        assert_eq!(place(&mut connection, &[]), []);
    }

    #[test]
    fn corrupt_row_fails_only_the_request_that_reads_it() {
        let mut connection = database();
        place(&mut connection, &[keyed(1, "corrupt")]);
        diesel::sql_query("PRAGMA ignore_check_constraints = ON").execute(&mut connection).unwrap();
        diesel::update(orders::table)
            .set(orders::distance.eq(-1))
            .execute(&mut connection)
            .unwrap();

        let outcomes = place_all(&mut connection, &[keyed(1, "corrupt"), new_order(2)]).unwrap();

        assert!(outcomes[0].is_err());
        assert!(matches!(outcomes[1], Ok(PlaceOutcome::Placed(_))));
    }

    #[test]
    fn each_key_deletes_at_most_four_expired_keys() {
        let mut connection = database();
        let keys = |connection: &mut _| -> i64 {
            placement_keys::table.count().get_result(connection).unwrap()
        };
        for n in 0..10 {
            place(&mut connection, &[keyed(n, &format!("old-{n}"))]);
        }
        diesel::update(placement_keys::table)
            .set(
                placement_keys::created_at
                    .eq(placement_keys::created_at - KEY_LIFETIME_MICROS - 1_000),
            )
            .execute(&mut connection)
            .unwrap();
        let mut left = vec![];
        for n in 0..4 {
            place(&mut connection, &[keyed(n, &format!("new-{n}"))]);
            left.push(keys(&mut connection));
        }
        assert_eq!(left, [10 - 4 + 1, 10 - 8 + 2, 3, 4]);
    }

    #[test]
    fn every_row_is_found_by_an_index() {
        let plans = plans_of(|connection| {
            place(connection, &[keyed(1, "key")]);
            find_placements(connection, &[key("key")]).unwrap().remove(0).unwrap().unwrap();
        });
        let by_age = "SEARCH old_keys USING COVERING INDEX placement_keys_by_age (created_at<?)";
        assert!(plans.contains(by_age), "{plans}");
        assert!(!plans.contains("SCAN"), "{plans}");
        assert!(!plans.contains("TEMP B-TREE"), "{plans}");
    }
}
