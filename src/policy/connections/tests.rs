use super::*;
use futures_util::FutureExt as _;
use tokio::{
    task::{JoinHandle, yield_now},
    time::advance,
};

fn connections(unauthenticated: usize, per_source: usize, logged_in: usize) -> Arc<Connections> {
    Connections::new(ConnectionLimits {
        logged_in: LoggedInLimits {
            per_tenant: logged_in,
            per_user: logged_in,
            per_source: logged_in,
            total: logged_in,
        },
        unauthenticated,
        unauthenticated_per_source: per_source,
        unfinished_logins: LoginRate { burst: 1_000, per_second: 1_000 },
    })
}

/// Returns connections whose only effective limit is 20 unfinished logins at once and 5 more a second.
fn strict() -> Arc<Connections> {
    Connections::new(ConnectionLimits {
        unauthenticated: 1_000,
        unauthenticated_per_source: 1_000,
        ..ConnectionLimits::default()
    })
}

fn source(text: &str) -> Source {
    Source::new(text.parse().unwrap(), None)
}

impl Connections {
    /// Admits a connection at once, or returns the refusal. A source without a free place counts as one without a token
    /// here.
    fn admit(self: &Arc<Self>, address: &str) -> Result<Unauthenticated, ConnectionRefusal> {
        let admitted = self.arrive()?.admit(&source(address), Parties::One).now_or_never();
        admitted.unwrap_or(Err(ConnectionRefusal::UnfinishedLogins))
    }

    fn is_empty(&self) -> bool {
        let open = self.open();
        open.places.is_empty() && open.by_party.is_empty() && open.by_network.is_empty() && open.logged_in.is_empty()
    }

    /// Admits a connection in a task that waits for it.
    fn admit_later(self: &Arc<Self>, address: &str) -> JoinHandle<Result<Unauthenticated, ConnectionRefusal>> {
        let (arrival, source) = (self.arrive(), source(address));
        tokio::spawn(async move { arrival?.admit(&source, Parties::One).await })
    }
}

impl Unauthenticated {
    /// Logs in as a user and a tenant that no other connection has.
    fn log_in_as_itself(&self) -> Result<LoggedIn, ConnectionRefusal> {
        let name = format!("n{}", self.ticket.number);
        self.log_in(&name.parse().unwrap(), &name.parse().unwrap())
    }
}

fn is_dropped(place: &Unauthenticated) -> bool {
    place.progress.dropped.is_cancelled()
}

#[tokio::test(start_paused = true)]
async fn one_source_cannot_take_the_places_of_others() {
    let connections = connections(10, 2, 10);
    let held = [connections.admit("192.0.2.1"), connections.admit("::ffff:192.0.2.1")];
    assert!(held.iter().all(Result::is_ok));
    assert!(connections.admit("192.0.2.2").is_ok());
    let one_more = connections.admit_later("192.0.2.1").await.unwrap();
    assert_eq!(one_more.unwrap_err(), ConnectionRefusal::UnauthenticatedFromSource);
    drop(held);
    assert!(connections.admit("192.0.2.1").is_ok());
    assert!(connections.is_empty(), "nothing is kept of those who left");
}

#[tokio::test]
async fn the_limit_in_all_holds_whatever_the_source() {
    let connections = connections(2, 2, 10);
    let held = [connections.admit("192.0.2.1").unwrap(), connections.admit("192.0.2.2").unwrap()];
    for place in &held {
        place.progress().try_credential();
    }
    assert_eq!(connections.admit("192.0.2.3").unwrap_err(), ConnectionRefusal::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn issue_12_4_a_connection_counts_in_all_until_its_source_is_known() {
    let connections = connections(3, 1, 10);
    let mut arrivals: Vec<_> = (0..3).map(|_| connections.arrive().unwrap()).collect();
    assert_eq!(connections.arrive().unwrap_err(), ConnectionRefusal::Unauthenticated);
    assert!(connections.open().by_party.is_empty());
    let first = arrivals.remove(0).admit(&source("192.0.2.1"), Parties::One).await.unwrap();
    let second = arrivals.remove(0).admit(&source("192.0.2.1"), Parties::One).await;
    assert_eq!(second.unwrap_err(), ConnectionRefusal::UnauthenticatedFromSource);
    drop((first, arrivals));
    assert!(connections.is_empty());
}

#[tokio::test]
async fn issue_12_4_a_shared_source_counts_in_all_only() {
    let connections = Connections::new(ConnectionLimits { unauthenticated: 60, ..ConnectionLimits::default() });
    let shared = source("192.0.2.1");
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(connections.arrive().unwrap().admit(&shared, Parties::Many).now_or_never().unwrap().unwrap());
    }
    for place in &held {
        place.progress().try_credential();
    }
    assert_eq!(connections.arrive().unwrap_err(), ConnectionRefusal::Unauthenticated);
    drop(held);
    assert!(connections.is_empty());
}

#[tokio::test]
async fn a_login_moves_from_one_count_to_the_other() {
    let connections = connections(1, 1, 1);
    let first = connections.admit("192.0.2.1").unwrap();
    let logged_in = first.log_in_as_itself().unwrap();
    assert_eq!(first.log_in_as_itself().unwrap_err(), ConnectionRefusal::LoggedIn);
    drop(first);
    let second = connections.admit("192.0.2.1").unwrap();
    assert_eq!(second.log_in_as_itself().unwrap_err(), ConnectionRefusal::LoggedIn);
    drop(logged_in);
    assert!(second.log_in_as_itself().is_ok());
}

#[tokio::test]
async fn check_and_take_are_one_step() {
    let connections = connections(50, 50, 50);
    // A place that is freed while others wait passes its turn on by a task.
    let runtime = tokio::runtime::Handle::current();
    let admitted: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let _runtime = runtime.enter();
                    let admitted = (0..50).filter_map(|_| connections.admit("192.0.2.1").ok());
                    admitted.inspect(|place| place.progress().try_credential()).collect::<Vec<_>>()
                })
            })
            .collect();
        racers.into_iter().flat_map(|racer| racer.join().unwrap()).collect()
    });
    assert!(admitted.iter().filter(|place| !is_dropped(place)).count() <= 50);
    assert_eq!(connections.open().places.len(), 50);
    drop(admitted);
    assert!(connections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn issue_12_7_unfinished_logins_use_tokens_up_and_the_rest_wait_two_seconds() {
    let connections = strict();
    let admitted = (0..25).filter(|_| connections.admit("192.0.2.1").is_ok()).count();
    assert_eq!(admitted, 20, "all of them left without a login");
    assert!(connections.admit("192.0.2.2").is_ok());

    let began = Instant::now();
    let waiting = (0..30)
        .map(|_| connections.arrive().unwrap())
        .map(|arrival| tokio::spawn(async move { arrival.admit(&source("192.0.2.1"), Parties::One).await.map(drop) }));
    let mut outcomes = Vec::new();
    for waiting in waiting.collect::<Vec<_>>() {
        outcomes.push(waiting.await.unwrap());
    }
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10, "5 a second");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(ConnectionRefusal::UnfinishedLogins))));
    assert!(connections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn issue_12_7_a_login_that_succeeds_lets_the_next_in() {
    let connections = strict();
    for _ in 0..1_000 {
        let place = connections.admit("192.0.2.1").expect("logins that succeed cost nothing");
        drop(place.log_in_as_itself().unwrap());
    }
    let held: Vec<_> = (0..20).map(|_| connections.admit("192.0.2.1").unwrap()).collect();
    let began = Instant::now();
    let waiting = connections.arrive().unwrap();
    let waiting = tokio::spawn(async move { waiting.admit(&source("192.0.2.1"), Parties::One).await.map(drop) });
    tokio::task::yield_now().await;
    let logged_in = held[7].log_in_as_itself().unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(()));
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop((held, logged_in));
    assert!(connections.is_empty());
}

#[tokio::test]
async fn issue_12_7_a_full_house_drops_the_oldest_key_exchange_of_the_source_that_has_most() {
    let connections = connections(6, 10, 10);
    let admit = |address| connections.admit(address).unwrap();
    let old = admit("192.0.2.1");
    let done = admit("192.0.2.2");
    done.progress().finish_key_exchange();
    let many = [admit("192.0.2.2"), admit("192.0.2.2"), admit("192.0.2.2")];
    let arrival = connections.arrive().unwrap();

    let newcomer = admit("192.0.2.3");
    assert_eq!(many.each_ref().map(is_dropped), [true, false, false], "the source with most, and its oldest");
    assert!(!is_dropped(&old) && !is_dropped(&done) && !is_dropped(&newcomer));
    assert_eq!(connections.open().places.len(), 6);

    // The connection's own source may be the one with the most.
    let own = admit("192.0.2.2");
    assert_eq!(many.each_ref().map(is_dropped), [true, true, false]);
    assert!(!is_dropped(&own));

    drop((old, done, many, newcomer, own, arrival));
    assert!(connections.is_empty(), "no place is given back twice");
}

#[tokio::test]
async fn a_shared_source_does_not_lose_for_all_who_are_behind_it() {
    let connections = connections(10, 4, 10);
    let stranger: Vec<_> = (0..4).map(|_| connections.admit("192.0.2.1").unwrap()).collect();
    let shared: Vec<_> = (0..6)
        .map(|_| connections.arrive().unwrap().admit(&source("192.0.2.2"), Parties::Many).now_or_never())
        .map(|admitted| admitted.unwrap().unwrap())
        .collect();
    drop(connections.arrive().unwrap());
    assert!(is_dropped(&stranger[0]) && !shared.iter().any(is_dropped));
}

#[tokio::test]
async fn issue_12_7_a_connection_that_has_tried_a_credential_is_never_dropped() {
    let connections = connections(2, 2, 10);
    let (first, second) = (connections.admit("192.0.2.1").unwrap(), connections.admit("192.0.2.2").unwrap());
    first.progress().finish_key_exchange();
    first.progress().try_credential();
    drop(connections.admit("192.0.2.3").unwrap());
    assert!(!is_dropped(&first) && is_dropped(&second));
    let arrival = connections.arrive().unwrap();
    assert_eq!(connections.arrive().unwrap_err(), ConnectionRefusal::Unauthenticated, "there is none to drop");
    assert!(!is_dropped(&first));
    drop((first, second, arrival));
    assert!(connections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn issue_12_7_a_connection_whose_credential_was_refused_makes_room_again() {
    let connections = connections(1, 2, 10);
    let first = connections.admit("192.0.2.1").unwrap();
    first.progress().finish_key_exchange();
    for _ in 0..2 {
        first.progress().try_credential();
        assert_eq!(connections.arrive().unwrap_err(), ConnectionRefusal::Unauthenticated);
        first.progress().refuse_credential();
    }
    let newcomer = connections.admit("192.0.2.2").unwrap();
    assert!(is_dropped(&first));
    drop((first, newcomer));
    assert!(connections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_waits_for_a_token_makes_room_too() {
    let limits = ConnectionLimits { unauthenticated: 1, ..ConnectionLimits::default() };
    let connections = Connections::new(limits);
    for _ in 0..20 {
        drop(connections.admit("192.0.2.1").unwrap());
    }
    let waiting = connections.arrive().unwrap();
    let waiting = tokio::spawn(async move { waiting.admit(&source("192.0.2.1"), Parties::One).await.map(drop) });
    advance(Duration::from_millis(1)).await;
    let newcomer = connections.admit("192.0.2.2").unwrap();
    assert_eq!(waiting.await.unwrap(), Err(ConnectionRefusal::MadeRoom));
    assert_eq!(connections.open().places.len(), 1);
    drop(newcomer);
    assert!(connections.is_empty());
}

/// Returns the connections that are admitted from these addresses, with finished key exchanges and no credential.
fn silent(connections: &Arc<Connections>, addresses: impl IntoIterator<Item = String>) -> Vec<Unauthenticated> {
    let admitted = addresses.into_iter().filter_map(|address| connections.admit(&address).ok());
    admitted.inspect(|place| place.progress().finish_key_exchange()).collect()
}

#[tokio::test(start_paused = true)]
async fn issue_12_7_networks_of_ipv6_have_places_of_their_own() {
    let limits = ConnectionLimits { unauthenticated: 1_000, ..ConnectionLimits::default() };
    for (addresses, most) in [
        ((0..100).map(|n| format!("2001:db8:1:234::{n:x}")).collect::<Vec<_>>(), 20),
        ((0..100).map(|n| format!("2001:db8:1:2{n:02x}::1")).collect(), 40),
        ((0..200).map(|n| format!("2001:db8:1:{n:x}00::1")).collect(), 80),
        ((0..200).map(|n| format!("2001:db8:{n:x}::1")).collect(), 200),
    ] {
        let connections = Connections::new(limits);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.append(&mut silent(&connections, addresses.clone()));
            // All buckets are full again, so only the limit of places applies.
            advance(Duration::from_hours(1)).await;
        }
        assert_eq!(held.len(), if most == 200 { 600 } else { most }, "{}", addresses[1]);
        drop(held);
        assert!(connections.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn issue_12_7_silent_connections_lock_no_newcomer_out() {
    let one_48 = |n: u32| format!("2001:db8:1:{n:x}::1");
    let ten_addresses = |n: u32| format!("192.0.2.{}", n % 10);
    for address in [&one_48 as &dyn Fn(u32) -> String, &ten_addresses] {
        let connections = Connections::new(ConnectionLimits::default());
        let mut held = Vec::new();
        for _ in 0..60 {
            held.append(&mut silent(&connections, (0..200).map(address)));
            let newcomer = connections.admit("198.51.100.1").expect("a newcomer is let in");
            let flood = silent(&connections, (0..50).map(address));
            assert!(!is_dropped(&newcomer), "no flood takes the place of one who is alone");
            held.extend(flood);
            held.retain(|place| !is_dropped(place));
            advance(Duration::from_secs(1)).await;
        }
        assert!(connections.open().places.len() <= 200);
    }
}

#[tokio::test]
async fn a_full_house_drops_a_silent_connection_where_no_key_exchange_is_unfinished() {
    let connections = connections(5, 10, 10);
    let alone = silent(&connections, ["192.0.2.1".to_owned()]);
    let many = silent(&connections, std::iter::repeat_n("192.0.2.2".to_owned(), 4));
    many[0].progress().try_credential();
    let first = connections.admit("192.0.2.3").unwrap();
    let second = connections.admit("192.0.2.3").unwrap();
    assert_eq!(many.iter().map(is_dropped).collect::<Vec<_>>(), [false, true, true, false]);
    assert!(!is_dropped(&alone[0]) && !is_dropped(&first) && !is_dropped(&second));
}

#[tokio::test]
async fn the_largest_network_of_a_source_counts_and_in_it_the_source_that_has_most() {
    let connections = connections(7, 10, 10);
    let neighbour = connections.admit("2001:db8:1:1::1").unwrap();
    let many = silent(&connections, std::iter::repeat_n("2001:db8:1:2::1".to_owned(), 3));
    let other = silent(&connections, std::iter::repeat_n("192.0.2.1".to_owned(), 3));
    let newcomer = connections.admit("192.0.2.2").unwrap();
    assert!(is_dropped(&many[0]), "4 of the /48 are more than 3");
    assert!(![&neighbour, &newcomer].into_iter().chain(&other).any(is_dropped));
}

#[tokio::test(start_paused = true)]
async fn issue_12_7_with_the_defaults_32_connections_at_once_all_get_in() {
    let connections = Connections::new(ConnectionLimits::default());
    let began = Instant::now();
    let logins = (0..32).map(|_| connections.admit_later("192.0.2.1")).map(|waiting| {
        tokio::spawn(async move {
            let place = waiting.await.unwrap()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
            place.log_in_as_itself()
        })
    });
    let logins = futures_util::future::join_all(logins.collect::<Vec<_>>()).await;
    let refused: Vec<_> = logins.iter().filter_map(|login| login.as_ref().unwrap().as_ref().err()).collect();
    assert_eq!(refused, [] as [&ConnectionRefusal; 0]);
    assert_eq!(began.elapsed(), Duration::from_millis(200), "the last 12 waited for the first 20");
    drop(logins);
    assert!(connections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn issue_12_7_a_connection_waits_for_a_place_and_is_closed_after_two_seconds() {
    let limits = ConnectionLimits { unauthenticated: 41, ..ConnectionLimits::default() };
    let connections = Connections::new(limits);
    let mut held = silent(&connections, std::iter::repeat_n("192.0.2.1".to_owned(), 20));
    assert_eq!(held.len(), 20);
    advance(Duration::from_hours(1)).await;
    let waiting: Vec<_> = (0..20).map(|_| connections.admit_later("192.0.2.1")).collect();
    yield_now().await;
    assert_eq!(connections.open().places.len(), 40, "those who wait count in all");
    assert_eq!(
        connections.admit("192.0.2.1").unwrap_err(),
        ConnectionRefusal::UnauthenticatedFromSource,
        "no more may wait"
    );
    let newcomers = ["192.0.2.2", "192.0.2.3"].map(|address| connections.admit(address).expect("they make room"));
    drop(held.pop());
    let began = Instant::now();
    let mut outcomes = Vec::new();
    for waiting in waiting {
        outcomes.push(waiting.await.unwrap());
    }
    assert_eq!(began.elapsed().as_secs(), 2);
    let count = |refusal| outcomes.iter().filter(|outcome| outcome.as_ref().err() == refusal).count();
    assert_eq!(count(None), 1, "one place was given back");
    assert_eq!(count(Some(&ConnectionRefusal::MadeRoom)), 1);
    assert_eq!(count(Some(&ConnectionRefusal::UnauthenticatedFromSource)), 18);
    drop((outcomes, newcomers, held));
    assert!(connections.is_empty());
}

/// Issue 17.1.
#[tokio::test(start_paused = true)]
async fn new_limits_hold_for_new_connections_and_end_none() {
    let connections = strict();
    let open: Vec<_> = (0..20).map(|_| connections.admit("192.0.2.1").unwrap()).collect();
    let waiting = connections.admit_later("192.0.2.1");
    yield_now().await;
    let limits = ConnectionLimits {
        logged_in: LoggedInLimits::of(1),
        unauthenticated: 22,
        unauthenticated_per_source: 21,
        unfinished_logins: LoginRate { burst: 1, per_second: 1 },
    };
    connections.set_limits(limits);
    let admitted = waiting.await.unwrap().unwrap();
    assert!(!open.iter().any(is_dropped));
    let refused = connections.admit_later("192.0.2.1").await.unwrap();
    assert_eq!(refused.unwrap_err(), ConnectionRefusal::UnauthenticatedFromSource);
    let first = open[0].log_in_as_itself().unwrap();
    assert_eq!(open[1].log_in_as_itself().unwrap_err(), ConnectionRefusal::LoggedIn);
    connections.set_limits(ConnectionLimits { logged_in: LoggedInLimits::of(2), ..limits });
    drop((open[1].log_in_as_itself().unwrap(), first, admitted, open));
    assert!(connections.is_empty());
}
