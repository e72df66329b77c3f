//! A session of a check, and the requests that no other part of the server makes.

use super::{AccountCheck, Identity, ReportedEncryption};
use crate::{
    account::{ObjectSettings, Storage},
    name::Key,
    store::{Bucket, Result, S3Bucket, VersionId},
};
use aws_sdk_s3::types::{Tag, Tagging};
use std::sync::Arc;

/// A session with the tenant's role, or with the server's own credentials.
#[derive(Debug)]
pub(crate) struct CheckSession<'a> {
    check: &'a AccountCheck<'a>,
    identity: Identity,
    bucket: S3Bucket,
}

impl<'a> CheckSession<'a> {
    pub(super) fn new(check: &'a AccountCheck<'a>, identity: Identity) -> Self {
        let bucket = check.bucket(&check.storage, Some(identity.clone()));
        Self { check, identity, bucket }
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// The tenant's bucket.
    pub(crate) fn bucket(&self) -> &dyn Bucket {
        &self.bucket
    }

    /// Another bucket of the same store. Requests to it ask for no tags, ACL or key, whose own refusals would prove nothing.
    pub(crate) fn elsewhere(&self, bucket: &str) -> Arc<dyn Bucket> {
        let requester_pays = self.check.storage.objects.requester_pays;
        let objects = ObjectSettings { requester_pays, ..ObjectSettings::default() };
        let storage = Storage { bucket: bucket.to_owned(), expected_bucket_owner: None, objects, ..self.storage() };
        Arc::new(self.check.bucket(&storage, Some(self.identity())))
    }

    /// The tenant's bucket, as if `account` had to own it.
    pub(crate) fn owned_by(&self, account: &str) -> Arc<dyn Bucket> {
        let storage = Storage { expected_bucket_owner: Some(account.to_owned()), ..self.storage() };
        Arc::new(self.check.bucket(&storage, Some(self.identity())))
    }

    fn storage(&self) -> Storage {
        (*self.check.storage).clone()
    }

    /// Returns the encryption that the last answer with one reported.
    pub(crate) fn encryption(&self) -> Option<ReportedEncryption> {
        self.check.answers.take_encryption()
    }

    /// `PutObjectTagging`, of one tag.
    ///
    /// # Errors
    /// S3's refusal.
    pub(crate) async fn tag(&self, key: &Key, name: &str, value: &str) -> Result<()> {
        let tag = Tag::builder().key(name).value(value).build().map_err(|error| broken(&error))?;
        let tagging = Tagging::builder().tag_set(tag).build().map_err(|error| broken(&error))?;
        let request = self.bucket.client().put_object_tagging().bucket(&self.check.storage.bucket).key(key.as_str());
        request.tagging(tagging).set_expected_bucket_owner(self.owner()).send().await?;
        Ok(())
    }

    /// `GetObjectTagging`.
    ///
    /// # Errors
    /// S3's refusal.
    pub(crate) async fn tags(&self, key: &Key) -> Result<Vec<(String, String)>> {
        let request = self.bucket.client().get_object_tagging().bucket(&self.check.storage.bucket).key(key.as_str());
        let answer = request.set_expected_bucket_owner(self.owner()).send().await?;
        Ok(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    /// `DeleteObject`, of one version or of the current object. Returns the version of the delete marker, if S3 made one.
    ///
    /// # Errors
    /// S3's refusal.
    pub(crate) async fn remove(&self, key: &Key, version: Option<&VersionId>) -> Result<Option<VersionId>> {
        self.remove_from(&self.check.storage.bucket, self.owner(), key, version).await
    }

    /// The same in another bucket. Only for the name of an object that this verification made.
    ///
    /// # Errors
    /// S3's refusal.
    pub(crate) async fn remove_elsewhere(&self, bucket: &str, key: &Key, version: Option<&VersionId>) -> Result<()> {
        self.remove_from(bucket, None, key, version).await.map(drop)
    }

    async fn remove_from(
        &self,
        bucket: &str,
        owner: Option<String>,
        key: &Key,
        version: Option<&VersionId>,
    ) -> Result<Option<VersionId>> {
        let request = self.bucket.client().delete_object().bucket(bucket).key(key.as_str());
        let request = request.set_version_id(version.map(|version| version.0.clone()));
        let answer = request.set_expected_bucket_owner(owner).send().await?;
        let is_marker = version.is_none() && answer.delete_marker == Some(true);
        Ok(answer.version_id.filter(|_| is_marker).map(VersionId))
    }

    fn owner(&self) -> Option<String> {
        self.check.storage.expected_bucket_owner.clone()
    }
}

fn broken(error: &dyn std::error::Error) -> crate::store::Error {
    crate::store::Error::Broken(error.to_string())
}
