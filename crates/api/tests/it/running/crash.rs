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

use super::support::{Answer, Client, Process, Stop, Store, World};

const CLIENTS: usize = 4;
/// Couriers for each order.
const TAKERS: usize = 2;

fn rounds() -> u64 {
    env::var("CRASH_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap())
}

/// What one customer wanted under one key, and what it was told.
struct Wish {
    key: String,
    /// The order, once somebody was told of it.
    id: Option<i64>,
    /// Whether each of its takers was told that it won.
    won: [bool; TAKERS],
}

impl Wish {
    fn new(key: String) -> Self {
        Self { key, id: None, won: [false; TAKERS] }
    }

    /// Places the order. That nothing was changed may be said, and that nobody knows.
    fn place(&mut self, client: &Client) {
        let Ok(answer) = client.post(Some(&self.key)) else { return };
        if let Some(id) = expect_known(&answer).then(|| answer.json["id"].as_i64().unwrap()) {
            assert!(self.id.is_none_or(|told| told == id), "{}: {:?}, {id}", self.key, self.id);
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
fn expect_known(answer: &Answer) -> bool {
    assert!(answer.status == 200 || answer.json["error"].is_string(), "{answer:?}");
    answer.status == 200
}

/// Works until it is told to stop, or until the service is gone.
fn work(service: &Process, round: u64, stop: &AtomicBool) -> Vec<Wish> {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CLIENTS)
            .map(|worker| {
                let client = service.client.clone();
                scope.spawn(move || {
                    let mut wishes = vec![];
                    while !stop.load(Ordering::Relaxed) {
                        let n = wishes.len();
                        let mut wish = Wish::new(format!("{round}-{worker}-{n}"));
                        wish.place(&client);
                        wish.take(&client);
                        wishes.push(wish);
                    }
                    wishes
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Everybody comes back with their keys. Now all is known, and fits what was told before.
fn settle(service: &Process, mut wishes: Vec<Wish>) {
    assert!(wishes.iter().any(|wish| wish.id.is_some()), "nothing was answered");
    assert!(wishes.iter().any(|wish| wish.won.contains(&true)), "nobody won");
    for wish in &mut wishes {
        let told = wish.won;
        wish.place(&service.client);
        wish.take(&service.client);
        // The winner is told again; the others lost again.
        let winners = wish.won.iter().filter(|&&won| won).count();
        assert_eq!(winners, 1, "{}: {told:?} before, {:?} now", wish.key, wish.won);
    }
    let ids: HashSet<_> = wishes.iter().map(|wish| wish.id.unwrap()).collect();
    assert_eq!(ids.len(), wishes.len(), "two keys made one order");
    let pages = service.client.pages("/orders?page=1&limit=1000&status=TAKEN");
    let listed: HashSet<_> = pages.flatten().collect();
    assert_eq!(listed, ids, "orders that nobody was told of, or the other way round");
    let free = service.client.get("/orders?page=1&limit=1&status=UNASSIGNED");
    assert_eq!(free.json.as_array().unwrap().len(), 0);
}

#[rstest]
fn what_was_answered_survives_kill_9(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let world = World::new(store);
    let mut wishes = vec![];
    for round in 0..rounds() {
        let service = Process::start(&world);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let until = Stop(&stop);
            let working = scope.spawn(|| work(&service, round, &stop));
            thread::sleep(Duration::from_millis(200 + round * 97 % 600));
            service.signal("KILL");
            thread::sleep(Duration::from_millis(20));
            drop(until);
            wishes.extend(working.join().unwrap());
        });
    }
    settle(&Process::start(&world), wishes);
}

/// A server that writes as PostgreSQL does by default, under a service that goes on.
#[test]
fn what_was_answered_survives_kill_9_of_the_database() {
    let server = Server::start(ServerSettings::Durable);
    let world = World::on_server(&server);
    let service = Process::start(&world);
    let mut wishes = vec![];
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
            wishes.extend(working.join().unwrap());
        });
    }
    settle(&service, wishes);
}
