//! The table of statuses: the code, the text, the log level and the recorded outcome of each vfs error.

use super::*;
use crate::{
    session,
    session::Outcome,
    vfs::{self, Unsupported},
};
use Outcomes::{Failed, Refused};
use Weight::{Notable, Ordinary};

/// The log level of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Ordinary,
    Notable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcomes {
    Refused,
    Failed,
}

/// A row for each of [`vfs::samples`], in their order.
const TABLE: &[(StatusCode, Weight, Outcomes, &str)] = &[
    (StatusCode::Failure, Notable, Refused, "Failure: the name is not UTF-8"),
    (StatusCode::NoSuchFile, Ordinary, Refused, "No such file or directory"),
    (StatusCode::Failure, Ordinary, Refused, "Failure: a file or directory of this name exists already"),
    (StatusCode::Failure, Ordinary, Refused, "Failure: this is a directory"),
    (StatusCode::NoSuchFile, Ordinary, Refused, "No such file: this is not a directory"),
    (StatusCode::Failure, Ordinary, Refused, "Failure: the directory is not empty"),
    (StatusCode::PermissionDenied, Notable, Failed, "Permission denied: you may not upload or change anything here"),
    (
        StatusCode::PermissionDenied,
        Notable,
        Failed,
        "Permission denied: this directory only leads to others: nothing can be stored or changed in it",
    ),
    (
        StatusCode::PermissionDenied,
        Notable,
        Failed,
        "Permission denied: this directory belongs to the configuration of your account: it can't be renamed \
         or removed",
    ),
    (
        StatusCode::Failure,
        Notable,
        Refused,
        "Failure: source and target of a rename must lie below the same top directory: copy the file instead",
    ),
    (
        StatusCode::NoSuchFile,
        Ordinary,
        Refused,
        "No such file: a file has the name of the directory that this is to lie in",
    ),
    (StatusCode::Failure, Notable, Refused, "Failure: nothing can be moved to a place below itself"),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: a directory with more than 7 files can't be renamed: move what is in it in smaller portions",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: this is being renamed or removed, or an interrupted rename is being repaired: try \
         again in a minute",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: directories can't be renamed now, because the server could not write down how far it got: \
         try again later",
    ),
    (
        StatusCode::OpUnsupported,
        Notable,
        Refused,
        "this file is being uploaded through another handle: close that first",
    ),
    (StatusCode::OpUnsupported, Notable, Refused, "files have no owner that could be changed"),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: another session removed this file before it was stored, or is creating it too: nothing was stored",
    ),
    (StatusCode::Failure, Notable, Failed, "Failure: the file was changed by another writer in the meantime"),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: the file that is copied was changed by another writer in the meantime",
    ),
    (StatusCode::Failure, Notable, Refused, "Failure: only a file that is open for reading alone can be copied"),
    (StatusCode::Failure, Notable, Failed, "Failure: the file is archived and must be restored before it can be read"),
    (StatusCode::Failure, Notable, Failed, "Failure: the server is busy, try again later"),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: this part of the file is already stored and can't be written again: upload it again",
    ),
    (StatusCode::Failure, Notable, Failed, "Failure: a hole of more than 7 bytes can't be stored"),
    (StatusCode::Failure, Notable, Failed, "Failure: files larger than 7 bytes are not accepted"),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: the daily limit on bytes written is reached; it ends at 00:00 UTC",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: this file is being uploaded by another session, or was until a moment ago: try again in \
         half a minute",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: more of this file was stored than when its size was asked for: ask for its size again",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: the earlier part of this file is no longer stored: upload it again",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: the earlier part of this file can't be found now: try again later, or upload it again",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: bytes are missing behind those that were stored before: upload the file again",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: an earlier write failed, so nothing was stored: upload the file again",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: a file that was closed before this could not be stored: the server is busy, try again later",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: a file that was closed before this could not be stored: no such file or directory",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: a file that was closed before this could not be stored: files have no owner that could be changed",
    ),
    (
        StatusCode::PermissionDenied,
        Notable,
        Failed,
        "Permission denied: a file that was closed before this could not be stored: you may not upload or \
         change anything here",
    ),
    (
        StatusCode::PermissionDenied,
        Notable,
        Failed,
        "Permission denied: a file that was closed before this could not be stored: the file was not opened \
         for writing",
    ),
    (
        StatusCode::PermissionDenied,
        Notable,
        Failed,
        "Permission denied: a file that was closed before this could not be stored: a file that was closed \
         before this could not be stored: the storage denied the server access to this",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: the upload was abandoned: it waited for earlier files while others waited for memory",
    ),
    (
        StatusCode::PermissionDenied,
        Notable,
        Failed,
        "Permission denied: the server is ending this session: your account was removed",
    ),
    (StatusCode::Failure, Notable, Failed, "Failure: the upload was lost: upload the file again"),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: the upload was abandoned: it made no progress while others waited for memory",
    ),
    (StatusCode::PermissionDenied, Notable, Refused, "Permission denied: the file was not opened for reading"),
    (StatusCode::PermissionDenied, Notable, Refused, "Permission denied: the file was not opened for writing"),
    (
        StatusCode::Failure,
        Notable,
        Refused,
        "Failure: this part of the file is on its way to the storage and can be read after the upload has ended",
    ),
    (StatusCode::PermissionDenied, Notable, Failed, "Permission denied: the storage denied the server access to this"),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: the storage did not take the last upload: the storage could not do this",
    ),
    (
        StatusCode::Failure,
        Notable,
        Failed,
        "Failure: the storage did not take the last upload: the storage could not do this",
    ),
    (StatusCode::Failure, Notable, Failed, "Failure: the storage did not take the last upload: the storage is full"),
    (
        StatusCode::PermissionDenied,
        Notable,
        Failed,
        "Permission denied: the storage did not take the last uploads: it denied the server access to them",
    ),
    (StatusCode::Failure, Notable, Failed, "Failure: the storage could not do this"),
    (StatusCode::Failure, Notable, Failed, "Failure: the storage is overloaded, try again later"),
    (StatusCode::Failure, Notable, Failed, "Failure: the storage did not answer, try again later"),
    (StatusCode::Failure, Notable, Failed, "Failure: your account sends too many requests at once, try again later"),
    (StatusCode::Failure, Notable, Failed, "Failure: the storage is full"),
    (StatusCode::Failure, Notable, Failed, "Failure: the server has no access to the storage of your account"),
    (StatusCode::Failure, Notable, Failed, "Failure: the storage could not do this"),
];

#[test]
fn every_error_has_its_status_and_text_and_its_place_in_the_log() {
    let samples = vfs::samples();
    assert_eq!(samples.len(), TABLE.len());
    for (error, (code, weight, outcome, text)) in samples.iter().zip(TABLE) {
        let Reply::Status { code: sent, message, .. } = reply(1, error) else { panic!("{error:?}") };
        assert_eq!((sent, &*message), (*code, *text), "{error:?}");
        let logged = if session::is_ordinary(error) { Ordinary } else { Notable };
        let recorded = match session::outcome(error) {
            Outcome::Refused(_) => Refused,
            Outcome::Failed(_) => Failed,
            recorded @ (Outcome::Done | Outcome::Abandoned) => panic!("{error:?}: {recorded:?}"),
        };
        assert_eq!((logged, recorded), (*weight, *outcome), "{error:?}");
    }
}

// S158: A status text begins with "No such file", "Permission denied" or "Failure", whichever its code is, and the …
#[test]
fn a_text_begins_with_the_words_that_clients_look_for() {
    for (error, text) in [
        (Error::NotFound, "No such file or directory"),
        (Error::NotDirectory, "No such file: this is not a directory"),
        (Error::NotOpenForReading, "Permission denied: the file was not opened for reading"),
        (Error::NotEmpty, "Failure: the directory is not empty"),
        (Error::Unsupported(Unsupported::Owner), "files have no owner that could be changed"),
    ] {
        assert!(matches!(reply(1, &error), Reply::Status { message, .. } if message == text), "{error}");
    }
    let end = status(1, StatusCode::Eof, "end of file");
    assert!(matches!(end, Reply::Status { message, .. } if message == "end of file"));
}
