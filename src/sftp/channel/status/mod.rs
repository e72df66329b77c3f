//! The table from the kinds of vfs errors to SFTP statuses (draft, section 7).

use crate::{
    sftp::wire::{Reply, StatusCode},
    vfs::{Error, ErrorKind},
};

/// Returns the reply to a failed request: a status with the error's sentence.
#[must_use]
pub(crate) fn reply(id: u32, error: &Error) -> Reply {
    status(id, code(error.kind()), &error.to_string())
}

/// Returns a status reply. Its text begins with OpenSSH's words for the code, because libraries and scripts look for
/// them.
#[must_use]
pub(crate) fn status(id: u32, code: StatusCode, sentence: &str) -> Reply {
    let words = match code {
        StatusCode::NoSuchFile => "No such file",
        StatusCode::PermissionDenied => "Permission denied",
        StatusCode::Failure => "Failure",
        StatusCode::Ok
        | StatusCode::Eof
        | StatusCode::BadMessage
        | StatusCode::NoConnection
        | StatusCode::ConnectionLost
        | StatusCode::OpUnsupported => return Reply::status(id, code, sentence.to_owned()),
    };
    let is_said = sentence.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words));
    match sentence.get(words.len()..).filter(|_| is_said) {
        Some(rest) => Reply::status(id, code, format!("{words}{rest}")),
        None => Reply::status(id, code, format!("{words}: {sentence}")),
    }
}

/// Version 3 has few codes. Most errors are a FAILURE that the sentence explains.
fn code(kind: ErrorKind) -> StatusCode {
    match kind {
        // ENOTDIR is NOT_FOUND too, as in OpenSSH: no directory of this name exists.
        ErrorKind::NotFound => StatusCode::NoSuchFile,
        ErrorKind::Denied | ErrorKind::NotOpen => StatusCode::PermissionDenied,
        ErrorKind::Unsupported => StatusCode::OpUnsupported,
        ErrorKind::AlreadyExists
        | ErrorKind::Invalid
        | ErrorKind::Conflict
        | ErrorKind::TooLarge
        | ErrorKind::Full
        | ErrorKind::Busy
        | ErrorKind::Unavailable
        | ErrorKind::Failed => StatusCode::Failure,
    }
}

#[cfg(test)]
mod tests;
