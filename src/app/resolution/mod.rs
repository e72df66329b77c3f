//! Finds how transfers ended that a kill of a server interrupted, and records it: each transfer has a record, whatever
//! ends the server.
//!
//! An upload that was about to be published may be in S3. One HEAD tells: only its object has its token.

#[cfg(test)]
mod tests;

use super::owner_lookup::{EntryMount, NoBucket, OwnerLookup};
use crate::{
    account::{Permission, Permissions},
    events::{Event, Events, Outcome, TransferredObject, Who},
    journal::Owner,
    ledger::{InterruptedProcess, InterruptedTransfer, PublishedUpload, Spool},
    name::TenantName,
    store::{self, NewObject, Object},
};
use std::{collections::HashSet, fmt, mem, sync::Arc, time::Duration};
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::warn;

/// The interval at which S3 is asked again about uploads for which it didn't answer.
const INTERVAL: Duration = Duration::from_mins(1);
/// The time for S3's answer about one upload.
const LIMIT: Duration = Duration::from_secs(10);

/// The task that resolves interrupted transfers.
#[derive(Debug)]
pub(super) struct Resolution {
    spool: Arc<Spool>,
    owners: Arc<OwnerLookup>,
    events: Events,
    processes: Vec<InterruptedProcess>,
}

/// The end of a transfer.
#[derive(Debug, PartialEq, Eq)]
struct TransferEnd {
    outcome: Outcome,
    size: Option<u64>,
    object: Option<TransferredObject>,
}

impl Resolution {
    pub(super) fn new(
        spool: Arc<Spool>,
        owners: Arc<OwnerLookup>,
        events: Events,
        processes: Vec<InterruptedProcess>,
    ) -> Self {
        Self { spool, owners, events, processes }
    }

    /// Runs until all transfers are resolved. Cancel-safe: the next start continues.
    pub(super) async fn run(mut self) {
        loop {
            for process in mem::take(&mut self.processes) {
                self.resolve(process).await;
            }
            if self.processes.is_empty() {
                return;
            }
            sleep(INTERVAL).await;
        }
    }

    /// Resolves the transfers of a process. It stays in the list if S3 doesn't answer about one of them.
    async fn resolve(&mut self, mut process: InterruptedProcess) {
        let (mut left, mut silent_tenants) = (Vec::new(), HashSet::new());
        for transfer in mem::take(&mut process.transfers) {
            match self.end_of(&transfer, &mut silent_tenants).await {
                Some(end) => self.record(transfer, end),
                None => left.push(transfer),
            }
        }
        process.transfers = left;
        if !process.transfers.is_empty() {
            return self.processes.push(process);
        }
        let spool = Arc::clone(&self.spool);
        if let Ok(Err(error)) = spawn_blocking(move || process.resolved(&spool)).await {
            warn!(%error, "the ledger's spool can't be synced: the next start resolves its interrupted transfers again");
        }
    }

    /// Returns the end of a transfer. `None` if S3 doesn't answer.
    async fn end_of(
        &self,
        transfer: &InterruptedTransfer,
        silent_tenants: &mut HashSet<TenantName>,
    ) -> Option<TransferEnd> {
        let Some(upload) = &transfer.publishing else { return Some(TransferEnd::of(Outcome::Abandoned)) };
        let tenant = &transfer.who.tenant;
        // The others of a tenant whose storage doesn't answer wait for a later pass, so that no other tenant does.
        if silent_tenants.contains(tenant) {
            return None;
        }
        let end = timeout(LIMIT, self.end_of_upload(transfer, upload)).await.ok().flatten();
        if end.is_none() {
            silent_tenants.insert(tenant.clone());
        }
        end
    }

    async fn end_of_upload(&self, transfer: &InterruptedTransfer, upload: &PublishedUpload) -> Option<TransferEnd> {
        let PublishedUpload { bucket: id, mount, key, token } = upload;
        let owner = Owner { tenant: transfer.who.tenant.clone(), user: transfer.who.user.clone() };
        let entry = EntryMount {
            owner: &owner,
            prefix: mount,
            bucket: id,
            permissions: Some(Permissions::default()),
            needs: Permission::Read,
        };
        let bucket = match self.owners.bucket(entry).await {
            Ok(bucket) => bucket,
            Err(NoBucket::Failed(error)) if is_passing(&error) => return None,
            Err(error) => return Some(TransferEnd::unknown(&error)),
        };
        match bucket.head(key).await {
            Ok(object) if object.metadata.get(NewObject::TOKEN) == Some(token) => {
                Some(TransferEnd::published(upload, &object))
            }
            Ok(_) => Some(TransferEnd::unknown(&"another object is under its name now")),
            Err(store::Error::NotFound) => Some(TransferEnd::of(Outcome::Abandoned)),
            Err(error) if is_passing(&error) => None,
            Err(error) => Some(TransferEnd::unknown(&error)),
        }
    }

    fn record(&self, transfer: InterruptedTransfer, TransferEnd { outcome, size, object }: TransferEnd) {
        let InterruptedTransfer { transfer_id, who, path, transfer, publishing: _ } = transfer;
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
    matches!(error, store::Error::Unreachable(_) | store::Error::Throttled { .. })
}
