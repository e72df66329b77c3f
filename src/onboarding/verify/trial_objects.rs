//! All that a verification may have stored and hasn't surely deleted. The clean-up works it off, and the report lists the rest.

use crate::{
    name::Key,
    store::{UploadId, VersionId},
};
use std::collections::BTreeSet;

/// The objects, versions and uploads of one verification.
#[derive(Debug, Default)]
pub(super) struct TrialObjects {
    /// The keys of objects that may have been stored.
    pub(super) stored: BTreeSet<Key>,
    /// The versions that S3 made, in a bucket that keeps versions.
    pub(super) versions: Vec<(Key, VersionId)>,
    pub(super) uploads: Vec<(Key, UploadId)>,
    /// The keys of uploads that S3 may have begun without an answer.
    pub(super) unanswered: BTreeSet<Key>,
    /// The objects outside the prefix that may have been stored, each with its bucket and the version, if S3 made one.
    pub(super) outside: Vec<(String, Key, Option<VersionId>)>,
}

impl TrialObjects {
    /// Lines about all of them, in the form `s3://BUCKET/KEY`.
    pub(super) fn left(&self, bucket: &str) -> Vec<String> {
        let place = |bucket: &str, key: &Key| format!("s3://{bucket}/{}", key.as_str());
        let version = |version: &VersionId| format!(", version {}", version.0);
        let stored = self.stored.iter().map(|key| place(bucket, key));
        let versions = self.versions.iter().map(|(key, id)| place(bucket, key) + &version(id));
        let uploads = self.uploads.iter().map(|(key, upload)| format!("{}, upload {}", place(bucket, key), upload.0));
        let unanswered = self.unanswered.iter().map(|key| format!("{}, perhaps an upload", place(bucket, key)));
        let outside = self.outside.iter();
        let outside =
            outside.map(|(bucket, key, id)| place(bucket, key) + &id.as_ref().map(version).unwrap_or_default());
        stored.chain(versions).chain(uploads).chain(unanswered).chain(outside).collect()
    }
}
