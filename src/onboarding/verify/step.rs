//! The steps of a verification, in their order, and which of them a tenant's permissions ask for.

use crate::{
    account::{Permission, Permissions, Storage},
    cloud::SessionPolicy,
};
use serde::Serialize;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VerifyStep {
    Identity,
    Role,
    NoExternalId,
    WrongExternalId,
    OtherIdentity,
    Listing,
    Owner,
    Put,
    DirectoryMarker,
    Encryption,
    Checksum,
    ConditionalWrite,
    Multipart,
    Abort,
    Get,
    Range,
    ExistingObject,
    PublicAccess,
    Copy,
    Tags,
    CopyInParts,
    ConditionalDelete,
    Delete,
    Outside,
    OtherBucket,
    CleanUp,
    Clock,
}

/// The requests that a session with these permissions may make on the objects below its prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionRights(pub(super) Permissions);

impl SessionRights {
    fn allow(self, action: &str) -> bool {
        SessionPolicy::allows(self.0, action)
    }

    pub(super) fn put(self) -> bool {
        self.allow("s3:PutObject")
    }

    pub(super) fn get(self) -> bool {
        self.allow("s3:GetObject")
    }

    pub(super) fn delete(self) -> bool {
        self.allow("s3:DeleteObject")
    }

    pub(super) fn list_parts(self) -> bool {
        self.allow("s3:ListMultipartUploadParts")
    }

    fn copy_tags(self) -> bool {
        self.allow("s3:GetObjectTagging") && self.allow("s3:PutObjectTagging")
    }

    /// True if the session may store markers and nothing else.
    fn put_markers_alone(self) -> bool {
        self.0.contains(Permission::Mkdir) && !self.put()
    }
}

impl VerifyStep {
    /// Returns the steps for a tenant.
    pub(super) fn all_for(storage: &Storage, rights: SessionRights, read_only: bool) -> Vec<Self> {
        let (has_role, writes) = (storage.credentials.role.is_some(), rights.put() && !read_only);
        let is_tried = |step: &Self| match step {
            Self::Identity
            | Self::Role
            | Self::NoExternalId
            | Self::WrongExternalId
            | Self::OtherIdentity
            | Self::Outside
            | Self::OtherBucket => has_role,
            Self::Owner => storage.expected_bucket_owner.is_some(),
            Self::Listing | Self::PublicAccess | Self::Clock => true,
            Self::Put | Self::Encryption | Self::Checksum | Self::ConditionalWrite | Self::Multipart | Self::Abort => {
                writes
            }
            Self::DirectoryMarker => rights.put_markers_alone() && !read_only,
            Self::Get | Self::Range => writes && rights.get(),
            Self::ExistingObject => rights.get() && !writes,
            Self::Copy | Self::Tags | Self::CopyInParts => writes && rights.copy_tags(),
            Self::ConditionalDelete => writes && rights.delete() && rights.get(),
            Self::Delete => writes && rights.delete(),
            Self::CleanUp => writes || (rights.put_markers_alone() && !read_only),
        };
        Self::ALL.into_iter().filter(is_tried).collect()
    }

    const ALL: [Self; 27] = [
        Self::Identity,
        Self::Role,
        Self::NoExternalId,
        Self::WrongExternalId,
        Self::OtherIdentity,
        Self::Listing,
        Self::Owner,
        Self::Put,
        Self::DirectoryMarker,
        Self::Encryption,
        Self::Checksum,
        Self::ConditionalWrite,
        Self::Multipart,
        Self::Abort,
        Self::Get,
        Self::Range,
        Self::ExistingObject,
        Self::PublicAccess,
        Self::Copy,
        Self::Tags,
        Self::CopyInParts,
        Self::ConditionalDelete,
        Self::Delete,
        Self::Outside,
        Self::OtherBucket,
        Self::CleanUp,
        Self::Clock,
    ];

    /// True if the step needs the session.
    pub(super) const fn needs_session(self) -> bool {
        !matches!(self, Self::Identity | Self::Role | Self::PublicAccess | Self::Clock)
    }

    /// The step, in words.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Identity => "the server's identity is the one that the role trusts",
            Self::Role => "the role is assumed with its external ID",
            Self::NoExternalId => "the role is refused without its external ID",
            Self::WrongExternalId => "the role is refused with a wrong external ID",
            Self::OtherIdentity => "the role doesn't admit everyone who has its external ID",
            Self::Listing => "the prefix is listed",
            Self::Owner => "the bucket is refused if another account had to own it",
            Self::Put => "an object is stored",
            Self::DirectoryMarker => "a directory is made",
            Self::Encryption => "the object is encrypted as the tenant's file says",
            Self::Checksum => "damaged bytes are refused",
            Self::ConditionalWrite => "an object is not replaced against a condition",
            Self::Multipart => "an object is stored in parts",
            Self::Abort => "a multipart upload is aborted",
            Self::Get => "the object is read",
            Self::Range => "a range is read",
            Self::ExistingObject => "the first byte of an object that exists is read",
            Self::PublicAccess => "requests without a signature are refused",
            Self::Copy => "the object is copied",
            Self::Tags => "a copy has the tags of its source",
            Self::CopyInParts => "an object is copied in parts",
            Self::ConditionalDelete => "an object is not deleted against a condition",
            Self::Delete => "an object is deleted",
            Self::Outside => "the session is refused outside the prefix",
            Self::OtherBucket => "the session is refused in another bucket",
            Self::CleanUp => "nothing stays",
            Self::Clock => "this machine's clock is right",
        }
    }

    /// The IAM actions whose absence makes the step fail.
    pub(super) const fn actions(self) -> &'static str {
        match self {
            Self::Listing | Self::Owner => "s3:ListBucket",
            Self::Put | Self::Checksum | Self::ConditionalWrite | Self::Multipart | Self::DirectoryMarker => {
                "s3:PutObject"
            }
            Self::Abort => "s3:AbortMultipartUpload and s3:ListMultipartUploadParts",
            Self::Get | Self::Range | Self::ExistingObject => "s3:GetObject",
            Self::Copy | Self::CopyInParts => {
                "s3:GetObject, s3:PutObject and, for objects with tags, s3:GetObjectTagging and s3:PutObjectTagging"
            }
            Self::Tags => "s3:GetObjectTagging and s3:PutObjectTagging",
            Self::ConditionalDelete => "s3:DeleteObject and s3:GetObject",
            Self::Delete | Self::CleanUp => "s3:DeleteObject",
            _ => "the action that S3 names",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(permissions: &[Permission], read_only: bool) -> Vec<VerifyStep> {
        let rights = SessionRights(permissions.iter().copied().collect());
        VerifyStep::all_for(&Storage::of_a_test("in/"), rights, read_only)
    }

    #[test]
    fn a_step_is_tried_only_if_the_permissions_allow_it() {
        use VerifyStep::{
            CleanUp, Clock, Copy, Delete, DirectoryMarker, ExistingObject, Get, Listing, PublicAccess, Put,
        };
        assert_eq!(steps(&[], false), [Listing, PublicAccess, Clock]);
        assert_eq!(steps(&[Permission::Read], false), [Listing, ExistingObject, PublicAccess, Clock]);
        assert_eq!(steps(&[Permission::Mkdir], false), [Listing, DirectoryMarker, PublicAccess, CleanUp, Clock]);
        let drop_box = steps(&[Permission::Write], false);
        assert!(drop_box.contains(&Put) && drop_box.contains(&CleanUp));
        for step in [Get, Copy, Delete, DirectoryMarker, ExistingObject] {
            assert!(!drop_box.contains(&step), "{step:?}");
        }
        assert_eq!(steps(&Permission::ALL, true), [Listing, ExistingObject, PublicAccess, Clock]);
    }
}
