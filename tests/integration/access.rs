//! Logins against a provider that knows alice, and their records.

use crate::support::tree::node;
use async_trait::async_trait;
use std::{net::IpAddr, num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::{sync::broadcast::Receiver, time::Instant};
use wharfinger::{
    access::{
        Access, ClientAddress, KeyOffer, LOGIN_METHODS, Login, LoginAnswer, LoginEnd, LoginMethod, LoginStep, More,
        Peer, PresentedKey,
    },
    account::{Mounts, Permissions, Tenant, User},
    events::{Event, Events, Record, Who},
    identity::{Credential, Provider, ProviderAnswer, PublicKey, Reason},
    name::{Prefix, TenantName},
    policy::{ConnectionLimits, Connections, Parties, PasswordChecks, Source},
    session::{Activity, Protocol, Registry, Sessions},
    store::{MemoryBucket, MemoryJournal},
    vfs::Budget,
};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ alice";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA mallory";

/// Knows alice, who has the password `right` and the key [`KEY`].
struct Alice;

#[async_trait]
impl Provider for Alice {
    async fn authenticate(&self, user: &str, credential: Credential<'_>, _source: IpAddr) -> ProviderAnswer {
        let is_right = match credential {
            Credential::Password("panic") => panic!("a provider that panics"),
            Credential::Password(password) => password == "right",
            Credential::OfferedKey(key) | Credential::ProvedKey(key) => *key == key_of(KEY),
        };
        if user != "alice" {
            return ProviderAnswer::Refused { reason: Reason::UnknownUser };
        }
        if !is_right {
            return ProviderAnswer::Refused { reason: Reason::WrongPassword };
        }
        let tenant: TenantName = "acme".parse().unwrap();
        let user = User {
            name: "alice".parse().unwrap(),
            tenant: tenant.clone(),
            enabled: true,
            mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), Permissions::ALL),
        };
        let tenant = Tenant {
            name: tenant,
            enabled: true,
            max_object_bytes: 1 << 30,
            fetch_ahead: true,
            max_rename_objects: 100,
            partial_uploads_kept_for: None,
        };
        ProviderAnswer::Accepted { user: Arc::new(user), tenant: Arc::new(tenant) }
    }
}

/// The place of all logins, with room for `logged_in` users.
struct Door {
    access: Arc<Access>,
    sessions: Arc<Registry>,
    connections: Arc<Connections>,
    records: Receiver<Arc<Record>>,
}

impl Door {
    fn with_room_for(logged_in: usize) -> Self {
        let events = Events::new("node");
        let records = events.subscribe();
        let node = node(Arc::new(MemoryBucket::new()), &Budget::new(1 << 20), Arc::new(MemoryJournal::default()));
        let sessions = Arc::new(Sessions::new(node, events.clone()));
        let registry = Arc::clone(sessions.registry());
        let checks = PasswordChecks::new(NonZeroUsize::MIN);
        let access = Arc::new(Access::new(Arc::new(Alice), checks, sessions, events, 2));
        let connections = Connections::new(ConnectionLimits { logged_in, ..ConnectionLimits::default() });
        Self { access, sessions: registry, connections, records }
    }

    async fn login(&self) -> Login {
        let address = ClientAddress::new(([192, 0, 2, 7], 4711).into(), None, &[]);
        let arrival = self.connections.arrive().unwrap();
        let place = arrival.admit(&Source::new([192, 0, 2, 7].into(), None), Parties::One).await.unwrap();
        let peer = Arc::new(Peer::new("5f0c".into(), address));
        Login::new(Arc::clone(&self.access), peer, place, Protocol::Sftp, Activity::new())
    }

    /// The records since the last call: `login NAME METHOD`, or `refused NAME METHOD: REASON`.
    fn recorded(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(record) = self.records.try_recv() {
            all.push(match (&record.who, &record.event) {
                (Who::Session(who), Event::LoginAccepted { method, .. }) => format!("login {} {method}", who.user),
                (Who::Connection(_), Event::LoginRefused { name, method, reason, .. }) => {
                    format!("refused {name} {method}: {reason}")
                }
                other => panic!("{other:?}"),
            });
        }
        all
    }
}

fn key_of(line: &str) -> PublicKey {
    line.parse().unwrap()
}

fn presented(line: &str) -> PresentedKey {
    PresentedKey { fingerprint: Some("SHA256:x".to_owned()), key: Ok(key_of(line)) }
}

fn password(password: &str) -> LoginStep<'_> {
    LoginStep::Password { password, method: LoginMethod::Password }
}

#[tokio::test(start_paused = true)]
async fn a_login_goes_from_the_methods_to_a_session() {
    let mut door = Door::with_room_for(1);
    let mut login = door.login().await;
    let next = login.next("alice", LoginStep::Methods).await;
    let methods = More::Methods { methods: LOGIN_METHODS, partial_success: false };
    assert!(matches!(next, LoginAnswer::More(more) if more == methods));
    let next = login.next("alice", LoginStep::Prompt).await;
    assert!(matches!(next, LoginAnswer::More(More::Challenge { prompt: "Password: ", echo: false })));
    let answer = LoginStep::Password { password: "right", method: LoginMethod::KeyboardInteractive };
    let LoginAnswer::Accepted(session) = login.next("alice", answer).await else { panic!("refused") };
    assert_eq!((&*session.who().session, session.who().user.as_str()), ("5f0c", "alice"));
    assert!(Arc::ptr_eq(&session, login.session().unwrap()));
    assert_eq!(door.sessions.list().len(), 1);
    login.leave(false);
    assert_eq!(door.recorded(), ["login alice keyboard-interactive"]);
    drop(login);
    assert!(door.sessions.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_is_offered_as_often_as_a_client_likes_and_only_its_proof_logs_in() {
    let mut door = Door::with_room_for(1);
    let mut login = door.login().await;
    for _ in 0..10 {
        assert_eq!(login.offered_key("alice", presented(OTHER)).await, KeyOffer::Refused);
    }
    assert_eq!(login.offered_key("alice", presented(KEY)).await, KeyOffer::Acceptable);
    assert!(login.session().is_none());
    assert!(matches!(login.next("alice", LoginStep::ProvedKey(presented(KEY))).await, LoginAnswer::Accepted(_)));
    assert_eq!(door.recorded(), ["login alice publickey"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_takes_a_second_and_the_last_try_ends_the_connection() {
    let mut door = Door::with_room_for(1);
    let mut login = door.login().await;
    for (user, end) in [("alice", None), ("nobody", Some(LoginEnd::Tries))] {
        let since = Instant::now();
        let LoginAnswer::Refused(ended) = login.next(user, password("wrong")).await else { panic!("not refused") };
        assert_eq!((ended, since.elapsed()), (end, Duration::from_secs(1)), "{user}");
    }
    assert!(matches!(login.next("alice", password("right")).await, LoginAnswer::Refused(None)), "no try is left");
    login.leave(true);
    assert_eq!(door.recorded(), ["refused alice password: wrong password", "refused nobody password: unknown user"]);
}

#[tokio::test(start_paused = true)]
async fn when_as_many_are_in_as_may_be_the_connection_must_end() {
    let mut door = Door::with_room_for(1);
    let (mut first, mut second) = (door.login().await, door.login().await);
    assert!(matches!(first.next("alice", password("right")).await, LoginAnswer::Accepted(_)));
    assert!(matches!(second.next("alice", password("right")).await, LoginAnswer::Refused(Some(LoginEnd::Full))));
    assert_eq!(door.recorded().len(), 2);
    drop(first);
    let mut third = door.login().await;
    assert!(
        matches!(third.next("alice", password("right")).await, LoginAnswer::Accepted(_)),
        "its place is free again"
    );
}

/// A provider's fault lets nobody in, and counts as a try.
#[tokio::test(start_paused = true)]
async fn a_check_that_fails_is_no_refusal_of_the_password() {
    let mut door = Door::with_room_for(1);
    let mut login = door.login().await;
    assert!(matches!(login.next("alice", password("panic")).await, LoginAnswer::Unavailable(None)));
    assert_eq!(door.recorded(), ["refused alice password: the password check failed"]);
    assert!(matches!(login.next("alice", password("right")).await, LoginAnswer::Accepted(_)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_without_a_try_has_a_record() {
    let mut door = Door::with_room_for(1);
    let mut login = door.login().await;
    login.next("alice", LoginStep::Methods).await;
    login.leave(true);
    assert_eq!(door.recorded(), [] as [&str; 0], "the end of the connection says it");
    login.next("alice", LoginStep::Methods).await;
    login.leave(false);
    let left = "refused alice none: the client left after none: it offered no key and no password";
    assert_eq!(door.recorded(), [left]);
}
