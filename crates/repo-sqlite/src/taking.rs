//! The statements that take orders.

use diesel::prelude::*;
use order_domain::{IdempotencyKey, OrderStatus, Take, TakeOutcome};
use order_repo_diesel::rows::CorruptRow;

use crate::{
    error::{Outcomes, StoreError, serve_each},
    schema::{later_of, now, orders},
};

/// Takes orders. To be run with the write lock held.
pub(crate) fn take_all(
    connection: &mut SqliteConnection,
    requests: &[Take],
) -> Result<Outcomes<TakeOutcome>, StoreError> {
    let now = now(connection)?;
    // Each request sees the effect of those before it: the first take of an order wins.
    serve_each(requests, |take| match settled_outcome(connection, take)? {
        Some(outcome) => Ok(outcome),
        None => Ok(mark_taken(connection, take, now)?),
    })
}

/// The outcomes that no later take can change, because a taken order stays taken and a key stays
/// with its order. `None` if the order is unassigned. To be run in a transaction: the lookups of
/// the key and of the order must see one state, or the winner's repeated take is reported as lost.
pub(crate) fn settled_outcomes(
    connection: &mut SqliteConnection,
    requests: &[Take],
) -> Result<Outcomes<Option<TakeOutcome>>, StoreError> {
    serve_each(requests, |take| settled_outcome(connection, take))
}

fn settled_outcome(
    connection: &mut SqliteConnection,
    take: &Take,
) -> Result<Option<TakeOutcome>, StoreError> {
    let id = take.id.get();
    if let Some(key) = &take.key {
        let taken: Option<i64> = orders::table
            .filter(orders::take_key.eq(key.as_str()))
            .select(orders::id)
            .first(connection)
            .optional()?;
        if let Some(taken) = taken {
            let is_replay = taken == id;
            let outcome =
                if is_replay { TakeOutcome::Replayed } else { TakeOutcome::KeyUsedElsewhere };
            return Ok(Some(outcome));
        }
    }
    let status: Option<String> =
        orders::table.find(id).select(orders::status).first(connection).optional()?;
    let Some(status) = status else { return Ok(Some(TakeOutcome::NotFound)) };
    Ok(match status.parse().map_err(CorruptRow::of(id))? {
        OrderStatus::Unassigned => None,
        OrderStatus::Taken => Some(TakeOutcome::AlreadyTaken),
    })
}

/// Takes an order. The condition of the update decides the winner, not the lookup before it.
fn mark_taken(
    connection: &mut SqliteConnection,
    take: &Take,
    now: i64,
) -> QueryResult<TakeOutcome> {
    let unassigned = orders::table
        .filter(orders::id.eq(take.id.get()))
        .filter(orders::status.eq(OrderStatus::Unassigned.as_str()));
    // The time is never before that of the placement, even if the clock was set back.
    let at = later_of(orders::created_at, now);
    let taken = diesel::update(unassigned)
        .set((
            orders::status.eq(OrderStatus::Taken.as_str()),
            orders::take_key.eq(take.key.as_ref().map(IdempotencyKey::as_str)),
            orders::taken_at.eq(at.nullable()),
            orders::updated_at.eq(at),
        ))
        .execute(connection)?;
    Ok(if taken == 1 { TakeOutcome::Taken } else { TakeOutcome::AlreadyTaken })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        placing::place_all,
        testing::{batch_of_takes, database, new_order, plans_of, take_request},
    };

    fn take(connection: &mut SqliteConnection, batch: &[Take]) -> Vec<TakeOutcome> {
        take_all(connection, batch).unwrap().into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn each_request_of_a_batch_has_its_own_outcome() {
        let mut connection = database();
        place_all(&mut connection, &[1, 2, 3, 4, 5].map(new_order)).unwrap();
        assert_eq!(take(&mut connection, &[take_request(1, Some("one"))]), [TakeOutcome::Taken]);

        let (batch, expected): (Vec<_>, Vec<_>) = batch_of_takes().into_iter().unzip();
        assert_eq!(take(&mut connection, &batch), expected);
        assert_eq!(take(&mut connection, &[]), []);
    }

    #[test]
    fn order_is_not_taken_before_it_was_placed() {
        let mut connection = database();
        place_all(&mut connection, &[new_order(1)]).unwrap();
        let ahead = orders::created_at + 60_000_000;
        diesel::update(orders::table)
            .set((orders::created_at.eq(ahead), orders::updated_at.eq(ahead)))
            .execute(&mut connection)
            .unwrap();
        assert_eq!(take(&mut connection, &[take_request(1, None)]), [TakeOutcome::Taken]);
        let (created, taken): (i64, Option<i64>) = orders::table
            .select((orders::created_at, orders::taken_at))
            .first(&mut connection)
            .unwrap();
        assert_eq!(taken, Some(created));
    }

    #[test]
    fn every_row_is_found_by_an_index() {
        let plans = plans_of(|connection| {
            place_all(connection, &[new_order(1)]).unwrap();
            assert_eq!(take(connection, &[take_request(1, Some("key"))]), [TakeOutcome::Taken]);
        });
        assert!(plans.contains("INDEX orders_by_take_key (take_key=?)"), "{plans}");
        assert!(!plans.contains("SCAN"), "{plans}");
    }
}
