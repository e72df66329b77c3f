//! The end of connections, and of the server.

use super::Edge;
use std::time::Duration;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use wharfinger::ssh::{HostKeyKind, HostKeys, ListenerChanges, Settings};

#[tokio::test]
async fn an_idle_connection_is_ended() {
    let edge = Edge::start(Settings { idle_timeout: Duration::from_millis(300), ..Settings::default() });
    let client = edge.log_in().await;
    let _unused = client.channel_open_session().await.unwrap();
    // The client ends when the server ends the connection.
    let _ = timeout(Duration::from_secs(5), client).await.unwrap();
}

#[tokio::test]
async fn draining_takes_nobody_new_and_ends_when_nothing_is_left_to_do() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    let stranger = edge.silent().await;
    edge.drain.cancel();
    timeout(Duration::from_secs(20), edge.running).await.unwrap().unwrap();
    assert!(client.is_closed());
    assert!(super::is_closed_within(stranger, Duration::from_secs(1)).await);
}

#[tokio::test]
async fn a_port_in_use_is_said_clearly() {
    let edge = Edge::start(Settings::default());
    let other = Settings { listen: vec![edge.address], ..Settings::default() };
    let provider = super::static_provider(&other, []);
    let error = super::server(other, provider).0.bind().err().unwrap();
    assert!(error.is_in_use());
    let sentence =
        format!("cannot listen on {}: {}: another address in `listen` has it already", edge.address, error.error);
    assert_eq!(error.to_string(), sentence);
    assert_eq!(error.error.kind(), std::io::ErrorKind::AddrInUse);
}

/// Issue 17.1.
#[tokio::test]
async fn a_listener_that_closes_serves_those_who_have_connected() {
    let settings = Settings { listen: vec![([127, 0, 0, 1], 0).into()], ..Settings::default() };
    let (server, _) = super::server(settings.clone(), super::static_provider(&settings, []));
    let listening = server.bind().unwrap();
    let (first, listeners) = (listening.addresses()[0], listening.listeners());
    let (drain, disconnect) = (CancellationToken::new(), CancellationToken::new());
    let running = tokio::spawn(listening.run(drain.clone(), disconnect));
    sleep(Duration::from_millis(10)).await;
    // The server doesn't run while this thread connects.
    let early: Vec<_> = (0..5).map(|_| std::net::TcpStream::connect(first).unwrap()).collect();
    let host_keys = || HostKeys::ephemeral(&[HostKeyKind::Ed25519]).unwrap();
    let elsewhere = Settings { listen: vec![([127, 0, 0, 2], 0).into()], ..settings };
    let changes = listeners.change(&elsewhere, host_keys()).await.unwrap();
    assert_eq!((changes.added.len(), changes.removed), (1, vec![first]));
    assert!(std::net::TcpStream::connect(first).is_err());
    let then = std::net::TcpStream::connect(changes.added[0]).unwrap();
    for connection in early.into_iter().chain([then]) {
        connection.set_nonblocking(true).unwrap();
        super::greet(TcpStream::from_std(connection).unwrap()).await.unwrap();
    }
    let unchanged = listeners.change(&elsewhere, host_keys()).await.unwrap();
    assert_eq!(unchanged, ListenerChanges::default());
    drain.cancel();
    timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
    assert!(std::net::TcpStream::connect(changes.added[0]).is_err());
}
