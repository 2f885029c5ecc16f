//! Many couriers, several processes, one database: each order has exactly one winner.

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
const COURIERS: usize = 48;
const ORDERS: usize = 300;

#[rstest]
fn every_order_has_one_winner_across_processes(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let services: Vec<_> = (0..PROCESSES).map(|_| Process::start(&fixture)).collect();
    let orders: Vec<_> = (0..ORDERS).map(|n| services[n % PROCESSES].client.place()).collect();
    let winners: Vec<_> = orders.iter().map(|_| AtomicUsize::new(0)).collect();
    let start = Barrier::new(COURIERS);

    thread::scope(|scope| {
        for courier in 0..COURIERS {
            let client = services[courier % PROCESSES].client.clone();
            let (orders, winners, start) = (&orders, &winners, &start);
            scope.spawn(move || {
                start.wait();
                for (order, winners) in orders.iter().zip(winners) {
                    let response = client.take(*order, None).unwrap();
                    match response.status {
                        200 => {
                            winners.fetch_add(1, Ordering::Relaxed);
                        }
                        400 => assert!(response.json["error"].is_string(), "{response:?}"),
                        _ => panic!("{response:?}"),
                    }
                }
            });
        }
    });

    let winners: Vec<_> = winners.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    assert_eq!(winners, vec![1; ORDERS]);
    let unassigned = services[0].client.get("/orders?page=1&limit=1000&status=UNASSIGNED");
    assert_eq!(unassigned.json.as_array().unwrap().len(), 0);
}

/// For each key, all clients start at the same time.
const KEYS: usize = 20;
const CLIENTS: usize = 10;

#[rstest]
fn concurrent_requests_with_one_key_place_one_order(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let services: Vec<_> = (0..PROCESSES).map(|_| Process::start(&fixture)).collect();
    let keys: Vec<_> = (0..KEYS).map(|n| format!("key-{n}")).collect();
    let start = Barrier::new(CLIENTS);

    let by_client: Vec<Vec<_>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let client = services[n % PROCESSES].client.clone();
                let (keys, start) = (&keys, &start);
                scope.spawn(move || {
                    let post = |key: &String| {
                        start.wait();
                        // Checked later: a panic here would leave the other clients waiting.
                        client.post(Some(key))
                    };
                    keys.iter().map(post).collect()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });

    let mut orders = HashSet::new();
    for (n, key) in keys.iter().enumerate() {
        let responses: Vec<_> =
            by_client.iter().map(|responses| responses[n].as_ref().unwrap()).collect();
        assert!(responses.iter().all(|response| response.status == 200), "{key}: {responses:?}");
        let first = &responses[0].json;
        assert!(responses.iter().all(|response| response.json == *first), "{key}: {responses:?}");
        let replayed = responses.iter().map(|response| response.header("idempotency-replayed"));
        let replays = replayed.filter(|replayed| *replayed == Some("true")).count();
        assert_eq!(replays, CLIENTS - 1, "{key}: {responses:?}");
        orders.insert(first["id"].as_i64().unwrap());
    }
    assert_eq!(orders.len(), KEYS, "two keys have one order");
    let all = services[0].client.get("/orders?page=1&limit=1000");
    assert_eq!(all.json.as_array().unwrap().len(), KEYS);
}
