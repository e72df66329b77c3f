//! Sessions after a swap of the directory: an open one keeps its files, follows new values, or ends.

use crate::support::{scope, tree::node};
use std::{slice, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use wharfinger::{
    account::{Credentials, Mount, Mounts, Permission, Permissions, Tenant, User},
    events::{ClientProgram, Events},
    journal::MemoryJournal,
    memory::Budget,
    name::{Prefix, UserName, VirtualPath},
    session::{
        Activity, EndCause, FileUpload, NewSession, OpenTree, Protocol, Registration, Session, Sessions, TreeChange,
        WriteOpening,
    },
    store::Bucket,
    tenants::{TenantSetup, Tenants},
    testing::MemoryBucket,
    vfs::{Error, NewAttributes, WriteOptions},
};

const GRACE: Duration = Duration::from_secs(30);

/// The time for the replies to a client's last requests.
const LAST_REPLIES: Duration = Duration::from_secs(1);

/// A server with the tenant acme, and alice's session.
pub struct OpenSession {
    tenants: Arc<Tenants>,
    sessions: Sessions,
    session: Arc<Session>,
    _registration: Registration,
    pub open: OpenTree,
}

/// Acme with its user alice, as `change` leaves them.
pub fn acme(change: impl FnOnce(&mut Tenant, &mut User, &mut Credentials)) -> TenantSetup {
    let setup = scope::setup("acme", scope::storage("vendor", "http://127.0.0.1:1", "nobody", "secret"));
    let mount = |entry: &str, prefix: &str| Mount {
        entry: VirtualPath::configured(entry).unwrap(),
        prefix: Prefix::parse(prefix).unwrap(),
        permissions: Permissions::ALL,
    };
    let mounts = [mount("/", "acme/"), mount("/in", "acme/inbox/")];
    let mut alice = User {
        name: "alice".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        enabled: true,
        mounts: Mounts::new(mounts, VirtualPath::root()).unwrap(),
    };
    let mut tenant = Tenant::clone(&setup.tenant);
    let mut credentials = Credentials { password_hash: None, public_keys: vec![scope::KEY.parse().unwrap()] };
    change(&mut tenant, &mut alice, &mut credentials);
    let setup = scope::setup_of(alice, tenant);
    let users = setup.users.iter().cloned().map(|mut user| {
        user.credentials = Arc::new(credentials.clone());
        user
    });
    TenantSetup { users: users.collect(), ..setup }
}

/// Acme whose mount `/in` leads to another prefix.
pub fn with_inbox_at(prefix: &'static str) -> TenantSetup {
    acme(move |_, alice, _| {
        let mounts = alice.mounts.iter().cloned().map(|mount| match mount.entry.as_str() {
            "/in" => Mount { prefix: Prefix::parse(prefix).unwrap(), ..mount },
            _ => mount,
        });
        alice.mounts = Mounts::new(mounts.collect::<Vec<_>>(), VirtualPath::root()).unwrap();
    })
}

/// Acme without the mount `/in`.
pub fn without_inbox() -> TenantSetup {
    acme(|_, alice, _| {
        let mounts = alice.mounts.iter().filter(|mount| mount.entry.as_str() != "/in").cloned();
        alice.mounts = Mounts::new(mounts.collect::<Vec<_>>(), VirtualPath::root()).unwrap();
    })
}

/// Acme whose mounts have other permissions.
pub fn with_permissions(permissions: Permissions) -> TenantSetup {
    acme(|_, alice, _| {
        let mounts = alice.mounts.iter().map(|mount| Mount { permissions, ..mount.clone() });
        alice.mounts = Mounts::new(mounts.collect::<Vec<_>>(), VirtualPath::root()).unwrap();
    })
}

impl OpenSession {
    fn new() -> Self {
        let bucket = Arc::new(MemoryBucket::new());
        bucket.insert("acme/old", "123456789");
        bucket.insert("acme/inbox/old", "1");
        Self::over(bucket)
    }

    pub fn over(bucket: Arc<dyn Bucket>) -> Self {
        let node = node(bucket, &Budget::new(64 << 20), Arc::new(MemoryJournal::default()));
        let sessions = Sessions::new(node, Events::new("node-1"));
        let (tenants, logins) = Tenants::with_logins(&[acme(|_, _, _| {})]);
        let alice: UserName = "alice".parse().unwrap();
        let (session, registration) = sessions.begin(NewSession {
            id: "5f0c".into(),
            grant: scope::granted(&logins, &alice),
            source: ([192, 0, 2, 7], 4711).into(),
            vpc_endpoint: None,
            protocol: Protocol::Sftp,
            client: ClientProgram::default(),
            activity: Activity::new(),
        });
        let open = session.open_tree();
        Self { tenants, sessions, session, _registration: registration, open }
    }

    /// Swaps the directory. Returns the number of sessions that end.
    pub fn swap(&self, setups: &[TenantSetup]) -> usize {
        self.tenants.swap(setups);
        self.sessions.follow(&self.tenants, GRACE)
    }

    async fn upload(&self, path: &str) -> Result<FileUpload, Error> {
        let options = WriteOptions { write: true, create: true, truncate: true, ..WriteOptions::default() };
        let tree = self.open.tree();
        let opened = tree.open_write(&at(path), options, NewAttributes::default(), async {}).await?;
        let WriteOpening::Upload(pending) = opened else { panic!("{opened:?}") };
        Ok(pending.admit(Duration::ZERO).await?.begin().await)
    }

    /// Asserts that the session goes on.
    pub async fn assert_open(&self) {
        assert!(timeout(GRACE * 2, self.session.end_asked()).await.is_err());
        self.open.tree().stat(&at("/old")).await.unwrap();
    }

    /// Returns the cause of the end, and the time until it.
    async fn end(&self) -> (EndCause, Duration) {
        let since = Instant::now();
        (self.session.end_asked().await, since.elapsed())
    }
}

pub fn at(path: &str) -> VirtualPath {
    VirtualPath::configured(path).unwrap()
}

#[tokio::test(start_paused = true)]
async fn other_permissions_and_limits_count_from_the_next_request_on_and_end_nothing() {
    let site = OpenSession::new();
    let mut open = site.upload("/a").await.unwrap();
    open.write(0, "123".into()).await.unwrap();
    let read_only: Permissions = [Permission::Read, Permission::List].into_iter().collect();
    assert_eq!(site.swap(&[with_permissions(read_only)]), 0);
    assert!(matches!(site.upload("/b").await.unwrap_err(), Error::Denied(Permission::Write)));
    let mkdir = TreeChange::Mkdir(NewAttributes::default());
    site.open.tree().change(&mkdir, &at("/d"), async {}).await.unwrap_err();
    open.write(3, "456".into()).await.unwrap();
    open.close().await.unwrap();
    assert_eq!(site.open.tree().stat(&at("/a")).await.unwrap().size, 6, "a file keeps the rights of its OPEN");
    assert_eq!(site.swap(&[acme(|tenant, _, _| tenant.max_object_bytes = 2)]), 0);
    let mut small = site.upload("/c").await.unwrap();
    assert!(matches!(small.write(0, "123".into()).await.unwrap_err(), Error::TooLarge { limit: 2 }));
    site.assert_open().await;
}

#[tokio::test(start_paused = true)]
async fn added_keys_and_passwords_and_other_tenants_end_nothing() {
    let site = OpenSession::new();
    let other: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA alice";
    let hash = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c";
    let with_more = acme(|_, _, credentials| {
        credentials.public_keys.insert(0, other.parse().unwrap());
        credentials.password_hash = Some(hash.parse().unwrap());
    });
    assert_eq!(site.swap(slice::from_ref(&with_more)), 0);
    let globex = scope::setup("globex", scope::storage("globex", "http://127.0.0.1:1", "nobody", "secret"));
    assert_eq!(site.swap(&[with_more, globex]), 0);
    site.assert_open().await;
}

#[tokio::test(start_paused = true)]
async fn without_its_rights_a_session_may_finish_its_transfers_and_nothing_else() {
    let causes: [(Vec<TenantSetup>, EndCause, &str); 3] = [
        (vec![], EndCause::UserRemoved, "the user was removed"),
        (
            vec![acme(|_, alice, _| alice.name = "alicia".parse().unwrap())],
            EndCause::UserRemoved,
            "the user was removed",
        ),
        (
            vec![acme(|_, _, credentials| credentials.public_keys.clear())],
            EndCause::CredentialRemoved,
            "the credential of this login was removed",
        ),
    ];
    for (setups, cause, sentence) in causes {
        let site = OpenSession::new();
        let tree = site.open.tree();
        let download = tree.open_read(&at("/old")).await.unwrap();
        let mut upload = site.upload("/a").await.unwrap();
        assert_eq!(site.swap(&setups), 1);
        assert_eq!(site.swap(&setups), 0, "it ends once");
        let refused = [
            tree.stat(&at("/old")).await.unwrap_err(),
            tree.open_read(&at("/old")).await.unwrap_err(),
            site.upload("/b").await.unwrap_err(),
            tree.change(&TreeChange::Remove, &at("/old"), async {}).await.unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.to_string(), format!("the server is ending this session: {sentence}"));
        }
        assert_eq!(download.read(0, 4).await.unwrap().concat(), b"1234");
        upload.write(0, "123".into()).await.unwrap();
        let finish = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            download.close();
            upload.close().await.unwrap();
        };
        let (ended, ()) = tokio::join!(site.end(), finish);
        assert_eq!(ended, (cause, Duration::from_secs(10) + LAST_REPLIES), "after the last transfer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_does_not_end_gets_the_grace_and_no_more() {
    let site = OpenSession::new();
    let _upload = site.upload("/a").await.unwrap();
    site.swap(&[]);
    assert_eq!(site.end().await, (EndCause::UserRemoved, GRACE));
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_end_the_grace() {
    let site = OpenSession::new();
    let _upload = site.upload("/a").await.unwrap();
    assert_eq!(site.swap(&[]), 1);
    assert!(site.sessions.registry().end("5f0c", EndCause::Operator), "its transfer was still open");
    assert!(!site.sessions.registry().end("5f0c", EndCause::Operator));
    assert_eq!(site.end().await, (EndCause::UserRemoved, Duration::ZERO), "the first cause counts");

    let site = OpenSession::new();
    let _upload = site.upload("/a").await.unwrap();
    assert_eq!(site.swap(&[acme(|_, alice, _| alice.enabled = false)]), 1);
    assert!(!site.sessions.registry().end("5f0c", EndCause::Operator), "it has no grace");
}

#[tokio::test(start_paused = true)]
async fn a_disabled_user_or_tenant_gets_no_grace() {
    let user = acme(|_, alice, _| alice.enabled = false);
    let tenant = acme(|tenant, _, _| tenant.enabled = false);
    for setup in [user, tenant] {
        let site = OpenSession::new();
        let _upload = site.upload("/a").await.unwrap();
        assert_eq!(site.swap(slice::from_ref(&setup)), 1);
        assert_eq!(site.end().await, (EndCause::Disabled, Duration::ZERO));
    }
    let site = OpenSession::new();
    let _upload = site.upload("/a").await.unwrap();
    assert_eq!(site.swap(&[acme(|_, _, credentials| credentials.public_keys.clear())]), 1);
    assert_eq!(site.swap(&[acme(|_, alice, _| alice.enabled = false)]), 0, "it is ending already");
    assert_eq!(site.end().await.1, Duration::ZERO, "but now it ends at once");
}

#[tokio::test(start_paused = true)]
async fn a_mount_ends_a_session_only_if_it_has_open_files_there() {
    let site = OpenSession::new();
    let elsewhere = site.upload("/a").await.unwrap();
    site.open.tree().stat(&at("/in/old")).await.unwrap();
    assert_eq!(site.swap(&[with_inbox_at("acme/other/")]), 0);
    assert!(
        matches!(site.open.tree().stat(&at("/in/old")).await.unwrap_err(), Error::NotFound),
        "the new place counts"
    );
    elsewhere.close().await.unwrap();
    site.assert_open().await;

    // A file that was opened for reading and writing, and that the client hasn't touched yet, is open too.
    let site = OpenSession::new();
    let options = WriteOptions { read: true, write: true, ..WriteOptions::default() };
    let open = site.open.tree().open_write(&at("/in/old"), options, NewAttributes::default(), async {}).await.unwrap();
    assert!(matches!(open, WriteOpening::Unchanged(..)), "{open:?}");
    assert_eq!(site.swap(&[with_inbox_at("acme/other/")]), 1);
    drop(open);

    let site = OpenSession::new();
    let _inside = site.upload("/in/a").await.unwrap();
    assert_eq!(site.swap(&[with_inbox_at("acme/other/")]), 1);
    assert_eq!(site.end().await, (EndCause::MountRemoved, GRACE));
}
