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
    /// The client's path at the OPEN.
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

/// The line of an OPEN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenedLine {
    transfer_id: TransferId,
    session: String,
    tenant: String,
    user: String,
    source: SocketAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vpc_endpoint: Option<String>,
    path: String,
    transfer: Transfer,
}

/// The line of a CLOSE that is about to publish an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PublishingLine {
    transfer_id: TransferId,
    bucket: String,
    mount: String,
    key: String,
    token: String,
}

/// A line about a transfer that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OpenLine {
    Opened(OpenedLine),
    Publishing(PublishingLine),
}

/// The lines about transfers that have not ended.
#[derive(Debug, Default)]
pub(super) struct OpenTransfers(HashMap<TransferId, OpenTransferLines>);

#[derive(Debug)]
struct OpenTransferLines {
    opened: OpenedLine,
    publishing: Option<PublishingLine>,
}

impl OpenLine {
    /// Returns the line of `record`, if it is about the beginning of a transfer or the publication of an upload.
    pub(super) fn of(record: &Record) -> Option<Self> {
        match (&record.who, &record.event) {
            (Who::Session(who), Event::FileOpened { transfer_id, path, transfer }) => Some(Self::Opened(OpenedLine {
                transfer_id: *transfer_id,
                session: who.session.to_string(),
                tenant: who.tenant.to_string(),
                user: who.user.to_string(),
                source: who.source,
                vpc_endpoint: who.vpc_endpoint.as_deref().map(ToOwned::to_owned),
                path: path.clone(),
                transfer: *transfer,
            })),
            (_, Event::UploadPublishing { transfer_id, bucket, mount, key, token, size: _ }) => {
                Some(Self::Publishing(PublishingLine {
                    transfer_id: *transfer_id,
                    bucket: bucket.to_string(),
                    mount: mount.as_str().to_owned(),
                    key: key.as_str().to_owned(),
                    token: token.clone(),
                }))
            }
            _ => None,
        }
    }
}

impl OpenTransfers {
    pub(super) fn note(&mut self, line: OpenLine) {
        match line {
            OpenLine::Opened(opened) => {
                self.0.insert(opened.transfer_id, OpenTransferLines { opened, publishing: None });
            }
            OpenLine::Publishing(publishing) => {
                if let Some(lines) = self.0.get_mut(&publishing.transfer_id) {
                    lines.publishing = Some(publishing);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn end(&mut self, transfer_id: &TransferId) {
        self.0.remove(transfer_id);
    }

    /// Returns the lines, in an order in which [`note`](Self::note) takes them.
    pub(super) fn lines(&self) -> impl Iterator<Item = OpenLine> {
        self.0.values().flat_map(|lines| {
            let publishing = lines.publishing.clone().map(OpenLine::Publishing);
            [Some(OpenLine::Opened(lines.opened.clone())), publishing].into_iter().flatten()
        })
    }

    /// Returns the transfers that have not ended. Leaves out those of tenants or users whose names this version doesn't
    /// accept.
    pub(super) fn interrupted(self) -> Vec<InterruptedTransfer> {
        self.0.into_values().filter_map(OpenTransferLines::interrupted).collect()
    }
}

impl OpenTransferLines {
    fn interrupted(self) -> Option<InterruptedTransfer> {
        let OpenedLine { transfer_id, session, tenant, user, source, vpc_endpoint, path, transfer } = self.opened;
        let who = SessionUser {
            session: session.into(),
            tenant: tenant.parse().ok()?,
            user: user.parse().ok()?,
            source,
            vpc_endpoint: vpc_endpoint.map(Into::into),
        };
        let publishing = self.publishing.and_then(PublishingLine::upload);
        Some(InterruptedTransfer { transfer_id, who: Arc::new(who), path, transfer, publishing })
    }
}

impl PublishingLine {
    fn upload(self) -> Option<PublishedUpload> {
        let Self { bucket, mount, key, token, .. } = self;
        let mount = Prefix::parse(&mount).ok()?;
        let key = mount.adopt(&key)?;
        Some(PublishedUpload { bucket: BucketId::recorded(&bucket), mount, key, token })
    }
}
