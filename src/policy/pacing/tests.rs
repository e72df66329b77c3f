use super::{pacer::MAX_DEBT, *};
use futures_util::future::join_all;
use tokio::time::Instant;

const KIB: u64 = 1 << 10;

/// Returns pacers with this rate of uploads.
fn uploads(per_second: u64) -> Arc<TenantPacers> {
    let (table, tenant) = (PacerTable::default(), tenant("acme"));
    table.set_rates([(&tenant, together(RateLimits { upload_bytes: Some(per_second), ..RateLimits::default() }))]);
    table.of(&tenant)
}

/// Returns these rates of a tenant, without those of its users and sessions.
fn together(together: RateLimits) -> TenantRates {
    TenantRates { together, ..TenantRates::default() }
}

/// Returns rates of requests: of the tenant, of each user, of each session.
fn requests(per_second: [Option<u64>; 3]) -> TenantRates {
    let [together, each_user, each_session] =
        per_second.map(|requests| RateLimits { requests, ..RateLimits::default() });
    TenantRates { together, each_user, each_session }
}

fn user(name: &str) -> UserName {
    name.parse().unwrap()
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
        let bytes = take_until(&pacers.together.upload_bytes, step, Instant::now() + Duration::from_secs(10)).await;
        let most = 10 * per_second + burst;
        assert!(bytes <= most && most - bytes <= step, "{bytes} of {most} in steps of {step}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_take_turns() {
    let pacers = uploads(1_000_000);
    // The burst is for the first who comes.
    pacers.together.upload_bytes.take(1_000_000).await;
    let end = Instant::now() + Duration::from_secs(10);
    let bytes = join_all((0..10).map(|_| take_until(&pacers.together.upload_bytes, 50_000, end))).await;
    let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
    assert!(most - least <= 50_000, "{bytes:?}");
    assert!((9_950_000..=10_000_000).contains(&bytes.iter().sum::<u64>()), "{bytes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_takes_nothing() {
    let pacers = uploads(64 * KIB);
    pacers.together.upload_bytes.take(256 * KIB).await;
    let begun = Instant::now();
    let second = Duration::from_secs(1);
    assert!(timeout(second, pacers.together.upload_bytes.take(256 * KIB)).await.is_err());
    let (left, waited) = tokio::join!(timeout(second, pacers.together.upload_bytes.take(256 * KIB)), async {
        pacers.together.upload_bytes.take(256 * KIB).await;
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
    pacers.together.upload_bytes.take(256 * KIB).await;
    pacers.together.upload_bytes.take_or_owe(256 * KIB, limit).await;
    assert_eq!(begun.elapsed(), limit);
    pacers.together.upload_bytes.take(256 * KIB).await;
    assert_eq!(begun.elapsed().as_secs(), 8, "the bytes of both are paid");
    for _ in 0..1_000 {
        pacers.together.upload_bytes.take_or_owe(256 * KIB, Duration::ZERO).await;
    }
    let owing = Instant::now();
    pacers.together.upload_bytes.take(256 * KIB).await;
    assert!(owing.elapsed() <= MAX_DEBT + Duration::from_secs(4), "{:?}", owing.elapsed());
}

#[tokio::test(start_paused = true)]
async fn another_rate_holds_at_once_also_for_those_who_wait() {
    let (table, acme) = (PacerTable::default(), tenant("acme"));
    let rate = |bytes| together(RateLimits { upload_bytes: bytes, ..RateLimits::default() });
    table.set_rates([(&acme, rate(Some(64 * KIB)))]);
    let pacers = table.of(&acme);
    let is_limited = || pacers.together.upload_bytes.is_limited();
    assert!(is_limited());
    pacers.together.upload_bytes.take(256 * KIB).await;
    let begun = Instant::now();
    tokio::join!(pacers.together.upload_bytes.take(256 * KIB), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        table.set_rates([(&acme, rate(None))]);
    });
    assert_eq!((begun.elapsed().as_secs(), is_limited()), (1, false));
}

#[tokio::test(start_paused = true)]
async fn the_config_bounds_the_table() {
    let (table, acme, globex) = (PacerTable::default(), tenant("acme"), tenant("globex"));
    table.set_rates([(&acme, TenantRates::default()), (&globex, TenantRates::default())]);
    let of_session = table.of(&acme);
    table.set_rates([]);
    assert_eq!(table.0.lock().len(), 1, "acme has a session");
    drop(of_session);
    table.set_rates([(&globex, TenantRates::default())]);
    assert_eq!(table.0.lock().len(), 1);
}

// S214: A login that exceeds its tenant's rate of new sessions waits for up to five seconds. Then it is refused like one …
#[tokio::test(start_paused = true)]
async fn logins_wait_for_five_seconds_and_sixteen_at_a_time() {
    let (table, acme) = (PacerTable::default(), tenant("acme"));
    let (alice, bob) = (user("alice"), user("bob"));
    let admit = async |user: &UserName, begun: Instant| {
        let admitted = table.admit_login(&acme, user).await.is_ok();
        (admitted, begun.elapsed().as_secs())
    };
    let count = |answers: &[(bool, u64)], wanted: (bool, u64)| answers.iter().filter(|a| **a == wanted).count();
    let answers = join_all((0..100).map(|_| admit(&alice, Instant::now()))).await;
    assert_eq!(count(&answers, (true, 0)), 100, "off by default");

    let two = RateLimits { logins: Some(2), ..RateLimits::default() };
    table.set_rates([(&acme, together(two))]);
    let begun = Instant::now();
    let answers = join_all((0..100).map(|_| admit(&alice, begun))).await;
    let admitted = answers.iter().filter(|(admitted, _)| *admitted).count();
    assert_eq!(admitted, 12, "two at once, and two in each of five seconds");
    assert_eq!([(false, 0), (false, 5)].map(|wanted| count(&answers, wanted)), [82, 6], "sixteen wait at a time");

    table.set_rates([(&acme, TenantRates { each_user: two, ..TenantRates::default() })]);
    let begun = Instant::now();
    let of_alice = join_all((0..100).map(|_| admit(&alice, begun)));
    let (of_alice, of_bob) = tokio::join!(of_alice, admit(&bob, begun));
    assert_eq!(of_bob, (true, 0), "another user of the tenant doesn't wait");
    let answers = [(true, 0), (true, 1), (true, 2), (false, 0)].map(|wanted| count(&of_alice, wanted));
    assert_eq!(answers, [3, 2, 1, 94], "two at once, and four wait");
}

#[tokio::test(start_paused = true)]
async fn logins_that_wait_for_the_rate_of_their_user_refuse_no_other_user() {
    let (table, acme) = (PacerTable::default(), tenant("acme"));
    let one = RateLimits { logins: Some(1), ..RateLimits::default() };
    table.set_rates([(&acme, TenantRates { each_user: one, ..TenantRates::default() })]);
    let flooding = ["a", "b", "c", "d"].map(user);
    let flood = join_all(flooding.iter().flat_map(|user| (0..8).map(|_| table.admit_login(&acme, user))));
    let (flooded, ()) = tokio::join!(flood, async {
        for number in 0..10 {
            let begun = Instant::now();
            table.admit_login(&acme, &user(&format!("user-{number}"))).await.unwrap();
            assert!(begun.elapsed().is_zero());
        }
    });
    assert!(flooded.iter().any(Result::is_err));
}

#[tokio::test(start_paused = true)]
async fn an_amount_that_was_not_used_goes_to_those_who_wait() {
    let (table, acme) = (PacerTable::default(), tenant("acme"));
    table.set_rates([(&acme, requests([Some(1), Some(1), None]))]);
    let (one, two) = (table.session(&acme, &user("alice")), table.session(&acme, &user("alice")));
    table.of(&acme).together.requests.owe(60);
    // It has its user's grant, and leaves while it waits for its tenant's.
    let leaves = timeout(Duration::from_secs(1), one.take(|rates| &rates.requests, 1));
    let begun = Instant::now();
    let (left, ()) = tokio::join!(leaves, async {
        two.user.pacers.requests.owe(1);
        two.user.pacers.requests.take(1).await;
    });
    assert!(left.is_err());
    assert_eq!(begun.elapsed().as_secs(), 1);
}

// S217: Each user of a tenant, and each of its sessions, has rates of its own where the config sets them. A request …
#[tokio::test(start_paused = true)]
async fn sessions_users_and_the_tenant_each_have_their_rate() {
    let (table, acme) = (PacerTable::default(), tenant("acme"));
    let (alice, bob) = (user("alice"), user("bob"));
    table.set_rates([(&acme, requests([Some(40), Some(25), Some(10)]))]);
    let sessions: Vec<_> =
        [&alice, &alice, &alice, &bob, &bob].map(|user| table.session(&acme, user)).into_iter().collect();
    let end = Instant::now() + Duration::from_secs(20);
    let taken = join_all(sessions.iter().map(|session| async move {
        let mut taken = 0_u64;
        while timeout(end - Instant::now(), session.take(|rates| &rates.requests, 1)).await.is_ok() {
            taken += 1;
        }
        taken
    }))
    .await;
    let (of_alice, of_bob): (u64, u64) = (taken[..3].iter().sum(), taken[3..].iter().sum());
    assert!(taken.iter().all(|taken| (100..=210).contains(taken)), "each session is below 10 a second: {taken:?}");
    assert!((20 * 18..=525).contains(&of_alice), "{of_alice}");
    assert!((20 * 15..=420).contains(&of_bob), "{of_bob}");
    assert!((790..=840).contains(&(of_alice + of_bob)), "{of_alice} + {of_bob}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_one_rate_refuses_costs_the_others_nothing() {
    let (table, acme, alice) = (PacerTable::default(), tenant("acme"), user("alice"));
    table.set_rates([(&acme, requests([Some(1), None, Some(2)]))]);
    let session = table.session(&acme, &alice);
    let at_once = || session.take_at_once(|rates| &rates.requests, 1);
    assert!(at_once());
    for _ in 0..100 {
        assert!(!at_once(), "the tenant has had its one");
        let waits = session.take(|rates| &rates.requests, 1);
        assert!(timeout(Duration::from_millis(1), waits).await.is_err());
    }
    table.set_rates([(&acme, requests([None, None, Some(2)]))]);
    assert!(at_once(), "the session has had one of its two");
    assert!(!at_once());
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_users_or_sessions_changes_for_those_who_wait() {
    for index in [1, 2] {
        let rates = |per_second| {
            let mut rates = [None; 3];
            rates[index] = per_second;
            requests(rates)
        };
        let (table, acme) = (PacerTable::default(), tenant("acme"));
        table.set_rates([(&acme, rates(Some(1)))]);
        let session = table.session(&acme, &user("alice"));
        session.owe(|rates| &rates.requests, 60);
        let begun = Instant::now();
        tokio::join!(session.take(|rates| &rates.requests, 1), async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            table.set_rates([(&acme, rates(None))]);
        });
        assert_eq!(begun.elapsed().as_secs(), 3);
        assert!(!session.are_limited(|rates| &rates.requests));
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_that_comes_back_finds_its_rate_as_it_was_and_the_table_is_bounded() {
    let (table, acme, alice) = (PacerTable::default(), tenant("acme"), user("alice"));
    table.set_rates([(&acme, requests([None, Some(5), None]))]);
    let session = table.session(&acme, &alice);
    session.owe(|rates| &rates.requests, 5);
    drop(session);
    let others = async || {
        for number in 0..10 * MANY_USERS {
            let _session = table.session(&acme, &user(&format!("user-{number}")));
        }
    };
    others().await;
    assert!(!table.session(&acme, &alice).take_at_once(|rates| &rates.requests, 1));
    tokio::time::advance(Duration::from_secs(1)).await;
    others().await;
    let pacers = table.of(&acme);
    let members = pacers.members.lock();
    assert!(members.users.len() <= MANY_USERS, "{}", members.users.len());
    assert!(members.sessions.len() <= 16, "{}", members.sessions.len());
}
