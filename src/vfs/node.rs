//! The state that all sessions of one process share: the source of buckets, the memory budget, the journal, the clock,
//! the cache, and the claims and locks on names.

use super::{
    Result,
    attribute_writer::AttributeWriter,
    cache::{Cache, Change},
};
use crate::{
    clock::{Clock, SystemClock},
    cloud::BucketSource,
    journal::{FairJournal, Journal, JournalQuestions},
    memory::{Budget, ConnectionMemory},
    name::{BucketId, Key, TenantName},
    objects::{Claim, Claims, Locks, RenamedTimes},
};
use std::sync::Arc;

/// One node: a process of the server. Share it as `Arc<Node>`.
#[derive(Debug)]
pub struct Node {
    pub(super) buckets: Arc<dyn BucketSource>,
    pub(super) budget: Arc<Budget>,
    /// For the node's own questions. Sessions ask the journal of their tenant.
    pub(super) journal: Arc<dyn Journal>,
    questions: Arc<JournalQuestions>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cache: Cache,
    pub(super) claims: Claims,
    pub(super) locks: Locks,
    pub(super) attribute_writer: AttributeWriter,
    pub(super) renamed_times: RenamedTimes,
}

impl Node {
    /// A node without sessions. Transfers take their memory from `budget`. Facts that S3 has no place for go to
    /// `journal`, which other nodes may share.
    #[must_use]
    pub fn new(buckets: Arc<dyn BucketSource>, budget: Arc<Budget>, journal: Arc<dyn Journal>) -> Arc<Self> {
        Self::with_clock(buckets, budget, journal, Arc::new(SystemClock))
    }

    /// [`new`](Self::new) with another clock than the system's.
    #[must_use]
    pub(crate) fn with_clock(
        buckets: Arc<dyn BucketSource>,
        budget: Arc<Budget>,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let (cache, claims, locks) = (Cache::default(), Claims::default(), Locks::default());
        let (attribute_writer, renamed_times) = (AttributeWriter::default(), RenamedTimes::default());
        let questions = Arc::default();
        Arc::new(Self {
            buckets,
            budget,
            journal,
            questions,
            clock,
            cache,
            claims,
            locks,
            attribute_writer,
            renamed_times,
        })
    }

    /// The memory of the requests and replies of a new connection of `tenant`.
    pub(crate) fn connection_memory(&self, tenant: &TenantName) -> Arc<ConnectionMemory> {
        self.budget.connection(tenant)
    }

    /// The journal, as sessions of `tenant` ask it.
    pub(super) fn journal_of(&self, tenant: &TenantName) -> Arc<dyn Journal> {
        let (journal, questions) = (Arc::clone(&self.journal), Arc::clone(&self.questions));
        Arc::new(FairJournal::new(journal, tenant.clone(), questions))
    }

    /// Waits until no session of any node renames or removes one of the names. The claim ends when it is dropped. `None`
    /// if the journal doesn't confirm it.
    ///
    /// # Errors
    /// If another operation holds one of the names for half a minute.
    pub(crate) async fn claim_both(&self, bucket: &BucketId, source: &Key, target: &Key) -> Result<Option<Claim>> {
        Ok(self.claims.claim_both(&self.journal, bucket, (source, target)).await?)
    }

    /// Records that maintenance finished the rename of a file.
    pub(crate) fn note_renamed(&self, bucket: &BucketId, source: &Key, target: &Key) {
        self.cache.changed(bucket, source, Change::Removed);
        self.cache.changed(bucket, target, Change::Stored);
    }

    /// Writes all attributes that are queued for the journal. Call it after the last request to the node.
    pub(crate) async fn flush(&self) {
        AttributeWriter::flush_all(self).await;
        self.renamed_times.all_known().await;
    }
}
