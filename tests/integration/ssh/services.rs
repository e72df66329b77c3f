//! The server serves only the subsystem `sftp`, and refuses everything else without harm. A shell or a command gets a
//! sentence that says so, as from OpenSSH's `internal-sftp`.

use super::{Edge, log::CapturedLog};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, Error, client::Msg};
use wharfinger::ssh::Settings;

/// SFTP's INIT of version 3, and the type of the VERSION that answers it.
const INIT: &[u8] = &[0, 0, 0, 5, 1, 0, 0, 0, 3];
const VERSION: u8 = 2;

/// True if the server grants the latest request on `channel`.
async fn is_granted(channel: &mut Channel<Msg>) -> bool {
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return true,
            Some(ChannelMsg::Failure) | None => return false,
            Some(_) => {}
        }
    }
}

async fn start_sftp(channel: &mut Channel<Msg>) {
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(is_granted(channel).await);
    channel.data_bytes(INIT).await.unwrap();
    loop {
        if let ChannelMsg::Data { data } = channel.wait().await.unwrap() {
            assert_eq!(data[4], VERSION);
            return;
        }
    }
}

#[tokio::test]
async fn only_sftp_is_served_and_a_refusal_harms_nothing() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    let mut channel = client.channel_open_session().await.unwrap();

    channel.request_pty(true, "xterm", 80, 25, 0, 0, &[]).await.unwrap();
    assert!(!is_granted(&mut channel).await, "terminal");
    channel.set_env(true, "LANG", "C").await.unwrap();
    assert!(!is_granted(&mut channel).await, "environment");
    channel.agent_forward(true).await.unwrap();
    assert!(!is_granted(&mut channel).await, "agent");
    channel.request_x11(true, false, "MIT-MAGIC-COOKIE-1", "00", 0).await.unwrap();
    assert!(!is_granted(&mut channel).await, "X11");
    channel.request_subsystem(true, "netconf").await.unwrap();
    assert!(!is_granted(&mut channel).await, "another subsystem");

    start_sftp(&mut channel).await;
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(!is_granted(&mut channel).await, "sftp again");
    channel.exec(true, "ls").await.unwrap();
    assert!(!is_granted(&mut channel).await, "exec beside sftp");
    channel.request_shell(true).await.unwrap();
    assert!(!is_granted(&mut channel).await, "shell beside sftp");
    channel.request_pty(true, "xterm", 80, 25, 0, 0, &[]).await.unwrap();
    assert!(!is_granted(&mut channel).await, "terminal beside sftp");
}

/// Returns everything that a channel receives up to its end.
async fn said(channel: &mut Channel<Msg>) -> Vec<String> {
    let mut said = Vec::new();
    while let Some(message) = channel.wait().await {
        said.push(match message {
            ChannelMsg::Success => "granted".into(),
            ChannelMsg::Failure => "refused".into(),
            ChannelMsg::Data { data } => String::from_utf8(data.to_vec()).unwrap(),
            ChannelMsg::ExitStatus { exit_status } => format!("exit {exit_status}"),
            ChannelMsg::Eof => "eof".into(),
            ChannelMsg::Close => "close".into(),
            ChannelMsg::WindowAdjusted { .. } => continue,
            message => format!("{message:?}"),
        });
    }
    said
}

/// Issue 14.7. The bytes equal those of OpenSSH's `internal-sftp`.
#[tokio::test]
async fn a_shell_and_a_command_say_that_there_is_only_sftp() {
    let log = CapturedLog::start();
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    let answer = ["granted", "This service allows sftp connections only.\n", "exit 1", "eof", "close"];

    let mut channel = client.channel_open_session().await.unwrap();
    channel.exec(true, "scp -t x").await.unwrap();
    assert_eq!(said(&mut channel).await, answer);
    let line = log.line("service refused: only sftp is served").await;
    assert_eq!(
        (&line["service"], &line["user"], &line["tenant"]),
        (&"exec scp -t x".into(), &"alice".into(), &"acme".into())
    );

    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_shell(true).await.unwrap();
    assert_eq!(said(&mut channel).await, answer);

    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_pty(true, "xterm", 80, 25, 0, 0, &[]).await.unwrap();
    assert!(!is_granted(&mut channel).await);
    channel.request_shell(true).await.unwrap();
    assert_eq!(said(&mut channel).await, answer, "after a terminal was refused");
    assert_eq!(log.lines("service refused: only sftp is served").len(), 3, "each is on record, a terminal isn't");

    start_sftp(&mut client.channel_open_session().await.unwrap()).await;
}

/// A client that keeps sending, such as an old scp or rsync, disturbs no other channel.
#[tokio::test]
async fn what_a_refused_command_is_sent_is_ignored() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.exec(false, "rsync --server").await.unwrap();
    for _ in 0..500 {
        // The server may have closed the channel by now.
        if channel.data_bytes(vec![0; 1_000]).await.is_err() {
            break;
        }
    }
    assert_eq!(said(&mut channel).await.last().unwrap(), "close");
    start_sftp(&mut client.channel_open_session().await.unwrap()).await;
}

/// Refused commands leave nothing behind. They use up neither the channels that a connection may have, nor the channels
/// that it may leave open. They count towards the limit on refusals.
#[tokio::test]
async fn a_hundred_commands_take_no_channel_for_good_and_then_the_client_is_sent_away() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    for number in 0..100 {
        let mut channel = client.channel_open_session().await.unwrap();
        channel.exec(true, "true").await.unwrap();
        assert_eq!(said(&mut channel).await.len(), 5, "{number}");
    }
    start_sftp(&mut client.channel_open_session().await.unwrap()).await;
    let one_more = client.channel_open_session().await.unwrap();
    one_more.exec(true, "true").await.unwrap();
    while !client.is_closed() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_is_forwarded() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    let refused = |error| matches!(error, Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited));
    assert!(refused(client.channel_open_direct_tcpip("localhost", 22, "localhost", 1).await.unwrap_err()));
    assert!(refused(client.channel_open_direct_streamlocal("/run/docker.sock").await.unwrap_err()));
    assert!(refused(client.channel_open_x11("localhost", 1).await.unwrap_err()));
    assert!(client.tcpip_forward("0.0.0.0", 0).await.is_err());
    assert!(client.streamlocal_forward("/tmp/socket").await.is_err());
    start_sftp(&mut client.channel_open_session().await.unwrap()).await;
}

#[tokio::test]
async fn who_keeps_asking_is_sent_away() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    for _ in 0..200 {
        if client.channel_open_direct_tcpip("localhost", 22, "localhost", 1).await.is_err() && client.is_closed() {
            return;
        }
    }
    panic!("200 refusals, and still there");
}

#[tokio::test]
async fn a_connection_has_ten_channels_and_a_closed_one_makes_room() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    let mut channels = Vec::new();
    for _ in 0..10 {
        channels.push(client.channel_open_session().await.unwrap());
    }
    let eleventh = client.channel_open_session().await.unwrap_err();
    assert!(matches!(eleventh, Error::ChannelOpenFailure(ChannelOpenFailure::ResourceShortage)), "{eleventh}");

    let mut used = channels.pop().unwrap();
    start_sftp(&mut used).await;
    used.close().await.unwrap();
    start_sftp(&mut client.channel_open_session().await.unwrap()).await;
}

#[tokio::test]
async fn bytes_on_a_channel_that_is_not_sftp_stop_nobody() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    let unused = client.channel_open_session().await.unwrap();
    for _ in 0..500 {
        unused.data_bytes(vec![0; 1_000]).await.unwrap();
        unused.extended_data_bytes(1, vec![0; 1_000]).await.unwrap();
    }
    start_sftp(&mut client.channel_open_session().await.unwrap()).await;
}

#[tokio::test]
async fn the_end_of_input_ends_the_channel_in_good_order() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    let mut channel = client.channel_open_session().await.unwrap();
    start_sftp(&mut channel).await;
    channel.eof().await.unwrap();
    let mut said = Vec::new();
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::ExitStatus { exit_status } => said.push(format!("exit {exit_status}")),
            ChannelMsg::Eof => said.push("eof".into()),
            ChannelMsg::Close => said.push("close".into()),
            _ => {}
        }
    }
    assert_eq!(said, ["exit 0", "eof", "close"]);
}

/// Issue 12.9: the server closes a channel after it has answered the EOF, and forgets it once the client has closed it
/// too.
#[tokio::test]
async fn any_number_of_channels_may_come_one_after_the_other() {
    let edge = Edge::start(Settings::default());
    let client = edge.log_in().await;
    // More than the channels that a connection may leave open on its side.
    for _ in 0..150 {
        let mut channel = client.channel_open_session().await.unwrap();
        start_sftp(&mut channel).await;
        channel.eof().await.unwrap();
        while channel.wait().await.is_some() {}
    }
}
