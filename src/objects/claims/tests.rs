//! Claims on a journal that answers after a second, or not: their tasks, their renewals, and the deletion of their rows.

use super::*;
use crate::{
    journal::{ClaimJournal as _, FileRename, Lease, Owner, RenamedNames},
    name::Prefix,
    store::Bucket as _,
    testing::{FaultyJournal, MemoryBucket, journal::JournalFailure},
};

/// A node, and a journal that other nodes share.
struct ClaimFixture {
    claims: Claims,
    faulty: Arc<FaultyJournal>,
    journal: Arc<dyn Journal>,
    bucket: BucketId,
}

impl ClaimFixture {
    fn new() -> Self {
        let faulty = Arc::new(FaultyJournal::default());
        let bucket = MemoryBucket::new().id().clone();
        Self { claims: Claims::default(), journal: faulty.clone(), faulty, bucket }
    }

    /// Claims the names of a rename.
    async fn rename(&self) -> Claim {
        let task = Task {
            id: Lease::new().unwrap().holder,
            bucket: self.bucket.clone(),
            owner: Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() },
            permissions: None,
            payload: FileRename { names: RenamedNames::new(prefix(), "old", "new").unwrap() }.into(),
        };
        self.claims.claim(&self.journal, &self.bucket, (&key("old"), Some(&key("new"))), Some(task)).await.unwrap()
    }

    /// Claims the name of a removed file.
    async fn removal(&self, name: &str) -> Claim {
        self.claims.claim(&self.journal, &self.bucket, (&key(name), None), None).await.unwrap()
    }

    async fn end(&self, claim: &mut Claim) -> bool {
        claim.note_answer();
        claim.end_rename_without_attributes(&*self.journal).await
    }

    /// The number of rows: claims, and tasks.
    fn rows(&self) -> (usize, usize) {
        (self.faulty.written().claims(), self.faulty.written().tasks().len())
    }

    /// True if another node can't claim the name.
    async fn is_claimed(&self, name: &str) -> bool {
        let other = Lease { holder: "another node".to_owned(), term: Duration::ZERO };
        !self.faulty.written().claim(&self.bucket, &key(name), &other).await.unwrap()
    }
}

fn prefix() -> Prefix {
    Prefix::parse("acme/").unwrap()
}

fn key(name: &str) -> Key {
    prefix().key(name).unwrap()
}

fn running_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn after(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn renames_that_end_in_time_share_one_task_and_ask_two_questions() {
    let node = ClaimFixture::new();
    for _ in 0..3 {
        let mut claim = node.rename().await;
        assert!(node.end(&mut claim).await);
        assert_eq!(running_tasks(), 1, "the timer of the node");
        drop(claim);
        assert_eq!(running_tasks(), 1, "the end is written: no task deletes rows");
        assert!(node.claims.is_empty(), "so the names are free at once");
    }
    assert_eq!((node.faulty.asked(), node.rows()), (6, (0, 0)));
    after(10_001).await;
    assert_eq!((running_tasks(), node.faulty.asked()), (0, 6), "nothing was due");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_dropped_while_the_journal_is_asked_ends_after_the_answer() {
    for is_rename in [true, false] {
        let node = ClaimFixture::new();
        node.faulty.fail_from(1, JournalFailure::Slow);
        let patience = Duration::from_millis(500);
        let is_dropped = if is_rename {
            timeout(patience, node.rename()).await.is_err()
        } else {
            timeout(patience, node.removal("old")).await.is_err()
        };
        assert!(is_dropped);
        let (next, names) = (node.removal("old"), if is_rename { 2 } else { 1 });
        tokio::pin!(next);
        assert!(timeout(patience + Duration::from_millis(100), &mut next).await.is_err());
        assert_eq!(node.rows(), (names, usize::from(is_rename)), "they are written after the drop");
        assert!(timeout(Duration::from_secs(1), &mut next).await.is_err());
        assert_eq!(node.rows(), (0, 0), "{is_rename}: nothing of it is left");
        // The next one has the name as soon as the rows are deleted: it doesn't find them, and waits for one answer.
        assert!(timeout(Duration::from_secs(1), next).await.is_ok());
        assert_eq!(node.faulty.asked(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_without_an_answer_ends_too() {
    for failure in [JournalFailure::Locked, JournalFailure::Deaf] {
        let node = ClaimFixture::new();
        node.faulty.fail_from(1, failure);
        let mut claim = node.rename().await;
        assert!(claim.entered(&*node.journal).is_none());
        claim.note_answer();
        drop(claim);
        after(2_100).await;
        assert!(node.claims.is_empty(), "{failure:?}: the next operation of the node doesn't wait for the journal");
        node.faulty.restart();
        after(10_000).await;
        assert_eq!(node.rows(), (0, 0), "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_free_after_their_rows_are_deleted() {
    let node = ClaimFixture::new();
    for is_interrupted in [false, true] {
        let mut claim = node.rename().await;
        node.faulty.fail_from(1, JournalFailure::Slow);
        if is_interrupted {
            let ending = timeout(Duration::from_millis(500), node.end(&mut claim));
            assert!(ending.await.is_err(), "the operation is dropped while it ends the task");
        } else {
            claim.note_answer();
        }
        drop(claim);
        after(900).await;
        assert!(!node.claims.is_empty() && node.rows() == (2, 1), "{is_interrupted}");
        after(200).await;
        assert!(node.claims.is_empty() && node.rows() == (0, 0), "{is_interrupted}");
        node.faulty.restart();
    }
}

#[tokio::test(start_paused = true)]
async fn long_operations_are_renewed_until_they_end() {
    let node = ClaimFixture::new();
    let first = node.removal("first").await;
    after(6_000).await;
    let mut second = node.rename().await;
    after(8_000).await;
    let third = node.removal("third").await;
    for _ in 0..300 {
        after(1_000).await;
        for name in ["first", "old", "new", "third"] {
            assert!(node.is_claimed(name).await, "{name}");
        }
        assert!(second.entered(&*node.journal).unwrap().certain_until.lock().is_in_future());
    }
    assert_eq!(running_tasks(), 3, "one for each: the timer has ended");
    drop((first, third));
    assert!(node.end(&mut second).await);
    drop(second);
    after(1).await;
    assert_eq!((running_tasks(), node.rows()), (0, (0, 0)));
    let asked = node.faulty.asked();
    let later = node.removal("later").await;
    after(65_000).await;
    assert!(node.is_claimed("later").await, "a new timer has started");
    drop(later);
    after(65_000).await;
    assert_eq!(node.faulty.asked(), asked + 8, "claim, six renewals, end");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_is_no_longer_certain() {
    let node = ClaimFixture::new();
    let claim = node.rename().await;
    let is_certain = || claim.entered(&*node.journal).unwrap().certain_until.lock().is_in_future();
    node.faulty.fail_from(1, JournalFailure::Down);
    after(19_000).await;
    assert!(is_certain());
    after(2_000).await;
    assert!(!is_certain());
    node.faulty.restart();
    after(10_000).await;
    assert!(is_certain(), "a later renewal succeeds");
}
