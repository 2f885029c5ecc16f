//! The statements that take orders.

use diesel::prelude::*;
use order_domain::{IdempotencyKey, OrderStatus, Take, TakeOutcome};
use order_repo_diesel::rows::CorruptRow;

use crate::{
    error::StoreError,
    rows::{Outcomes, now},
    schema::{later_of, orders},
};

/// Takes orders. To be run with the write lock held.
pub(crate) fn take_all(
    connection: &mut SqliteConnection,
    members: &[Take],
) -> Result<Outcomes<TakeOutcome>, StoreError> {
    let now = now(connection)?;
    let mut outcomes = Vec::with_capacity(members.len());
    for take in members {
        // Members see what those before them did: of two takes of one order the first wins.
        outcomes.push(match decided(connection, take)? {
            Ok(None) => Ok(win(connection, take, now)?),
            Ok(Some(outcome)) => Ok(outcome),
            Err(corrupt) => Err(corrupt.into()),
        });
    }
    Ok(outcomes)
}

/// The outcomes that are decided whoever comes next, because a taken order stays taken and a key
/// stays with its order. `None` where the order is free. To be run in a transaction: the look at
/// the key and the look at the order must see one state, or a winner's repeat is told that it
/// lost.
pub(crate) fn decided_all(
    connection: &mut SqliteConnection,
    members: &[Take],
) -> Result<Outcomes<Option<TakeOutcome>>, StoreError> {
    let mut outcomes = Vec::with_capacity(members.len());
    for take in members {
        outcomes.push(decided(connection, take)?.map_err(StoreError::from));
    }
    Ok(outcomes)
}

fn decided(
    connection: &mut SqliteConnection,
    take: &Take,
) -> QueryResult<Result<Option<TakeOutcome>, CorruptRow>> {
    let id = take.id.get();
    if let Some(key) = &take.key {
        let taken: Option<i64> = orders::table
            .filter(orders::take_key.eq(key.as_str()))
            .select(orders::id)
            .first(connection)
            .optional()?;
        if let Some(taken) = taken {
            let same = taken == id;
            let told = if same { TakeOutcome::Replayed } else { TakeOutcome::KeyUsedElsewhere };
            return Ok(Ok(Some(told)));
        }
    }
    let status: Option<String> =
        orders::table.find(id).select(orders::status).first(connection).optional()?;
    let Some(status) = status else { return Ok(Ok(Some(TakeOutcome::NotFound))) };
    Ok(match status.parse() {
        Ok(OrderStatus::Unassigned) => Ok(None),
        Ok(OrderStatus::Taken) => Ok(Some(TakeOutcome::AlreadyTaken)),
        Err(invalid) => Err(CorruptRow::of(id)(invalid)),
    })
}

/// The condition decides who wins, not the look before it.
fn win(connection: &mut SqliteConnection, take: &Take, now: i64) -> QueryResult<TakeOutcome> {
    let free = orders::table
        .filter(orders::id.eq(take.id.get()))
        .filter(orders::status.eq(OrderStatus::Unassigned.as_str()));
    // A clock that was set back takes no order before it was placed.
    let at = later_of(orders::created_at, now);
    let taken = diesel::update(free)
        .set((
            orders::status.eq(OrderStatus::Taken.as_str()),
            orders::take_key.eq(take.key.as_ref().map(IdempotencyKey::as_str)),
            orders::taken_at.eq(at.nullable()),
            orders::updated_at.eq(later_of(orders::created_at, now)),
        ))
        .execute(connection)?;
    Ok(if taken == 1 { TakeOutcome::Taken } else { TakeOutcome::AlreadyTaken })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        placing::place_all,
        testing::{batch_of_takes, database, key, new_order, plans_of},
    };

    fn take(connection: &mut SqliteConnection, batch: &[Take]) -> Vec<TakeOutcome> {
        take_all(connection, batch).unwrap().into_iter().map(Result::unwrap).collect()
    }

    fn wish(id: i64, text: Option<&str>) -> Take {
        Take { id: id.try_into().unwrap(), key: text.map(key) }
    }

    #[test]
    fn each_member_of_a_batch_has_its_own_outcome() {
        let mut connection = database();
        place_all(&mut connection, &[1, 2, 3, 4, 5].map(new_order)).unwrap();
        assert_eq!(take(&mut connection, &[wish(1, Some("one"))]), [TakeOutcome::Taken]);

        let (batch, expected): (Vec<_>, Vec<_>) = batch_of_takes().into_iter().unzip();
        assert_eq!(take(&mut connection, &batch), expected);
        assert_eq!(take(&mut connection, &[]), []);
    }

    #[test]
    fn an_order_is_not_taken_before_it_was_placed() {
        let mut connection = database();
        place_all(&mut connection, &[new_order(1)]).unwrap();
        let ahead = orders::created_at + 60_000_000;
        diesel::update(orders::table)
            .set((orders::created_at.eq(ahead), orders::updated_at.eq(ahead)))
            .execute(&mut connection)
            .unwrap();
        assert_eq!(take(&mut connection, &[wish(1, None)]), [TakeOutcome::Taken]);
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
            assert_eq!(take(connection, &[wish(1, Some("key"))]), [TakeOutcome::Taken]);
        });
        assert!(plans.contains("INDEX orders_by_take_key (take_key=?)"), "{plans}");
        assert!(!plans.contains("SCAN"), "{plans}");
    }
}
