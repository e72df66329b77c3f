//! Contract of the daily usage of tenants: each process has a row, and the rows of others sum up.

use super::open;
use crate::support::postgres::Postgres;
use std::{collections::HashMap, sync::Arc};
use tempfile::TempDir;
use wharfinger::{
    account::DailyAmounts,
    journal::Journal,
    ledger::Location,
    policy::{DayTotals, UtcDay},
};

const TODAY: UtcDay = UtcDay(20_000);

fn totals(tenant: &str, day: UtcDay, factor: u64) -> DayTotals {
    DayTotals { tenant: tenant.parse().unwrap(), day, amounts: amounts(factor) }
}

fn amounts(factor: u64) -> DailyAmounts {
    DailyAmounts {
        bytes_written: factor,
        zero_bytes: 10 * factor,
        bytes_copied: 100 * factor,
        s3_requests: 1_000 * factor,
    }
}

/// The amounts of TODAY that processes other than `process` have.
async fn others(journal: &Arc<dyn Journal>, process: &str) -> HashMap<String, DailyAmounts> {
    let others = journal.usage_of_others(TODAY, process).await.unwrap();
    others.into_iter().map(|(tenant, amounts)| (tenant.to_string(), amounts)).collect()
}

fn of<const N: usize>(tenants: [(&str, u64); N]) -> HashMap<String, DailyAmounts> {
    tenants.map(|(tenant, factor)| (tenant.to_owned(), amounts(factor))).into()
}

pub async fn hold(journal: &Arc<dyn Journal>) {
    totals_are_replaced_and_those_of_others_sum_up(journal).await;
    amounts_of_any_size_are_stored(journal).await;
    old_days_are_deleted(journal).await;
}

// S200: The amounts of a day outlast an orderly stop, and a kill but for the last ten seconds. Nodes that share a ledger …
async fn totals_are_replaced_and_those_of_others_sum_up(journal: &Arc<dyn Journal>) {
    journal.save_usage("one", &[]).await.unwrap();
    assert_eq!(others(journal, "new").await, HashMap::new());
    journal.save_usage("one", &[totals("acme", TODAY, 9), totals("globex", TODAY, 1)]).await.unwrap();
    for _ in 0..2 {
        journal.save_usage("one", &[totals("acme", TODAY, 5), totals("acme", UtcDay(19_999), 7)]).await.unwrap();
    }
    journal.save_usage("two", &[totals("acme", TODAY, 30)]).await.unwrap();
    assert_eq!(others(journal, "new").await, of([("acme", 35), ("globex", 1)]));
    assert_eq!(others(journal, "one").await, of([("acme", 30)]));
    assert_eq!(others(journal, "two").await, of([("acme", 5), ("globex", 1)]));
}

async fn amounts_of_any_size_are_stored(journal: &Arc<dyn Journal>) {
    let all = DailyAmounts { bytes_written: u64::MAX, zero_bytes: u64::MAX, bytes_copied: 0, s3_requests: 1 };
    let huge = DayTotals { tenant: "huge".parse().unwrap(), day: TODAY, amounts: all };
    for process in ["one", "two"] {
        journal.save_usage(process, std::slice::from_ref(&huge)).await.unwrap();
    }
    assert!(others(journal, "new").await["huge"].bytes_written >= 1 << 53);
}

async fn old_days_are_deleted(journal: &Arc<dyn Journal>) {
    journal.drop_usage_before(TODAY).await.unwrap();
    assert_eq!(journal.usage_of_others(UtcDay(19_999), "new").await.unwrap(), HashMap::new());
    assert_eq!(others(journal, "new").await.len(), 3);
    journal.drop_usage_before(UtcDay(20_001)).await.unwrap();
    assert_eq!(others(journal, "new").await, HashMap::new());
}

#[tokio::test]
async fn nodes_see_each_others_amounts_and_a_restart_its_own() {
    let (postgres, directory) = (Postgres::start(), TempDir::new().unwrap());
    let locations = [Location::parse(&postgres.url()).unwrap(), Location::Sqlite(directory.path().join("ledger.db"))];
    for location in locations {
        let (one, two) = (open(&location).await, open(&location).await);
        one.journal().save_usage("one", &[totals("acme", TODAY, 1)]).await.unwrap();
        two.journal().save_usage("two", &[totals("acme", TODAY, 2)]).await.unwrap();
        assert_eq!(others(&one.journal(), "one").await, of([("acme", 2)]));
        // Not closed, as after a kill.
        let restarted = open(&location).await;
        assert_eq!(others(&restarted.journal(), "three").await, of([("acme", 3)]));
        for ledger in [one, two, restarted] {
            ledger.close().await;
        }
    }
}
