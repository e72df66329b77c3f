//! The row of a task: columns that all kinds have, and the payload as JSON.
//!
//! Invariant: a row becomes a task only if all its names lie below its mount.

use crate::{
    account::Permissions,
    journal::{
        DirectoryRename, FileRename, Owner, RenamePhase, RenamedNames, ResumableUpload, Task, TaskKind, TaskPayload,
        Whole,
    },
    name::{BucketId, MountedKey, Prefix},
    store::{NewObject, UploadId},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The columns of a row, in the order of [`task_columns`].
pub(super) type TaskRow = (String, String, String, String, String, String, String, String, Option<String>, String, i64);

/// The columns of a task, and the end of its lease.
macro_rules! task_columns {
    () => {
        "id, kind, bucket, tenant, user_name, mount, subject, reference, permissions, payload, held_until"
    };
}
pub(super) use task_columns;

/// The payload of an upload: the metadata that the object gets, and the stored beginning. Headers are not stored: only
/// new files are resumed, and they have none. A checksum of ETags is written as the signed integer of its 64 bits,
/// because no number of SQL is larger.
#[derive(Serialize, Deserialize)]
struct UploadJson {
    metadata: BTreeMap<String, String>,
    parts: u32,
    bytes: u64,
    etags: i64,
}

/// The payload of a directory's rename.
#[derive(Serialize, Deserialize)]
struct DirectoryRenameJson {
    phase: PhaseWord,
}

/// The payload of a file's rename.
#[derive(Serialize, Deserialize)]
struct FileRenameJson {}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PhaseWord {
    Entered,
    Copying,
    Deleting,
}

/// The column `reference`: S3's id of an upload, the new name of a file or directory below the mount.
pub(super) fn reference(payload: &TaskPayload) -> &str {
    match payload {
        TaskPayload::Upload(upload) => &upload.upload.0,
        TaskPayload::DirectoryRename(DirectoryRename { names, .. }) | TaskPayload::FileRename(FileRename { names }) => {
            names.target_name()
        }
    }
}

/// The column `payload`. JSON can hold every map of strings, so this doesn't fail.
pub(super) fn json(payload: &TaskPayload) -> String {
    let json = match payload {
        TaskPayload::Upload(ResumableUpload { object, whole, .. }) => serde_json::to_string(&UploadJson {
            metadata: object.metadata.clone(),
            parts: whole.parts,
            bytes: whole.bytes,
            etags: whole.etags.cast_signed(),
        }),
        TaskPayload::DirectoryRename(rename) => {
            serde_json::to_string(&DirectoryRenameJson { phase: PhaseWord::of(rename.phase) })
        }
        TaskPayload::FileRename(_) => serde_json::to_string(&FileRenameJson {}),
    };
    json.unwrap_or_default()
}

/// The task of a row, and the end of its lease. `None` for a row that this version can't read.
pub(super) fn task(row: TaskRow) -> Option<(Task, i64)> {
    let (id, kind, bucket, tenant, user, mount, subject, reference, permissions, payload, held_until) = row;
    let mount = Prefix::parse(&mount).ok()?;
    let payload = match TaskKind::of_word(&kind)? {
        TaskKind::Upload => {
            let UploadJson { metadata, parts, bytes, etags } = serde_json::from_str(&payload).ok()?;
            TaskPayload::Upload(ResumableUpload {
                place: MountedKey::new(mount, &subject).ok()?,
                upload: UploadId(reference),
                object: NewObject { metadata, ..NewObject::default() },
                whole: Whole { parts, bytes, etags: etags.cast_unsigned() },
            })
        }
        TaskKind::DirectoryRename => {
            let DirectoryRenameJson { phase } = serde_json::from_str(&payload).ok()?;
            let names = RenamedNames::new(mount, &subject, &reference).ok()?;
            TaskPayload::DirectoryRename(DirectoryRename { names, phase: phase.phase() })
        }
        TaskKind::FileRename => {
            let FileRenameJson {} = serde_json::from_str(&payload).ok()?;
            TaskPayload::FileRename(FileRename { names: RenamedNames::new(mount, &subject, &reference).ok()? })
        }
    };
    let task = Task {
        id,
        bucket: BucketId::recorded(&bucket),
        owner: Owner { tenant: tenant.parse().ok()?, user: user.parse().ok()? },
        permissions: permissions.as_deref().map(Permissions::of_known_words),
        payload,
    };
    Some((task, held_until))
}

impl PhaseWord {
    fn of(phase: RenamePhase) -> Self {
        match phase {
            RenamePhase::Entered => Self::Entered,
            RenamePhase::Copying => Self::Copying,
            RenamePhase::Deleting => Self::Deleting,
        }
    }

    fn phase(self) -> RenamePhase {
        match self {
            Self::Entered => RenamePhase::Entered,
            Self::Copying => RenamePhase::Copying,
            Self::Deleting => RenamePhase::Deleting,
        }
    }
}
