//! Legitimate use of the files by other programs while the repository is open.

use std::{fs, thread::sleep, time::Duration};

use diesel::connection::SimpleConnection;
use order_domain::{Readiness, StoreStatus};
use order_repo_sqlite::SqliteOrderRepo;

use crate::fixture::{Fixture, new_order, place};

const DEADLINE: Duration = Duration::from_secs(30);
/// Makes the log, and after a checkpoint the file, longer than the limit of the log.
const FILLER: &str = "CREATE TABLE filler (x); INSERT INTO filler SELECT zeroblob(20000000)";

async fn until_ready(repo: &SqliteOrderRepo) {
    let step = Duration::from_millis(100);
    for _ in 0..DEADLINE.as_millis() / step.as_millis() {
        if matches!(repo.check().await, Ok(StoreStatus::Ready)) {
            return;
        }
        sleep(step);
    }
    panic!("not ready: {:?}", repo.check().await);
}

fn length(fixture: &Fixture, suffix: &str) -> u64 {
    let mut path = fixture.path().into_os_string();
    path.push(suffix);
    fs::metadata(path).unwrap().len()
}

/// A `VACUUM` shortens the file.
#[tokio::test(flavor = "multi_thread")]
async fn vacuum_by_another_program_is_not_a_truncation() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let mut other = fixture.raw();
    other.batch_execute(FILLER).unwrap();
    other.batch_execute("PRAGMA wal_checkpoint(TRUNCATE); DROP TABLE filler").unwrap();
    let id = place(&repo, new_order(1)).await.id;
    let before = length(&fixture, "");

    other.batch_execute("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();

    assert!(length(&fixture, "") < before / 2);
    until_ready(&repo).await;
    assert!(place(&repo, new_order(2)).await.id > id);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_is_short_again_after_a_long_reader() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    place(&repo, new_order(0)).await;
    let mut reader = fixture.raw();
    reader.batch_execute("BEGIN; SELECT count(*) FROM orders").unwrap();
    fixture.raw().batch_execute(FILLER).unwrap();
    // Changes continue. They stay in the log, too.
    for n in 1..20 {
        place(&repo, new_order(n)).await;
        sleep(Duration::from_millis(100));
    }
    let grown = length(&fixture, "-wal");
    assert!(grown > 20_000_000, "{grown} bytes");

    reader.batch_execute("COMMIT").unwrap();

    let limit = 8 << 20;
    let step = Duration::from_millis(100);
    let steps = DEADLINE.as_millis() / step.as_millis();
    let is_short = (0..steps).any(|_| {
        sleep(step);
        length(&fixture, "-wal") <= limit
    });
    assert!(is_short, "{} bytes", length(&fixture, "-wal"));
    assert_eq!(place(&repo, new_order(20)).await.id.get(), 21);
}
