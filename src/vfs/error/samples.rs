//! One error of every kind and cause, for tests of the edges' tables.

use super::{Error, Unsupported};
use crate::{
    account::{DailyResource, Permission},
    journal::JournalDown,
    name::InvalidPath,
    store::{self, DailyLimitReached},
    upload::UploadError,
};
use std::{sync::Arc, time::Duration};

/// Returns every variant at least once, and several causes for variants whose kind depends on their cause.
pub(crate) fn samples() -> Vec<Error> {
    let request = || "4711".to_owned();
    let broken = || store::Error::Broken(request());
    let earlier = |cause| Error::EarlierUpload(Arc::new(cause));
    vec![
        Error::InvalidPath(InvalidPath::NotUtf8),
        Error::NotFound,
        Error::AlreadyExists,
        Error::IsDirectory,
        Error::NotDirectory,
        Error::NotEmpty,
        Error::Denied(Permission::Write),
        Error::OnlyLists,
        Error::Mounted,
        Error::AcrossMounts,
        Error::BelowFile,
        Error::BelowItself,
        Error::TooManyToRename { limit: 7 },
        Error::RenameInProgress,
        Error::NoJournal(JournalDown),
        Error::Unsupported(Unsupported::SecondWriter),
        Error::Unsupported(Unsupported::Owner),
        Error::LockLost,
        Error::Changed(broken()),
        Error::SourceChanged(broken()),
        Error::NoSource,
        Error::Archived,
        Error::Busy,
        Error::Shipped,
        Error::HoleTooLarge { limit: 7 },
        Error::TooLarge { limit: 7 },
        Error::DailyLimit(DailyLimitReached(DailyResource::BytesWritten)),
        Error::BeingUploaded,
        Error::PartialGrown,
        Error::PartialLost,
        Error::PartialNotFound(JournalDown),
        Error::Gap,
        Error::Poisoned(UploadError::Poisoned(request())),
        earlier(Error::Busy),
        earlier(Error::NotFound),
        earlier(Error::Unsupported(Unsupported::Owner)),
        earlier(Error::Denied(Permission::Write)),
        earlier(Error::NotOpenForWriting),
        earlier(earlier(Error::Forbidden(broken()))),
        Error::WaitedTooLong,
        Error::SessionEnds("your account was removed"),
        Error::Lost,
        Error::Stalled,
        Error::NotOpenForReading,
        Error::NotOpenForWriting,
        Error::NotReadableYet,
        Error::Forbidden(broken()),
        Error::StorageFails(broken()),
        Error::StorageFails(store::Error::Forbidden { request: request() }),
        Error::StorageFails(store::Error::Full { request: request() }),
        Error::UploadsDenied(broken()),
        Error::Storage(broken()),
        Error::Storage(store::Error::Throttled { request: request() }),
        Error::Storage(store::Error::Unreachable(request())),
        Error::Storage(store::Error::RateReached(Duration::from_mins(1))),
        Error::Storage(store::Error::Full { request: request() }),
        Error::Storage(store::Error::Credentials(request())),
        Error::Storage(store::Error::Refused { code: request(), message: request(), request: request() }),
    ]
}
