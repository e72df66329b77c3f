//! A server process without a network, and clients of its sessions.

mod client;
mod received_replies;
pub mod request;
mod sparse;

pub use client::{CREATE, SftpClient, SftpResult, StatusError, WRITE_BYTES};
pub use received_replies::ReceivedReplies;
pub use sparse::Sparse;

use crate::support::{
    partials::{Left, clear_away, count_resumable},
    scope,
    tree::node,
};
use bytes::Bytes;
use std::{net::SocketAddr, sync::Arc};
use wharfinger::{
    account::{Mount, Mounts, ObjectMetadata, Permissions, RateLimits, Tenant, TenantRates, User},
    events::{ClientProgram, Events},
    journal::{Journal, MemoryJournal},
    memory::Budget,
    name::{Prefix, TenantName, VirtualPath},
    policy::PacerTable,
    session::{Activity, NewSession, OpenTransferInfo, Protocol, Registration, Session, Sessions},
    sftp::channel::{ChannelSettings, SftpChannels},
    store::Bucket,
    tenants::Tenants,
    testing::{FaultyBucket, MemoryBucket, bucket::Verb},
};

/// Settings of a [`Wharf`].
#[derive(Clone, Copy)]
pub struct Setup {
    /// Memory budget of all transfers.
    pub budget_bytes: u64,
    /// Limit on the size of a file.
    pub max_object_bytes: u64,
    /// Size of `/sparse`, a file of zeros that takes no memory.
    pub sparse_bytes: u64,
    /// Mounts beside `/`, as entries and prefixes.
    pub mounts: &'static [(&'static str, &'static str)],
    /// Number of names in `/many`, a directory that takes no memory.
    pub many_names: usize,
    /// The parts of a new file's origin that its metadata names.
    pub object_metadata: ObjectMetadata,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            budget_bytes: 256 << 20,
            max_object_bytes: 512 << 30,
            sparse_bytes: 0,
            mounts: &[],
            many_names: 0,
            object_metadata: ObjectMetadata::default(),
        }
    }
}

/// The process: one bucket, one budget, and alice of acme with all permissions on `acme/`.
pub struct Wharf {
    pub bucket: Arc<MemoryBucket>,
    pub sparse: Arc<Sparse>,
    /// Injects faults between the sessions and both buckets.
    pub faulty: Arc<FaultyBucket>,
    pub budget: Arc<Budget>,
    pub journal: Arc<MemoryJournal>,
    /// Everything that is recorded.
    pub events: Events,
    sftp: SftpChannels,
    pacers: Arc<PacerTable>,
    sessions: Sessions,
    /// Alice's. Each channel has a tree of its own.
    session: Arc<Session>,
    _registration: Registration,
}

/// A connection of its own: alice of a tenant, whose files are below the tenant's name.
pub struct UserConnection {
    session: Arc<Session>,
    _registration: Registration,
}

impl Wharf {
    pub fn start() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Self {
        let bucket = Arc::new(MemoryBucket::new());
        let sparse = Sparse::new(Arc::clone(&bucket), "acme/sparse", setup.sparse_bytes, setup.many_names);
        let sparse = Arc::new(sparse);
        // A sixteenth of the total is for small files.
        let budget = Budget::new(setup.budget_bytes * 16 / 15);
        let faulty = Arc::new(FaultyBucket::over(Arc::clone(&sparse) as Arc<dyn Bucket>));
        let journal = Arc::new(MemoryJournal::default());
        let shared = Arc::clone(&journal) as Arc<dyn Journal>;
        let events = Events::new("node");
        let pacers = Arc::new(PacerTable::default());
        let sessions = Sessions::new(node(Arc::clone(&faulty) as Arc<_>, &budget, shared), events.clone());
        let sessions = sessions.paced_by(Arc::clone(&pacers));
        let sftp = SftpChannels::new(Arc::clone(&budget), ChannelSettings::default());
        let (session, registration) = sessions.begin(login("test", "acme", &setup));
        Self {
            bucket,
            sparse,
            faulty,
            budget,
            journal,
            events,
            sftp,
            pacers,
            sessions,
            session,
            _registration: registration,
        }
    }

    /// Opens a channel before INIT.
    pub fn channel(&self) -> SftpClient {
        let (inbound, outbound) = self.sftp.open(&self.session);
        SftpClient::new(inbound, outbound)
    }

    /// Gives acme these rates, and its users and sessions none.
    pub fn set_rates(&self, rates: RateLimits) {
        self.set_each_rate(&TenantRates { together: rates, ..TenantRates::default() });
    }

    /// Gives acme, its users and their sessions these rates.
    pub fn set_each_rate(&self, rates: &TenantRates) {
        self.pacers.set_rates([(&"acme".parse().unwrap(), *rates)]);
    }

    /// Logs alice of `tenant` in on another connection.
    pub fn log_in(&self, id: &str, tenant: &str) -> UserConnection {
        let (session, registration) = self.sessions.begin(login(id, tenant, &Setup::default()));
        UserConnection { session, _registration: registration }
    }

    /// Opens a channel of `connection`, and exchanges INIT and VERSION.
    pub async fn connect_on(&self, connection: &UserConnection) -> SftpClient {
        let (inbound, outbound) = self.sftp.open(&connection.session);
        let mut client = SftpClient::new(inbound, outbound);
        client.begin().await;
        client
    }

    /// Connects a client and exchanges INIT and VERSION.
    pub async fn connect(&self) -> SftpClient {
        let mut client = self.channel();
        client.begin().await;
        client
    }

    /// Returns the open files of all channels, as the registry lists them.
    pub fn transfers(&self) -> Vec<OpenTransferInfo> {
        self.sessions.registry().list().into_iter().flat_map(|session| session.transfers).collect()
    }

    /// Returns the verbs of the requests to storage since the last call.
    pub fn requested(&self) -> Vec<Verb> {
        let verbs = self.bucket.verbs();
        self.bucket.forget_requests();
        verbs
    }

    /// Waits until all sessions have ended. Checks that they left only resumable uploads, which the janitor then
    /// removes.
    pub async fn assert_nothing_left(&self) {
        self.assert_left(0).await;
    }

    /// The same, with `begun_anew` uploads that could be resumed until a client started them again.
    pub async fn assert_left(&self, begun_anew: usize) {
        self.drained().await;
        assert_eq!(self.bucket.open_uploads(), count_resumable(&self.journal).await + begun_anew);
        assert_eq!(clear_away(&self.bucket, &self.journal).await, Left { with_row: 0, without_row: 0 });
        assert_eq!((self.budget.used(), self.budget.request_bytes()), (0, 0));
    }

    /// Waits until nothing is left of any channel.
    pub async fn drained(&self) {
        self.sftp.drained().await;
        self.sessions.finish_journal().await;
    }

    /// Checks the object under alice's `path`.
    pub fn assert_stored(&self, path: &str, content: &[u8]) {
        let stored = self.bucket.bytes(&format!("acme{path}"));
        // Not assert_eq, which would print megabytes.
        assert!(stored.as_deref() == Some(content), "{path} has {:?} bytes", stored.map(|bytes| bytes.len()));
    }
}

/// Bytes that differ from block to block, because their period is prime.
pub fn content(seed: u8, len: usize) -> Bytes {
    let period: Vec<u8> = (0..=250_u8).map(|byte| byte ^ seed).collect();
    let mut bytes = period.repeat(len / period.len() + 1);
    bytes.truncate(len);
    bytes.into()
}

fn login(id: &str, tenant: &str, setup: &Setup) -> NewSession {
    let max_object_bytes = setup.max_object_bytes;
    let mount = |(entry, prefix): &(&str, &str)| Mount {
        entry: VirtualPath::configured(entry).unwrap(),
        prefix: Prefix::parse(prefix).unwrap(),
        permissions: Permissions::ALL,
    };
    let prefix = format!("{tenant}/");
    let tenant: TenantName = tenant.parse().unwrap();
    let user = User {
        name: "alice".parse().unwrap(),
        tenant: tenant.clone(),
        enabled: true,
        mounts: Mounts::new([("/", &*prefix)].iter().chain(setup.mounts).map(mount), VirtualPath::root()).unwrap(),
    };
    let object_metadata = setup.object_metadata;
    let tenant = Tenant { max_object_bytes, max_rename_objects: 100, object_metadata, ..Tenant::new(tenant) };
    let name = user.name.clone();
    let (_, logins) = Tenants::with_logins(&[scope::setup_of(user, tenant)]);
    NewSession {
        id: id.into(),
        grant: scope::granted(&logins, &name),
        source: SocketAddr::from(([192, 0, 2, 7], 4711)),
        vpc_endpoint: None,
        protocol: Protocol::Sftp,
        client: ClientProgram::default(),
        activity: Activity::new(),
    }
}
