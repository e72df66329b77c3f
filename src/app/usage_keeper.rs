//! Keeps what tenants use per day in the journal, so that a restart forgets at most the last ten seconds, and learns
//! what other nodes have counted. While the journal is down the node continues with what it learned last, and its own.

use crate::{
    journal::{Journal, Lease},
    policy::{DailyUsage, PacerTable, UtcDay},
    tenants::Tenants,
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// The interval between two passes.
const INTERVAL: Duration = Duration::from_secs(10);
/// The days for which rows stay after their day.
const DAYS_STORED: i64 = 7;

/// The task that keeps the daily usage.
#[derive(Clone, Debug)]
pub(super) struct UsageKeeper {
    usage: Arc<DailyUsage>,
    journal: Arc<dyn Journal>,
    /// The name of this process in its rows. Another one after a restart, so that its amounts begin at 0.
    process: Arc<str>,
    /// The last day whose predecessors were deleted.
    tidied: Arc<Mutex<UtcDay>>,
}

/// Sets the limits per day and the rates that the config states for each tenant.
pub(super) fn set_limits(usage: &DailyUsage, pacers: &PacerTable, tenants: &Tenants) {
    let tenants = tenants.tenants();
    usage.set_limits(tenants.iter().map(|tenant| (&tenant.name, tenant.daily_limits)));
    pacers.set_rates(tenants.iter().map(|tenant| (&tenant.name, tenant.rates)));
}

impl UsageKeeper {
    /// # Errors
    /// The system has no random bytes.
    pub(super) fn new(usage: Arc<DailyUsage>, journal: Arc<dyn Journal>) -> anyhow::Result<Self> {
        let process = Lease::new()?.holder.into();
        Ok(Self { usage, journal, process, tidied: Arc::default() })
    }

    pub(super) fn usage(&self) -> &Arc<DailyUsage> {
        &self.usage
    }

    /// Runs a pass every ten seconds.
    pub(super) async fn run(self) {
        loop {
            sleep(INTERVAL).await;
            self.sync().await;
        }
    }

    /// Saves the amounts of this process, and learns those of others. Asks nothing as long as no tenant has a limit.
    /// After an error the next pass saves the amounts: each row has the whole day's.
    pub(super) async fn sync(&self) {
        let unsaved = self.usage.unsaved();
        for rows in unsaved.chunks(1_000) {
            if self.journal.save_usage(&self.process, rows).await.is_ok() {
                self.usage.note_saved(rows);
            }
        }
        if !self.usage.is_limited() {
            return;
        }
        let today = self.usage.today();
        if let Ok(others) = self.journal.usage_of_others(today, &self.process).await {
            self.usage.note_others(today, &others);
        }
        if *self.tidied.lock() == today {
            return;
        }
        // After an error, and while rows are left, the next pass continues.
        let dropped = self.journal.drop_usage_before(UtcDay(today.0 - DAYS_STORED)).await;
        if dropped == Ok(0) {
            *self.tidied.lock() = today;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::DailyLimits,
        journal::UsageJournal as _,
        name::TenantName,
        policy::TenantUsage,
        testing::{FaultyJournal, StoppedClock, journal::JournalFailure},
    };
    use tokio::task::JoinHandle;

    const NOON: u64 = 20_000 * 86_400 + 43_200;

    fn acme() -> TenantName {
        "acme".parse().unwrap()
    }

    /// A process of a node that begins at noon.
    struct NodeProcess {
        keeper: UsageKeeper,
        acme: Arc<TenantUsage>,
        clock: Arc<StoppedClock>,
        running: JoinHandle<()>,
    }

    impl NodeProcess {
        async fn start(journal: &Arc<FaultyJournal>) -> Self {
            let clock = Arc::new(StoppedClock::at(NOON));
            let usage = Arc::new(DailyUsage::new(Arc::clone(&clock) as Arc<_>));
            usage.set_limits([(&acme(), DailyLimits { bytes_written: Some(100), ..DailyLimits::default() })]);
            let keeper = UsageKeeper::new(usage, Arc::clone(journal) as Arc<_>).unwrap();
            keeper.sync().await;
            let running = tokio::spawn(keeper.clone().run());
            Self { acme: keeper.usage().of(&acme()), keeper, clock, running }
        }

        fn kill(&self) {
            self.running.abort();
        }

        fn writes(&self, bytes: u64) -> bool {
            self.acme.charge_write(bytes).is_ok()
        }

        fn written(&self) -> u64 {
            self.acme.amounts().bytes_written
        }
    }

    /// Waits until all processes have run a pass.
    async fn a_pass() {
        sleep(INTERVAL + Duration::from_millis(1)).await;
    }

    // S200: The amounts of a day outlast an orderly stop, and a kill but for the last ten seconds. Nodes that share a ledger …
    #[tokio::test(start_paused = true)]
    async fn a_kill_forgets_ten_seconds_and_an_orderly_stop_nothing() {
        let journal = Arc::default();
        let first = NodeProcess::start(&journal).await;
        assert!(first.writes(30));
        a_pass().await;
        assert!(first.writes(20));
        first.kill();
        let second = NodeProcess::start(&journal).await;
        assert_eq!(second.written(), 30);
        assert!(second.writes(40) && !second.writes(31));
        second.kill();
        second.keeper.sync().await;
        let third = NodeProcess::start(&journal).await;
        assert_eq!(third.written(), 70);
        assert!(!third.writes(31) && third.writes(30));
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_learn_from_each_other_every_ten_seconds() {
        let journal = Arc::default();
        let (one, other) = (NodeProcess::start(&journal).await, NodeProcess::start(&journal).await);
        assert!(one.writes(60) && other.writes(60), "they exceed it by what they did within ten seconds");
        a_pass().await;
        a_pass().await;
        assert_eq!((one.written(), other.written()), (120, 120));
        assert!(!one.writes(1) && !other.writes(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_goes_by_what_it_knew_while_the_journal_is_away_and_tells_it_later() {
        let journal: Arc<FaultyJournal> = Arc::default();
        let (one, other) = (NodeProcess::start(&journal).await, NodeProcess::start(&journal).await);
        assert!(one.writes(30));
        a_pass().await;
        a_pass().await;
        for failure in JournalFailure::ALL {
            journal.fail_from(1, failure);
            assert!(one.writes(10));
            a_pass().await;
            a_pass().await;
            assert_eq!(other.written(), if matches!(failure, JournalFailure::Slow) { 70 } else { 30 }, "{failure:?}");
        }
        journal.restart();
        a_pass().await;
        a_pass().await;
        assert_eq!((one.written(), other.written()), (70, 70), "each row was written once or more, and counts once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_day_begins_with_nothing_and_the_old_one_is_saved() {
        let journal: Arc<FaultyJournal> = Arc::default();
        let process = NodeProcess::start(&journal).await;
        assert!(process.writes(100));
        process.clock.set(NOON + 43_200);
        assert!(process.writes(99));
        a_pass().await;
        let of = async |day| journal.written().usage_of_others(UtcDay(day), "").await.unwrap()[&acme()].bytes_written;
        assert_eq!((of(20_000).await, of(20_001).await), (100, 99));
        process.clock.set(NOON + 43_200 + 7 * 86_400);
        a_pass().await;
        let left = journal.written().usage_of_others(UtcDay(20_000), "").await.unwrap();
        assert!(left.is_empty(), "days of last week are deleted");
        assert_eq!(of(20_001).await, 99);
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_the_journal_is_not_asked() {
        let journal: Arc<FaultyJournal> = Arc::default();
        let process = NodeProcess::start(&journal).await;
        process.keeper.usage().set_limits([]);
        journal.restart();
        assert!(process.writes(1_000));
        a_pass().await;
        assert_eq!(journal.asked(), 0);
    }
}
