//! The keeper with an STS of the test, in paused time.

use super::*;
use crate::{
    account::{Role, Storage, Tenant, VendorRole},
    journal::RoleVerdictJournal as _,
    tenants::TenantSetup,
    testing::{FaultyJournal, StoppedClock, journal::JournalFailure},
};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{sync::broadcast::Receiver, task::JoinHandle, time::sleep};

const NOON: u64 = 20_000 * 86_400 + 43_200;
const HOUR: Duration = Duration::from_hours(1);
const OPEN: RoleVerdict = RoleVerdict::Open(OpenBy::NoExternalId);

/// Answers for the roles that the directory names.
struct ScriptedSts {
    tenants: Arc<Tenants>,
    /// `None`: no answer.
    verdict: Mutex<Option<RoleVerdict>>,
    /// The time to an answer.
    delay: Duration,
    asked: Mutex<Vec<String>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

#[async_trait]
impl RoleProber for ScriptedSts {
    async fn probe(&self, tenant: &TenantName) -> store::Result<Option<(ProbedRole, RoleVerdict)>> {
        let role = self.tenants.used_roles().into_iter().find(|used| used.tenant == *tenant).map(|used| used.role);
        self.asked.lock().push(tenant.to_string());
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        sleep(self.delay).await;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        match *self.verdict.lock() {
            Some(verdict) => Ok(role.map(|role| (role, verdict))),
            None => Err(store::Error::Unreachable("STS: no route".to_owned())),
        }
    }
}

fn name(tenant: &str) -> TenantName {
    tenant.parse().unwrap()
}

/// A tenant with a role of its own.
fn tenant(tenant: &str, change: impl FnOnce(&mut Storage, &mut Role)) -> TenantSetup {
    let mut storage = Storage::of_a_test(&format!("{tenant}/"));
    let mut role = Role {
        arn: format!("arn:aws:iam::111122223333:role/{tenant}").parse().unwrap(),
        external_id: format!("wh-{tenant}").parse().unwrap(),
        sts_endpoint: None,
        session_tags: false,
        source_identity: false,
        accept_without_external_id: false,
        via: None,
    };
    change(&mut storage, &mut role);
    storage.credentials.role = Some(role);
    TenantSetup { tenant: Arc::new(Tenant::new(name(tenant))), storage: Arc::new(storage), users: Vec::new() }
}

fn acme() -> TenantSetup {
    tenant("acme", |_, _| {})
}

fn vendor_role(name: &str, external_id: Option<&str>) -> VendorRole {
    let arn = format!("arn:aws:iam::111122223333:role/{name}").parse().unwrap();
    VendorRole::new(arn, external_id.map(|id| id.parse().unwrap())).unwrap()
}

/// A node with its keeper.
struct KeeperNode {
    tenants: Arc<Tenants>,
    sts: Arc<ScriptedSts>,
    clock: Arc<StoppedClock>,
    swapped: Arc<Notify>,
    records: Receiver<Arc<crate::events::Record>>,
    running: JoinHandle<()>,
}

impl KeeperNode {
    fn start(journal: &Arc<FaultyJournal>, setups: &[TenantSetup], verdict: Option<RoleVerdict>) -> Self {
        Self::start_slow(journal, setups, verdict, Duration::ZERO)
    }

    fn start_slow(
        journal: &Arc<FaultyJournal>,
        setups: &[TenantSetup],
        verdict: Option<RoleVerdict>,
        delay: Duration,
    ) -> Self {
        let (tenants, clock, swapped) =
            (Arc::new(Tenants::new(setups)), Arc::new(StoppedClock::at(NOON)), Arc::new(Notify::new()));
        let sts = Arc::new(ScriptedSts {
            tenants: Arc::clone(&tenants),
            verdict: Mutex::new(verdict),
            delay,
            asked: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        });
        let events = Events::new("node");
        let records = events.subscribe();
        let keeper = RoleKeeper::new(
            Arc::clone(&tenants),
            Arc::clone(journal) as Arc<_>,
            Arc::clone(&sts) as Arc<_>,
            events,
            Arc::clone(&clock) as Arc<_>,
            Arc::clone(&swapped),
        );
        let running = tokio::spawn(keeper.run());
        Self { tenants, sts, clock, swapped, records, running }
    }

    /// Sets the wall clock, and waits until the keeper has looked and probed.
    async fn at(&self, since_noon: Duration) {
        self.clock.set(NOON + since_noon.as_secs());
        a_look().await;
    }

    fn swap(&self, setups: &[TenantSetup]) {
        self.tenants.swap(setups);
        self.swapped.notify_one();
    }

    /// The tenants that were asked for since the last call, in the order of their names.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.sts.asked.lock());
        asked.sort();
        asked
    }

    fn answer(&self, verdict: Option<RoleVerdict>) {
        *self.sts.verdict.lock() = verdict;
    }

    /// True if logins of acme are refused.
    fn refuses_logins(&self) -> bool {
        self.tenants.open_role(&name("acme")).is_some_and(|open| !open.is_accepted)
    }

    /// The records since the last call: `open TENANT GRANTED`, with `accepted` at the end, or `closed TENANT`.
    fn recorded(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(record) = self.records.try_recv() {
            let Who::Maintenance { tenant, user: None } = &record.who else { panic!("{record:?}") };
            all.push(match &record.event {
                Event::RoleOpen { granted, is_accepted, .. } => {
                    format!("open {tenant} {granted}{}", if *is_accepted { " accepted" } else { "" })
                }
                Event::RoleClosed { .. } => format!("closed {tenant}"),
                event => panic!("{event:?}"),
            });
        }
        all
    }
}

impl Drop for KeeperNode {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn a_look() {
    sleep(INTERVAL + Duration::from_millis(1)).await;
}

async fn a_read() {
    sleep(READ_INTERVAL + INTERVAL).await;
}

#[tokio::test(start_paused = true)]
async fn a_role_is_probed_when_a_tenant_begins_to_use_it_and_not_again_that_day() {
    let journal = Arc::default();
    let node = KeeperNode::start(&journal, &[acme()], Some(RoleVerdict::Closed));
    a_look().await;
    assert_eq!(node.asked(), ["acme"]);
    a_read().await;
    node.at(23 * HOUR).await;
    assert_eq!(node.asked(), [""; 0]);
    // A reload doesn't wait for the next look.
    node.swap(&[acme(), tenant("globex", |_, _| {})]);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(node.asked(), ["globex"]);
    node.at(25 * HOUR).await;
    assert_eq!(node.asked(), ["acme"], "a day later, within an hour");
}

#[tokio::test(start_paused = true)]
async fn another_external_id_role_region_sts_or_vendors_role_is_probed_too() {
    let journal = Arc::default();
    let node = KeeperNode::start(&journal, &[acme()], Some(RoleVerdict::Closed));
    a_look().await;
    node.asked();
    let changes: [fn(&mut Storage, &mut Role); 7] = [
        |_, role| role.external_id = "wh-other".parse().unwrap(),
        |_, role| role.arn = "arn:aws:iam::111122223333:role/other".parse().unwrap(),
        |storage, _| storage.region = "eu-north-1".to_owned(),
        |_, role| role.sts_endpoint = Some("https://sts.example.com".to_owned()),
        |_, role| role.via = Some(vendor_role("tenants", None)),
        |_, role| role.via = Some(vendor_role("others", None)),
        |_, role| role.via = Some(vendor_role("others", Some("wh-own"))),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        node.swap(&[tenant("acme", change)]);
        a_look().await;
        assert_eq!(node.asked(), ["acme"], "{number}");
    }
    node.swap(&[tenant("acme", |storage, role| {
        storage.prefix = crate::name::Prefix::parse("other/").unwrap();
        role.accept_without_external_id = true;
    })]);
    a_look().await;
    node.swap(&[acme()]);
    a_look().await;
    assert_eq!(node.asked(), [""; 0], "STS sees neither, and the first role has a verdict in the journal");
}

#[tokio::test(start_paused = true)]
async fn tenants_with_one_role_share_its_probe_and_verdict() {
    let journal = Arc::default();
    let shared = |name: &str| {
        tenant(name, |_, role| {
            role.arn = "arn:aws:iam::111122223333:role/shared".parse().unwrap();
            role.external_id = "wh-shared".parse().unwrap();
        })
    };
    let mut node = KeeperNode::start(&journal, &[shared("globex"), shared("acme")], Some(OPEN));
    a_look().await;
    assert_eq!(node.asked(), ["acme"]);
    let mut recorded = node.recorded();
    recorded.sort();
    assert_eq!(recorded, ["open acme without an external ID", "open globex without an external ID"]);
    let open: Vec<_> = node.tenants.open_roles().into_iter().map(|open| open.tenant.to_string()).collect();
    assert_eq!(open, ["acme", "globex"]);
}

#[tokio::test(start_paused = true)]
async fn four_roles_are_probed_at_a_time_and_a_tenant_without_one_never() {
    let journal = Arc::default();
    let mut setups: Vec<_> = (0..20).map(|number| tenant(&format!("tenant-{number}"), |_, _| {})).collect();
    let no_role = TenantSetup { storage: Arc::new(Storage::of_a_test("none/")), ..tenant("none", |_, _| {}) };
    setups.push(no_role);
    let delay = Duration::from_secs(3);
    let node = KeeperNode::start_slow(&journal, &setups, Some(RoleVerdict::Closed), delay);
    sleep(5 * delay + INTERVAL).await;
    let asked = node.asked();
    assert_eq!((asked.len(), node.sts.most_in_flight.load(Ordering::Relaxed)), (20, 4));
    assert!(!asked.contains(&"none".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_open_role_refuses_logins_until_a_probe_is_refused_or_the_file_accepts_it() {
    let journal = Arc::default();
    let mut node = KeeperNode::start(&journal, &[acme()], Some(OPEN));
    a_look().await;
    assert!(node.refuses_logins());
    assert_eq!(node.recorded(), ["open acme without an external ID"]);
    node.swap(&[tenant("acme", |_, role| role.accept_without_external_id = true)]);
    assert!(!node.refuses_logins(), "at once");
    a_look().await;
    assert_eq!(node.recorded(), ["open acme without an external ID accepted"]);
    node.swap(&[acme()]);
    assert!(node.refuses_logins());
    node.answer(Some(RoleVerdict::Open(OpenBy::WrongExternalId)));
    node.at(25 * HOUR).await;
    assert_eq!(node.recorded(), ["open acme without an external ID", "open acme with a wrong external ID"]);
    node.answer(Some(RoleVerdict::Closed));
    node.at(50 * HOUR).await;
    assert!(!node.refuses_logins());
    assert_eq!(node.recorded(), ["closed acme"]);
    a_read().await;
    assert_eq!(node.recorded(), [""; 0], "once");
}

#[tokio::test(start_paused = true)]
async fn an_open_role_is_probed_every_ten_minutes_so_that_a_mended_one_is_found() {
    let journal = Arc::default();
    let node = KeeperNode::start(&journal, &[acme()], Some(OPEN));
    a_look().await;
    node.asked();
    node.at(Duration::from_mins(9)).await;
    assert_eq!(node.asked(), [""; 0]);
    node.answer(Some(RoleVerdict::Closed));
    node.at(Duration::from_mins(11)).await;
    assert_eq!(node.asked(), ["acme"]);
    assert!(!node.refuses_logins());
}

#[tokio::test(start_paused = true)]
async fn a_role_that_the_tenant_has_no_longer_refuses_nothing() {
    let journal = Arc::default();
    let mut node = KeeperNode::start(&journal, &[acme()], Some(OPEN));
    a_look().await;
    node.answer(Some(RoleVerdict::Closed));
    node.swap(&[tenant("acme", |_, role| role.external_id = "wh-other".parse().unwrap())]);
    assert!(!node.refuses_logins());
    a_look().await;
    assert_eq!(node.recorded(), ["open acme without an external ID"], "the former role wasn't closed");
    node.swap(&[]);
    a_look().await;
    assert_eq!(node.tenants.open_roles(), []);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_about_a_role_that_a_reload_replaced_meanwhile_is_of_the_role_that_was_asked_for() {
    let journal: Arc<FaultyJournal> = Arc::default();
    let node = KeeperNode::start_slow(&journal, &[acme()], Some(OPEN), Duration::from_secs(3));
    sleep(Duration::from_secs(1)).await;
    let next = tenant("acme", |_, role| role.external_id = "wh-other".parse().unwrap());
    node.swap(std::slice::from_ref(&next));
    sleep(Duration::from_millis(2_500)).await;
    assert!(!node.refuses_logins(), "the new role has no verdict yet");
    a_look().await;
    assert!(node.refuses_logins());
    assert_eq!(node.asked(), ["acme", "acme"]);
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_no_verdict_and_leaves_the_one_before() {
    let journal = Arc::default();
    let mut node = KeeperNode::start(&journal, &[acme()], None);
    a_look().await;
    assert!(!node.refuses_logins());
    sleep(Duration::from_mins(9)).await;
    assert_eq!(node.asked(), ["acme"]);
    node.answer(Some(OPEN));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(node.asked(), ["acme"], "ten minutes later");
    assert!(node.refuses_logins());
    node.answer(None);
    for hours in [25, 50] {
        node.at(hours * HOUR).await;
        sleep(RETRY_INTERVAL).await;
        assert!(node.refuses_logins(), "{hours}");
    }
    assert!(node.asked().len() >= 2);
    assert_eq!(node.recorded(), ["open acme without an external ID"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_and_other_nodes_go_by_the_verdict_in_the_journal() {
    let journal = Arc::default();
    let first = KeeperNode::start(&journal, &[acme()], Some(RoleVerdict::Closed));
    a_look().await;
    let mut second = KeeperNode::start(&journal, &[acme()], Some(RoleVerdict::Closed));
    a_look().await;
    assert_eq!((first.asked(), second.asked()), (vec!["acme".to_owned()], vec![]));
    first.answer(Some(OPEN));
    second.clock.set(NOON + (25 * HOUR).as_secs());
    second.running.abort();
    first.at(25 * HOUR).await;
    assert!(first.refuses_logins());
    let mut third = KeeperNode::start(&journal, &[acme()], Some(RoleVerdict::Closed));
    third.at(25 * HOUR).await;
    assert_eq!(third.asked(), [""; 0]);
    assert!(third.refuses_logins());
    assert_eq!(third.recorded(), ["open acme without an external ID"], "each start says so");
    assert_eq!(second.recorded(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_of_another_node_counts_within_a_minute_or_so() {
    let journal: Arc<FaultyJournal> = Arc::default();
    let mut node = KeeperNode::start(&journal, &[acme()], Some(OPEN));
    a_look().await;
    assert!(node.refuses_logins());
    let role = node.tenants.used_roles().remove(0).role;
    let now = i64::try_from(NOON).unwrap();
    for (at, refuses) in [(now - 1, true), (now + CLOCK_MARGIN_SECONDS + 1, true), (now + 1, false)] {
        let written = journal.written();
        written.drop_role_probes_before(i64::MAX).await.unwrap();
        let probe = RoleProbe { role: role.clone(), verdict: RoleVerdict::Closed, probed_at: at };
        written.save_role_probe(&probe).await.unwrap();
        a_read().await;
        assert_eq!(node.refuses_logins(), refuses, "{at}: an older one, one of a wrong clock, a younger one");
    }
    assert_eq!(node.recorded(), ["open acme without an external ID", "closed acme"]);
    assert_eq!(node.asked(), ["acme"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_older_than_that_of_a_node_that_asked_in_the_meantime() {
    let journal: Arc<FaultyJournal> = Arc::default();
    let node = KeeperNode::start_slow(&journal, &[acme()], Some(OPEN), READ_INTERVAL + 2 * INTERVAL);
    sleep(Duration::from_secs(1)).await;
    let (role, probed_at) = (node.tenants.used_roles().remove(0).role, i64::try_from(NOON).unwrap() + 1);
    let probe = RoleProbe { role, verdict: RoleVerdict::Closed, probed_at };
    journal.written().save_role_probe(&probe).await.unwrap();
    sleep(READ_INTERVAL + 3 * INTERVAL).await;
    assert!(!node.refuses_logins());
    assert_eq!(node.asked(), ["acme"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_journal_is_down_verdicts_are_in_memory() {
    for failure in JournalFailure::ALL {
        let journal: Arc<FaultyJournal> = Arc::default();
        journal.fail_from(1, failure);
        let node = KeeperNode::start(&journal, &[acme()], Some(OPEN));
        a_look().await;
        a_look().await;
        assert_eq!(node.asked(), ["acme"], "{failure:?}");
        a_read().await;
        assert!(node.refuses_logins(), "{failure:?}");
        journal.restart();
        a_read().await;
        assert!(node.refuses_logins(), "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_of_roles_that_are_in_use_no_longer_are_deleted_after_three_months() {
    let journal: Arc<FaultyJournal> = Arc::default();
    let former = tenant("former", |_, _| {});
    let former = ProbedRole::new(former.storage.credentials.role.as_ref().unwrap(), "eu-central-1");
    let probed_at = i64::try_from(NOON).unwrap();
    let probe = RoleProbe { role: former.clone(), verdict: OPEN, probed_at };
    journal.written().save_role_probe(&probe).await.unwrap();
    let node = KeeperNode::start(&journal, &[acme()], Some(RoleVerdict::Closed));
    let is_there = async || !journal.written().role_probes(std::slice::from_ref(&former)).await.unwrap().is_empty();
    node.at(90 * 24 * HOUR).await;
    sleep(24 * HOUR + READ_INTERVAL).await;
    assert!(is_there().await);
    node.clock.set(NOON + (90 * 24 * HOUR).as_secs() + 1);
    sleep(24 * HOUR + READ_INTERVAL).await;
    assert!(!is_there().await);
}
