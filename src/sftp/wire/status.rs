//! The status of a request: the codes of the draft's section 7.

/// The code of a STATUS reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum StatusCode {
    /// The request succeeded.
    Ok = 0,
    /// The end of the file, or of the directory.
    Eof = 1,
    /// No such file.
    NoSuchFile = 2,
    /// The user lacks a permission.
    PermissionDenied = 3,
    /// Any other failure; the message explains it.
    Failure = 4,
    /// The request is invalid.
    BadMessage = 5,
    /// A client's own code, never sent by a server.
    NoConnection = 6,
    /// A client's own code, never sent by a server.
    ConnectionLost = 7,
    /// The server doesn't support the request.
    OpUnsupported = 8,
}

impl StatusCode {
    /// Returns the status of `code`, or `None` if version 3 has no such code.
    #[must_use]
    pub(crate) const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Ok,
            1 => Self::Eof,
            2 => Self::NoSuchFile,
            3 => Self::PermissionDenied,
            4 => Self::Failure,
            5 => Self::BadMessage,
            6 => Self::NoConnection,
            7 => Self::ConnectionLost,
            8 => Self::OpUnsupported,
            _ => return None,
        })
    }

    /// Returns the code on the wire.
    #[must_use]
    pub(crate) const fn code(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_draft() {
        for code in 0..=8 {
            assert_eq!(StatusCode::from_code(code).map(StatusCode::code), Some(code));
        }
        assert_eq!(StatusCode::from_code(9), None);
    }
}
