//! Databases whose ids are disjoint, by `deploy/postgres/cell.sql`: each is a complete store.

use std::{
    collections::HashSet,
    fs,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use order_conformance::repo::{RepoFixture, SqlFixture};
use order_domain::{OrderRepo, PlaceOutcome, RepoError, TakeOutcome};
use order_test_postgres::{Server, ServerSettings, Session, TestDb};

use super::fixture::{Fixture, key, keyed, new_order, open, place, take_without_key};

/// The last two digits of an id are its cell.
const CELLS: i64 = 100;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/postgres/cell.sql");

/// Restricts the ids of a database to those of a cell, unless it was done before.
pub(super) fn restrict_ids(session: &mut Session, first: i64) {
    let increment =
        "SELECT seqincrement FROM pg_sequence WHERE seqrelid = 'orders_id_seq'::regclass";
    if session.number(increment) == 1 {
        // psql replaces the variables in the same way.
        let script = fs::read_to_string(SCRIPT).unwrap();
        let script = script.replace(":cells", &CELLS.to_string());
        session.execute(&script.replace(":first", &first.to_string()));
    }
}

async fn cell_3() -> Fixture {
    Fixture::of_cell(103)
}

async fn cell_100() -> Fixture {
    Fixture::of_cell(200)
}

/// Every clause in the third of 100 cells. An id of another cell would violate a constraint.
mod clauses_in_cell_3 {
    order_conformance::order_repo_clauses!(crate::on_postgres::cells::cell_3);
    order_conformance::sql_repo_clauses!(crate::on_postgres::cells::cell_3);
}

/// Every clause in the last of 100 cells, whose ids end in 00.
mod clauses_in_cell_100 {
    order_conformance::order_repo_clauses!(crate::on_postgres::cells::cell_100);
    order_conformance::sql_repo_clauses!(crate::on_postgres::cells::cell_100);
}

/// Places orders with keys, several at once, and returns their ids.
async fn place_with_keys(repo: &dyn OrderRepo, count: u16) -> Vec<i64> {
    let mut ids = vec![];
    for n in (0..count).step_by(4) {
        let place = |n: u16| repo.place(keyed(n, &format!("key-{n}")));
        let outcomes = tokio::join!(place(n), place(n + 1), place(n + 2), place(n + 3));
        for outcome in [outcomes.0, outcomes.1, outcomes.2, outcomes.3] {
            match outcome.unwrap() {
                PlaceOutcome::Placed(placed) => ids.push(placed.id.get()),
                PlaceOutcome::KeyUsed(earlier) => panic!("the key was used for {earlier:?}"),
            }
        }
    }
    ids
}

/// A key belongs to its cell: the other cell places another order with it.
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_two_cells_are_disjoint() {
    const ORDERS: u16 = 200;
    let cells = [cell_3().await, cell_100().await];
    let repos = [cells[0].repo().await, cells[1].repo().await];
    let (third, last) =
        tokio::join!(place_with_keys(&*repos[0], ORDERS), place_with_keys(&*repos[1], ORDERS));
    assert!(third.iter().all(|id| id % CELLS == 3), "{third:?}");
    assert!(last.iter().all(|id| id % CELLS == 0), "{last:?}");
    let all: HashSet<_> = third.iter().chain(&last).collect();
    assert_eq!(all.len(), 2 * usize::from(ORDERS));
    for (repo, ids) in repos.iter().zip([third, last]) {
        let found = repo.find_placement(&key("key-0")).await.unwrap().unwrap();
        assert!(ids.contains(&found.id.get()), "{found:?} is in another cell");
    }
}

/// The sequence was set to a wrong value, for example after a restore.
#[tokio::test(flavor = "multi_thread")]
async fn id_of_another_cell_is_never_stored() {
    let fixture = cell_3().await;
    fixture.migrate().unwrap();
    let repo = fixture.open();
    let id = place(&repo, new_order(1)).await.id;
    fixture.raw().execute("SELECT setval('orders_id_seq', 1000)");
    let outcome = repo.place(keyed(2, "key")).await;
    assert!(matches!(outcome, Err(RepoError::Refused(_))), "{outcome:?}");
    fixture.raw().execute("SELECT setval('orders_id_seq', 1003)");
    assert_eq!(place(&repo, keyed(2, "key")).await.id.get(), 1103);
    assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
}

/// Executes the script as its comment says.
fn run_script(server: &Server, database: &TestDb, first: i64) -> Output {
    let variables = [format!("cells={CELLS}"), format!("first={first}")];
    server
        .program("psql")
        .args(["-q", "-v", "ON_ERROR_STOP=1", "-v", &variables[0], "-v", &variables[1]])
        .args(["-f", SCRIPT, &database.url()])
        .output()
        .unwrap()
}

/// The script runs while orders are placed.
#[tokio::test(flavor = "multi_thread")]
async fn existing_database_becomes_a_cell() {
    const FIRST: i64 = 1_000_002;
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let repo = Arc::new(open(&database.url(), 4));
    let mut earlier = vec![];
    for n in 0..5 {
        earlier.push(place(&repo, new_order(n)).await.id);
    }
    let is_done = Arc::new(AtomicBool::new(false));
    let placements = tokio::spawn({
        let (repo, is_done) = (Arc::clone(&repo), Arc::clone(&is_done));
        async move {
            let mut ids = vec![];
            while !is_done.load(Ordering::Relaxed) {
                ids.push(place(&repo, new_order(9)).await.id.get());
            }
            ids.push(place(&repo, new_order(9)).await.id.get());
            ids
        }
    });
    let output = run_script(&server, &database, FIRST);
    is_done.store(true, Ordering::Relaxed);
    let ids = placements.await.unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(ids.is_sorted() && ids.last() > Some(&FIRST), "{ids:?}");
    let in_cell = |id: &i64| *id < FIRST || (id - FIRST) % CELLS == 0;
    assert!(ids.iter().all(in_cell), "{ids:?}");
    // An update of an order checks the constraint as well.
    for id in earlier {
        assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_id_of_a_cell_is_larger_than_all_before() {
    let server = Server::start(ServerSettings::Fast);
    let database = TestDb::on_server(&server);
    let repo = open(&database.url(), 2);
    for n in 0..5 {
        place(&repo, new_order(n)).await;
    }
    let output = run_script(&server, &database, 5);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = "first must be larger than 5, the last id of this database";
    assert!(!output.status.success() && message.contains(expected), "{message}");
    assert_eq!(place(&repo, new_order(6)).await.id.get(), 6, "it has changed something");
    assert!(run_script(&server, &database, 7).status.success());
    assert_eq!(place(&repo, new_order(7)).await.id.get(), 7);
    assert!(!run_script(&server, &database, 1_000_007).status.success(), "it ran twice");
    assert_eq!(place(&repo, new_order(8)).await.id.get(), 7 + CELLS);
}
