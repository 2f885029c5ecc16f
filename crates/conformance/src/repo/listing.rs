//! The list is newest first, and its pages neither overlap nor leave gaps.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use order_domain::{ListQuery, OrderId, OrderStatus, TakeOutcome, Window};

use super::{
    RepoFixture,
    fixtures::{Repo, before, list, listed_ids, new_order, page, place, place_many, repos, take},
};

/// Follows the cursor to the end, as clients follow links.
async fn follow(repo: &Repo, limit: u16, status: Option<OrderStatus>) -> Vec<OrderId> {
    let mut query = ListQuery { window: page(1, limit), status };
    let mut seen = vec![];
    loop {
        let part = repo.list(query).await.unwrap();
        assert!(part.len() <= usize::from(limit), "{} is more than {limit}", part.len());
        seen.extend(part.iter().map(|order| order.id));
        match query.next(&part) {
            Some(cursor) => query.window = Window::Before(cursor),
            None => return seen,
        }
    }
}

/// Catches implementations that sort differently, count pages from 0, or include the cursor itself.
pub async fn list_is_newest_first(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let mut newest_first = place_many(&repo, 25).await;
    newest_first.reverse();
    for (number, expected) in (1..).zip(newest_first.chunks(10)) {
        assert_eq!(listed_ids(&repo, page(number, 10), None).await, expected);
    }
    assert_eq!(listed_ids(&repo, page(5, 5), None).await, newest_first[20..]);
    assert_eq!(listed_ids(&repo, page(1, 1000), None).await, newest_first);
    for (n, id) in newest_first.iter().enumerate() {
        let rest = &newest_first[n + 1..];
        let expected = &rest[..rest.len().min(4)];
        assert_eq!(listed_ids(&repo, before(id.get(), 4), None).await, expected);
    }
    for limit in [1, 5, 7, 25, 26] {
        assert_eq!(follow(&repo, limit, None).await, newest_first, "{limit} at a time");
    }
}

/// Catches implementations that overflow, or reject pages past the end.
pub async fn list_past_the_end_is_empty(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let statuses = [None, Some(OrderStatus::Unassigned), Some(OrderStatus::Taken)];
    for status in statuses {
        for nowhere in [page(1, 1), page(i64::MAX, 1000), before(1, 9), before(i64::MAX, 9)] {
            assert_eq!(list(&repo, nowhere, status).await, [], "{nowhere:?} {status:?}");
        }
    }
    let ids = place_many(&repo, 3).await;
    for status in statuses {
        let past = [page(2, 3), page(4, 1), page(i64::MAX, 1), page(i64::MAX, 1000), before(1, 9)];
        for past in past.into_iter().chain([before(ids[0].get(), 9)]) {
            assert_eq!(list(&repo, past, status).await, [], "{past:?} {status:?}");
        }
    }
    let all: Vec<_> = ids.into_iter().rev().collect();
    assert_eq!(listed_ids(&repo, before(i64::MAX, 1000), None).await, all);
}

/// Catches implementations that filter a page after they have selected it.
pub async fn status_filter_lists_only_that_status(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let (mut taken, mut unassigned) = (vec![], vec![]);
    for (n, id) in place_many(&repo, 20).await.into_iter().enumerate() {
        if n % 3 == 0 {
            assert_eq!(take(&repo, id).await, TakeOutcome::Taken);
            taken.insert(0, id);
        } else {
            unassigned.insert(0, id);
        }
    }
    for (status, expected) in [(OrderStatus::Taken, taken), (OrderStatus::Unassigned, unassigned)] {
        let filter = Some(status);
        let shown = list(&repo, page(1, 1000), filter).await;
        assert!(shown.iter().all(|order| order.status == status), "{shown:?}");
        for (number, part) in (1..).zip(expected.chunks(4)) {
            assert_eq!(listed_ids(&repo, page(number, 4), filter).await, part);
        }
        let cursor = before(expected[2].get(), 3);
        assert_eq!(listed_ids(&repo, cursor, filter).await, expected[3..6]);
        assert_eq!(follow(&repo, 3, filter).await, expected);
        assert_eq!(follow(&repo, 1000, filter).await, expected);
    }
}

/// Catches implementations that store unassigned orders separately and do not move one.
pub async fn status_filter_reflects_a_take(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 2).await;
    let ids = place_many(&repos[0], 3).await;
    for (n, &id) in ids.iter().enumerate() {
        let unassigned = Some(OrderStatus::Unassigned);
        let taken = Some(OrderStatus::Taken);
        assert!(listed_ids(&repos[1], page(1, 9), unassigned).await.contains(&id));
        assert!(!listed_ids(&repos[1], page(1, 9), taken).await.contains(&id));
        assert_eq!(take(&repos[0], id).await, TakeOutcome::Taken);
        assert!(!listed_ids(&repos[1], page(1, 9), unassigned).await.contains(&id));
        assert_eq!(listed_ids(&repos[1], page(1, 1), taken).await, [id]);
        assert_eq!(listed_ids(&repos[1], page(1, 9), unassigned).await.len(), 2 - n);
    }
}

/// Catches implementations that shift pages when orders are placed, and so skip or repeat orders.
pub async fn cursor_lists_every_order_once_during_placements(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 2).await;
    let mut there = place_many(&repos[0], 40).await;
    there.reverse();
    let done = Arc::new(AtomicBool::new(false));
    let placer = tokio::spawn({
        let (repo, done) = (Arc::clone(&repos[1]), Arc::clone(&done));
        async move {
            for n in 0..400 {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                place(&repo, new_order(n)).await;
            }
        }
    });
    for limit in [1, 3, 7] {
        let mut query = ListQuery { window: page(1, limit), status: None };
        let mut seen = vec![];
        while let Some(cursor) = {
            let part = repos[0].list(query).await.unwrap();
            seen.extend(part.iter().map(|order| order.id));
            query.next(&part)
        } {
            query.window = Window::Before(cursor);
            // At least one newer order between two pages.
            place(&repos[0], new_order(0)).await;
        }
        assert!(seen.is_sorted_by(|newer, older| newer > older), "{limit} at a time: {seen:?}");
        let seen: HashSet<_> = seen.into_iter().collect();
        assert!(there.iter().all(|id| seen.contains(id)), "{limit} at a time");
    }
    done.store(true, Ordering::Relaxed);
    placer.await.unwrap();
}
