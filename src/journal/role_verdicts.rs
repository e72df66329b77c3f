//! The verdicts about roles that STS was asked for without their external ID. A row outlasts a restart, and every node of
//! a ledger goes by it, so that a role isn't asked for again each time.

use super::JournalDown;
use crate::account::{ProbedRole, RoleVerdict};
use async_trait::async_trait;
use std::fmt;

/// The last verdict about a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleProbe {
    /// The role.
    pub role: ProbedRole,
    /// The verdict.
    pub verdict: RoleVerdict,
    /// The time at which STS was asked, in seconds since 1970.
    pub probed_at: i64,
}

/// The part of a [`Journal`](super::Journal) that the probes of roles need. Every method is one round trip.
#[async_trait]
pub trait RoleVerdictJournal: Send + Sync + fmt::Debug {
    /// Saves a verdict in the place of the role's former one, unless that is younger.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn save_role_probe(&self, probe: &RoleProbe) -> Result<(), JournalDown>;

    /// The verdicts that the journal has about these roles, in no order. At most 1,000 roles.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn role_probes(&self, roles: &[ProbedRole]) -> Result<Vec<RoleProbe>, JournalDown>;

    /// Deletes at most 1,000 verdicts that are older than `seconds` since 1970. Returns how many.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn drop_role_probes_before(&self, seconds: i64) -> Result<u64, JournalDown>;
}
