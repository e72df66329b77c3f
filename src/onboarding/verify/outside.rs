//! The requests that must be refused: outside the prefix, and in another bucket. None of them can harm, also where the
//! account is wrong: each names an object that doesn't exist, by a name with a new UUID.

use super::{StepFailure, StepResult, Trial, other_etag};
use crate::{
    name::{Key, Prefix},
    store::{Condition, Error, ListScope, NewObject, Payload, RemovalCondition},
};

/// The answers to the requests for one object, by their names.
type StrangerAnswers = Vec<(&'static str, Result<(), Error>)>;

/// The answers together.
enum StrangerAnswer {
    Refused,
    /// S3 answered something else, by its code, which says nothing.
    Unclear(String),
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
        let name_of_bucket = self.request.setup.storage.bucket.clone();
        for (place, name) in [("beside the prefix", neighbour), ("at the root of the bucket", at_root)] {
            let Some(key) = root.adopt(&name) else { continue };
            let answers = self.attempts(&name_of_bucket, &key).await?;
            if let StrangerAnswer::Unclear(said) = Self::judge(answers, place)? {
                return Err(StepFailure::NotTried(format!("S3 says {place}: {said}")));
            }
        }
        let bucket = self.session()?.elsewhere(&name_of_bucket);
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
        let key = self.key("object")?;
        let answers = self.attempts(&name, &key).await?;
        match Self::judge(answers, "in another bucket")? {
            StrangerAnswer::Refused => Ok(None),
            StrangerAnswer::Unclear(said) => Err(StepFailure::NotTried(format!(
                "S3 says about the other bucket: {said}; `--other-bucket` names one of the same region"
            ))),
        }
    }

    /// Tries to reach an object that doesn't exist, in each way. With `--read-only` only to read it.
    async fn attempts(&mut self, bucket: &str, key: &Key) -> Result<StrangerAnswers, StepFailure> {
        let there = self.session()?.elsewhere(bucket);
        let mut answers = vec![
            ("ListObjectsV2", there.list(ListScope::StartingWith(key), None, 1).await.map(drop)),
            ("HeadObject", there.head(key).await.map(drop)),
            ("GetObject", there.read(key, 0..1, None).await.map(drop)),
        ];
        if self.request.read_only {
            return Ok(answers);
        }
        answers.push(("DeleteObject", there.remove(key, RemovalCondition::Matches(other_etag())).await));
        // Without an answer the object may be stored.
        self.objects.outside.push((bucket.to_owned(), key.clone(), None));
        let put = there.put(key, Payload::default(), &NewObject::default(), Condition::Absent).await;
        match &put {
            Ok(stored) => {
                let version = stored.pin.version.clone();
                self.objects.outside.pop();
                self.objects.outside.push((bucket.to_owned(), key.clone(), version));
            }
            Err(Error::Forbidden { .. } | Error::Refused { .. }) => drop(self.objects.outside.pop()),
            Err(_) => {}
        }
        answers.push(("PutObject", put.map(drop)));
        Ok(answers)
    }

    fn judge(answers: StrangerAnswers, place: &str) -> Result<StrangerAnswer, StepFailure> {
        for (request, answer) in answers {
            match answer {
                Err(Error::Forbidden { .. }) => {}
                // A session that may know of no object there gets 403.
                Ok(()) | Err(Error::NotFound | Error::Conflict { .. }) => return Err(escaped(request, place)),
                // No such bucket, or one of another region.
                Err(Error::Refused { code, .. }) => return Ok(StrangerAnswer::Unclear(code)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(StrangerAnswer::Refused)
    }
}

fn escaped(request: &str, place: &str) -> StepFailure {
    StepFailure::wrong(
        format!("{request} isn't refused {place}, with the session's own credentials"),
        "the store doesn't hold to session policies: only this server keeps the tenant in its prefix. Use another store, or a bucket \
         for each tenant",
    )
}
