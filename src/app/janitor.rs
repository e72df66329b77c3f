//! Gives up, at S3, the uploads that were cut off and that nobody goes on with: S3 bills their parts until then. Every
//! node looks, and a lease sees to it that one of them does it.

use super::beginners::{Beginners, Begun, NoBucket};
use crate::{
    account::Permission,
    store::{Journal, Lease, PartialFile, PartialUpload},
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tracing::{info, warn};

/// It looks so often.
const INTERVAL: Duration = Duration::from_mins(1);
/// Only what nobody has held for so long is given up: who uploads may have been kept from the journal for a while. What
/// can't be given up is tried again then.
const FREE_FOR: Duration = Duration::from_hours(1);

/// Who clears away.
pub(super) struct Janitor {
    journal: Arc<dyn Journal>,
    beginners: Arc<Beginners>,
}

impl Janitor {
    pub(super) fn new(journal: Arc<dyn Journal>, beginners: Arc<Beginners>) -> Self {
        Self { journal, beginners }
    }

    /// Looks now and then. Whoever stops it leaves what is being given up to the next who looks.
    pub(super) async fn run(self) {
        loop {
            self.clear().await;
            sleep(INTERVAL).await;
        }
    }

    /// Gives up what nobody holds and nobody goes on with. While the journal is down there is nothing to be known.
    async fn clear(&self) {
        loop {
            let Ok(lease) = Lease::new() else { return };
            let Ok(Some(partial)) = self.journal.take_stale_partial(&lease, FREE_FOR).await else { return };
            let PartialUpload { id, file: PartialFile { owner, bucket, name, .. }, whole, .. } = &partial;
            let (tenant, user, bytes) = (&owner.tenant, &owner.user, whole.bytes);
            match self.abort(&partial).await {
                Ok(()) => info!(id, tenant, user, %bucket, name, bytes, "an upload that was cut off is given up"),
                Err(error @ NoBucket::Gone(_)) => {
                    warn!(id, tenant, user, %bucket, name, %error, "an upload that was cut off is left to the bucket's rules");
                }
                Err(error @ NoBucket::Failed(_)) => {
                    warn!(id, tenant, user, %bucket, name, %error, "an upload that was cut off can't be given up yet");
                    continue;
                }
            }
            // Where the journal goes down now, there is an upload to give up that is gone already.
            let _ = self.journal.end_partial(id).await;
        }
    }

    async fn abort(&self, partial: &PartialUpload) -> Result<(), NoBucket> {
        let PartialFile { owner, mount, bucket, .. } = &partial.file;
        let begun = Begun { owner, mount, bucket, needs: Permission::Write };
        let bucket = self.beginners.bucket(begun).await?;
        let key = partial.file.key().map_err(|_| NoBucket::Gone("what is written of it is no name"))?;
        Ok(bucket.abort_upload(&key, &partial.upload).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::beginners::fixture::alice,
        store::{
            Bucket as _, Error, MemoryBucket, MemoryJournal, NewObject, Owner, PartialJournal as _, Prefix, Whole,
            memory::{Moment, Verb},
        },
    };

    fn janitor(bucket: &Arc<MemoryBucket>, journal: &Arc<MemoryJournal>) -> Janitor {
        Janitor::new(Arc::clone(journal) as Arc<dyn Journal>, alice(bucket, Permission::Write))
    }

    /// An upload of `user`, cut off a moment ago and kept for a day.
    async fn cut_off(user: &str, bucket: &MemoryBucket, journal: &MemoryJournal) {
        let mount = Prefix::parse("acme/").unwrap();
        let upload = bucket.create_upload(&mount.key(user).unwrap(), &NewObject::default()).await.unwrap();
        let owner = Owner { tenant: "acme".to_owned(), user: user.to_owned() };
        let file = PartialFile { bucket: bucket.id().clone(), owner, mount, name: user.to_owned() };
        let (object, whole) = (NewObject::default(), Whole::default());
        let partial = PartialUpload { id: user.to_owned(), file, upload, object, whole };
        let lease = Lease { holder: "gone".to_owned(), term: Duration::ZERO };
        journal.enter_partial(&partial, &lease, Duration::from_hours(24)).await.unwrap();
    }

    // S126: When it was given up or its time is over, its parts are removed from S3 within hours, by any node.
    #[tokio::test(start_paused = true)]
    async fn what_is_over_or_was_given_up_is_aborted_and_struck_out() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        cut_off("alice", &bucket, &journal).await;
        let (one, other) = (janitor(&bucket, &journal), janitor(&bucket, &journal));
        one.clear().await;
        assert_eq!(bucket.open_uploads(), 1, "its time is not over");
        tokio::time::advance(Duration::from_hours(25)).await;
        tokio::join!(one.clear(), other.clear());
        assert_eq!((bucket.open_uploads(), bucket.count(Verb::AbortUpload)), (0, 1));
        assert!(journal.partials().is_empty());

        cut_off("alice", &bucket, &journal).await;
        journal.give_up_partials(&journal.partials()[0].file).await.unwrap();
        one.clear().await;
        assert_eq!(bucket.open_uploads(), 1, "who uploads it may not have heard of that");
        tokio::time::advance(FREE_FOR).await;
        one.clear().await;
        assert_eq!(bucket.open_uploads(), 0);
        assert!(journal.partials().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_not_be_aborted_is_tried_again_an_hour_later() {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::default()));
        for user in ["alice", "mallory"] {
            cut_off(user, &bucket, &journal).await;
        }
        tokio::time::advance(Duration::from_hours(25)).await;
        let janitor = janitor(&bucket, &journal);
        bucket.fail(Verb::AbortUpload, Moment::Request, Error::Forbidden { request: "AccessDenied".into() });
        janitor.clear().await;
        janitor.clear().await;
        assert_eq!((bucket.open_uploads(), bucket.count(Verb::AbortUpload)), (2, 1));
        assert_eq!(journal.partials().len(), 1, "who isn't in the config has no bucket");
        tokio::time::advance(2 * FREE_FOR).await;
        janitor.clear().await;
        assert_eq!(bucket.open_uploads(), 1);
        assert!(journal.partials().is_empty());
    }
}
