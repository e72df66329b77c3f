//! Removes one object, and tells whether this request removed it. If several clients remove one object at the same
//! moment, S3 tells exactly one of them that it did.
//!
//! Invariant: [`Error::NotFound`] means that another client removed the object. If S3's answer was lost and the object
//! is gone, this request counts as the one that removed it. The worse mistake would be to tell every client that
//! another one has the file.

use crate::{
    name::Key,
    store::{Bucket, Error, RemovalCondition, Result, missing_or_forbidden},
};

/// Removes `key` on a condition. Takes 1 request more if S3's answer leaves open what happened.
///
/// # Errors
/// - [`Error::NotFound`]: the object was already gone, so another client was faster.
/// - [`Error::Conflict`]: another version is there.
/// - Others: the object is still there, or its state is unknown.
pub async fn remove(bucket: &dyn Bucket, key: &Key, condition: RemovalCondition) -> Result<()> {
    match bucket.remove(key, condition).await {
        // The object may be gone. If it is, another request removed it.
        Err(refusal @ (Error::Forbidden { .. } | Error::Conflict { .. })) => {
            Err(missing_or_forbidden(bucket, key, refusal).await)
        }
        Err(error @ (Error::Unreachable(_) | Error::Throttled { .. } | Error::Broken(_))) => {
            match missing_or_forbidden(bucket, key, error).await {
                Error::NotFound => Ok(()),
                error => Err(error),
            }
        }
        answered => answered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        name::Prefix,
        testing::{
            MemoryBucket,
            bucket::{Moment, Verb},
        },
    };

    fn key() -> Key {
        Prefix::parse("acme/").unwrap().key("x").unwrap()
    }

    fn bucket(is_scoped: bool) -> MemoryBucket {
        let bucket = MemoryBucket::new();
        if is_scoped {
            bucket.forbid_missing();
        }
        bucket
    }

    async fn removed(bucket: &MemoryBucket) -> Result<()> {
        remove(bucket, &key(), RemovalCondition::Present).await
    }

    #[tokio::test]
    async fn what_another_removed_is_not_found_under_a_scoped_policy_too() {
        for (is_scoped, verbs) in [(false, &[Verb::Remove][..]), (true, &[Verb::Remove, Verb::List])] {
            let bucket = bucket(is_scoped);
            assert!(matches!(removed(&bucket).await, Err(Error::NotFound)));
            assert_eq!(bucket.verbs(), verbs);
        }
    }

    #[tokio::test]
    async fn what_may_not_be_removed_is_forbidden_and_stays() {
        let bucket = bucket(true);
        bucket.insert("acme/x", "x");
        bucket.fail(Verb::Remove, Moment::Request, Error::Forbidden { request: "AccessDenied".into() });
        assert!(matches!(removed(&bucket).await, Err(Error::Forbidden { .. })));
        assert_eq!(bucket.keys(), ["acme/x"]);
    }

    // S135: A deletion whose answer from S3 was lost, or was 503, counts as done by the session that asked for it, …
    #[tokio::test]
    async fn a_lost_answer_is_told_from_a_lost_request() {
        let lost = || Error::Unreachable("timed out".into());
        let bucket = bucket(false);
        bucket.insert("acme/x", "x");
        bucket.fail(Verb::Remove, Moment::Request, lost());
        assert!(matches!(removed(&bucket).await, Err(Error::Unreachable(_))));
        assert_eq!(bucket.keys(), ["acme/x"]);
        bucket.fail(Verb::Remove, Moment::Answer, lost());
        removed(&bucket).await.unwrap();
        assert!(bucket.keys().is_empty());
    }
}
