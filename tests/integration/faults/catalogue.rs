//! Catalogue of the faults of S3 and of the network. Every answer of S3 names a key and a request id, which only the
//! operator may read.

use std::time::Duration;
use wharfinger::{
    store::Error,
    testing::{bucket::Verb, faulty::Fault},
};

/// Request id in all faults. The operator needs it, and no client may see it.
pub const REQUEST_ID: &str = "4711";

/// The details in every error of S3.
fn request(status: &str) -> String {
    format!("{status}, arn:aws:s3:::vendor/acme/key, request {REQUEST_ID}")
}

fn unreachable(what: &str) -> Error {
    Error::Unreachable(request(what))
}

/// Refusals: S3 answers with an error and changes nothing.
fn refusals() -> Vec<(&'static str, Error)> {
    let refused = |code: &str| Error::Refused {
        code: code.into(),
        message: request("The request body was too small"),
        request: request("HTTP 400"),
    };
    vec![
        ("403", Error::Forbidden { request: request("AccessDenied, HTTP 403") }),
        ("404", Error::NotFound),
        ("409", Error::Conflict { request: request("ConditionalRequestConflict, HTTP 409") }),
        ("412", Error::Conflict { request: request("PreconditionFailed, HTTP 412") }),
        ("500", unreachable("InternalError, HTTP 500")),
        ("503", Error::Throttled { request: request("SlowDown, HTTP 503") }),
        ("a time-out", unreachable("timed out")),
        ("no credentials", Error::Credentials(request("ExpiredToken"))),
        ("400", refused("InvalidRequest")),
        ("200 with nonsense", Error::Broken(request("a body that ends in the middle of its XML"))),
    ]
}

/// Errors after a write that S3 performed: the answer was lost, or a retry met its own success.
fn lost_answers() -> Vec<(&'static str, Error)> {
    vec![
        ("done, a time-out", unreachable("timed out")),
        ("done, 500", unreachable("InternalError, HTTP 500")),
        ("done, 503", Error::Throttled { request: request("SlowDown, HTTP 503") }),
        ("done, 200 with half an answer", Error::Broken(request("a body that ends in the middle of its XML"))),
    ]
}

/// Returns all faults that a request of `verb` can meet.
pub fn faults_of(verb: Verb) -> Vec<(&'static str, Fault)> {
    // A 404 in answer to a DELETE means success, so it is no fault.
    let possible =
        refusals().into_iter().filter(|(_, error)| verb != Verb::Remove || !matches!(error, Error::NotFound));
    let mut faults: Vec<_> = possible.map(|(name, error)| (name, Fault::Refused(error))).collect();
    faults.push(("five minutes", Fault::Slow(Duration::from_mins(5))));
    faults.push(("silence", Fault::Silent));
    if verb == Verb::Read {
        for after_bytes in [0, 1, 100_000] {
            faults.push(("a reset in mid-body", Fault::BodyBreaks { after_bytes }));
            faults.push(("a short read", Fault::BodyEnds { after_bytes }));
            faults.push(("a body that stands still", Fault::BodyStalls { after_bytes }));
        }
    }
    if !matches!(verb, Verb::Head | Verb::Read | Verb::List | Verb::ListParts | Verb::ListUploads) {
        faults.push(("done, silence", Fault::SilentWhenDone));
        faults.extend(lost_answers().into_iter().map(|(name, error)| (name, Fault::AnswerLost(error))));
    }
    if verb == Verb::RemoveMany {
        let error = Error::Forbidden { request: request("AccessDenied, for one of the keys") };
        faults.push(("200 with one that stays", Fault::FirstRefused(error)));
    }
    match verb {
        // The SDK retries after a lost answer, and the condition fails because the first attempt succeeded. A removal
        // recognizes its own success.
        Verb::Put | Verb::CompleteUpload | Verb::Copy => {
            let conflict = Error::Conflict { request: request("PreconditionFailed, HTTP 412") };
            faults.push(("done, a retry that conflicts", Fault::AnswerLost(conflict)));
        }
        _ => {}
    }
    if verb == Verb::CompleteUpload {
        faults.push(("done, a retry that finds no upload", Fault::AnswerLost(Error::NotFound)));
    }
    faults
}

/// Returns the errors that a request of any verb can meet.
pub fn told() -> Vec<Fault> {
    let refused = refusals().into_iter().filter(|(_, error)| !matches!(error, Error::NotFound));
    let refused = refused.map(|(_, error)| Fault::Refused(error));
    refused.chain(lost_answers().into_iter().map(|(_, error)| Fault::AnswerLost(error))).collect()
}

/// Outages of the whole storage.
#[derive(Clone, Copy)]
pub enum StorageOutage {
    Down,
    Overloaded,
    Locked,
    Deaf,
    Silent,
}

impl StorageOutage {
    pub const ALL: [(&str, Self); 5] = [
        ("no answer", Self::Down),
        ("503", Self::Overloaded),
        ("403", Self::Locked),
        ("all done, no answer", Self::Deaf),
        ("silence", Self::Silent),
    ];

    pub fn fault(self) -> Fault {
        match self {
            Self::Down => Fault::Refused(unreachable("connection refused")),
            Self::Overloaded => Fault::Refused(Error::Throttled { request: request("SlowDown, HTTP 503") }),
            Self::Locked => Fault::Refused(Error::Forbidden { request: request("AccessDenied, HTTP 403") }),
            Self::Deaf => Fault::AnswerLost(unreachable("timed out")),
            Self::Silent => Fault::Silent,
        }
    }
}

/// True if the operator must look into the fault. S3's other answers are ordinary: the key is missing, or it exists.
pub fn is_incident(fault: &Fault) -> bool {
    match fault {
        Fault::Refused(error) | Fault::AnswerLost(error) | Fault::FirstRefused(error) => {
            !matches!(error, Error::NotFound | Error::Conflict { .. })
        }
        _ => false,
    }
}
