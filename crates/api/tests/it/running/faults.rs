//! The database goes away under load and comes back: nothing is lost, doubled, or stale.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use order_test_postgres::{Server, ServerSettings, wait_for};

use super::support::{Client, Fixture, Process, Stop};

/// What the clients saw between two moments.
#[derive(Default)]
struct Seen {
    placed: usize,
    codes: Vec<String>,
}

/// Places and takes as fast as it can, without keys, until it is told to stop.
fn work(client: &Client, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        let placed = client.post(None).unwrap();
        let answers = match placed.json["id"].as_i64() {
            Some(id) => {
                seen.placed += 1;
                vec![client.take(id, None).unwrap(), client.get(&format!("/orders/{id}"))]
            }
            None => vec![placed],
        };
        let refused = answers.iter().filter(|answer| answer.status != 200);
        seen.codes.extend(refused.map(|answer| answer.json["code"].as_str().unwrap().to_owned()));
    }
    seen
}

fn work_for(service: &Process, time: Duration) -> Seen {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (client, stop) = (service.client.problem_json(), &stop);
                scope.spawn(move || work(&client, stop))
            })
            .collect();
        let until = Stop(&stop);
        thread::sleep(time);
        drop(until);
        let mut all = Seen::default();
        for worker in workers {
            let seen = worker.join().unwrap();
            all.placed += seen.placed;
            all.codes.extend(seen.codes);
        }
        all
    })
}

#[test]
fn a_database_that_goes_away_for_ten_seconds_leaves_nothing_stale() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let before = work_for(&service, Duration::from_secs(1));
    assert!(before.placed > 0 && before.codes.is_empty(), "{:?}", before.codes);

    let during = thread::scope(|scope| {
        let working = scope.spawn(|| work_for(&service, Duration::from_secs(10)));
        thread::sleep(Duration::from_millis(300));
        server.stop();
        working.join().unwrap()
    });
    let known = ["storage_unavailable", "outcome_unknown"];
    assert!(during.codes.iter().any(|code| code == "storage_unavailable"), "{:?}", during.codes);
    assert!(during.codes.iter().all(|code| known.contains(&code.as_str())), "{:?}", during.codes);
    let health = service.client.get("/healthcheck");
    assert_eq!(health.status, 200, "it lives without its database");

    server.start_again();
    let answers = || service.client.post(None).unwrap().status == 200;
    wait_for(Duration::from_secs(30), answers, || "the service does not come back".to_owned());
    let after = work_for(&service, Duration::from_secs(2));
    assert!(after.placed > 0 && after.codes.is_empty(), "{:?}", after.codes);
}
