//! The database stops under load and starts again: nothing is lost, duplicated or stale.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use order_test_postgres::{Server, ServerSettings, wait_for};

use super::support::{Client, Fixture, Process, StopOnDrop};

/// What clients observed during a period.
#[derive(Default)]
struct Observed {
    placed: usize,
    codes: Vec<String>,
}

/// Places, takes and reads orders without keys until `stop` is set.
fn work(client: &Client, stop: &AtomicBool) -> Observed {
    let mut observed = Observed::default();
    while !stop.load(Ordering::Relaxed) {
        let placed = client.post(None).unwrap();
        let responses = match placed.json["id"].as_i64() {
            Some(id) => {
                observed.placed += 1;
                vec![client.take(id, None).unwrap(), client.get(&format!("/orders/{id}"))]
            }
            None => vec![placed],
        };
        let failed = responses.iter().filter(|response| response.status != 200);
        observed
            .codes
            .extend(failed.map(|response| response.json["code"].as_str().unwrap().to_owned()));
    }
    observed
}

fn work_for(service: &Process, time: Duration) -> Observed {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (client, stop) = (service.client.problem_json(), &stop);
                scope.spawn(move || work(&client, stop))
            })
            .collect();
        let stop_guard = StopOnDrop(&stop);
        thread::sleep(time);
        drop(stop_guard);
        let mut all = Observed::default();
        for worker in workers {
            let observed = worker.join().unwrap();
            all.placed += observed.placed;
            all.codes.extend(observed.codes);
        }
        all
    })
}

#[test]
fn ten_second_database_outage_leaves_nothing_stale() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let before = work_for(&service, Duration::from_secs(1));
    assert!(before.placed > 0 && before.codes.is_empty(), "{:?}", before.codes);

    let during = thread::scope(|scope| {
        let load = scope.spawn(|| work_for(&service, Duration::from_secs(10)));
        thread::sleep(Duration::from_millis(300));
        server.stop();
        load.join().unwrap()
    });
    let known = ["storage_unavailable", "outcome_unknown"];
    assert!(during.codes.iter().any(|code| code == "storage_unavailable"), "{:?}", during.codes);
    assert!(during.codes.iter().all(|code| known.contains(&code.as_str())), "{:?}", during.codes);
    let health = service.client.get("/healthcheck");
    assert_eq!(health.status, 200, "the service runs without its database");

    server.restart();
    let is_connected = || service.client.post(None).unwrap().status == 200;
    wait_for(Duration::from_secs(30), is_connected, || "the service does not reconnect".to_owned());
    let after = work_for(&service, Duration::from_secs(2));
    assert!(after.placed > 0 && after.codes.is_empty(), "{:?}", after.codes);
}
