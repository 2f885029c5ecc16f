//! Many takers, several processes, one database: each order has exactly one winner.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rstest::rstest;

use super::support::{Process, Store, World};

const PROCESSES: usize = 3;
const TAKERS: usize = 48;
const ORDERS: usize = 300;

#[rstest]
fn each_of_300_orders_has_one_winner_among_48_takers_over_three_processes(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let world = World::new(store);
    let services: Vec<_> = (0..PROCESSES).map(|_| Process::start(&world)).collect();
    let orders: Vec<_> = (0..ORDERS).map(|n| services[n % PROCESSES].client.place()).collect();
    let winners: Vec<_> = orders.iter().map(|_| AtomicUsize::new(0)).collect();
    let start = Barrier::new(TAKERS);

    thread::scope(|scope| {
        for taker in 0..TAKERS {
            let client = services[taker % PROCESSES].client.clone();
            let (orders, winners, start) = (&orders, &winners, &start);
            scope.spawn(move || {
                start.wait();
                for (order, winners) in orders.iter().zip(winners) {
                    let answer = client.take(*order, None).unwrap();
                    match answer.status {
                        200 => {
                            winners.fetch_add(1, Ordering::Relaxed);
                        }
                        400 => assert!(answer.json["error"].is_string(), "{answer:?}"),
                        _ => panic!("{answer:?}"),
                    }
                }
            });
        }
    });

    let winners: Vec<_> = winners.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    assert_eq!(winners, vec![1; ORDERS]);
    let left = services[0].client.get("/orders?page=1&limit=1000&status=UNASSIGNED");
    assert_eq!(left.json.as_array().unwrap().len(), 0);
}

#[rstest]
fn concurrent_requests_under_one_key_over_three_processes_make_one_order(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let world = World::new(store);
    let services: Vec<_> = (0..PROCESSES).map(|_| Process::start(&world)).collect();

    let answers: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> = (0..12)
            .map(|n| {
                let client = services[n % PROCESSES].client.clone();
                scope.spawn(move || client.post(Some("key-1")).unwrap())
            })
            .collect();
        asked.into_iter().map(|answer| answer.join().unwrap()).collect()
    });

    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.json == answers[0].json), "{answers:?}");
    let first = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none());
    assert_eq!(first.count(), 1);
    let all = services[0].client.get("/orders?page=1&limit=10");
    assert_eq!(all.json.as_array().unwrap().len(), 1);
}
