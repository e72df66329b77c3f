//! The table permission → IAM actions: the actions that a session's credentials need so that the tree can keep its
//! promises, and no others.
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
//! - `ListBucket` comes with every mount: without it HEAD can't distinguish a missing object from a forbidden one, and
//!   STAT depends on that.
//! - `GetObjectVersion` lets a download end with the version that it began with, if the bucket keeps versions.
//! - `PutObject` allows Create, UploadPart and Complete; Abort and ListParts have actions of their own. A large file is
//!   renamed by a copy in parts. So is one open file copied to another, with the `GetObject` of `read`.
//! - A drop box without `read` can't HEAD. If the answer to its upload is lost, the server can't learn if S3 stored the
//!   file, and CLOSE fails.
//! - `ListMultipartUploadParts` tells how much of an interrupted upload is stored, so that it can be resumed. An
//!   interrupted rename starts over.
//! - `PutObject` doesn't distinguish a new object from a replaced one: only this server checks that. A user with
//!   `overwrite` may also change a part of a file. S3 copies the rest then, on the condition that the file is
//!   unchanged: both need `GetObject`.
//! - `CopyObject` with the tags of the source reads and writes tags, if there are any. `DeleteObject` on the condition
//!   that the object is unchanged needs `GetObject` too ("Enforce conditional deletes on Amazon S3 buckets").
//! - `mkdir` alone creates only markers, whose keys end in `/`, and no files.
//! - With `bucket_owner_full_control` requests that create objects have an ACL, so `PutObjectAcl` comes with every
//!   `PutObject`, for this ACL alone.
//! - With `object_tags` new files and markers have tags, so `PutObjectTagging` comes with every `PutObject` too.
//! - If objects may be encrypted with a KMS key, reads and writes need the actions in [`KMS`], through S3 alone.

use crate::account::{ObjectSettings, Permission, Permissions};
use std::{collections::HashMap, sync::LazyLock};

/// `Decrypt` serves reads, and the completion of an upload, which reads its parts. `GenerateDataKey` serves writes.
pub(super) const KMS: &[&str] = &["kms:Decrypt", "kms:GenerateDataKey"];

/// The janitor's actions: one on the bucket, and one on every object below the prefix.
pub(super) const FIND_UPLOADS: &str = "s3:ListBucketMultipartUploads";
pub(super) const ABORT_UPLOADS: &str = "s3:AbortMultipartUpload";

/// The action of an ACL, which the policies allow in a statement of its own.
pub(super) const PUT_ACL: &str = "s3:PutObjectAcl";

/// The actions that a set of permissions needs. Each list is sorted and has no duplicates.
#[derive(Debug, Default)]
pub(super) struct Actions {
    /// On the bucket.
    pub(super) bucket: &'static str,
    /// On every object below the prefix.
    pub(super) objects: Vec<&'static str>,
    /// On markers below the prefix, unless all objects allow it anyway.
    pub(super) markers: Vec<&'static str>,
}

/// The actions on every object below the prefix.
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

/// The actions on markers alone.
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

/// The actions that S3 asks for beside `PutObject`, because of the headers of these settings.
fn beside_put_object(settings: &ObjectSettings) -> impl Iterator<Item = &'static str> {
    let acl = settings.bucket_owner_full_control.then_some(PUT_ACL);
    let tagging = (!settings.tags.is_empty()).then_some("s3:PutObjectTagging");
    acl.into_iter().chain(tagging)
}

/// The largest set of permissions that needs the same actions, whatever the settings of objects. Looked up, because
/// each operation of a session asks.
pub(super) fn widest(permissions: Permissions) -> Permissions {
    static WIDEST: LazyLock<HashMap<Permissions, Permissions>> = LazyLock::new(|| {
        let with_or_without = |sets: Vec<Permissions>, permission| {
            sets.into_iter().flat_map(|set: Permissions| [set, set.with(permission)]).collect()
        };
        let sets = Permission::ALL.into_iter().fold(vec![Permissions::NONE], with_or_without);
        sets.into_iter().map(|set| (set, Actions::needed(set, &ObjectSettings::default()).allowed())).collect()
    });
    WIDEST.get(&permissions).copied().unwrap_or(permissions)
}

impl Actions {
    /// The permissions that need none but these actions.
    fn allowed(&self) -> Permissions {
        let on_objects = |action: &&str| self.objects.contains(action);
        let on_markers_or_objects = |action: &&str| on_objects(action) || self.markers.contains(action);
        let is_allowed = |permission: &Permission| {
            self::on_objects(*permission).iter().all(on_objects)
                && on_markers(*permission).iter().all(on_markers_or_objects)
        };
        Permission::ALL.into_iter().filter(is_allowed).collect()
    }

    pub(super) fn needed(permissions: Permissions, settings: &ObjectSettings) -> Self {
        let needed = |table: fn(Permission) -> &'static [&'static str]| {
            let granted = Permission::ALL.into_iter().filter(|permission| permissions.contains(*permission));
            let mut actions: Vec<_> = granted.flat_map(table).copied().collect();
            if actions.contains(&"s3:PutObject") {
                actions.extend(beside_put_object(settings));
            }
            actions.sort_unstable();
            actions.dedup();
            actions
        };
        let objects = needed(on_objects);
        let markers = needed(on_markers).into_iter().filter(|action| !objects.contains(action)).collect();
        Self { bucket: "s3:ListBucket", objects, markers }
    }

    /// True if an action moves an object's bytes, which may be encrypted.
    pub(super) fn read_or_write(&self) -> bool {
        self.objects.iter().chain(&self.markers).any(|action| matches!(*action, "s3:GetObject" | "s3:PutObject"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::ObjectTag;

    fn needed(permissions: &[Permission]) -> (Vec<&'static str>, Vec<&'static str>) {
        let actions = Actions::needed(permissions.iter().copied().collect(), &ObjectSettings::default());
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
            Actions::needed(permissions, &ObjectSettings::default()).objects
        };
        assert!(!all_but(&[Permission::Delete, Permission::Rename]).contains(&"s3:DeleteObject"));
        assert!(all_but(&[Permission::Delete]).contains(&"s3:DeleteObject"), "a rename deletes its source");
        assert!(!all_but(&[Permission::Write, Permission::Rename]).contains(&"s3:PutObject"));
    }

    /// The sets of settings that change actions.
    fn settings() -> Vec<ObjectSettings> {
        let controlled = ObjectSettings { bucket_owner_full_control: true, ..ObjectSettings::default() };
        let tags = vec![ObjectTag { key: "origin".to_owned(), value: "sftp".to_owned() }];
        let tagged = ObjectSettings { tags: tags.clone(), ..ObjectSettings::default() };
        let both = ObjectSettings { tags, ..controlled.clone() };
        vec![ObjectSettings::default(), controlled, tagged, both]
    }

    #[test]
    fn an_acl_comes_with_each_put() {
        let controlled = &settings()[1];
        let needed = |permissions: &[Permission]| Actions::needed(permissions.iter().copied().collect(), controlled);
        let write = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject", "s3:PutObjectAcl"];
        assert_eq!(needed(&[Permission::Write]).objects, write);
        assert!(needed(&[Permission::Rename]).objects.contains(&"s3:PutObjectAcl"));
        assert_eq!(needed(&[Permission::Mkdir]).markers, ["s3:PutObject", "s3:PutObjectAcl"]);
        assert_eq!(needed(&[Permission::Mkdir, Permission::Write]).markers, [""; 0]);
        assert_eq!(needed(&[Permission::Read, Permission::Delete, Permission::Overwrite]).objects.len(), 3);
    }

    #[test]
    fn tags_come_with_each_put() {
        let settings = settings();
        let needed =
            |permission: Permission, at: usize| Actions::needed([permission].into_iter().collect(), &settings[at]);
        let write = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject", "s3:PutObjectTagging"];
        assert_eq!(needed(Permission::Write, 2).objects, write);
        assert_eq!(needed(Permission::Mkdir, 2).markers, ["s3:PutObject", "s3:PutObjectTagging"]);
        assert_eq!(needed(Permission::Mkdir, 3).markers, ["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"]);
        let renames = [0, 2].map(|at| needed(Permission::Rename, at).objects);
        assert_eq!(renames[0], renames[1], "a rename has it for the tags of the source");
        assert_eq!(needed(Permission::Read, 3).objects, ["s3:GetObject", "s3:GetObjectVersion"]);
    }

    #[test]
    fn the_widest_permissions_need_the_same_actions_with_all_settings() {
        let mut sets = vec![Permissions::NONE];
        for permission in Permission::ALL {
            sets.extend(sets.clone().into_iter().map(|set| set.with(permission)));
        }
        for settings in settings() {
            for set in &sets {
                let (narrow, wide) = (Actions::needed(*set, &settings), Actions::needed(widest(*set), &settings));
                assert_eq!((narrow.objects, narrow.markers), (wide.objects, wide.markers), "{set:?} {settings:?}");
            }
        }
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
