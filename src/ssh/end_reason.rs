//! The sentence of the line `connection ended`.

use super::{connection::Connection, handler::Error};
use russh::AlgorithmKind;

/// The longest one, in characters. It may hold a client's lists of algorithms.
const MAX_REASON: usize = 1_500;

/// Why the connection ended, unless it is that the client of a user simply went.
pub fn end_reason(connection: &Connection, result: Result<(), Error>) -> Option<String> {
    use russh::Error as Ssh;
    if let Some(reason) = connection.ending.reason() {
        return Some(reason.as_str().to_owned());
    }
    let reason = match result {
        Err(Error::Ssh(Ssh::NoCommonAlgo { kind, ours, theirs })) => no_common_algorithm(&kind, &ours, &theirs),
        Err(Error::Ssh(Ssh::NotAuthenticated)) => "the client began another key exchange before its login".to_owned(),
        Ok(()) | Err(Error::Ssh(Ssh::Disconnect | Ssh::HUP | Ssh::IO(_))) if connection.program.has_only_greeted() => {
            "the client left before it asked to log in".to_owned()
        }
        Ok(()) | Err(Error::Cut | Error::Ssh(Ssh::Disconnect | Ssh::HUP | Ssh::IO(_))) => return None,
        Err(error) => error.to_string(),
    };
    Some(reason.chars().take(MAX_REASON).collect())
}

/// The sentence for a client with which the server shares no algorithm of one kind: what it offers, and which setting
/// decides.
fn no_common_algorithm(kind: &AlgorithmKind, ours: &[String], theirs: &[String]) -> String {
    let (noun, setting) = match kind {
        AlgorithmKind::Kex => ("key exchange", "`key_exchanges` of [ssh.algorithms] decides"),
        AlgorithmKind::Key => ("host key algorithm", "`kinds` of [ssh.host_keys] decides"),
        AlgorithmKind::Cipher => ("cipher", "`ciphers` of [ssh.algorithms] decides"),
        AlgorithmKind::Mac => ("MAC", "`macs` of [ssh.algorithms] decides"),
        AlgorithmKind::Compression => ("compression", "the server compresses nothing"),
    };
    format!("no {noun} in common: the client offers {}; the server {}; {setting}", theirs.join(", "), ours.join(", "))
}
