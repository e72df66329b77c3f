//! The table permission → IAM actions: what a session's credentials must be able to do so that the tree can keep its
//! promises, and nothing beyond.
//!
//! | permission | on the bucket | on `prefix/*` | on `prefix/*/` |
//! |---|---|---|---|
//! | any | `ListBucket` | | |
//! | `read` | | `GetObject`, `GetObjectVersion` | |
//! | `write` | | `AbortMultipartUpload`, `ListMultipartUploadParts`, `PutObject` | |
//! | `overwrite` | | `GetObject` | |
//! | `list` | | | |
//! | `delete` | | `DeleteObject` | |
//! | `rename` | | `AbortMultipartUpload`, `DeleteObject`, `GetObject`, `GetObjectTagging`, `PutObject`, `PutObjectTagging` | |
//! | `mkdir` | | | `PutObject` |
//!
//! - `ListBucket` comes with every mount: HEAD can't tell what is missing from what is forbidden, so STAT needs it too.
//! - `GetObjectVersion` lets a download end with the version that it began with, where the bucket keeps versions.
//! - `PutObject` allows Create, UploadPart and Complete; Abort and ListParts have actions of their own. A rename of a large
//!   file is a copy in parts, and so is a copy of one open file to another, with the `GetObject` of `read`. A drop box
//!   without `read` can't HEAD: where the answer to an upload was lost, nobody can tell whether it was stored, and CLOSE
//!   fails.
//! - `ListMultipartUploadParts` tells how far an upload had come that was cut off, so that it can go on. A rename begins
//!   anew.
//! - `PutObject` can't tell a new object from a replaced one: that check is this server's own. Who may replace a file may
//!   change a part of it, for which S3 copies the rest, and does so only while nobody else changed it: both take
//!   `GetObject`.
//! - `CopyObject` with the tags of the source reads and writes tags where there are any; `DeleteObject` on the condition
//!   that nothing changed takes `GetObject` too ("Enforce conditional deletes on Amazon S3 buckets").
//! - `mkdir` alone makes markers, whose keys end in `/`, and no file.
//! - Where objects may be encrypted with a KMS key, whoever reads or writes needs [`KMS`], through S3 alone.

use crate::account::{Permission, Permissions};

/// `Decrypt` reads an object, and the parts of an upload when it is completed; `GenerateDataKey` writes one.
pub(super) const KMS: &[&str] = &["kms:Decrypt", "kms:GenerateDataKey"];

/// What the janitor does: on the bucket, and on every object below the prefix.
pub(super) const FIND_UPLOADS: &str = "s3:ListBucketMultipartUploads";
pub(super) const ABORT_UPLOADS: &str = "s3:AbortMultipartUpload";

/// The actions that a set of permissions needs, each list in order and without doubles.
#[derive(Debug, Default)]
pub(super) struct Actions {
    /// On the bucket.
    pub(super) bucket: &'static str,
    /// On every object below the prefix.
    pub(super) objects: Vec<&'static str>,
    /// On markers below the prefix, beyond what all objects allow.
    pub(super) markers: Vec<&'static str>,
}

/// On every object below the prefix.
const fn on_objects(permission: Permission) -> &'static [&'static str] {
    match permission {
        Permission::Read => &["s3:GetObject", "s3:GetObjectVersion"],
        Permission::Write => &["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"],
        Permission::Delete => &["s3:DeleteObject"],
        Permission::Rename => &[
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:GetObject",
            "s3:GetObjectTagging",
            "s3:PutObject",
            "s3:PutObjectTagging",
        ],
        Permission::Overwrite => &["s3:GetObject"],
        Permission::List | Permission::Mkdir => &[],
    }
}

/// On markers alone.
const fn on_markers(permission: Permission) -> &'static [&'static str] {
    match permission {
        Permission::Mkdir => &["s3:PutObject"],
        Permission::Read
        | Permission::Write
        | Permission::Overwrite
        | Permission::List
        | Permission::Delete
        | Permission::Rename => &[],
    }
}

impl Actions {
    pub(super) fn needed(permissions: Permissions) -> Self {
        let needed = |table: fn(Permission) -> &'static [&'static str]| {
            let granted = Permission::ALL.into_iter().filter(|permission| permissions.contains(*permission));
            let mut actions: Vec<_> = granted.flat_map(table).copied().collect();
            actions.sort_unstable();
            actions.dedup();
            actions
        };
        let objects = needed(on_objects);
        let markers = needed(on_markers).into_iter().filter(|action| !objects.contains(action)).collect();
        Self { bucket: "s3:ListBucket", objects, markers }
    }

    /// Whether any of them moves an object's bytes, which may be encrypted.
    pub(super) fn read_or_write(&self) -> bool {
        self.objects.iter().chain(&self.markers).any(|action| matches!(*action, "s3:GetObject" | "s3:PutObject"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(permissions: &[Permission]) -> (Vec<&'static str>, Vec<&'static str>) {
        let actions = Actions::needed(permissions.iter().copied().collect());
        (actions.objects, actions.markers)
    }

    #[test]
    fn no_permission_needs_no_more_than_to_look() {
        assert_eq!(needed(&[]), (vec![], vec![]));
        assert_eq!(needed(&[Permission::List]), (vec![], vec![]));
    }

    #[test]
    fn mkdir_alone_makes_markers_and_with_write_everything() {
        assert_eq!(needed(&[Permission::Mkdir]), (vec![], vec!["s3:PutObject"]));
        assert_eq!(needed(&[Permission::Mkdir, Permission::Read]).1, ["s3:PutObject"]);
        assert_eq!(needed(&[Permission::Mkdir, Permission::Write]).1, [""; 0]);
    }

    #[test]
    fn a_drop_box_can_not_read() {
        let write = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"];
        assert_eq!(needed(&[Permission::Write]).0, write);
    }

    #[test]
    fn a_user_who_may_not_delete_has_no_way_to() {
        let all_but = |without: &[Permission]| {
            let permissions = without.iter().fold(Permissions::ALL, |all, permission| all.without(*permission));
            Actions::needed(permissions).objects
        };
        assert!(!all_but(&[Permission::Delete, Permission::Rename]).contains(&"s3:DeleteObject"));
        assert!(all_but(&[Permission::Delete]).contains(&"s3:DeleteObject"), "a rename deletes its source");
        assert!(!all_but(&[Permission::Write, Permission::Rename]).contains(&"s3:PutObject"));
    }

    #[test]
    fn the_table_in_the_docs_is_the_table() {
        let source = include_str!("actions.rs");
        for permission in Permission::ALL {
            let word = format!("`{permission}`");
            let row = source
                .lines()
                .filter_map(|line| line.strip_prefix("//! | "))
                .find(|row| row.split('|').next().is_some_and(|first| first.contains(&word)))
                .unwrap();
            let cells: Vec<Vec<String>> = row
                .split('|')
                .map(|cell| cell.split(',').map(|word| word.trim().trim_matches('`').to_owned()).collect())
                .map(|mut words: Vec<String>| {
                    words.retain(|word| !word.is_empty());
                    words.sort();
                    words
                })
                .collect();
            let said = |actions: &[&str]| -> Vec<String> {
                actions.iter().map(|action| action.trim_start_matches("s3:").to_owned()).collect()
            };
            assert_eq!(cells[2], said(on_objects(permission)), "{row}");
            assert_eq!(cells[3], said(on_markers(permission)), "{row}");
        }
    }
}
