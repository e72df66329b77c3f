//! The registry of sessions, and sessions that are ended from outside.

use super::{Edge, log::CapturedLog};
use std::time::Duration;
use tokio::time::timeout;
use wharfinger::{session::EndCause, ssh::Settings};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_login_is_listed_until_its_connection_ends() {
    let edge = Edge::start(Settings::default());
    let stranger = edge.connect_from(2).await.unwrap();
    assert!(edge.sessions.list().is_empty(), "a stranger is none");

    let client = edge.log_in().await;
    let [session] = &edge.sessions.list()[..] else { panic!("one session") };
    assert_eq!((session.user.as_str(), session.tenant.as_str()), ("alice", "acme"));
    assert_eq!(session.source.ip().to_string(), "127.0.0.1");
    assert!(session.client.as_deref().unwrap().starts_with("SSH-2.0-russh"));
    assert!(session.transfers.is_empty());

    drop((client, stranger));
    let gone = async {
        while !edge.sessions.list().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_session_is_ended_with_its_reason_and_others_stay() {
    let (log, edge) = (CapturedLog::start(), Edge::start(Settings::default()));
    let (client, other) = (edge.log_in().await, edge.log_in().await);
    let ids: Vec<_> = edge.sessions.list().iter().map(|session| session.id.to_string()).collect();
    assert_eq!(ids.len(), 2);

    assert!(edge.sessions.end(&ids[0], EndCause::Operator));
    // The client ends when the server ends the connection.
    let _ = timeout(PATIENCE, client).await.unwrap();
    let line = log.line("connection ended").await;
    assert_eq!(
        (line["reason"].as_str(), line["connection"].as_str()),
        (Some("an operator ended the session"), Some(&*ids[0]))
    );
    assert_eq!((line["user"].as_str(), line["tenant"].as_str()), (Some("alice"), Some("acme")));
    assert!(!other.is_closed());
    assert_eq!(edge.sessions.list()[0].id.as_ref(), ids[1]);

    assert_eq!(edge.sessions.end_user(&"alice".parse().unwrap(), EndCause::Operator), 1);
    let _ = timeout(PATIENCE, other).await.unwrap();
}
