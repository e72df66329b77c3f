//! A bucket that fails on purpose, over any other. It does to the request that a test picks what S3, or the network,
//! does to one request in a million. For tests; it is no part of a server.
//!
//! Invariant: a request that meets no fault goes to the other bucket unchanged. So a test can compare the results with
//! faults to those without.

mod body;
mod plan;

pub use plan::{Aim, Fault, Step};

use crate::{
    name::{BucketId, Key, Prefix},
    policy::TenantUsage,
    store::{
        Bucket, Condition, ListScope, NewObject, Object, Page, PageToken, Part, PartsPage, Payload, Pin, Read,
        RemovalCondition, Result, StoredObject, UploadId, UploadsPage, UploadsToken,
    },
    testing::bucket::Verb,
};
use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use plan::FaultPlan;
use std::{future::pending, ops::Range, sync::Arc};

/// A bucket and the faults that its requests meet. Share it as `Arc<FaultyBucket>`.
#[derive(Debug)]
pub struct FaultyBucket {
    inner: Arc<dyn Bucket>,
    plan: Mutex<FaultPlan>,
}

impl FaultyBucket {
    /// Forwards all requests to `inner`, without a fault yet.
    #[must_use]
    pub fn over(inner: Arc<dyn Bucket>) -> Self {
        Self { inner, plan: Mutex::default() }
    }

    /// Requests that match `aim`, counted from the last [`restart`](Self::restart) on, meet `fault`. If several aims
    /// match, the first counts.
    pub fn meet(&self, aim: Aim, fault: Fault) {
        self.plan().meet(aim, fault);
    }

    /// One request in `one_in` meets one of `faults`. The same `seed` makes the same choices for the same requests.
    pub fn meet_at_random(&self, seed: u64, one_in: u64, faults: Vec<Fault>) {
        self.plan().meet_at_random(seed, one_in, faults);
    }

    /// Ends all faults, and restarts the counting.
    pub fn restart(&self) {
        *self.plan() = FaultPlan::default();
    }

    /// The requests since the last restart, in the order of their arrival.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        self.plan().steps().to_vec()
    }

    /// The requests since the last restart that met a fault, each with its fault.
    #[must_use]
    pub fn met(&self) -> Vec<(Step, Fault)> {
        self.plan().met().to_vec()
    }

    fn arrive(&self, verb: Verb) -> Option<Fault> {
        self.plan().arrive(verb)
    }

    fn plan(&self) -> MutexGuard<'_, FaultPlan> {
        self.plan.lock()
    }

    async fn serve<T>(&self, verb: Verb, request: impl Future<Output = Result<T>> + Send) -> Result<T> {
        suffer(self.arrive(verb).as_ref(), request).await
    }
}

/// The result of a request that meets `fault`. Faults of bodies, and of one object of many, are applied elsewhere.
async fn suffer<T>(fault: Option<&Fault>, request: impl Future<Output = Result<T>> + Send) -> Result<T> {
    match fault {
        Some(Fault::Refused(error)) => Err(error.clone()),
        Some(Fault::RefusedAfter(delay, error)) => {
            tokio::time::sleep(*delay).await;
            Err(error.clone())
        }
        Some(Fault::AnswerLost(error)) => {
            request.await?;
            Err(error.clone())
        }
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(*delay).await;
            request.await
        }
        Some(Fault::Silent) => pending().await,
        Some(Fault::SilentWhenDone) => {
            request.await?;
            pending().await
        }
        Some(Fault::FirstRefused(_) | Fault::BodyBreaks { .. } | Fault::BodyEnds { .. } | Fault::BodyStalls { .. })
        | None => request.await,
    }
}

#[async_trait]
impl Bucket for FaultyBucket {
    fn id(&self) -> &BucketId {
        self.inner.id()
    }

    fn usage(&self) -> &Arc<TenantUsage> {
        self.inner.usage()
    }

    async fn head(&self, key: &Key) -> Result<Object> {
        self.serve(Verb::Head, self.inner.head(key)).await
    }

    async fn read(&self, key: &Key, range: Range<u64>, pin: Option<&Pin>) -> Result<Read> {
        let fault = self.arrive(Verb::Read);
        let read = suffer(fault.as_ref(), self.inner.read(key, range, pin)).await?;
        Ok(Read { body: body::with_fault(fault.as_ref(), read.body), ..read })
    }

    async fn put(&self, key: &Key, payload: Payload, object: &NewObject, condition: Condition) -> Result<StoredObject> {
        self.serve(Verb::Put, self.inner.put(key, payload, object, condition)).await
    }

    async fn create_upload(&self, key: &Key, object: &NewObject) -> Result<UploadId> {
        self.serve(Verb::CreateUpload, self.inner.create_upload(key, object)).await
    }

    async fn create_copy(&self, key: &Key, source: &Key, pin: &Pin, object: &NewObject) -> Result<UploadId> {
        self.serve(Verb::CreateUpload, self.inner.create_copy(key, source, pin, object)).await
    }

    async fn upload_part(&self, key: &Key, upload: &UploadId, number: u32, payload: Payload) -> Result<Part> {
        self.serve(Verb::UploadPart, self.inner.upload_part(key, upload, number, payload)).await
    }

    async fn copy_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        source: &Key,
        pin: &Pin,
        range: Range<u64>,
    ) -> Result<Part> {
        self.serve(Verb::CopyPart, self.inner.copy_part(key, upload, number, source, pin, range)).await
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: Condition,
    ) -> Result<StoredObject> {
        self.serve(Verb::CompleteUpload, self.inner.complete_upload(key, upload, parts, condition)).await
    }

    async fn list_parts(&self, key: &Key, upload: &UploadId, after: u32) -> Result<PartsPage> {
        self.serve(Verb::ListParts, self.inner.list_parts(key, upload, after)).await
    }

    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadsToken>) -> Result<UploadsPage> {
        self.serve(Verb::ListUploads, self.inner.list_uploads(prefix, after)).await
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()> {
        self.serve(Verb::AbortUpload, self.inner.abort_upload(key, upload)).await
    }

    async fn copy(
        &self,
        source: &Key,
        pin: &Pin,
        target: &Key,
        object: Option<&NewObject>,
        condition: Condition,
    ) -> Result<StoredObject> {
        self.serve(Verb::Copy, self.inner.copy(source, pin, target, object, condition)).await
    }

    async fn remove(&self, key: &Key, condition: RemovalCondition) -> Result<()> {
        self.serve(Verb::Remove, self.inner.remove(key, condition)).await
    }

    async fn remove_many(&self, objects: &[(Key, Pin)]) -> Result<Vec<Result<()>>> {
        let fault = self.arrive(Verb::RemoveMany);
        let Some(Fault::FirstRefused(error)) = fault else {
            return suffer(fault.as_ref(), self.inner.remove_many(objects)).await;
        };
        let mut answers = vec![Err(error)];
        match objects {
            [] | [_] => {}
            [_, others @ ..] => answers.extend(self.inner.remove_many(others).await?),
        }
        Ok(answers)
    }

    async fn list(&self, scope: ListScope<'_>, after: Option<&PageToken>, max_keys: u16) -> Result<Page> {
        self.serve(Verb::List, self.inner.list(scope, after, max_keys)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{store::Error, testing::MemoryBucket};
    use futures_util::{FutureExt, TryStreamExt};
    use std::time::Duration;

    fn buckets() -> (Arc<MemoryBucket>, FaultyBucket, Key) {
        let memory = Arc::new(MemoryBucket::new());
        let faulty = FaultyBucket::over(Arc::clone(&memory) as Arc<dyn Bucket>);
        (memory, faulty, Prefix::parse("acme/").unwrap().key("a").unwrap())
    }

    fn lost() -> Error {
        Error::Unreachable("timed out".into())
    }

    async fn put(bucket: &FaultyBucket, key: &Key) -> Result<StoredObject> {
        bucket.put(key, Payload::default(), &NewObject::default(), Condition::Always).await
    }

    #[tokio::test]
    async fn a_refused_request_is_not_done_and_one_whose_answer_is_lost_is() {
        let (memory, faulty, key) = buckets();
        faulty.meet(Aim::At(Step { verb: Verb::Put, nth: 2 }), Fault::Refused(lost()));
        faulty.meet(Aim::At(Step { verb: Verb::Put, nth: 3 }), Fault::AnswerLost(lost()));
        put(&faulty, &key).await.unwrap();
        memory.delete("acme/a");
        assert!(put(&faulty, &key).await.is_err());
        assert!(memory.keys().is_empty());
        assert!(put(&faulty, &key).await.is_err());
        assert_eq!(memory.keys(), ["acme/a"]);
        put(&faulty, &key).await.unwrap();
        assert_eq!((faulty.steps().len(), faulty.met().len()), (4, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_lasts_until_the_restart() {
        let (_, faulty, key) = buckets();
        faulty.meet(Aim::From(2), Fault::Refused(lost()));
        put(&faulty, &key).await.unwrap();
        for _ in 0..3 {
            assert!(matches!(faulty.head(&key).await, Err(Error::Unreachable(_))));
        }
        faulty.restart();
        faulty.head(&key).await.unwrap();
        faulty.meet(Aim::Every(Verb::Head), Fault::Slow(Duration::from_mins(10)));
        assert!(faulty.head(&key).now_or_never().is_none());
        faulty.head(&key).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_refused_after_a_delay_is_not_done() {
        let (memory, faulty, key) = buckets();
        faulty.meet(Aim::Every(Verb::Put), Fault::RefusedAfter(Duration::from_mins(1), lost()));
        let since = tokio::time::Instant::now();
        assert!(put(&faulty, &key).await.is_err());
        assert_eq!(since.elapsed().as_secs(), 60);
        assert!(memory.keys().is_empty());
    }

    #[tokio::test]
    async fn one_of_many_objects_stays_and_the_others_go() {
        let (memory, faulty, _) = buckets();
        let objects =
            ["a", "b", "c"].map(|name| (Prefix::parse("").unwrap().key(name).unwrap(), memory.insert(name, "x").pin));
        faulty.meet(Aim::Every(Verb::RemoveMany), Fault::FirstRefused(lost()));
        let answers = faulty.remove_many(&objects).await.unwrap();
        assert!(matches!(answers[..], [Err(Error::Unreachable(_)), Ok(()), Ok(())]), "{answers:?}");
        assert_eq!(memory.keys(), ["a"]);
        assert_eq!(faulty.remove_many(&objects[..1]).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn bodies_break_or_end_where_they_are_told() {
        let (memory, faulty, key) = buckets();
        memory.insert("acme/a", vec![7; 200_000]);
        for after_bytes in [0, 1, 65_536, 150_000] {
            for fault in [Fault::BodyBreaks { after_bytes }, Fault::BodyEnds { after_bytes }] {
                faulty.restart();
                faulty.meet(Aim::Every(Verb::Read), fault.clone());
                let body = faulty.read(&key, 0..200_000, None).await.unwrap().body;
                let pieces = body.map_ok(|piece| piece.len()).try_collect::<Vec<_>>().await;
                match fault {
                    Fault::BodyEnds { .. } => assert_eq!(pieces.unwrap().iter().sum::<usize>(), after_bytes),
                    _ => assert!(pieces.is_err()),
                }
            }
        }
    }

    #[tokio::test]
    async fn chance_is_the_same_for_the_same_seed() {
        let met = async |seed| {
            let (_, faulty, key) = buckets();
            faulty.meet_at_random(seed, 3, vec![Fault::Refused(lost()), Fault::AnswerLost(lost())]);
            for _ in 0..300 {
                let _ = put(&faulty, &key).await;
            }
            faulty.met().into_iter().map(|(step, _)| step.nth).collect::<Vec<_>>()
        };
        let first = met(1).await;
        assert!((50..150).contains(&first.len()), "{}", first.len());
        assert_eq!(first, met(1).await);
        assert_ne!(first, met(2).await);
    }
}
