//! The second jail: the inline session policy of an assumed role.
//!
//! STS limits a session to the intersection of the role's own policies and this one. So S3 refuses a request that is
//! signed with a session's credentials if it concerns an object outside the mount's bucket and prefix, or an action
//! that the mount's permissions don't need. This holds even if a bug in this server builds a wrong key. Actions are
//! coarser than permissions: `actions.rs` names the differences, which this server alone checks.
//!
//! The policy does not protect in these cases:
//! - This server signs with the wrong credentials: another session's, or the base credentials, which no session policy
//!   limits.
//! - The config gives a user the wrong mount. A mount with an empty prefix allows the whole bucket.
//! - A resource-based policy, such as the bucket's or a KMS key's, grants access to the session's own ARN. AWS adds
//!   such grants to those of the session policy.
//! - The tenant has no role: its requests are signed with the base credentials.
//!
//! Invariant: every statement allows, and names single actions of the table in `actions.rs`. It is limited to the
//! bucket and the prefix of one mount: objects by `prefix/*`, listings by `StringLike` on `s3:prefix` (never
//! `…IfExists`, which a request without a prefix would pass). There are three exceptions:
//! - The janitor may list the open uploads of the whole bucket, because S3 has no condition for less. No user's session
//!   may.
//! - The sessions of a verification may also delete versions below its directory, or ask for the role once more.
//! - KMS keys may be used for the whole bucket, but through S3 alone. For an access point even the bucket is not
//!   limited.
//!
//! Sources: IAM user guide, "Policies and permissions: session policies"; STS API reference, AssumeRole, `Policy`.

use super::{
    actions::{ABORT_UPLOADS, Actions, FIND_UPLOADS, KMS, widest},
    arns::Arns,
    document::{IamDocument, PolicyStatement, literal},
    no_policy::{MAX_CHARACTERS, NoPolicy},
};
use crate::{
    account::{ObjectSettings, Permissions, Storage},
    name::Prefix,
};

/// An inline session policy, as the JSON that STS takes: printable ASCII without unnecessary spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionPolicy(String);

impl SessionPolicy {
    /// The policy that allows what `permissions` need in `storage`, below `prefix` and nowhere else.
    ///
    /// # Errors
    /// [`NoPolicy`]. `wharfinger check` reports it, so a running server doesn't meet it.
    pub fn new(storage: &Storage, prefix: &Prefix, permissions: Permissions) -> Result<Self, NoPolicy> {
        let arns = Arns::new(storage)?;
        let below = literal(prefix.as_str());
        let actions = Actions::needed(permissions, &storage.objects);
        let encrypts = storage.may_use_kms() && actions.read_or_write();
        let mut statements = vec![PolicyStatement::listing(actions.bucket, &arns.bucket, &below)];
        let (objects, markers) = (format!("{}{below}*", arns.objects), format!("{}{below}*/", arns.objects));
        for (actions, resource) in [(actions.objects, objects), (actions.markers, markers)] {
            statements.extend(PolicyStatement::objects(&actions, &resource));
            statements.extend(PolicyStatement::owner_control(&actions, &resource));
        }
        if encrypts {
            statements.push(PolicyStatement::kms(KMS, storage.objects.encryption.kms_key(), arns.encryption_contexts));
        }
        Self::of(statements)
    }

    /// The janitor's policy. It allows to list the open uploads of `storage`, and to abort those below `prefix`. It
    /// doesn't allow to read, write or delete files.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_janitor(storage: &Storage, prefix: &Prefix) -> Result<Self, NoPolicy> {
        let arns = Arns::new(storage)?;
        let below = literal(prefix.as_str());
        // Only `ListBucket` and `ListBucketVersions` have the key `s3:prefix`: a condition on it would match no
        // request.
        let mut statements = vec![PolicyStatement::listing(FIND_UPLOADS, &arns.bucket, "")];
        statements.extend(PolicyStatement::objects(&[ABORT_UPLOADS], &format!("{}{below}*", arns.objects)));
        Self::of(statements)
    }

    /// The policy that allows to delete every version of the objects below `directory`, and to abort uploads there.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn for_clean_up(storage: &Storage, directory: &Prefix) -> Result<Self, NoPolicy> {
        let arns = Arns::new(storage)?;
        let below = literal(directory.as_str());
        let mut statements = vec![PolicyStatement::listing("s3:ListBucket", &arns.bucket, &below)];
        let actions = [ABORT_UPLOADS, "s3:DeleteObject", "s3:DeleteObjectVersion"];
        statements.extend(PolicyStatement::objects(&actions, &format!("{}{below}*", arns.objects)));
        Self::of(statements)
    }

    /// True if a session with these permissions may do `action` on all objects below its prefix.
    pub(crate) fn allows(permissions: Permissions, action: &str) -> bool {
        Actions::needed(permissions, &ObjectSettings::default()).objects.contains(&action)
    }

    /// The largest set of permissions with the same policy as `permissions`.
    #[must_use]
    pub(crate) fn widest(permissions: Permissions) -> Permissions {
        widest(permissions)
    }

    fn of(statements: Vec<PolicyStatement>) -> Result<Self, NoPolicy> {
        let text = IamDocument::new(statements).to_ascii();
        if text.len() > MAX_CHARACTERS { Err(NoPolicy::TooLong(text.len())) } else { Ok(Self(text)) }
    }

    /// The JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
