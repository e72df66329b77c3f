//! Resumable uploads in SQL: one row for each upload that may be open in S3.
//!
//! The newest upload of a file is the last one that the database took, whatever the clocks of the nodes say. Leases and
//! retention times end by those clocks. Two nodes may differ by more than the rest of a lease when it is renewed, some
//! twenty seconds. Then both may work on one upload: S3 accepts parts from both, and the completion from one of them.

use super::{
    database::with,
    sql_journal::{SqlJournal, ago, until},
    unreadable_rows::MAX_SKIPPED,
};
use crate::{
    account::Permissions,
    clock::{Clock as _, SystemClock},
    journal::{JournalDown, Lease, Owner, PartialFile, PartialJournal, PartialUpload, Standing, Whole},
    name::{BucketId, MountedKey, Prefix},
    store::{NewObject, UploadId},
};
use async_trait::async_trait;
use std::time::Duration;

const ENTER: &str = "INSERT INTO partial_uploads (bucket, tenant, user_name, mount, name, \
                     id, upload_id, object, parts, bytes, etags, holder, held_until, keep_until, \
                     permissions) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (id) DO NOTHING";
/// Of several nodes that enter uploads at once, the last statement sees all rows. So only the newest upload is kept.
const ABANDON_OLDER: &str = "UPDATE partial_uploads SET keep_until = 0 WHERE bucket = $1 AND tenant = $2 AND \
                             user_name = $3 AND mount = $4 AND name = $5 AND keep_until <> 0 AND turn < \
                             (SELECT MAX(turn) FROM partial_uploads WHERE bucket = $1 AND tenant = $2 AND \
                             user_name = $3 AND mount = $4 AND name = $5)";
const HOLD: &str = "UPDATE partial_uploads SET parts = $1, bytes = $2, etags = $3, held_until = $4, \
                    keep_until = CASE WHEN keep_until = 0 THEN keep_until ELSE $5 END \
                    WHERE id = $6 AND holder = $7 RETURNING keep_until";
const FIND: &str = "SELECT bucket, tenant, user_name, mount, name, id, upload_id, object, parts, bytes, etags, held_until, \
                    permissions FROM partial_uploads WHERE bucket = $1 AND tenant = $2 AND user_name = $3 AND mount = $4 AND \
                    name = $5 AND keep_until > $6 ORDER BY turn DESC LIMIT 1";
const TAKE: &str = "UPDATE partial_uploads SET holder = $1, held_until = $2 \
                    WHERE id = $3 AND keep_until > $4 AND held_until <= $4";
const ABANDON: &str = "UPDATE partial_uploads SET keep_until = 0 WHERE bucket = $1 AND tenant = $2 AND \
                       user_name = $3 AND mount = $4 AND name = $5 AND keep_until <> 0";
const TAKE_STALE: &str = "UPDATE partial_uploads SET holder = $1, held_until = $2 \
                          WHERE keep_until <= $3 AND held_until <= $4 AND id = \
                          (SELECT id FROM partial_uploads WHERE keep_until <= $3 AND held_until <= $4 \
                          ORDER BY held_until LIMIT 1) \
                          RETURNING bucket, tenant, user_name, mount, name, id, upload_id, object, parts, bytes, etags, held_until, \
                          permissions";
const END: &str = "DELETE FROM partial_uploads WHERE id = $1";
const COUNT: &str = "SELECT COUNT(*) FROM partial_uploads WHERE bucket = $1 AND upload_id = $2";

/// A statement with the columns of a file's name bound to it.
macro_rules! of_file {
    ($query:path, $statement:expr, $file:expr) => {
        $query($statement)
            .bind($file.bucket.as_str())
            .bind($file.owner.tenant.as_str())
            .bind($file.owner.user.as_str())
            .bind($file.place.mount().as_str())
            .bind($file.place.name())
    };
}

/// The columns of a row, in the order of the statements.
type PartialRow = (String, String, String, String, String, String, String, String, i64, i64, i64, i64, Option<String>);

#[async_trait]
impl PartialJournal for SqlJournal {
    async fn enter_partial(&self, partial: &PartialUpload, lease: &Lease, keep: Duration) -> Result<(), JournalDown> {
        let [parts, bytes, etags] = numbers(partial.whole);
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                of_file!(sqlx::query, ENTER, partial.file)
                    .bind(partial.id.as_str())
                    .bind(partial.upload.0.as_str())
                    .bind(metadata(&partial.object))
                    .bind(parts)
                    .bind(bytes)
                    .bind(etags)
                    .bind(lease.holder.as_str())
                    .bind(until(lease.term))
                    .bind(until(keep))
                    .bind(partial.permissions.map(|permissions| permissions.to_string()))
                    .execute(pool)
                    .await?;
                // If this fails, the caller enters the upload again.
                of_file!(sqlx::query, ABANDON_OLDER, partial.file).execute(pool).await.map(drop)
            })
        })
        .await
    }

    async fn hold_partial(
        &self,
        id: &str,
        whole: Whole,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown> {
        let [parts, bytes, etags] = numbers(whole);
        let kept: Vec<i64> = self
            .ask(&self.writes, async {
                with!(&self.database.writes, pool => {
                    sqlx::query_scalar(HOLD)
                        .bind(parts)
                        .bind(bytes)
                        .bind(etags)
                        .bind(until(lease.term))
                        .bind(until(keep))
                        .bind(id)
                        .bind(lease.holder.as_str())
                        .fetch_all(pool)
                        .await
                })
            })
            .await?;
        Ok(match kept.first() {
            None => Standing::Lost,
            Some(0) => Standing::GivenUp,
            Some(_) => Standing::Kept,
        })
    }

    async fn find_partial(&self, file: &PartialFile) -> Result<Option<(PartialUpload, bool)>, JournalDown> {
        let now = SystemClock.unix_seconds();
        let row: Option<PartialRow> = self
            .ask(&self.reads, async {
                with!(&self.database.reads, pool => {
                    of_file!(sqlx::query_as, FIND, file).bind(now).fetch_optional(pool).await
                })
            })
            .await?;
        Ok(row.and_then(|row| self.readable(row)).map(|(partial, held_until)| (partial, held_until > now)))
    }

    async fn take_partial(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => {
                let taken = sqlx::query(TAKE)
                    .bind(lease.holder.as_str())
                    .bind(until(lease.term))
                    .bind(id)
                    .bind(SystemClock.unix_seconds())
                    .execute(pool)
                    .await?;
                Ok(taken.rows_affected() == 1)
            })
        })
        .await
    }

    async fn give_up_partials(&self, file: &PartialFile) -> Result<(), JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => of_file!(sqlx::query, ABANDON, file).execute(pool).await.map(drop))
        })
        .await
    }

    async fn take_stale_partial(
        &self,
        lease: &Lease,
        free_for: Duration,
    ) -> Result<Option<PartialUpload>, JournalDown> {
        for _ in 0..=MAX_SKIPPED {
            // All rows are read, because SQLite undoes a statement that isn't read to its end.
            let rows: Vec<PartialRow> = self
                .ask(&self.writes, async {
                    with!(&self.database.writes, pool => {
                        sqlx::query_as(TAKE_STALE)
                            .bind(lease.holder.as_str())
                            .bind(until(lease.term))
                            .bind(SystemClock.unix_seconds())
                            .bind(ago(free_for))
                            .fetch_all(pool)
                            .await
                    })
                })
                .await?;
            let Some(row) = rows.into_iter().next() else { return Ok(None) };
            if let Some((partial, _)) = self.readable(row) {
                return Ok(Some(partial));
            }
        }
        Ok(None)
    }

    async fn end_partial(&self, id: &str) -> Result<(), JournalDown> {
        self.ask(&self.writes, async {
            with!(&self.database.writes, pool => sqlx::query(END).bind(id).execute(pool).await.map(drop))
        })
        .await
    }

    async fn knows_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown> {
        let entries: i64 = self
            .ask(&self.reads, async {
                with!(&self.database.reads, pool => {
                    sqlx::query_scalar(COUNT).bind(bucket.as_str()).bind(upload.0.as_str()).fetch_one(pool).await
                })
            })
            .await?;
        Ok(entries > 0)
    }
}

impl SqlJournal {
    /// The upload of a row, and the end of its lease. `None`, with a line in the log, for an unreadable row.
    fn readable(&self, row: PartialRow) -> Option<(PartialUpload, i64)> {
        let id = row.5.clone();
        self.unreadable.check("partial_uploads", &id, partial(row))
    }
}

/// The upload of a row, and the end of its lease. `None` for a row that this version can't read.
fn partial(row: PartialRow) -> Option<(PartialUpload, i64)> {
    let (bucket, tenant, user, mount, name, id, upload, object, parts, bytes, etags, held_until, permissions) = row;
    let partial = PartialUpload {
        id,
        file: PartialFile {
            bucket: BucketId::recorded(&bucket),
            owner: Owner { tenant: tenant.parse().ok()?, user: user.parse().ok()? },
            place: MountedKey::new(Prefix::parse(&mount).ok()?, &name).ok()?,
        },
        permissions: permissions.as_deref().map(Permissions::of_known_words),
        upload: UploadId(upload),
        object: NewObject { metadata: serde_json::from_str(&object).ok()?, ..NewObject::default() },
        whole: Whole {
            parts: u32::try_from(parts).ok()?,
            bytes: u64::try_from(bytes).ok()?,
            etags: etags.cast_unsigned(),
        },
    };
    Some((partial, held_until))
}

/// The metadata as JSON, which can hold every map of strings. Headers are not stored: only new files are resumed, and
/// they have none.
fn metadata(object: &NewObject) -> String {
    serde_json::to_string(&object.metadata).unwrap_or_default()
}

/// Parts, bytes and ETags as columns. No object is larger than a column holds.
fn numbers(whole: Whole) -> [i64; 3] {
    [whole.parts.into(), i64::try_from(whole.bytes).unwrap_or(i64::MAX), whole.etags.cast_signed()]
}
