//! The calls about verdicts on roles, in memory.

use super::state::{MAX_DROPPED, MemoryJournal};
use crate::{
    account::ProbedRole,
    journal::{JournalDown, RoleProbe, RoleVerdictJournal},
};
use async_trait::async_trait;

#[async_trait]
impl RoleVerdictJournal for MemoryJournal {
    async fn save_role_probe(&self, probe: &RoleProbe) -> Result<(), JournalDown> {
        let mut state = self.ask("save_role_probe")?;
        let RoleProbe { role, verdict, probed_at } = probe.clone();
        let former = state.role_verdicts.get(&role);
        if former.is_none_or(|(_, former)| *former <= probed_at) {
            state.role_verdicts.insert(role, (verdict, probed_at));
        }
        Ok(())
    }

    async fn role_probes(&self, roles: &[ProbedRole]) -> Result<Vec<RoleProbe>, JournalDown> {
        let state = self.ask("role_probes")?;
        let find = |role: &ProbedRole| {
            let (verdict, probed_at) = *state.role_verdicts.get(role)?;
            Some(RoleProbe { role: role.clone(), verdict, probed_at })
        };
        Ok(roles.iter().filter_map(find).collect())
    }

    async fn drop_role_probes_before(&self, seconds: i64) -> Result<u64, JournalDown> {
        let mut state = self.ask("drop_role_probes_before")?;
        let old = state.role_verdicts.extract_if(.., |_, (_, probed_at)| *probed_at < seconds);
        Ok(old.take(MAX_DROPPED).count() as u64)
    }
}
