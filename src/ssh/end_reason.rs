//! The sentence of the line `connection ended`.

use super::{connection::Connection, error::Error};
use russh::AlgorithmKind;
use std::io;

/// Returns the reason why the connection ended, or `None` if a user's client simply disconnected.
pub(crate) fn end_reason(connection: &Connection, result: Result<(), Error>) -> Option<String> {
    use russh::Error as Ssh;
    if let Some(reason) = connection.ending.reason() {
        return Some(reason.as_str().to_owned());
    }
    let has_left = match &result {
        Ok(()) | Err(Error::Ssh(Ssh::Disconnect | Ssh::HUP)) => true,
        Err(Error::Ssh(Ssh::IO(error))) => is_gone(error),
        Err(_) => false,
    };
    match result {
        _ if has_left => {
            let has_only_greeted = connection.peer.has_only_greeted();
            has_only_greeted.then(|| "the client left before it asked to log in".to_owned())
        }
        Ok(()) | Err(Error::Disconnected) => None,
        Err(Error::Ssh(Ssh::NoCommonAlgo { kind, ours, theirs })) => Some(no_matching_algorithm(&kind, &ours, &theirs)),
        Err(Error::Ssh(Ssh::NotAuthenticated)) => {
            Some("the client began another key exchange before its login".to_owned())
        }
        Err(error) => Some(error.to_string()),
    }
}

/// True if the client, or the network in between, closed the connection.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof)
}

/// Returns the sentence for a client that shares no algorithm of one kind with the server. The deciding setting comes
/// first and the client's list last, because the log cuts long lines at the end.
fn no_matching_algorithm(kind: &AlgorithmKind, ours: &[String], theirs: &[String]) -> String {
    let (noun, setting) = match kind {
        AlgorithmKind::Kex => ("key exchange", "`key_exchanges` of [ssh.algorithms] decides"),
        AlgorithmKind::Key => ("host key algorithm", "`kinds` of [ssh.host_keys] decides"),
        AlgorithmKind::Cipher => ("cipher", "`ciphers` of [ssh.algorithms] decides"),
        AlgorithmKind::Mac => ("MAC", "`macs` of [ssh.algorithms] decides"),
        AlgorithmKind::Compression => ("compression", "the server compresses nothing"),
    };
    let (ours, theirs) = (ours.join(", "), theirs.join(", "));
    format!("no {noun} in common ({setting}): the server offers {ours}; the client offers {theirs}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_comes_before_the_lists() {
        let sentence = no_matching_algorithm(&AlgorithmKind::Mac, &["a".into()], &["b".into(), "c".into()]);
        assert_eq!(
            sentence,
            "no MAC in common (`macs` of [ssh.algorithms] decides): the server offers a; the client offers b, c"
        );
    }
}
