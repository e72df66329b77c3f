//! The transfers that have begun and not ended. Their lines outlive a kill of the server, so that the next start can
//! find how each ended.

use crate::{
    events::{Event, Record, SessionUser, Transfer, Who},
    name::{BucketId, Key, Prefix, TransferId},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};

/// A transfer that a kill of a server interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterruptedTransfer {
    /// The id of the transfer.
    pub(crate) transfer_id: TransferId,
    /// The session that began it.
    pub(crate) who: Arc<SessionUser>,
    /// The client's path: at the CLOSE of an upload that was about to be published, else at the OPEN.
    pub(crate) path: String,
    /// The direction of the transfer.
    pub(crate) transfer: Transfer,
    /// The object that S3 was asked, or about to be asked, to publish.
    pub(crate) publishing: Option<PublishedUpload>,
}

/// An object that S3 may have published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublishedUpload {
    pub(crate) bucket: BucketId,
    pub(crate) mount: Prefix,
    pub(crate) key: Key,
    pub(crate) token: String,
}

/// A transfer and the session that began it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenTransferLine {
    transfer_id: TransferId,
    session: String,
    tenant: String,
    user: String,
    source: SocketAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vpc_endpoint: Option<String>,
    path: String,
    transfer: Transfer,
    /// The object that a CLOSE is about to publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publishing: Option<PublishingLine>,
}

/// An object that a CLOSE is about to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PublishingLine {
    bucket: String,
    mount: String,
    key: String,
    token: String,
}

/// The transfers that have not ended, each with its last line.
#[derive(Debug, Default)]
pub(super) struct OpenTransfers(HashMap<TransferId, OpenTransferLine>);

impl OpenTransferLine {
    /// Returns the line of `record`, if it is about the beginning of a transfer or the publication of an upload.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let Who::Session(who) = &record.who else { return None };
        let (transfer_id, path, transfer, publishing) = match &record.event {
            Event::FileOpened { transfer_id, path, transfer } => (transfer_id, path, *transfer, None),
            Event::UploadPublishing { transfer_id, path, bucket, mount, key, token, size: _ } => {
                let publishing = PublishingLine {
                    bucket: bucket.to_string(),
                    mount: mount.as_str().to_owned(),
                    key: key.as_str().to_owned(),
                    token: token.clone(),
                };
                (transfer_id, path, Transfer::Upload, Some(publishing))
            }
            _ => return None,
        };
        Some(Self {
            transfer_id: *transfer_id,
            session: who.session.to_string(),
            tenant: who.tenant.to_string(),
            user: who.user.to_string(),
            source: who.source,
            vpc_endpoint: who.vpc_endpoint.as_deref().map(ToOwned::to_owned),
            path: path.clone(),
            transfer,
            publishing,
        })
    }

    /// `None` for a tenant or a user whose name this version doesn't accept.
    fn interrupted(self) -> Option<InterruptedTransfer> {
        let Self { transfer_id, session, tenant, user, source, vpc_endpoint, path, transfer, publishing } = self;
        let who = SessionUser {
            session: session.into(),
            tenant: tenant.parse().ok()?,
            user: user.parse().ok()?,
            source,
            vpc_endpoint: vpc_endpoint.map(Into::into),
        };
        let publishing = publishing.and_then(PublishingLine::upload);
        Some(InterruptedTransfer { transfer_id, who: Arc::new(who), path, transfer, publishing })
    }
}

impl OpenTransfers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes the last line of a transfer.
    pub(super) fn note(&mut self, line: OpenTransferLine) {
        self.0.insert(line.transfer_id, line);
    }

    pub(super) fn end(&mut self, transfer_id: &TransferId) {
        self.0.remove(transfer_id);
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &OpenTransferLine> {
        self.0.values()
    }

    /// Returns the transfers that have not ended.
    pub(super) fn interrupted(self) -> Vec<InterruptedTransfer> {
        self.0.into_values().filter_map(OpenTransferLine::interrupted).collect()
    }
}

impl PublishingLine {
    fn upload(self) -> Option<PublishedUpload> {
        let Self { bucket, mount, key, token } = self;
        let mount = Prefix::parse(&mount).ok()?;
        let key = mount.adopt(&key)?;
        Some(PublishedUpload { bucket: BucketId::recorded(&bucket), mount, key, token })
    }
}
