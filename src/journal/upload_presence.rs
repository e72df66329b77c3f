//! Remembers for which tenants the journal has no upload, so that their sessions need not ask for the upload of a file.
//!
//! It serves a journal that no other node shares: there, uploads come into being through this node alone. An answer
//! counts for two seconds nevertheless, because another program may write to the database.
//!
//! Invariant: an answer that the journal gave before this node entered an upload, or while it did so, is never
//! remembered. An entry without an answer may still be carried out, so for a while no answer is remembered.

use crate::name::{BucketId, TenantName};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The time for which the node relies on an answer.
const VALID: Duration = Duration::from_secs(2);
/// The time after which a statement without an answer is carried out, or never will be. The ledger waits two seconds
/// for an answer, and SQLite less for a lock.
const DOUBT: Duration = Duration::from_secs(10);
/// The most tenants and buckets that are remembered, besides those with entries in progress.
const MAX_REMEMBERED: usize = 10_000;

/// A tenant, and a bucket of its mounts.
pub(super) type BucketOfTenant = (TenantName, BucketId);

/// The knowledge of a node.
#[derive(Debug, Default)]
pub(super) struct UploadPresence(Mutex<PresenceTable>);

#[derive(Debug, Default)]
struct PresenceTable {
    /// The number of changes so far. It tells an answer from before a change from one after it.
    turn: u64,
    /// The turn in which entries were last dropped. An answer from before may be older than a dropped change.
    dropped_at: u64,
    buckets: HashMap<BucketOfTenant, BucketUploads>,
}

/// The uploads of a tenant in a bucket.
#[derive(Debug, Default)]
struct BucketUploads {
    /// The turn of the last change.
    changed_at: u64,
    /// The number of entries that wait for their answer.
    entering: usize,
    /// The end of the time in which an entry without an answer may be carried out.
    doubtful_until: Option<Instant>,
    /// The journal's last answer, and the time until which it counts.
    answer: Option<(bool, Instant)>,
}

impl BucketUploads {
    /// True if an entry is in progress, or may be.
    fn is_changing(&self, now: Instant) -> bool {
        self.entering > 0 || self.doubtful_until.is_some_and(|until| now < until)
    }

    fn answer(&self, now: Instant) -> Option<bool> {
        self.answer.filter(|(_, until)| now < *until).map(|(has_uploads, _)| has_uploads)
    }
}

impl PresenceTable {
    /// Drops what is no longer of use, if there is much.
    fn make_room(&mut self, now: Instant) {
        if self.buckets.len() >= MAX_REMEMBERED {
            self.buckets.retain(|_, uploads| uploads.is_changing(now) || uploads.answer(now).is_some());
            self.dropped_at = self.turn;
        }
    }

    /// Notes that an entry begins or ends.
    fn change(&mut self, of: BucketOfTenant) -> &mut BucketUploads {
        self.turn += 1;
        let uploads = self.buckets.entry(of).or_default();
        (uploads.changed_at, uploads.answer) = (self.turn, None);
        uploads
    }
}

/// The knowledge before a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownPresence {
    /// The answer.
    Known(bool),
    /// The journal is to be asked, in this turn.
    Unknown(u64),
}

impl UploadPresence {
    /// Returns the answer to the question for uploads of a tenant in a bucket, if it is known.
    pub(super) fn look(&self, of: &BucketOfTenant) -> KnownPresence {
        let table = self.table();
        let answer = table.buckets.get(of).and_then(|uploads| uploads.answer(Instant::now()));
        answer.map_or(KnownPresence::Unknown(table.turn), KnownPresence::Known)
    }

    /// Remembers the journal's answer to a question that was asked in `turn`.
    pub(super) fn learn(&self, of: BucketOfTenant, turn: u64, has_uploads: bool) {
        let (mut table, now) = (self.table(), Instant::now());
        table.make_room(now);
        let is_full = table.buckets.len() >= MAX_REMEMBERED && !table.buckets.contains_key(&of);
        if is_full || turn < table.dropped_at {
            return;
        }
        let uploads = table.buckets.entry(of).or_default();
        if uploads.changed_at <= turn && !uploads.is_changing(now) {
            uploads.answer = Some((has_uploads, now + VALID));
        }
    }

    /// Notes that an upload is being entered, until the returned entry ends.
    pub(super) fn enter(self: &Arc<Self>, of: BucketOfTenant) -> UploadEntering {
        let mut table = self.table();
        table.make_room(Instant::now());
        table.change(of.clone()).entering += 1;
        drop(table);
        UploadEntering { presence: Arc::clone(self), of, is_answered: false }
    }

    fn table(&self) -> MutexGuard<'_, PresenceTable> {
        self.0.lock()
    }
}

/// An upload that is being entered. If it is dropped without an answer, the journal may enter it later.
#[derive(Debug)]
pub(super) struct UploadEntering {
    presence: Arc<UploadPresence>,
    of: BucketOfTenant,
    is_answered: bool,
}

impl UploadEntering {
    /// Notes that the journal has answered.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for UploadEntering {
    fn drop(&mut self) {
        let mut table = self.presence.table();
        let uploads = table.change(self.of.clone());
        uploads.entering = uploads.entering.saturating_sub(1);
        if !self.is_answered {
            uploads.doubtful_until = Some(Instant::now() + DOUBT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn of(tenant: &str) -> BucketOfTenant {
        (tenant.parse().unwrap(), BucketId::recorded("files"))
    }

    fn turn(presence: &UploadPresence, of: &BucketOfTenant) -> u64 {
        match presence.look(of) {
            KnownPresence::Unknown(turn) => turn,
            KnownPresence::Known(has_uploads) => panic!("{has_uploads}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_two_seconds() {
        let (presence, acme) = (Arc::new(UploadPresence::default()), of("acme"));
        presence.learn(acme.clone(), turn(&presence, &acme), false);
        advance(VALID * 9 / 10).await;
        assert_eq!(presence.look(&acme), KnownPresence::Known(false));
        turn(&presence, &of("globex"));
        advance(VALID / 10).await;
        presence.learn(acme.clone(), turn(&presence, &acme), true);
        assert_eq!(presence.look(&acme), KnownPresence::Known(true));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_from_before_an_entry_or_during_one_is_not_remembered() {
        let (presence, acme) = (Arc::new(UploadPresence::default()), of("acme"));
        presence.learn(acme.clone(), turn(&presence, &acme), false);
        let before = turn(&presence, &of("globex"));
        let first = presence.enter(acme.clone());
        presence.learn(acme.clone(), before, false);
        let during = turn(&presence, &acme);
        presence.learn(acme.clone(), during, false);
        let second = presence.enter(acme.clone());
        first.answered();
        presence.learn(acme.clone(), turn(&presence, &acme), false);
        turn(&presence, &acme);
        second.answered();
        presence.learn(acme.clone(), during, false);
        let after = turn(&presence, &acme);
        // Another tenant's entry changes nothing here.
        presence.enter(of("globex")).answered();
        presence.learn(acme.clone(), after, true);
        assert_eq!(presence.look(&acme), KnownPresence::Known(true));
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_entry_without_an_answer_nothing_is_remembered_for_a_while() {
        let (presence, acme) = (Arc::new(UploadPresence::default()), of("acme"));
        drop(presence.enter(acme.clone()));
        presence.enter(acme.clone()).answered();
        advance(DOUBT * 9 / 10).await;
        presence.learn(acme.clone(), turn(&presence, &acme), false);
        turn(&presence, &acme);
        advance(DOUBT / 10).await;
        presence.learn(acme.clone(), turn(&presence, &acme), false);
        assert_eq!(presence.look(&acme), KnownPresence::Known(false));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_forgets_no_entry_in_progress() {
        let (presence, acme) = (Arc::new(UploadPresence::default()), of("acme"));
        let before = turn(&presence, &acme);
        let entering = presence.enter(acme.clone());
        for number in 0..MAX_REMEMBERED + 5 {
            let other = of(&format!("t{number}"));
            presence.learn(other.clone(), turn(&presence, &other), false);
        }
        assert_eq!(presence.table().buckets.len(), MAX_REMEMBERED);
        presence.learn(acme.clone(), turn(&presence, &acme), false);
        turn(&presence, &acme);
        entering.answered();
        advance(VALID).await;
        presence.learn(of("globex"), turn(&presence, &acme), false);
        assert_eq!(presence.table().buckets.len(), 1, "the others were of no use");
        presence.learn(acme.clone(), before, false);
        turn(&presence, &acme);
    }
}
