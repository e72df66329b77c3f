//! Checks of strangers' passwords: limits on concurrent checks, on each source, and on the wait.

use super::{Edge, TrustingClient};
use async_trait::async_trait;
use russh::{
    MethodKind,
    client::{AuthResult, Handle},
};
use std::{net::IpAddr, num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time};
use wharfinger::{
    identity::{Credential, MAX_PASSWORD_BYTES, Provider, ProviderAnswer, Reason},
    name::LoginName,
    ssh::Settings,
};

/// A provider whose checks block until the test opens it, and then refuse.
struct BlockingProvider {
    open: watch::Sender<bool>,
    counts: watch::Sender<CheckCounts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CheckCounts {
    begun: usize,
    running: usize,
    most: usize,
}

impl BlockingProvider {
    fn new() -> Arc<Self> {
        Arc::new(Self { open: watch::Sender::new(false), counts: watch::Sender::new(CheckCounts::default()) })
    }

    async fn until_begun(&self, checks: usize) {
        self.counts.subscribe().wait_for(|counts| counts.begun == checks).await.unwrap();
    }

    fn counts(&self) -> CheckCounts {
        *self.counts.borrow()
    }
}

#[async_trait]
impl Provider for BlockingProvider {
    async fn authenticate(&self, _: &LoginName, _: Credential<'_>, _: IpAddr) -> ProviderAnswer {
        self.counts.send_modify(|counts| {
            counts.begun += 1;
            counts.running += 1;
            counts.most = counts.most.max(counts.running);
        });
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        self.counts.send_modify(|counts| counts.running -= 1);
        ProviderAnswer::Refused { reason: Reason::WrongPassword }
    }
}

fn checks(concurrent: usize) -> Settings {
    Settings { password_checks: NonZeroUsize::new(concurrent).unwrap(), ..Settings::default() }
}

/// Connects a client from `127.0.0.{host}` and sends a password.
async fn try_password(edge: &Edge, host: u8, user: &str, password: &str) -> JoinHandle<Option<AuthResult>> {
    let mut client: Handle<TrustingClient> = edge.connect_from(host).await.unwrap();
    let (user, password) = (user.to_owned(), password.to_owned());
    tokio::spawn(async move { client.authenticate_password(user, password).await.ok() })
}

fn assert_refused(answer: Option<AuthResult>) {
    let Some(AuthResult::Failure { remaining_methods, partial_success }) = answer else { panic!("{answer:?}") };
    assert_eq!(*remaining_methods, [MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive]);
    assert!(!partial_success);
}

/// Issue 12.6: a limited number of checks run at once. One source gets half of them, and each user name of a source
/// gets one.
#[tokio::test]
async fn passwords_of_many_connections_are_checked_a_few_at_a_time() {
    let provider = BlockingProvider::new();
    let edge = Edge::start_with_provider(checks(4), Arc::clone(&provider) as Arc<dyn Provider>);
    let mut tries = Vec::new();
    for index in 0..6 {
        tries.push(try_password(&edge, 1, &format!("user{index}"), "x").await);
        tries.push(try_password(&edge, 2, "alice", "x").await);
    }
    // Two from the first source, one from the second.
    provider.until_begun(3).await;
    tries.push(try_password(&edge, 3, "alice", "x").await);
    provider.until_begun(4).await;
    assert_eq!(provider.counts(), CheckCounts { begun: 4, running: 4, most: 4 });
    provider.open.send_replace(true);
    for tried in tries {
        assert_refused(tried.await.unwrap());
    }
    assert_eq!(provider.counts(), CheckCounts { begun: 13, running: 0, most: 4 });
}

/// Issue 12.6: a password that waits longer than 10 s is refused like a wrong one.
#[tokio::test]
async fn a_password_that_waits_for_too_long_is_refused_as_a_wrong_one() {
    let provider = BlockingProvider::new();
    let settings = Settings { login_timeout: Duration::from_hours(1), ..checks(1) };
    let edge = Edge::start_with_provider(settings, Arc::clone(&provider) as Arc<dyn Provider>);
    let first = try_password(&edge, 1, "alice", "x").await;
    provider.until_begun(1).await;
    let waiting = try_password(&edge, 2, "alice", "x").await;
    while !waiting.is_finished() {
        time::pause();
        time::advance(Duration::from_secs(1)).await;
        time::resume();
        time::sleep(Duration::from_millis(1)).await;
    }
    assert_refused(waiting.await.unwrap());
    assert_eq!(provider.counts(), CheckCounts { begun: 1, running: 1, most: 1 });
    provider.open.send_replace(true);
    assert_refused(first.await.unwrap());
}

#[tokio::test]
async fn an_overlong_password_waits_for_no_turn() {
    let provider = BlockingProvider::new();
    let edge = Edge::start_with_provider(checks(1), Arc::clone(&provider) as Arc<dyn Provider>);
    let first = try_password(&edge, 1, "alice", "x").await;
    provider.until_begun(1).await;
    let overlong = try_password(&edge, 1, "alice", &"x".repeat(MAX_PASSWORD_BYTES + 1)).await;
    provider.until_begun(2).await;
    provider.open.send_replace(true);
    assert_refused(first.await.unwrap());
    assert_refused(overlong.await.unwrap());
}

/// A check can't be stopped, so it keeps its place when its client disconnects. Otherwise disconnecting clients could
/// exceed the limit.
#[tokio::test]
async fn a_check_keeps_its_place_when_its_client_disconnects_and_no_wait_outlasts_the_login_timeout() {
    let provider = BlockingProvider::new();
    let settings = Settings { login_timeout: Duration::from_secs(2), ..checks(1) };
    let edge = Edge::start_with_provider(settings, Arc::clone(&provider) as Arc<dyn Provider>);
    let first = try_password(&edge, 1, "alice", "x").await;
    provider.until_begun(1).await;
    // The login timeout ends both: the provider is not open, and nothing else would release them.
    first.await.unwrap();
    let waiting = try_password(&edge, 2, "alice", "x").await;
    waiting.await.unwrap();
    assert_eq!(provider.counts(), CheckCounts { begun: 1, running: 1, most: 1 });
    provider.open.send_replace(true);
}
