//! The calls about daily usage, in memory.

use super::state::{MAX_DROPPED, MemoryJournal};
use crate::{
    account::DailyAmounts,
    journal::{JournalDown, UsageJournal},
    name::TenantName,
    policy::{DayTotals, UtcDay},
};
use async_trait::async_trait;
use std::collections::HashMap;

#[async_trait]
impl UsageJournal for MemoryJournal {
    async fn save_usage(&self, process: &str, totals: &[DayTotals]) -> Result<(), JournalDown> {
        let mut state = self.ask("save_usage")?;
        for DayTotals { tenant, day, amounts } in totals {
            state.usage.insert((*day, tenant.clone(), process.to_owned()), *amounts);
        }
        Ok(())
    }

    async fn usage_of_others(
        &self,
        day: UtcDay,
        process: &str,
    ) -> Result<HashMap<TenantName, DailyAmounts>, JournalDown> {
        let mut sums: HashMap<TenantName, DailyAmounts> = HashMap::new();
        for ((row_day, tenant, owner), amounts) in &self.ask("usage_of_others")?.usage {
            if *row_day == day && owner != process {
                sums.entry(tenant.clone()).or_default().add(amounts);
            }
        }
        Ok(sums)
    }

    async fn drop_usage_before(&self, day: UtcDay) -> Result<u64, JournalDown> {
        let mut state = self.ask("drop_usage_before")?;
        let dropped = state.usage.extract_if(.., |(row_day, ..), _| *row_day < day).take(MAX_DROPPED).count();
        Ok(dropped as u64)
    }
}
