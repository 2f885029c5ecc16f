//! Many takers, several processes, one database: each order has exactly one winner.

use std::{
    collections::HashSet,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rstest::rstest;

use super::support::{Fixture, Process, Store};

const PROCESSES: usize = 3;
const TAKERS: usize = 48;
const ORDERS: usize = 300;

#[rstest]
fn each_of_300_orders_has_one_winner_among_48_takers_over_three_processes(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let services: Vec<_> = (0..PROCESSES).map(|_| Process::start(&fixture)).collect();
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

/// For each of these all racers start together.
const KEYS: usize = 20;
const RACERS: usize = 10;

#[rstest]
fn requests_at_the_same_time_under_one_key_all_get_the_one_order_all_but_the_first_as_replays(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let services: Vec<_> = (0..PROCESSES).map(|_| Process::start(&fixture)).collect();
    let keys: Vec<_> = (0..KEYS).map(|n| format!("key-{n}")).collect();
    let start = Barrier::new(RACERS);

    let response: Vec<Vec<_>> = thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let client = services[racer % PROCESSES].client.clone();
                let (keys, start) = (&keys, &start);
                scope.spawn(move || {
                    let race = |key: &String| {
                        start.wait();
                        // Looked at later: who fails here leaves the others at the start.
                        client.post(Some(key))
                    };
                    keys.iter().map(race).collect()
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });

    let mut orders = HashSet::new();
    for (n, key) in keys.iter().enumerate() {
        let answers: Vec<_> =
            response.iter().map(|response| response[n].as_ref().unwrap()).collect();
        assert!(answers.iter().all(|answer| answer.status == 200), "{key}: {answers:?}");
        let first = &answers[0].json;
        assert!(answers.iter().all(|answer| answer.json == *first), "{key}: {answers:?}");
        let replayed = answers.iter().map(|answer| answer.header("idempotency-replayed"));
        let replays = replayed.filter(|replayed| *replayed == Some("true")).count();
        assert_eq!(replays, RACERS - 1, "{key}: {answers:?}");
        orders.insert(first["id"].as_i64().unwrap());
    }
    assert_eq!(orders.len(), KEYS, "two keys have one order");
    let all = services[0].client.get("/orders?page=1&limit=1000");
    assert_eq!(all.json.as_array().unwrap().len(), KEYS);
}
