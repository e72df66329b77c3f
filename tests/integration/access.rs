//! Logins against a provider that knows alice, and their records.

use crate::support::{scope, tree::node};
use async_trait::async_trait;
use std::{net::IpAddr, num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::Receiver,
    time::{Instant, sleep},
};
use wharfinger::{
    access::{
        Access, ClientAddress, KeyOffer, LOGIN_METHODS, Login, LoginAnswer, LoginEnd, LoginMethod, LoginStep, More,
        Peer, PresentedKey,
    },
    account::{Credentials, Mounts, OpenBy, Permissions, ProbedRole, Role, Tenant, User},
    events::{Event, Events, Record, Who},
    identity::{Credential, Provider, ProviderAnswer, PublicKey, Reason},
    journal::MemoryJournal,
    memory::Budget,
    name::{LoginName, Prefix},
    policy::{ConnectionLimits, Connections, LoggedInLimits, Parties, PasswordChecks, Source},
    session::{Activity, Protocol, Registry, Sessions},
    tenants::{Logins, TenantSetup, Tenants, UsedCredential, UserSetup},
    testing::MemoryBucket,
};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ alice";
const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA mallory";

/// The hash of no password: [`Alice`] compares in clear.
const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c";
const OTHER_HASH: &str = "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c";

/// Knows alice, who has the passwords `right` and `slow`, and the key [`KEY`]. The check of `slow` takes [`SLOW`].
struct Alice(Logins);

const SLOW: Duration = Duration::from_secs(5);

#[async_trait]
impl Provider for Alice {
    async fn authenticate(&self, name: &LoginName, credential: Credential<'_>, _source: IpAddr) -> ProviderAnswer {
        let is_right = match credential {
            Credential::Password("panic") => panic!("a provider that panics"),
            Credential::Password(password) => matches!(password, "right" | "slow"),
            Credential::OfferedKey(key) | Credential::ProvedKey(key) => *key == key_of(KEY),
        };
        let alice = name.user().and_then(|name| self.0.find(name));
        let Some(alice) = alice else { return ProviderAnswer::Refused { reason: Reason::UnknownUser } };
        if !is_right {
            return ProviderAnswer::Refused { reason: Reason::WrongPassword };
        }
        let used = match credential {
            Credential::Password(password) => {
                if password == "slow" {
                    sleep(SLOW).await;
                }
                UsedCredential::Password(HASH.parse().unwrap())
            }
            Credential::OfferedKey(key) | Credential::ProvedKey(key) => UsedCredential::Key(key.clone()),
        };
        ProviderAnswer::Accepted(alice.grant(used))
    }
}

/// The tenant acme with its user alice, who has the password of `hash` and the key of `key`.
fn acme(hash: &str, key: &str) -> TenantSetup {
    let alice = User {
        name: "alice".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        enabled: true,
        mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), Permissions::ALL),
    };
    let credentials = Credentials { password_hash: Some(hash.parse().unwrap()), public_keys: vec![key_of(key)] };
    let alice = UserSetup { user: Arc::new(alice), credentials: Arc::new(credentials) };
    let storage = scope::storage("vendor", "http://127.0.0.1:1", "nobody", "secret");
    TenantSetup { users: vec![alice], ..scope::setup("acme", storage) }
}

/// The place of all logins, with room for `logged_in` users.
struct Door {
    access: Arc<Access>,
    tenants: Arc<Tenants>,
    sessions: Arc<Registry>,
    connections: Arc<Connections>,
    records: Receiver<Arc<Record>>,
}

impl Door {
    fn with_room_for(logged_in: usize) -> Self {
        Self::with_limits(LoggedInLimits::of(logged_in))
    }

    fn with_limits(logged_in: LoggedInLimits) -> Self {
        let events = Events::new("node");
        let records = events.subscribe();
        let node = node(Arc::new(MemoryBucket::new()), &Budget::new(1 << 20), Arc::new(MemoryJournal::default()));
        let sessions = Arc::new(Sessions::new(node, events.clone()));
        let registry = Arc::clone(sessions.registry());
        let checks = PasswordChecks::new(NonZeroUsize::MIN);
        let (tenants, logins) = Tenants::with_logins(&[acme(HASH, KEY)]);
        let provider = Arc::new(Alice(logins));
        let access = Arc::new(Access::new(provider, Arc::clone(&tenants), checks, sessions, events, 2));
        let connections = Connections::new(ConnectionLimits { logged_in, ..ConnectionLimits::default() });
        Self { access, tenants, sessions: registry, connections, records }
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

#[tokio::test(start_paused = true)]
async fn a_user_a_tenant_or_a_source_with_too_many_connections_must_end_the_next_one() {
    let limits = LoggedInLimits::of(10);
    for (limits, reason) in [
        (LoggedInLimits { per_user: 1, ..limits }, "too many connections of this user are logged in"),
        (LoggedInLimits { per_tenant: 1, ..limits }, "too many connections of this tenant are logged in"),
        (LoggedInLimits { per_source: 1, ..limits }, "too many connections from this address are logged in"),
    ] {
        let mut door = Door::with_limits(limits);
        let (mut first, mut second) = (door.login().await, door.login().await);
        assert!(matches!(first.next("alice", password("right")).await, LoginAnswer::Accepted(_)));
        assert!(matches!(second.next("alice", password("right")).await, LoginAnswer::Refused(Some(LoginEnd::Full))));
        assert_eq!(door.recorded(), ["login alice password".to_owned(), format!("refused alice password: {reason}")]);
        drop(first);
        let mut third = door.login().await;
        let next = third.next("alice", password("right")).await;
        assert!(matches!(next, LoginAnswer::Accepted(_)), "{reason}: its place is free again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_user_can_have_is_refused_like_an_unknown_one() {
    for user in ["nobody", "", "../alice\n", "alice ", "Ünknown"] {
        let mut door = Door::with_room_for(1);
        let mut login = door.login().await;
        assert_eq!(login.offered_key(user, presented(KEY)).await, KeyOffer::Refused);
        let since = Instant::now();
        let LoginAnswer::Refused(None) = login.next(user, password("right")).await else { panic!("{user:?}") };
        assert_eq!(since.elapsed(), Duration::from_secs(1), "{user:?}");
        let LoginAnswer::Refused(Some(LoginEnd::Tries)) = login.next(user, LoginStep::ProvedKey(presented(KEY))).await
        else {
            panic!("{user:?}")
        };
        let records = ["password", "publickey"].map(|method| format!("refused {user} {method}: unknown user"));
        assert_eq!(door.recorded(), records, "the text that the client sent");
    }
}

/// The directory is swapped after the provider found alice and before she is in.
#[tokio::test(start_paused = true)]
async fn a_user_who_is_removed_during_the_check_is_refused_like_any_other() {
    let removed =
        "refused alice password: the user, its tenant or the credential was removed or disabled during the login";
    let disabled = |setup: TenantSetup| TenantSetup {
        tenant: Arc::new(Tenant { enabled: false, ..Tenant::clone(&setup.tenant) }),
        ..setup
    };
    let without_users = TenantSetup { users: Vec::new(), ..acme(HASH, KEY) };
    for (setups, record) in [
        (vec![acme(HASH, KEY)], "login alice password"),
        (vec![acme(HASH, OTHER)], "login alice password"),
        (vec![acme(OTHER_HASH, KEY)], removed),
        (vec![disabled(acme(HASH, KEY))], removed),
        (vec![without_users], removed),
        (vec![], removed),
    ] {
        let mut door = Door::with_room_for(1);
        let mut login = door.login().await;
        let since = Instant::now();
        let swap = async {
            sleep(SLOW / 2).await;
            door.tenants.swap(&setups);
        };
        let (answer, ()) = tokio::join!(login.next("alice", password("slow")), swap);
        assert_eq!(since.elapsed(), SLOW);
        let is_in = record.starts_with("login");
        match answer {
            LoginAnswer::Accepted(_) => assert!(is_in, "{setups:?}"),
            LoginAnswer::Refused(None) => assert!(!is_in, "{setups:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(login.session().is_some(), is_in);
        assert_eq!(door.sessions.list().len(), usize::from(is_in));
        assert_eq!(door.recorded(), [record]);
        if !is_in {
            let LoginAnswer::Refused(Some(LoginEnd::Tries)) = login.next("alice", password("wrong")).await else {
                panic!("it was a try")
            };
        }
    }
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

/// acme with a role, which its file accepts although it is open, or doesn't.
fn with_role(accept_without_external_id: bool) -> TenantSetup {
    let mut setup = acme(HASH, KEY);
    let mut storage = (*setup.storage).clone();
    storage.credentials.role = Some(open_role(accept_without_external_id));
    setup.storage = Arc::new(storage);
    setup
}

fn open_role(accept_without_external_id: bool) -> Role {
    Role {
        arn: "arn:aws:iam::111122223333:role/wharfinger".parse().unwrap(),
        external_id: "wh-1".parse().unwrap(),
        sts_endpoint: None,
        session_tags: false,
        source_identity: false,
        accept_without_external_id,
        via: None,
    }
}

#[tokio::test(start_paused = true)]
async fn logins_of_an_open_role_are_unavailable_until_it_is_closed_or_the_file_accepts_it() {
    const OPEN: &str = "the tenant's role is open: its trust policy must require the external ID";
    let mut door = Door::with_room_for(4);
    let region = with_role(false).storage.region.clone();
    let verdict = || [(ProbedRole::new(&open_role(false), &region), OpenBy::NoExternalId)].into();
    door.tenants.swap(&[with_role(false)]);
    assert!(is_let_in(&door).await, "no verdict stops nobody");
    door.tenants.set_open_roles(verdict());
    door.recorded();

    let mut login = door.login().await;
    assert_eq!(login.offered_key("alice", presented(KEY)).await, KeyOffer::Acceptable);
    let proved = login.next("alice", LoginStep::ProvedKey(presented(KEY))).await;
    assert!(matches!(proved, LoginAnswer::Unavailable(None)), "{proved:?}");
    let began = Instant::now();
    let refused = login.next("alice", password("right")).await;
    assert!(matches!(refused, LoginAnswer::Unavailable(Some(LoginEnd::Tries))), "{refused:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(1), "as long as a wrong password");
    assert!(login.session().is_none() && door.sessions.list().is_empty());
    // The credential comes first: a stranger and the client of a user learn nothing of the role.
    let mut stranger = door.login().await;
    assert!(matches!(stranger.next("alice", password("wrong")).await, LoginAnswer::Refused(None)));
    let expected = [
        format!("refused alice publickey: {OPEN}"),
        format!("refused alice password: {OPEN}"),
        "refused alice password: wrong password".to_owned(),
    ];
    assert_eq!(door.recorded(), expected);

    door.tenants.swap(&[with_role(true)]);
    assert!(is_let_in(&door).await, "the file accepts it");
    door.tenants.swap(&[with_role(false)]);
    assert!(!is_let_in(&door).await);
    door.tenants.set_open_roles([].into());
    assert!(is_let_in(&door).await, "a probe was refused");
    door.tenants.set_open_roles(verdict());
    door.tenants.swap(&[acme(HASH, KEY)]);
    assert!(is_let_in(&door).await, "the tenant has no role");
}

async fn is_let_in(door: &Door) -> bool {
    let mut login = door.login().await;
    matches!(login.next("alice", password("right")).await, LoginAnswer::Accepted(_))
}
