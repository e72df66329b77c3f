//! The requests that must be refused: outside the prefix, and in another bucket. None of them can harm, also where the
//! account is wrong: each names an object that doesn't exist, on a condition that no object satisfies.

use super::{StepFailure, StepResult, Trial, other_etag};
use crate::{
    name::{Key, Prefix},
    store::{Bucket, Condition, Error, ListScope, NewObject, Payload, RemovalCondition},
};

/// The answers to the requests for one object, by their names.
struct StrangerAnswers {
    requests: Vec<(&'static str, Result<(), Error>)>,
    /// True if an object was stored, and could not be deleted again.
    stays: bool,
}

/// The answer to a request that had to be refused.
enum StrangerAnswer {
    Refused,
    /// Nothing can be said: there is no such bucket.
    NoBucket,
}

impl Trial<'_> {
    pub(super) async fn outside(&mut self) -> StepResult {
        let prefix = self.request.setup.storage.prefix.clone();
        let Some(name) = prefix.as_str().strip_suffix('/') else {
            return Err(StepFailure::NotTried("the prefix is the whole bucket".to_owned()));
        };
        let root = Prefix::parse("").map_err(|error| StepFailure::NotTried(error.to_string()))?;
        // A neighbour whose name begins like the prefix, and the root of the bucket.
        let neighbour = format!("{name}-wharfinger-verify-{}", self.id);
        let at_root = format!("wharfinger-verify-{}", self.id);
        for (place, name) in [("beside the prefix", neighbour), ("at the root of the bucket", at_root)] {
            let Some(key) = root.adopt(&name) else { continue };
            let bucket = self.session()?.elsewhere(&self.request.setup.storage.bucket);
            let attempts = attempts(&*bucket, &key).await;
            self.judge(attempts, place, &self.request.setup.storage.bucket, &key)?;
        }
        let bucket = self.session()?.elsewhere(&self.request.setup.storage.bucket);
        match bucket.list(ListScope::Below(&root), None, 1).await {
            Err(Error::Forbidden { .. }) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(_) => Err(escaped("ListObjectsV2", "at the root of the bucket")),
        }
    }

    pub(super) async fn other_bucket(&mut self) -> StepResult {
        let Some(name) = self.request.other_bucket.clone() else {
            return Err(StepFailure::NotTried("no other bucket is known; `--other-bucket` names one".to_owned()));
        };
        let key = self.directory.adopt(&format!("{}object", self.directory.as_str()));
        let Some(key) = key else { return Ok(None) };
        let bucket = self.session()?.elsewhere(&name);
        let attempts = attempts(&*bucket, &key).await;
        if let StrangerAnswer::NoBucket = self.judge(attempts, &format!("in {name}"), &name, &key)? {
            return Err(StepFailure::NotTried(format!("there is no bucket {name}; `--other-bucket` names another")));
        }
        Ok(Some(name))
    }

    /// Judges the answers, and notes an object that was stored.
    fn judge(
        &mut self,
        attempts: StrangerAnswers,
        place: &str,
        bucket: &str,
        key: &Key,
    ) -> Result<StrangerAnswer, StepFailure> {
        if attempts.stays {
            self.left.push(format!("s3://{bucket}/{}", key.as_str()));
        }
        for (request, answer) in attempts.requests {
            match answer {
                Err(Error::Forbidden { .. }) => {}
                // A session that may know of no object there gets 403.
                Ok(()) | Err(Error::NotFound | Error::Conflict { .. }) => return Err(escaped(request, place)),
                Err(Error::Refused { code, .. }) if code == "NoSuchBucket" => return Ok(StrangerAnswer::NoBucket),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(StrangerAnswer::Refused)
    }
}

/// Tries to reach an object that doesn't exist, in each way.
async fn attempts(bucket: &dyn Bucket, key: &Key) -> StrangerAnswers {
    let payload = Payload::new(Vec::new());
    let put = bucket.put(key, payload, &NewObject::default(), Condition::Absent).await;
    let mut stays = false;
    if let Ok(stored) = &put {
        let own = RemovalCondition::Matches(stored.pin.etag.clone());
        stays = bucket.remove(key, own).await.is_err();
    }
    let requests = vec![
        ("ListObjectsV2", bucket.list(ListScope::StartingWith(key), None, 1).await.map(drop)),
        ("HeadObject", bucket.head(key).await.map(drop)),
        ("GetObject", bucket.read(key, 0..1, None).await.map(drop)),
        ("PutObject", put.map(drop)),
        ("DeleteObject", bucket.remove(key, RemovalCondition::Matches(other_etag())).await),
    ];
    StrangerAnswers { requests, stays }
}

fn escaped(request: &str, place: &str) -> StepFailure {
    StepFailure::wrong(
        format!("{request} isn't refused {place}, with the session's own credentials"),
        "the store doesn't hold to session policies: only this server keeps the tenant in its prefix. Use another store, or a bucket \
         for each tenant",
    )
}
