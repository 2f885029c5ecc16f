//! `kill -9` in the middle of work loses nothing that was answered.

use std::{thread, time::Duration};

use super::support::Process;

/// What four clients were told before the service was killed: orders placed, orders taken.
fn work_until_killed(service: Process, round: u32) -> (Vec<i64>, Vec<i64>) {
    let clients: Vec<_> = (0..4).map(|_| service.client.clone()).collect();
    let workers: Vec<_> = clients
        .into_iter()
        .map(|client| {
            thread::spawn(move || {
                let (mut placed, mut taken) = (vec![], vec![]);
                // The first request that gets no answer ends the work: the service is gone.
                while let Ok(answer) = client.post(None) {
                    let id = answer.json["id"].as_i64().unwrap();
                    placed.push(id);
                    match client.take(id, None) {
                        Ok(answer) if answer.status == 200 => taken.push(id),
                        Ok(answer) => panic!("{answer:?}"),
                        Err(_) => break,
                    }
                }
                (placed, taken)
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(150 + 70 * u64::from(round)));
    drop(service);
    let (mut placed, mut taken) = (vec![], vec![]);
    for worker in workers {
        let told = worker.join().unwrap();
        placed.extend(told.0);
        taken.extend(told.1);
    }
    (placed, taken)
}

#[test]
fn what_was_answered_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let (mut placed, mut taken) = (vec![], vec![]);
    for round in 0..5 {
        let told = work_until_killed(Process::start(directory.path()), round);
        placed.extend(told.0);
        taken.extend(told.1);
    }
    assert!(!placed.is_empty() && !taken.is_empty());

    let service = Process::start(directory.path());
    for id in placed {
        let order = service.client.get(&format!("/orders/{id}"));
        assert_eq!(order.status, 200, "order {id} was answered and is gone");
        if taken.contains(&id) {
            assert_eq!(order.json["status"], "TAKEN", "the take of {id} was answered and is gone");
        }
    }
}
