//! The registry of sessions, and sessions that are ended from outside.

use super::{Edge, acme, alice, log::CapturedLog};
use crate::{
    session::harness::{SftpClient, request},
    support::scope,
};
use std::{sync::Arc, time::Duration};
use tokio::{task::yield_now, time::timeout};
use wharfinger::{
    events::ClientProgram,
    memory::Budget,
    session::{Activity, EndCause, NewSession, Protocol, Registration, Session},
    sftp::channel::{ChannelSettings, SftpChannels},
    ssh::Settings,
    tenants::{GrantedLogin, Tenants},
};

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

// S202: The connections of a tenant have at most 65,536 requests without a reply. A connection that sends one more is …
#[tokio::test]
async fn a_connection_is_ended_when_its_tenant_has_too_many_requests_without_a_reply() {
    let (log, edge) = (CapturedLog::start(), Edge::start(Settings::default()));
    let (other, grant, mut full) = (edge.log_in().await, granted(), Vec::new());
    for number in 0..16 {
        let mut connection = connection_without_ssh(&edge, &grant, number).await;
        for _ in 0..4096 {
            connection.0.send(request::real_path("/a")).await;
        }
        full.push(connection);
    }

    let client = edge.log_in().await;
    let channel = client.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    // INIT is a request too.
    channel.data_bytes(&[0, 0, 0, 5, 1, 0, 0, 0, 3][..]).await.unwrap();
    let _ = timeout(PATIENCE, client).await.unwrap();
    let line = log.line("connection ended").await;
    assert_eq!(line["reason"], "the tenant's clients have too many requests without a reply");
    assert!(!other.is_closed());
}

/// Begins a frame of so many bytes.
fn begun_frame(bytes: u32) -> Vec<u8> {
    [&bytes.to_be_bytes()[..], &[6; 10_000]].concat()
}

// S209: Requests and replies that can't wait for their tenant's memory take a quarter as much as the server's memory beside …
#[tokio::test]
async fn the_connection_that_has_most_of_the_memory_of_requests_is_ended() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    let id = Arc::clone(&edge.sessions.list()[0].id);
    let (other, mut channels) = (edge.log_in().await, Vec::new());
    for _ in 0..10 {
        let channel = client.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        channel.data_bytes([&[0, 0, 0, 5, 1, 0, 0, 0, 3][..], &begun_frame(34_000)].concat()).await.unwrap();
        channels.push(channel);
    }
    // The server has read all that was sent before.
    client.send_ping().await.unwrap();
    let (grant, mut others) = (granted(), Vec::new());
    for number in 0..512 {
        let mut connection = connection_without_ssh(&edge, &grant, number).await;
        connection.0.inbound.feed(&begun_frame(190_000)).await.unwrap();
        others.push(connection);
    }
    // Not in the log: its lines of alice wait, because so many of her sessions have begun.
    let ended = async {
        while edge.sessions.list().iter().any(|session| session.id == id) {
            yield_now().await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
    assert!(!other.is_closed());
    for (client, ..) in &mut others {
        client.inbound.feed(&[0]).await.unwrap();
    }
}

fn granted() -> GrantedLogin {
    let (_, logins) = Tenants::with_logins(&[acme([alice()])]);
    scope::granted(&logins, &"alice".parse().unwrap())
}

/// A connection of alice whose channel is fed by the test.
async fn connection_without_ssh(
    edge: &Edge,
    grant: &GrantedLogin,
    number: u32,
) -> (SftpClient, Arc<Session>, Registration) {
    let (session, registration) = edge.all_sessions.begin(NewSession {
        id: number.to_string().into(),
        grant: grant.clone(),
        source: ([192, 0, 2, 7], 4711).into(),
        vpc_endpoint: None,
        protocol: Protocol::Sftp,
        client: ClientProgram::default(),
        activity: Activity::new(),
    });
    let (inbound, outbound) = SftpChannels::new(Budget::new(0), ChannelSettings::default()).open(&session);
    let mut client = SftpClient::new(inbound, outbound);
    client.begin().await;
    (client, session, registration)
}
