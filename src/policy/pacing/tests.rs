use super::*;
use futures_util::future::join_all;

const KIB: u64 = 1 << 10;

/// Returns pacers with this rate of uploads.
fn uploads(per_second: u64) -> Arc<TenantPacers> {
    let (table, tenant) = (PacerTable::default(), tenant("acme"));
    table.set_rates([(&tenant, RateLimits { upload_bytes: Some(per_second), ..RateLimits::default() })]);
    table.of(&tenant)
}

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

/// Takes steps of `step` bytes until `end`. Returns the bytes.
async fn take_until(pacer: &Pacer, step: u64, end: Instant) -> u64 {
    let mut bytes = 0;
    while timeout(end.saturating_duration_since(Instant::now()), pacer.take(step)).await.is_ok() {
        bytes += step;
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn ten_seconds_take_ten_seconds_of_bytes_and_a_burst() {
    for (per_second, step) in
        [(64 * KIB, 256 * KIB), (64 * KIB, 32 * KIB), (1_000_000, 100_000), (100 << 20, 255 * KIB)]
    {
        let pacers = uploads(per_second);
        let burst = per_second.max(LEAST_BURST_BYTES);
        let bytes = take_until(&pacers.upload_bytes, step, Instant::now() + Duration::from_secs(10)).await;
        let most = 10 * per_second + burst;
        assert!(bytes <= most && most - bytes <= step, "{bytes} of {most} in steps of {step}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_take_turns() {
    let pacers = uploads(1_000_000);
    // The burst is for the first who comes.
    pacers.upload_bytes.take(1_000_000).await;
    let end = Instant::now() + Duration::from_secs(10);
    let bytes = join_all((0..10).map(|_| take_until(&pacers.upload_bytes, 50_000, end))).await;
    let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
    assert!(most - least <= 50_000, "{bytes:?}");
    assert!((9_950_000..=10_000_000).contains(&bytes.iter().sum::<u64>()), "{bytes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_takes_nothing() {
    let pacers = uploads(64 * KIB);
    pacers.upload_bytes.take(256 * KIB).await;
    let begun = Instant::now();
    let second = Duration::from_secs(1);
    assert!(timeout(second, pacers.upload_bytes.take(256 * KIB)).await.is_err());
    let (left, waited) = tokio::join!(timeout(second, pacers.upload_bytes.take(256 * KIB)), async {
        pacers.upload_bytes.take(256 * KIB).await;
        begun.elapsed()
    });
    assert!(left.is_err());
    assert_eq!(waited.as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_wait_has_an_end_and_its_bytes_count() {
    let pacers = uploads(64 * KIB);
    let begun = Instant::now();
    let limit = Duration::from_secs(1);
    pacers.upload_bytes.take(256 * KIB).await;
    pacers.upload_bytes.take_or_owe(256 * KIB, limit).await;
    assert_eq!(begun.elapsed(), limit);
    pacers.upload_bytes.take(256 * KIB).await;
    assert_eq!(begun.elapsed().as_secs(), 8, "the bytes of both are paid");
    for _ in 0..1_000 {
        pacers.upload_bytes.take_or_owe(256 * KIB, Duration::ZERO).await;
    }
    let owing = Instant::now();
    pacers.upload_bytes.take(256 * KIB).await;
    assert!(owing.elapsed() <= MAX_DEBT + Duration::from_secs(4), "{:?}", owing.elapsed());
}

#[tokio::test(start_paused = true)]
async fn another_rate_holds_at_once_also_for_those_who_wait() {
    let (table, acme) = (PacerTable::default(), tenant("acme"));
    let rate = |bytes| RateLimits { upload_bytes: bytes, ..RateLimits::default() };
    table.set_rates([(&acme, rate(Some(64 * KIB)))]);
    let pacers = table.of(&acme);
    let is_limited = || pacers.upload_bytes.is_limited.load(Ordering::Relaxed);
    assert!(is_limited());
    pacers.upload_bytes.take(256 * KIB).await;
    let begun = Instant::now();
    tokio::join!(pacers.upload_bytes.take(256 * KIB), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        table.set_rates([(&acme, rate(None))]);
    });
    assert_eq!((begun.elapsed().as_secs(), is_limited()), (1, false));
}

#[tokio::test(start_paused = true)]
async fn the_config_bounds_the_table() {
    let (table, acme, globex) = (PacerTable::default(), tenant("acme"), tenant("globex"));
    table.set_rates([(&acme, RateLimits::default()), (&globex, RateLimits::default())]);
    let of_session = table.of(&acme);
    table.set_rates([]);
    assert_eq!(table.0.lock().len(), 1, "acme has a session");
    drop(of_session);
    table.set_rates([(&globex, RateLimits::default())]);
    assert_eq!(table.0.lock().len(), 1);
}

// S214: A login that exceeds its tenant's rate of new sessions waits for up to five seconds. Then it is refused like one …
#[tokio::test(start_paused = true)]
async fn logins_wait_for_five_seconds_and_sixteen_at_a_time() {
    let (table, acme) = (PacerTable::default(), tenant("acme"));
    let unlimited = table.of(&acme);
    assert!(join_all((0..100).map(|_| unlimited.admit_login())).await.iter().all(Result::is_ok), "off by default");
    table.set_rates([(&acme, RateLimits { logins: Some(2), ..RateLimits::default() })]);
    let (pacers, begun) = (table.of(&acme), Instant::now());
    let logins = join_all((0..100).map(|_| async {
        let admitted = pacers.admit_login().await;
        (admitted, begun.elapsed().as_secs())
    }));
    let answers = logins.await;
    let admitted = answers.iter().filter(|(admitted, _)| admitted.is_ok()).count();
    assert_eq!(admitted, 12, "two at once, and two in each of five seconds");
    let refused = |after: u64| answers.iter().filter(|(admitted, s)| admitted.is_err() && *s == after).count();
    assert_eq!([refused(0), refused(5)], [82, 6], "sixteen wait at a time");
}
