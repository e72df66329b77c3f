//! The amounts that tenants use per day, for the daily limits. A row has all that one process counted for a tenant on a
//! day, so that writing it twice changes nothing, and the sum of the rows is the tenant's usage.

use super::JournalDown;
use crate::{
    account::DailyAmounts,
    name::TenantName,
    policy::{DayTotals, UtcDay},
};
use async_trait::async_trait;
use std::{collections::HashMap, fmt};

/// The part of a [`Journal`](super::Journal) that daily limits need. Every method is one round trip.
#[async_trait]
pub trait UsageJournal: Send + Sync + fmt::Debug {
    /// Replaces the totals of `process`. At most 1,000, each of another tenant or day.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn save_usage(&self, process: &str, totals: &[DayTotals]) -> Result<(), JournalDown>;

    /// The sums of the totals of `day` that processes other than `process` saved.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn usage_of_others(
        &self,
        day: UtcDay,
        process: &str,
    ) -> Result<HashMap<TenantName, DailyAmounts>, JournalDown>;

    /// Deletes at most 1,000 totals of days before `day`. Returns how many.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn drop_usage_before(&self, day: UtcDay) -> Result<u64, JournalDown>;
}
