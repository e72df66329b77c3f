//! The second jail: the inline session policy of an assumed role. What a session may do is the role's own policy ∩ this
//! one, so credentials made with it could not reach another tenant even if the rest of this server were wrong.
//!
//! Invariant: every statement allows, names single actions of the table in `actions.rs`, and is limited to the bucket
//! and the prefix of one mount: objects by `prefix/*`, listings by `StringLike` on `s3:prefix` (never `…IfExists`, which
//! a request without a prefix would pass). The one exception is the janitor's list of open uploads, which S3 gives of a
//! whole bucket or not at all: no user's session has it.
//!
//! Sources: IAM user guide, "Policies and permissions: session policies"; STS API reference, AssumeRole, `Policy`.

mod actions;
mod document;

use super::Place;
use crate::{account::Permissions, name::Prefix};
use actions::{ABORT_UPLOADS, Actions, FIND_UPLOADS, KMS};
use document::{Document, Statement, literal};

/// What STS takes, in characters.
pub const MAX_CHARACTERS: usize = 2_048;

/// An inline session policy, as the JSON that STS takes: printable ASCII without needless spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionPolicy(String);

/// Why there is no session policy for a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPolicy {
    /// It says more than STS takes.
    #[error(
        "its session policy would have {0} characters, of the {MAX_CHARACTERS} that STS takes; a shorter prefix makes it \
         fit (letters beyond ASCII count as six or twelve, `*`, `?` and `$` as four)"
    )]
    TooLong(usize),
    /// Policies know access points by their ARNs alone.
    #[error("a session policy can't name an access point by its alias; it takes the access point's ARN")]
    Alias,
}

impl SessionPolicy {
    /// The policy that lets a session do in `place` what `permissions` need, below `prefix` and nowhere else.
    ///
    /// # Errors
    /// [`NoPolicy`]; `wharfinger check` tells of it, so a server that runs has none.
    pub fn new(place: &Place, prefix: &Prefix, permissions: Permissions) -> Result<Self, NoPolicy> {
        let arns = Arns::new(place)?;
        let below = literal(prefix.as_str());
        let actions = Actions::needed(permissions);
        let encrypts = place.may_use_kms() && actions.read_or_write();
        let mut statements = vec![Statement::listing(actions.bucket, &arns.bucket, &below)];
        statements.extend(Statement::objects(actions.objects, format!("{}{below}*", arns.objects)));
        statements.extend(Statement::objects(actions.markers, format!("{}{below}*/", arns.objects)));
        if encrypts {
            statements.push(Statement::kms(KMS, place.kms_key.as_deref(), arns.encryption_contexts));
        }
        Self::of(statements)
    }

    /// The janitor's: it finds the uploads that are open in `place`, and aborts those below `prefix`. It can't read, write
    /// or delete a file.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_janitor(place: &Place, prefix: &Prefix) -> Result<Self, NoPolicy> {
        let arns = Arns::new(place)?;
        let below = literal(prefix.as_str());
        // `s3:prefix` goes with `ListBucket` and `ListBucketVersions` alone: a condition on it would match no request.
        let mut statements = vec![Statement::listing(FIND_UPLOADS, &arns.bucket, "")];
        statements.extend(Statement::objects(vec![ABORT_UPLOADS], format!("{}{below}*", arns.objects)));
        Self::of(statements)
    }

    fn of(statements: Vec<Statement>) -> Result<Self, NoPolicy> {
        let text = Document::new(statements).to_ascii();
        if text.len() > MAX_CHARACTERS { Err(NoPolicy::TooLong(text.len())) } else { Ok(Self(text)) }
    }

    /// The JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The names that policies know a bucket by.
struct Arns {
    /// The bucket itself, or the access point.
    bucket: String,
    /// What a key stands behind, in the ARN of its object.
    objects: String,
    /// What S3 tells KMS that it encrypts for: an object, or with S3 Bucket Keys the bucket. `None` behind an access
    /// point, whose bucket nobody told us.
    encryption_contexts: Option<[String; 2]>,
}

impl Arns {
    fn new(place: &Place) -> Result<Self, NoPolicy> {
        if place.bucket.ends_with("-s3alias") {
            return Err(NoPolicy::Alias);
        }
        if place.bucket.starts_with("arn:") {
            let bucket = literal(&place.bucket);
            return Ok(Self { objects: format!("{bucket}/object/"), bucket, encryption_contexts: None });
        }
        let bucket = format!("arn:{}:s3:::{}", place.partition(), literal(&place.bucket));
        let objects = format!("{bucket}/");
        let encryption_contexts = Some([bucket.clone(), format!("{objects}*")]);
        Ok(Self { bucket, objects, encryption_contexts })
    }
}

#[cfg(test)]
mod tests;
