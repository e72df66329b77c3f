//! The one table from the kinds of the tree's errors to SFTP statuses (draft, section 7).

use crate::{
    sftp::wire::{Reply, StatusCode},
    vfs::{Error, ErrorKind},
};

/// The reply to a request that failed: a status, and the sentence that the error is.
#[must_use]
pub fn reply(id: u32, error: &Error) -> Reply {
    status(id, code(error.kind()), &error.to_string())
}

/// A status and a sentence. The sentence begins with OpenSSH's words for the code, because libraries and scripts look
/// for them.
#[must_use]
pub fn status(id: u32, code: StatusCode, sentence: &str) -> Reply {
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

/// Version 3 has few codes: most errors are a FAILURE, which the sentence explains.
fn code(kind: ErrorKind) -> StatusCode {
    match kind {
        // ENOTDIR is among them, as OpenSSH answers it: there is no directory of this name.
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
