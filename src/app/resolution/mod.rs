//! Finds how transfers ended that a kill of a server interrupted, and records it: each transfer has a record, whatever
//! ends the server.
//!
//! An upload that was about to be published may be in S3. One HEAD tells: only its object has its token.

#[cfg(test)]
mod tests;

use super::owner_lookup::{EntryMount, NoBucket, OwnerLookup};
use crate::{
    account::Permission,
    events::{Event, Events, Outcome, TransferredObject, Who},
    journal::Owner,
    ledger::{InterruptedProcess, InterruptedTransfer, PublishedUpload, Spool},
    name::TenantName,
    store::{self, NewObject, Object, missing_or_forbidden},
};
use std::{collections::HashSet, fmt, mem, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use tracing::warn;

/// The interval at which S3 is asked again about uploads for which it didn't answer.
const INTERVAL: Duration = Duration::from_mins(1);
/// The time for S3's answer about one upload.
const LIMIT: Duration = Duration::from_secs(10);
/// The time from the start in which S3 may still publish an upload: a request that it has received outlives the server,
/// and S3 takes some minutes to complete many GiB (S3 API reference, CompleteMultipartUpload).
const PUBLISH_LIMIT: Duration = Duration::from_mins(10);
/// The time from the start in which a tenant may come back that isn't in the config.
const RETURN_LIMIT: Duration = Duration::from_hours(24);

/// The task that resolves interrupted transfers.
#[derive(Debug)]
pub(super) struct Resolution {
    spool: Arc<Spool>,
    owners: Arc<OwnerLookup>,
    events: Events,
    interrupted: UnboundedReceiver<InterruptedProcess>,
    processes: Vec<InterruptedProcess>,
    started: Instant,
}

/// The end of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TransferEnd {
    outcome: Outcome,
    size: Option<u64>,
    object: Option<TransferredObject>,
}

/// The answer about a transfer.
#[derive(Debug, PartialEq, Eq)]
enum Resolved {
    End(TransferEnd),
    /// S3 may still publish the upload, or the tenant's file may come back.
    Later,
    /// The tenant's storage doesn't answer.
    Silent,
}

impl Resolution {
    pub(super) fn new(
        spool: Arc<Spool>,
        owners: Arc<OwnerLookup>,
        events: Events,
        interrupted: UnboundedReceiver<InterruptedProcess>,
    ) -> Self {
        Self { spool, owners, events, interrupted, processes: Vec::new(), started: Instant::now() }
    }

    /// Runs as long as processes may end. Cancel-safe: the next start continues.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                process = self.interrupted.recv() => match process {
                    Some(process) => self.processes.push(process),
                    None if self.processes.is_empty() => return,
                    None => sleep(INTERVAL).await,
                },
                () = sleep(INTERVAL), if !self.processes.is_empty() => {}
            }
            for process in mem::take(&mut self.processes) {
                self.resolve(process).await;
            }
        }
    }

    /// Resolves the transfers of a process. It stays in the list with those about which S3 doesn't answer, and with all if
    /// the spool didn't take each record.
    async fn resolve(&mut self, mut process: InterruptedProcess) {
        let (lost, mut silent_tenants, mut left) = (self.spool.status().lost, HashSet::new(), Vec::new());
        for transfer in &process.transfers {
            match self.end_of(transfer, &mut silent_tenants).await {
                Resolved::End(end) => self.record(transfer, end),
                Resolved::Later | Resolved::Silent => left.push(transfer.clone()),
            }
        }
        if self.spool.status().lost > lost {
            return self.processes.push(process);
        }
        process.transfers = left;
        if !process.transfers.is_empty() {
            return self.processes.push(process);
        }
        let spool = Arc::clone(&self.spool);
        if let Ok(Err(error)) = spawn_blocking(move || process.forget(&spool)).await {
            warn!(%error, "the ledger's spool can't be synced: the next start resolves its interrupted transfers again");
        }
    }

    async fn end_of(&self, transfer: &InterruptedTransfer, silent_tenants: &mut HashSet<TenantName>) -> Resolved {
        let Some(upload) = &transfer.publishing else { return Resolved::End(TransferEnd::of(Outcome::Abandoned)) };
        let tenant = &transfer.who.tenant;
        // The others of a tenant whose storage doesn't answer wait for a later pass, so that no other tenant does.
        if silent_tenants.contains(tenant) {
            return Resolved::Silent;
        }
        let end = timeout(LIMIT, self.end_of_upload(transfer, upload)).await.unwrap_or(Resolved::Silent);
        if end == Resolved::Silent {
            silent_tenants.insert(tenant.clone());
        }
        end
    }

    async fn end_of_upload(&self, transfer: &InterruptedTransfer, upload: &PublishedUpload) -> Resolved {
        let PublishedUpload { bucket: id, mount, key, token } = upload;
        let owner = Owner { tenant: transfer.who.tenant.clone(), user: transfer.who.user.clone() };
        let entry = EntryMount {
            owner: &owner,
            prefix: mount,
            bucket: id,
            // Without it S3 says 403 of a key that is missing.
            permissions: Some([Permission::List].into_iter().collect()),
            needs: Permission::Read,
        };
        let bucket = match self.owners.bucket(entry).await {
            Ok(bucket) => bucket,
            Err(NoBucket::UnknownTenant) if self.started.elapsed() < RETURN_LIMIT => return Resolved::Later,
            Err(NoBucket::Failed(error)) if is_passing(&error) => return Resolved::Silent,
            Err(error) => return Resolved::End(TransferEnd::unknown(&error)),
        };
        let found = match bucket.head(key).await {
            Err(refusal @ store::Error::Forbidden { .. }) => Err(missing_or_forbidden(&*bucket, key, refusal).await),
            found => found,
        };
        let may_follow = self.started.elapsed() < PUBLISH_LIMIT;
        match found {
            Ok(object) if object.metadata.get(NewObject::TOKEN) == Some(token) => {
                Resolved::End(TransferEnd::published(upload, &object))
            }
            Ok(_) | Err(store::Error::NotFound) if may_follow => Resolved::Later,
            Ok(_) => Resolved::End(TransferEnd::unknown(&"another object is under its name now")),
            Err(store::Error::NotFound) => Resolved::End(TransferEnd::of(Outcome::Abandoned)),
            Err(error) if is_passing(&error) => Resolved::Silent,
            Err(error) => Resolved::End(TransferEnd::unknown(&error)),
        }
    }

    fn record(&self, transfer: &InterruptedTransfer, TransferEnd { outcome, size, object }: TransferEnd) {
        let InterruptedTransfer { transfer_id, who, path, transfer, publishing: _ } = transfer.clone();
        let object = object.map(Box::new);
        self.events
            .record(Who::Session(who), Event::TransferResolved { transfer_id, path, transfer, outcome, size, object });
    }
}

impl TransferEnd {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, size: None, object: None }
    }

    fn unknown(reason: &dyn fmt::Display) -> Self {
        Self::of(Outcome::Failed(format!(
            "the server was killed while S3 published the file, and S3 can't tell if it did: {reason}"
        )))
    }

    fn published(upload: &PublishedUpload, object: &Object) -> Self {
        let published = TransferredObject {
            bucket: upload.bucket.clone(),
            key: upload.key.clone(),
            etag: object.pin.etag.0.clone(),
            version: object.pin.version.as_ref().map(|version| version.0.clone()),
            checksum_crc64nvme: None,
            request_id: None,
        };
        Self { outcome: Outcome::Done, size: Some(object.size), object: Some(published) }
    }
}

/// True if the storage may answer later.
fn is_passing(error: &store::Error) -> bool {
    match error {
        store::Error::Unreachable(_)
        | store::Error::Throttled { .. }
        | store::Error::Credentials(_)
        | store::Error::DailyLimit(_)
        | store::Error::RateReached(_)
        | store::Error::Broken(_) => true,
        store::Error::NotFound
        | store::Error::Forbidden { .. }
        | store::Error::Conflict { .. }
        | store::Error::RangeNotSatisfiable { .. }
        | store::Error::UploadGone
        | store::Error::Archived
        | store::Error::Full { .. }
        | store::Error::Refused { .. } => false,
    }
}
