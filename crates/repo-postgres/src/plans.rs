//! Tests that the plans of all statements on the tables of orders do not depend on statistics.
//!
//! Statistics are as old as the last `ANALYZE`, and prepared plans as old as their connection. So
//! no plan may depend on how many orders there are, or on how many have which status.

mod on_postgres {
    use std::fs;

    use order_test_postgres::{Session, TestDb};

    use crate::{
        listing::{FindOrders, ListAll, ListByStatus, SkipAndListAll, SkipAndListByStatus},
        placing::{FindPlacements, PlaceOrders},
        statement::PLANNER_SETTINGS,
        taking::TakeOrders,
        testing::{database, text},
    };

    /// Enough that PostgreSQL prefers other plans where a statement leaves it the choice.
    const ORDERS: u32 = 20_000;

    /// The number of rows before the growth by a factor of 1,000.
    const FEW_ORDERS: u32 = ORDERS / 1_000;

    /// The number of requests in a large batch.
    const BATCH: u32 = 64;

    #[derive(Clone, Copy, Debug)]
    enum Rows {
        /// One of ten orders is unassigned; one of ten keys is expired.
        Mixed,
        /// All orders are taken, all keys are expired.
        Taken,
        /// No order is taken, no key is expired.
        Unassigned,
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Fill(u32, Rows),
        GatherStatistics,
    }

    use Rows::{Mixed, Taken, Unassigned};
    use Step::{Fill, GatherStatistics};

    /// What happened to the tables before the statements are planned.
    const HISTORIES: [&[Step]; 11] = [
        &[Fill(ORDERS, Mixed), GatherStatistics],
        &[Fill(ORDERS, Mixed)],
        &[GatherStatistics, Fill(ORDERS, Mixed)],
        &[GatherStatistics, Fill(1, Unassigned)],
        &[Fill(ORDERS, Taken), GatherStatistics, Fill(ORDERS / 4, Unassigned)],
        &[Fill(ORDERS, Unassigned), GatherStatistics, Fill(ORDERS, Taken)],
        &[Fill(FEW_ORDERS, Mixed), GatherStatistics, Fill(ORDERS, Mixed)],
        &[Fill(FEW_ORDERS, Taken), GatherStatistics, Fill(ORDERS, Unassigned)],
        &[Fill(FEW_ORDERS, Unassigned), GatherStatistics, Fill(ORDERS, Taken)],
        // Planned before the growth.
        &[Fill(FEW_ORDERS, Mixed), GatherStatistics],
        &[Fill(3, Taken), GatherStatistics],
    ];

    /// An array of a statement: the type of its entries, and a function for the nth entry.
    type Array = (&'static str, fn(u32) -> String);

    const DEGREES: Array = ("double precision", |n| n.to_string());
    const ID: Array = ("bigint", |n| (1 + n * (ORDERS / BATCH)).to_string());
    const LIMIT: Array = ("bigint", |_| "20".to_owned());
    const KEY: Array = ("text", |n| format!("'key-{n}'"));
    const STATUS: Array =
        ("text", |n| (if n % 2 == 0 { "'UNASSIGNED'" } else { "'TAKEN'" }).to_owned());

    /// A statement with its arrays, and the scans that its plan may contain.
    struct Statement {
        name: &'static str,
        sql: String,
        arrays: &'static [Array],
        scans: &'static [&'static str],
    }

    const BY_ID: &str = "Index Scan using orders_pkey on orders by condition";

    fn statements() -> [Statement; 8] {
        const BACKWARD: &str = "Index Scan Backward using orders_pkey on orders by condition";
        const BACKWARD_BY_STATUS: &str =
            "Index Scan Backward using orders_by_status on orders by condition";
        [
            Statement {
                name: "place",
                sql: text(&PlaceOrders {
                    origin_latitudes: vec![],
                    origin_longitudes: vec![],
                    destination_latitudes: vec![],
                    destination_longitudes: vec![],
                    distances: vec![],
                    keys: vec![],
                }),
                arrays: &[DEGREES, DEGREES, DEGREES, DEGREES, ID, KEY],
                scans: &[
                    "Index Scan using placement_keys_by_age on placement_keys by condition",
                    "Tid Scan on placement_keys by condition",
                ],
            },
            Statement {
                name: "find placements",
                sql: text(&FindPlacements { keys: vec![] }),
                arrays: &[KEY],
                scans: &[
                    "Index Scan using placement_keys_pkey on placement_keys by condition",
                    BY_ID,
                ],
            },
            Statement {
                name: "take",
                sql: text(&TakeOrders { ids: vec![], keys: vec![] }),
                arrays: &[ID, KEY],
                scans: &[
                    "Index Scan using orders_by_take_key on orders by condition",
                    BY_ID,
                    "Tid Scan on orders by condition",
                    BY_ID,
                ],
            },
            Statement {
                name: "find",
                sql: text(&FindOrders { ids: vec![] }),
                arrays: &[ID],
                scans: &[BY_ID],
            },
            Statement {
                name: "list all",
                sql: text(&ListAll { before: vec![], max_rows: vec![] }),
                arrays: &[ID, LIMIT],
                scans: &[BACKWARD],
            },
            Statement {
                name: "skip and list all",
                sql: text(&SkipAndListAll { skip: vec![], max_rows: vec![] }),
                arrays: &[ID, LIMIT],
                scans: &["Index Only Scan Backward using orders_pkey on orders", BACKWARD],
            },
            Statement {
                name: "list by status",
                sql: text(&ListByStatus { before: vec![], max_rows: vec![], status: vec![] }),
                arrays: &[ID, LIMIT, STATUS],
                scans: &[BACKWARD_BY_STATUS],
            },
            Statement {
                name: "skip and list by status",
                sql: text(&SkipAndListByStatus { skip: vec![], max_rows: vec![], status: vec![] }),
                arrays: &[ID, LIMIT, STATUS],
                scans: &[
                    "Index Only Scan Backward using orders_by_status on orders by condition",
                    BACKWARD_BY_STATUS,
                ],
            },
        ]
    }

    /// A database with this history, in which statistics are gathered only when a step says so.
    /// Rows are not checked against each other, which would take most of the time.
    fn database_with(history: &[Step]) -> (TestDb, Session) {
        let (database, mut session) = database();
        session.execute(
            "ALTER TABLE orders SET (autovacuum_enabled = off); \
             ALTER TABLE placement_keys SET (autovacuum_enabled = off); \
             SET session_replication_role = replica",
        );
        for step in history {
            match *step {
                GatherStatistics => session.execute("VACUUM ANALYZE"),
                Fill(count, rows) => fill(&mut session, count, rows),
            }
        }
        session.execute(PLANNER_SETTINGS);
        (database, session)
    }

    fn fill(session: &mut Session, count: u32, rows: Rows) {
        let (unassigned, key_age) = match rows {
            Mixed => ("n % 10 = 0", "CASE WHEN id % 10 = 0 THEN 25 ELSE 1 END"),
            Taken => ("false", "25"),
            Unassigned => ("true", "1"),
        };
        session.execute(&format!(
            "WITH filled AS ( \
                 INSERT INTO orders (origin_latitude, origin_longitude, destination_latitude, \
                     destination_longitude, distance, status, created_at, updated_at, taken_at, \
                     take_key) \
                 SELECT 1, 2, 3, 4, n, \
                     CASE WHEN {unassigned} THEN 'UNASSIGNED' ELSE 'TAKEN' END, now(), now(), \
                     CASE WHEN {unassigned} THEN NULL ELSE now() END, \
                     CASE WHEN {unassigned} THEN NULL ELSE clock_timestamp()::text || n END \
                 FROM generate_series(1, {count}) AS n RETURNING id \
             ) \
             INSERT INTO placement_keys \
             SELECT 'placed-' || id, id, now() - {key_age} * interval '1 hour' FROM filled"
        ));
    }

    /// The plan of a statement for a number of requests.
    fn plan(session: &mut Session, statement: &Statement, mode: &str, requests: u32) -> String {
        let Statement { sql, arrays, .. } = statement;
        let types: Vec<_> = arrays.iter().map(|(of, _)| format!("{of}[]")).collect();
        let values: Vec<_> = arrays
            .iter()
            .map(|(of, entry)| {
                let entries: Vec<_> = (0..requests).map(entry).collect();
                format!("ARRAY[{}]::{of}[]", entries.join(", "))
            })
            .collect();
        session.execute(&format!(
            "DEALLOCATE ALL; SET plan_cache_mode = {mode}; PREPARE it ({}) AS {sql}",
            types.join(", ")
        ));
        session.plan(&format!("EXPLAIN (COSTS OFF) EXECUTE it ({})", values.join(", ")))
    }

    /// Whether the server finds an id in `orders_by_status`, as it does from version 18. It descends
    /// the index once for each status, so the cost does not depend on the number of orders. In a
    /// small table it may prefer that to the primary key. Earlier versions would read the whole
    /// index.
    fn skips_statuses(session: &mut Session) -> bool {
        session.number("SELECT current_setting('server_version_num')") >= 180_000
    }

    /// The scans of tables in a plan, in its order, without the numbers that distinguish several
    /// scans of one table.
    fn scans(plan: &str, skips_statuses: bool) -> Vec<String> {
        let nodes = plan.split("->  ");
        let scans = nodes.filter_map(|node| {
            let (scan, rest) = node.split_once('\n').unwrap_or((node, ""));
            let (how, table) = scan.trim().split_once(" on ")?;
            let table = table.split(' ').next()?;
            let by_condition = rest.contains("Index Cond: ") || rest.contains("TID Cond: ");
            let by = if by_condition { " by condition" } else { "" };
            if skips_statuses
                && how.ends_with("Scan using orders_by_status")
                && rest.contains("Index Cond: (id = ")
            {
                return Some(BY_ID.to_owned());
            }
            (["orders", "placement_keys"].contains(&table) && how.contains("Scan"))
                .then(|| format!("{how} on {table}{by}"))
        });
        scans.collect()
    }

    /// Whether a plan sorts the rows of a table before it selects some of them.
    fn sorts_a_table(plan: &str) -> bool {
        let nodes: Vec<_> = plan.split("->  ").collect();
        let reads_a_table = |node| !scans(node, false).is_empty();
        nodes.windows(2).any(|pair| pair[0].contains("Sort Key: ") && reads_a_table(pair[1]))
    }

    #[test]
    fn every_statement_on_tables_of_orders_is_listed() {
        let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
        let paths = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        // The statement there reads catalogs only.
        let paths = paths.filter(|path| !path.ends_with("status.rs"));
        let defined: usize = paths
            .map(|path| fs::read_to_string(path).unwrap().matches("\nstatement! {\n").count())
            .sum();
        assert_eq!(defined, statements().len());
    }

    #[test]
    fn plans_do_not_depend_on_statistics() {
        for history in HISTORIES {
            let (_database, mut session) = database_with(history);
            let skips_statuses = skips_statuses(&mut session);
            for statement in statements() {
                // A prepared statement is planned for its arrays at first, and later for any.
                for (mode, requests) in [
                    ("force_generic_plan", 1),
                    ("force_custom_plan", 1),
                    ("force_custom_plan", BATCH),
                ] {
                    let plan = plan(&mut session, &statement, mode, requests);
                    let context = format!("{} after {history:?}, {mode}", statement.name);
                    assert_eq!(scans(&plan, skips_statuses), statement.scans, "{context}:\n{plan}");
                    assert!(!sorts_a_table(&plan), "{context}:\n{plan}");
                }
            }
        }
    }
}
