//! `kill -9` under load loses nothing that was acknowledged, and retries duplicate nothing.
//! `CRASH_ROUNDS` is the number of kills.

use std::{
    collections::HashSet,
    env,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use order_test_postgres::{Server, ServerSettings, wait_for};
use rstest::rstest;

use super::support::{Client, Fixture, JsonResponse, Process, StopOnDrop, Store, TIMEOUT};

const CLIENTS: usize = 4;
/// Couriers that race for each order.
const COURIERS: usize = 2;

fn rounds() -> u64 {
    env::var("CRASH_ROUNDS").map_or(3, |rounds| rounds.parse().unwrap())
}

/// One placement with its key and the takes of its order, and the responses so far.
struct Intent {
    key: String,
    /// The id of the order, after a success.
    id: Option<i64>,
    /// For each courier, whether a take succeeded.
    won: [bool; COURIERS],
}

impl Intent {
    fn new(key: String) -> Self {
        Self { key, id: None, won: [false; COURIERS] }
    }

    /// Places the order. It may fail, or its outcome may be unknown.
    fn place(&mut self, client: &Client) {
        let Ok(response) = client.post(Some(&self.key)) else { return };
        if let Some(id) = is_success(&response).then(|| response.json["id"].as_i64().unwrap()) {
            assert!(self.id.is_none_or(|known| known == id), "{}: {:?}, {id}", self.key, self.id);
            self.id = Some(id);
        }
    }

    /// All couriers take the order at the same time.
    fn take(&mut self, client: &Client) {
        let Some(id) = self.id else { return };
        thread::scope(|scope| {
            for (courier, won) in self.won.iter_mut().enumerate() {
                let key = format!("{}-{courier}", self.key);
                scope.spawn(move || {
                    if let Ok(response) = client.take(id, Some(&key)) {
                        *won |= is_success(&response);
                    }
                });
            }
        });
    }
}

/// Whether the response is a success. Otherwise it must be an error of the contract.
fn is_success(response: &JsonResponse) -> bool {
    assert!(response.status == 200 || response.json["error"].is_string(), "{response:?}");
    response.status == 200
}

/// Places and takes orders until `stop` is set, and counts the acknowledged takes. Requests may fail
/// after the service was killed.
fn work(service: &Process, round: u64, stop: &AtomicBool, taken: &AtomicUsize) -> Vec<Intent> {
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
                        taken.fetch_add(usize::from(intent.won.contains(&true)), Ordering::Relaxed);
                        intents.push(intent);
                    }
                    intents
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Waits for the first acknowledged take, and then for a time that differs from round to round.
fn wait_for_load(taken: &AtomicUsize, round: u64) {
    wait_for(TIMEOUT, || taken.load(Ordering::Relaxed) > 0, || "no take succeeds".to_owned());
    thread::sleep(Duration::from_millis(round * 97 % 600));
}

/// Retries everything with the same keys, and compares the responses with those before.
fn settle(service: &Process, mut intents: Vec<Intent>) {
    assert!(intents.iter().any(|intent| intent.id.is_some()), "no placement succeeded");
    assert!(intents.iter().any(|intent| intent.won.contains(&true)), "no take succeeded");
    for intent in &mut intents {
        let before = intent.won;
        intent.place(&service.client);
        intent.take(&service.client);
        // The winner gets a replay, the others lose again.
        let winners = intent.won.iter().filter(|&&won| won).count();
        assert_eq!(winners, 1, "{}: {before:?} before, {:?} now", intent.key, intent.won);
    }
    let ids: HashSet<_> = intents.iter().map(|intent| intent.id.unwrap()).collect();
    assert_eq!(ids.len(), intents.len(), "two keys have one order");
    let pages = service.client.pages("/orders?page=1&limit=1000&status=TAKEN");
    let listed: HashSet<_> = pages.flatten().collect();
    assert_eq!(listed, ids, "listed orders, acknowledged orders");
    let free = service.client.get("/orders?page=1&limit=1&status=UNASSIGNED");
    assert_eq!(free.json.as_array().unwrap().len(), 0);
}

#[rstest]
fn acknowledged_changes_survive_kill_9(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let mut intents = vec![];
    for round in 0..rounds() {
        let service = Process::start(&fixture);
        let (stop, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let stop_guard = StopOnDrop(&stop);
            let load = scope.spawn(|| work(&service, round, &stop, &taken));
            wait_for_load(&taken, round);
            service.signal("KILL");
            thread::sleep(Duration::from_millis(20));
            drop(stop_guard);
            intents.extend(load.join().unwrap());
        });
    }
    settle(&Process::start(&fixture), intents);
}

/// The server has PostgreSQL's default durability. The service keeps running.
#[test]
fn acknowledged_changes_survive_kill_9_of_the_database() {
    let server = Server::start(ServerSettings::Durable);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let mut intents = vec![];
    for round in 0..rounds() {
        let (stop, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let stop_guard = StopOnDrop(&stop);
            let load = scope.spawn(|| work(&service, round, &stop, &taken));
            wait_for_load(&taken, round);
            server.kill();
            server.restart();
            service.client.wait_for_database();
            drop(stop_guard);
            intents.extend(load.join().unwrap());
        });
    }
    settle(&service, intents);
}
