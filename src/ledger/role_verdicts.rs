//! The verdicts about roles in SQL: one row for each role, hash of an external ID, and STS.

use super::{
    database::{ConnectionPool, with},
    sql_journal::SqlJournal,
};
use crate::{
    account::{ProbedRole, RoleVerdict},
    journal::{JournalDown, RoleProbe, RoleVerdictJournal},
};
use async_trait::async_trait;

const SAVE: &str = "INSERT INTO role_verdicts AS old (role, external_id_hash, sts, verdict, probed_at) \
                    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (role, external_id_hash, sts) DO UPDATE \
                    SET verdict = excluded.verdict, probed_at = excluded.probed_at \
                    WHERE old.probed_at <= excluded.probed_at";
const FIND: &str = "SELECT role, external_id_hash, sts, verdict, probed_at FROM role_verdicts \
                    WHERE (role, external_id_hash, sts) IN (";
const DROP: &str = "DELETE FROM role_verdicts WHERE (role, external_id_hash, sts) IN \
                    (SELECT role, external_id_hash, sts FROM role_verdicts WHERE probed_at < $1 LIMIT 1000)";

type VerdictRow = (String, String, String, String, i64);

macro_rules! find_rows {
    ($database:ty, $pool:expr, $roles:expr) => {{
        let mut query = sqlx::QueryBuilder::<$database>::new(FIND);
        query.push_values($roles, |mut row, role| {
            row.push_bind(role.arn.as_str()).push_bind(role.external_id_hash.as_str()).push_bind(role.sts.as_str());
        });
        query.push(")");
        query.build_query_as().fetch_all($pool).await
    }};
}

#[async_trait]
impl RoleVerdictJournal for SqlJournal {
    async fn save_role_probe(&self, probe: &RoleProbe) -> Result<(), JournalDown> {
        let RoleProbe { role, verdict, probed_at } = probe;
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                sqlx::query(SAVE)
                    .bind(role.arn.as_str())
                    .bind(role.external_id_hash.as_str())
                    .bind(role.sts.as_str())
                    .bind(verdict.as_str())
                    .bind(*probed_at)
                    .execute(pool)
                    .await
                    .map(drop)
            })
        })
        .await
    }

    async fn role_probes(&self, roles: &[ProbedRole]) -> Result<Vec<RoleProbe>, JournalDown> {
        if roles.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<VerdictRow> = self
            .ask(&self.reads, async {
                match &self.database.reads {
                    ConnectionPool::Sqlite(pool) => find_rows!(sqlx::Sqlite, pool, roles),
                    ConnectionPool::Postgres(pool) => find_rows!(sqlx::Postgres, pool, roles),
                }
            })
            .await?;
        // A verdict that this version doesn't know is none: the role is probed again.
        let probes = rows.into_iter().filter_map(|(arn, external_id_hash, sts, verdict, probed_at)| {
            let role = ProbedRole { arn: arn.parse().ok()?, external_id_hash, sts };
            Some(RoleProbe { role, verdict: RoleVerdict::parse(&verdict)?, probed_at })
        });
        Ok(probes.collect())
    }

    async fn drop_role_probes_before(&self, seconds: i64) -> Result<u64, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                sqlx::query(DROP).bind(seconds).execute(pool).await.map(|done| done.rows_affected())
            })
        })
        .await
    }
}
