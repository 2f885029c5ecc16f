//! `kill -9` in the middle of work loses nothing that was answered and doubles nothing that was
//! repeated. `CRASH_ROUNDS` says how often it strikes.

use std::{
    collections::HashSet,
    env,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use order_test_postgres::{Server, ServerSettings};
use rstest::rstest;

use super::support::{Client, Fixture, JsonResponse, Process, Stop, Store};

const CLIENTS: usize = 4;
/// Couriers for each order.
const TAKERS: usize = 2;

fn rounds() -> u64 {
    env::var("CRASH_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap())
}

/// What one customer wanted under one key, and what it was told.
struct Intent {
    key: String,
    /// The order, once somebody was told of it.
    id: Option<i64>,
    /// Whether each of its takers was told that it won.
    won: [bool; TAKERS],
}

impl Intent {
    fn new(key: String) -> Self {
        Self { key, id: None, won: [false; TAKERS] }
    }

    /// Places the order. That nothing was changed may be said, and that nobody knows.
    fn place(&mut self, client: &Client) {
        let Ok(answer) = client.post(Some(&self.key)) else { return };
        if let Some(id) = expect_known(&answer).then(|| answer.json["id"].as_i64().unwrap()) {
            assert!(
                self.id.is_none_or(|response| response == id),
                "{}: {:?}, {id}",
                self.key,
                self.id
            );
            self.id = Some(id);
        }
    }

    /// All takers try at the same time.
    fn take(&mut self, client: &Client) {
        let Some(id) = self.id else { return };
        thread::scope(|scope| {
            for (taker, won) in self.won.iter_mut().enumerate() {
                let key = format!("{}-{taker}", self.key);
                scope.spawn(move || {
                    if let Ok(answer) = client.take(id, Some(&key)) {
                        *won |= expect_known(&answer);
                    }
                });
            }
        });
    }
}

/// Whether it is a success. A refusal has the form of the contract.
fn expect_known(answer: &JsonResponse) -> bool {
    assert!(answer.status == 200 || answer.json["error"].is_string(), "{answer:?}");
    answer.status == 200
}

/// Works until it is told to stop, or until the service is gone.
fn work(service: &Process, round: u64, stop: &AtomicBool) -> Vec<Intent> {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CLIENTS)
            .map(|worker| {
                let client = service.client.clone();
                scope.spawn(move || {
                    let mut intents = vec![];
                    while !stop.load(Ordering::Relaxed) {
                        let n = intents.len();
                        let mut intent = Intent::new(format!("{round}-{worker}-{n}"));
                        intent.place(&client);
                        intent.take(&client);
                        intents.push(intent);
                    }
                    intents
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Everybody comes back with their keys. Now all is known, and fits what was told before.
fn settle(service: &Process, mut intents: Vec<Intent>) {
    assert!(intents.iter().any(|intent| intent.id.is_some()), "nothing was answered");
    assert!(intents.iter().any(|intent| intent.won.contains(&true)), "nobody won");
    for intent in &mut intents {
        let response = intent.won;
        intent.place(&service.client);
        intent.take(&service.client);
        // The winner is told again; the others lost again.
        let winners = intent.won.iter().filter(|&&won| won).count();
        assert_eq!(winners, 1, "{}: {response:?} before, {:?} now", intent.key, intent.won);
    }
    let ids: HashSet<_> = intents.iter().map(|intent| intent.id.unwrap()).collect();
    assert_eq!(ids.len(), intents.len(), "two keys made one order");
    let pages = service.client.pages("/orders?page=1&limit=1000&status=TAKEN");
    let listed: HashSet<_> = pages.flatten().collect();
    assert_eq!(listed, ids, "orders that nobody was response of, or the other way round");
    let free = service.client.get("/orders?page=1&limit=1&status=UNASSIGNED");
    assert_eq!(free.json.as_array().unwrap().len(), 0);
}

#[rstest]
fn what_was_answered_survives_kill_9(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let mut intents = vec![];
    for round in 0..rounds() {
        let service = Process::start(&fixture);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let until = Stop(&stop);
            let working = scope.spawn(|| work(&service, round, &stop));
            thread::sleep(Duration::from_millis(200 + round * 97 % 600));
            service.signal("KILL");
            thread::sleep(Duration::from_millis(20));
            drop(until);
            intents.extend(working.join().unwrap());
        });
    }
    settle(&Process::start(&fixture), intents);
}

/// A server that writes as PostgreSQL does by default, under a service that goes on.
#[test]
fn what_was_answered_survives_kill_9_of_the_database() {
    let server = Server::start(ServerSettings::Durable);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let mut intents = vec![];
    for round in 0..rounds() {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let until = Stop(&stop);
            let working = scope.spawn(|| work(&service, round, &stop));
            thread::sleep(Duration::from_millis(300 + round * 97 % 600));
            server.kill();
            server.start_again();
            service.client.wait_for_database();
            drop(until);
            intents.extend(working.join().unwrap());
        });
    }
    settle(&service, intents);
}
