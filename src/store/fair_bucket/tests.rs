use super::*;
use crate::{
    policy::must_end,
    testing::{
        MemoryBucket,
        bucket::{Moment, Verb},
    },
};
use tokio::{task::JoinSet, time::timeout};

/// A tenant's bucket.
struct TenantBucket {
    stored: Arc<MemoryBucket>,
    bucket: Arc<FairBucket>,
}

impl TenantBucket {
    fn new(tenant: &str, permits: &Arc<RequestPermits>) -> Self {
        let stored = Arc::new(MemoryBucket::new());
        stored.insert("a", vec![7; 300_000]);
        Self::over(stored, tenant, permits, TenantPacers::unlimited())
    }

    fn over(stored: Arc<MemoryBucket>, tenant: &str, permits: &Arc<RequestPermits>, pacers: Arc<TenantPacers>) -> Self {
        let tenant = tenant.parse().unwrap();
        let bucket = FairBucket::new(Arc::clone(&stored) as _, tenant, Arc::clone(permits)).paced_by(pacers);
        Self { stored, bucket: Arc::new(bucket) }
    }

    async fn put(&self) -> Result<StoredObject> {
        self.bucket.put(&key(), Payload::default(), &NewObject::default(), Condition::Always).await
    }

    fn heads(&self, count: usize) -> JoinSet<Result<Object>> {
        let head = |bucket: Arc<FairBucket>| async move { bucket.head(&key()).await };
        (0..count).map(|_| head(Arc::clone(&self.bucket))).collect()
    }
}

/// Two tenants that share 8 permits.
fn two_tenants() -> (Arc<Shares<TenantName>>, TenantBucket, TenantBucket) {
    let permits = RequestPermits::new(8);
    let [acme, globex] = ["acme", "globex"].map(|tenant| TenantBucket::new(tenant, &permits));
    (Arc::clone(&permits.requests), acme, globex)
}

fn key() -> Key {
    Prefix::parse("").unwrap().key("a").unwrap()
}

// S191: A tenant whose bucket answers nothing holds at most three quarters of the server's requests to S3, and a …
// S192: A request that changes nothing in S3 fails after a minute if S3 leaves too many of the tenant's other requests …
#[tokio::test(start_paused = true)]
async fn a_bucket_that_answers_nothing_holds_three_quarters_and_another_tenant_stores_at_once() {
    let (permits, acme, globex) = two_tenants();
    let hold = acme.stored.hold(Verb::Head, Moment::Request);
    let (asked, mut heads) = (Instant::now(), acme.heads(100));
    acme.stored.arrived(Verb::Head, 6).await;
    globex.put().await.unwrap();
    assert_eq!((asked.elapsed(), acme.stored.count(Verb::Head), permits.in_use()), (Duration::ZERO, 6, 6));
    for _ in 0..94 {
        let failed = heads.join_next().await.unwrap().unwrap();
        assert!(matches!(failed, Err(Error::Unreachable(_))), "{failed:?}");
        assert_eq!((asked.elapsed(), acme.stored.count(Verb::Head)), (PATIENCE, 6), "it was not sent");
    }
    drop(hold);
    assert!(heads.join_all().await.iter().all(Result::is_ok));
    assert_eq!(permits.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_heads_delays_the_tenants_own_abort_by_one_answer() {
    let (_, acme, _) = two_tenants();
    let upload = acme.bucket.create_upload(&key(), &NewObject::default()).await.unwrap();
    let hold = acme.stored.hold(Verb::Head, Moment::Answer);
    let _heads = acme.heads(1_000);
    acme.stored.arrived(Verb::Head, 6).await;
    let bucket = Arc::clone(&acme.bucket);
    let aborting = tokio::spawn(async move { bucket.abort_upload(&key(), &upload).await });
    tokio::task::yield_now().await;
    assert_eq!(acme.stored.open_uploads(), 1);
    hold.release(1);
    aborting.await.unwrap().unwrap();
    acme.stored.arrived(Verb::Head, 7).await;
    assert_eq!((acme.stored.open_uploads(), acme.stored.count(Verb::Head)), (0, 7));
}

#[tokio::test(start_paused = true)]
async fn a_body_has_its_permit_until_its_end() {
    let (permits, acme, _) = two_tenants();
    let read = async || acme.bucket.read(&key(), 0..300_000, None).await.unwrap().body;
    let (mut body, other) = (read().await, read().await);
    assert!(body.next().await.unwrap().is_ok());
    assert_eq!(permits.in_use(), 2);
    while body.next().await.is_some() {}
    assert_eq!(permits.in_use(), 1, "read to its end");
    drop(other);
    assert_eq!(permits.in_use(), 0, "dropped");
    assert!(acme.bucket.read(&key(), 9_999_999..10_000_000, None).await.is_err());
    assert_eq!(permits.in_use(), 0, "refused");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_carries_bytes_waits_as_long_as_its_caller() {
    let (permits, acme, globex) = two_tenants();
    let tenant = "acme".parse().unwrap();
    let mut in_use = Vec::new();
    while permits.in_use() < 6 {
        in_use.push(permits.acquire(&tenant, READS).await);
    }
    let asked = Instant::now();
    assert!(timeout(PATIENCE * 10, acme.put()).await.is_err());
    assert_eq!((asked.elapsed(), acme.stored.count(Verb::Put)), (PATIENCE * 10, 0));
    globex.put().await.unwrap();
    in_use.pop();
    acme.put().await.unwrap();
    assert_eq!(permits.in_use_by(&tenant), 5);
}

#[tokio::test(start_paused = true)]
async fn s3_makes_192_copies_of_one_tenant_and_256_of_all_at_once() {
    let permits = RequestPermits::new(1_024);
    let tenants = ["acme", "globex", "initech"].map(|tenant| TenantBucket::new(tenant, &permits));
    let mut copies = JoinSet::new();
    let mut holds = Vec::new();
    for (tenant, at_once) in tenants.iter().zip([192, 32, 16]) {
        let pin = tenant.bucket.head(&key()).await.unwrap().pin;
        holds.push(tenant.stored.hold(Verb::Copy, Moment::Request));
        for number in 0..200 {
            let (bucket, pin) = (Arc::clone(&tenant.bucket), pin.clone());
            let target = Prefix::parse("").unwrap().key(&number.to_string()).unwrap();
            copies.spawn(async move { bucket.copy(&key(), &pin, &target, None, Condition::Always).await });
        }
        tenant.stored.arrived(Verb::Copy, at_once).await;
        // The copies that wait have no permit for a request.
        tenant.bucket.head(&key()).await.unwrap();
        assert_eq!(permits.requests.in_use(), permits.copies.in_use());
        assert_eq!(tenant.stored.count(Verb::Copy), at_once);
    }
    drop(holds);
    assert!(copies.join_all().await.iter().all(Result::is_ok));
    assert_eq!((permits.copies.in_use(), permits.requests.in_use()), (0, 0));
}

// S213: The requests of a tenant, its requests to S3, its new sessions and the entries of its listings have rates too, …
#[tokio::test(start_paused = true)]
async fn a_tenant_sends_as_many_requests_as_its_rate_allows_and_stores_between_its_heads() {
    let stored = Arc::new(MemoryBucket::new());
    stored.insert("a", "b");
    let permits = RequestPermits::new(8);
    let acme = TenantBucket::over(stored, "acme", &permits, TenantPacers::of_s3_requests([Some(10), None, None]));
    let (begun, mut heads) = (Instant::now(), acme.heads(1_000));
    tokio::task::yield_now().await;
    acme.put().await.unwrap();
    assert!(begun.elapsed() <= Duration::from_millis(250), "{:?}", begun.elapsed());
    while begun.elapsed() < Duration::from_secs(50) {
        heads.join_next().await.unwrap().unwrap().unwrap();
    }
    assert!((508..=510).contains(&acme.stored.count(Verb::Head)), "{}", acme.stored.count(Verb::Head));
    let mut refused = 0;
    while let Some(head) = heads.join_next().await {
        refused += usize::from(matches!(head.unwrap(), Err(Error::RateReached(PATIENCE))));
    }
    assert_eq!((begun.elapsed().as_secs(), permits.requests.in_use()), (60, 0));
    assert!((390..=392).contains(&refused), "{refused} were not sent");
}

// S217: Each user of a tenant, and each of its sessions, has rates of its own where the config sets them. A request that …
#[tokio::test(start_paused = true)]
async fn a_session_a_user_and_a_tenant_send_as_many_requests_as_their_rates_allow() {
    let stored = Arc::new(MemoryBucket::new());
    stored.insert("a", "b");
    let permits = RequestPermits::new(1_000);
    let pacers = TenantPacers::of_s3_requests([Some(40), Some(20), Some(10)]);
    let acme = TenantBucket::over(stored, "acme", &permits, Arc::clone(&pacers));
    let session = |user: &str| {
        let bucket = acme.bucket.of_session(Arc::clone(&pacers).session(&user.parse().unwrap()));
        TenantBucket { stored: Arc::clone(&acme.stored), bucket: Arc::new(bucket) }
    };
    let [one, two, three, other] = ["alice", "alice", "alice", "bob"].map(session);
    let begun = Instant::now();
    let seconds = async |heads: JoinSet<Result<Object>>| {
        assert!(heads.join_all().await.iter().all(Result::is_ok));
        begun.elapsed().as_secs()
    };
    // The burst is one second.
    assert_eq!(tokio::join!(seconds(one.heads(110)), seconds(other.heads(210))), (10, 20));
    let begun = Instant::now();
    let heads = [one.heads(110), two.heads(110), three.heads(110)].map(JoinSet::join_all);
    let heads = futures_util::future::join_all(heads).await;
    assert!(heads.iter().flatten().all(Result::is_ok));
    assert_eq!(begun.elapsed().as_secs(), (330 - 20) / 20, "her three sessions have twice the rate of one");
    let _flood = one.heads(500);
    tokio::task::yield_now().await;
    let begun = Instant::now();
    one.put().await.unwrap();
    assert!(begun.elapsed() <= Duration::from_millis(250), "{:?}", begun.elapsed());
    let begun = Instant::now();
    must_end(one.put()).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn heads_and_puts_take_turns_and_maintenance_waits_for_neither() {
    let stored = Arc::new(MemoryBucket::new());
    stored.insert("a", "b");
    let permits = RequestPermits::new(1_000);
    let acme = TenantBucket::over(stored, "acme", &permits, TenantPacers::of_s3_requests([Some(10), None, None]));
    let put = |bucket: Arc<FairBucket>| async move {
        bucket.put(&key(), Payload::default(), &NewObject::default(), Condition::Always).await
    };
    let _puts: JoinSet<_> = (0..500).map(|_| put(Arc::clone(&acme.bucket))).collect();
    let begun = Instant::now();
    let heads = acme.heads(100).join_all().await;
    assert!(heads.iter().all(Result::is_ok));
    // 10 at once, then every second one of 10 a second.
    assert!((19..=21).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let begun = Instant::now();
    must_end(acme.put()).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
