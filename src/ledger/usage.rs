//! The daily usage of tenants in SQL: one row for each day, tenant and process.

use super::{
    database::{ConnectionPool, with},
    sql_journal::SqlJournal,
};
use crate::{
    account::DailyAmounts,
    journal::{JournalDown, UsageJournal},
    name::TenantName,
    policy::{DayTotals, UtcDay},
};
use async_trait::async_trait;
use std::collections::HashMap;

const REPLACED: &str = " ON CONFLICT (day, tenant, process) DO UPDATE SET bytes_written = excluded.bytes_written, \
                        zero_bytes = excluded.zero_bytes, bytes_copied = excluded.bytes_copied, \
                        s3_requests = excluded.s3_requests";
/// PostgreSQL's sum of `BIGINT` is `NUMERIC`.
const OF_OTHERS: &str = "SELECT tenant, CAST(SUM(bytes_written) AS BIGINT), CAST(SUM(zero_bytes) AS BIGINT), \
                         CAST(SUM(bytes_copied) AS BIGINT), CAST(SUM(s3_requests) AS BIGINT) FROM daily_usage \
                         WHERE day = $1 AND process <> $2 GROUP BY tenant";
const DROP: &str = "DELETE FROM daily_usage WHERE (day, tenant, process) IN \
                    (SELECT day, tenant, process FROM daily_usage WHERE day < $1 ORDER BY day LIMIT 1000)";

/// The largest amount in a row: 8 PiB. A sum of a thousand of them fits the column.
const MAX_AMOUNT: u64 = 1 << 53;

type UsageRow = (String, i64, i64, i64, i64);

/// Replaces the rows of several tenants at once.
macro_rules! save_rows {
    ($database:ty, $pool:expr, $process:expr, $totals:expr) => {{
        let columns = "INSERT INTO daily_usage \
                       (day, tenant, process, bytes_written, zero_bytes, bytes_copied, s3_requests) ";
        let mut query = sqlx::QueryBuilder::<$database>::new(columns);
        query.push_values($totals, |mut row, totals| {
            row.push_bind(totals.day.0)
                .push_bind(totals.tenant.as_str())
                .push_bind($process)
                .push_bind(column(totals.amounts.bytes_written))
                .push_bind(column(totals.amounts.zero_bytes))
                .push_bind(column(totals.amounts.bytes_copied))
                .push_bind(column(totals.amounts.s3_requests));
        });
        query.push(REPLACED);
        query.build().execute($pool).await.map(drop)
    }};
}

#[async_trait]
impl UsageJournal for SqlJournal {
    async fn save_usage(&self, process: &str, totals: &[DayTotals]) -> Result<(), JournalDown> {
        if totals.is_empty() {
            return Ok(());
        }
        self.ask(&self.writes, async {
            match &self.database.writes {
                ConnectionPool::Sqlite(pool) => save_rows!(sqlx::Sqlite, pool, process, totals),
                ConnectionPool::Postgres(pool) => save_rows!(sqlx::Postgres, pool, process, totals),
            }
        })
        .await
    }

    async fn usage_of_others(
        &self,
        day: UtcDay,
        process: &str,
    ) -> Result<HashMap<TenantName, DailyAmounts>, JournalDown> {
        let rows: Vec<UsageRow> = self
            .ask(&self.reads, async {
                with!(&self.database.reads, pool => {
                    sqlx::query_as(OF_OTHERS).bind(day.0).bind(process).fetch_all(pool).await
                })
            })
            .await?;
        // A name that this version doesn't accept belongs to no tenant of its config.
        let amounts = rows.into_iter().filter_map(|(tenant, written, zeros, copied, requests)| {
            let amounts = DailyAmounts {
                bytes_written: amount(written),
                zero_bytes: amount(zeros),
                bytes_copied: amount(copied),
                s3_requests: amount(requests),
            };
            Some((tenant.parse().ok()?, amounts))
        });
        Ok(amounts.collect())
    }

    async fn drop_usage_before(&self, day: UtcDay) -> Result<u64, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                sqlx::query(DROP).bind(day.0).execute(pool).await.map(|done| done.rows_affected())
            })
        })
        .await
    }
}

fn column(amount: u64) -> i64 {
    amount.min(MAX_AMOUNT).cast_signed()
}

fn amount(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}
