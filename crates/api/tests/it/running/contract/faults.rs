//! Errors of a database that fails, and what they say of the change that was asked for.

use std::thread;

use order_test_postgres::{Server, ServerSettings, TestDb, wait_for};
use rstest::rstest;

use super::{
    super::support::{Ask, Client, PATIENCE, Process, Store, Told, World},
    Seen, expect_both_forms, expect_row, keyed, place, take,
};

/// Sends a change, and cuts its connection to the database when its statement is under way there.
fn cut_off(client: &Client, database: &TestDb, ask: &Ask) -> Told {
    let mut other = database.session();
    other.execute("BEGIN; LOCK TABLE orders IN SHARE MODE");
    thread::scope(|scope| {
        let told = scope.spawn(|| client.ask(ask));
        let mut server = database.session();
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait_for(PATIENCE, || server.number(cut) > 0, || "the statement does not wait".to_owned());
        other.execute("COMMIT");
        told.join().unwrap()
    })
}

#[test]
fn storage_unavailable_is_400_and_precisely_503_and_nothing_was_changed() {
    let server = Server::start(ServerSettings::Fast);
    let world = World::on_server(&server);
    let service = Process::start(&world);
    let id = service.client.place();
    let before = Seen::by(&service.client);
    server.stop();

    let list = Ask::new("GET /orders?page=1&limit=1");
    let keyed = keyed(place(), "key-1");
    for ask in [place(), keyed, take(id), Ask::new("GET /orders/1"), list] {
        expect_both_forms(&service.client, &ask, ("storage_unavailable", 400, 503));
    }
    assert_eq!(service.client.get("/healthcheck").status, 200);

    server.start_again();
    service.client.wait_for_database();
    assert_eq!(Seen::by(&service.client), before);
}

#[rstest]
#[case::a_placement(false)]
#[case::a_take(true)]
fn outcome_unknown_is_400_and_precisely_503_and_a_repeat_with_the_same_key_settles_it(
    #[case] takes: bool,
) {
    let world = World::new(Store::Postgres);
    let service = Process::start(&world);
    let client = &service.client;
    let ask = if takes { take(client.place()) } else { place() };
    // A key of its own for each, so that the second is no repeat of the first.
    let keyed = |key: &str| keyed(ask.clone(), key);

    let plain = cut_off(client, world.database(), &keyed("key-1"));
    let precise = cut_off(client, world.database(), &keyed("key-1").precise());
    let message = expect_row(plain, precise, ("outcome_unknown", 400, 503));
    assert!(message.contains("same Idempotency-Key"), "{message}");

    assert_eq!(client.ask(&keyed("key-1")).status, 200);
    let again = client.ask(&keyed("key-1"));
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(Seen::by(client).0.len(), 1, "one order, whatever had happened");
}

#[test]
fn only_outcome_unknown_says_that_it_is_not_known_whether_something_was_changed() {
    let world = World::new(Store::Postgres);
    let service = Process::start(&world);
    let id = service.client.place();
    let unknown = cut_off(&service.client, world.database(), &take(id)).json();
    let unknown = unknown["error"].as_str().unwrap();
    assert!(unknown.contains("not known") && !unknown.contains("nothing"), "{unknown}");

    // Refused for the lock's sake after 2 s, by a server that lives: so nothing has happened.
    let mut other = world.database().session();
    other.execute("BEGIN; LOCK TABLE orders IN SHARE MODE");
    let refused = service.client.ask(&take(id)).json();
    other.execute("COMMIT");
    let refused = refused["error"].as_str().unwrap();
    assert!(refused.contains("nothing was changed"), "{refused}");
    assert_eq!(service.client.get(&format!("/orders/{id}")).json["status"], "UNASSIGNED");
}
