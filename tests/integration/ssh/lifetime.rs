//! The end of connections, and of the server.

use super::Edge;
use std::time::Duration;
use tokio::time::timeout;
use wharfinger::ssh::Settings;

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
