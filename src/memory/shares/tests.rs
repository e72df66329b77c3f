//! Shares: the bytes that a tenant may have, the order of the waiters, and that no byte is charged twice or lost.

use super::*;
use futures_util::FutureExt;
use proptest::prelude::*;
use std::{future::Future, pin::Pin};

const SECOND: Duration = Duration::from_secs(1);

fn share(bytes: &Arc<SharedBytes>, name: &str) -> Arc<Share> {
    bytes.of(&name.parse().unwrap())
}

impl Share {
    fn begin(self: &Arc<Self>, bytes: u64) -> Asking {
        self.ask(bytes, Purpose::Begin)
    }

    fn ask(self: &Arc<Self>, bytes: u64, purpose: Purpose) -> Asking {
        let share = Arc::clone(self);
        Box::pin(async move { share.charge_in_turn(bytes, purpose, SECOND).await })
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<Charge, BudgetExhausted>>>>;

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_the_deadline_and_leaves_no_trace() {
    let bytes = SharedBytes::new(10);
    let acme = share(&bytes, "acme");
    let all = acme.begin(10).await.unwrap();
    assert!(acme.is_pressed() && !bytes.is_waited_for());
    let asked = tokio::time::Instant::now();
    assert!(matches!(acme.begin(1).await, Err(BudgetExhausted(SECOND))));
    assert_eq!(asked.elapsed(), SECOND);
    drop(all);
    assert!(!acme.is_pressed() && !bytes.is_waited_for());
    assert_eq!(bytes.used(), 0);
    assert!(matches!(acme.begin(11).now_or_never(), Some(Err(BudgetExhausted(_)))));
}

// S204: The transfers of one tenant use at most three quarters of the server's memory; those of a tenant that uses none …
#[test]
fn a_tenant_has_at_most_three_quarters_and_leaves_a_newcomer_as_much_as_it_has() {
    let bytes = SharedBytes::new(100);
    let mut charges = Vec::new();
    let mut grow = |name: &str| {
        let share = share(&bytes, name);
        while let Some(charge) = share.charge(1) {
            charges.push(charge);
        }
        share.used()
    };
    assert_eq!(["acme", "globex", "initech", "umbrella"].map(&mut grow), [75, 12, 6, 3]);
    assert_eq!(["acme", "globex", "initech", "umbrella"].map(&mut grow), [75, 12, 6, 3]);
    let newcomer = share(&bytes, "hooli").charge(4).unwrap();
    assert_eq!((newcomer.bytes(), bytes.used()), (4, 100));
    assert!(share(&bytes, "aperture").charge(1).is_none(), "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn tenants_that_have_equally_many_take_turns_without_overtaking() {
    let bytes = SharedBytes::new(1);
    let (acme, globex) = (share(&bytes, "acme"), share(&bytes, "globex"));
    let mut held = acme.charge(1);
    let mut waiting: Vec<_> = [&acme, &acme, &acme, &globex].map(|share| Some(share.begin(1))).into();
    for ask in waiting.iter_mut().flatten() {
        assert!(ask.now_or_never().is_none());
    }
    let mut order = Vec::new();
    while order.len() < waiting.len() {
        drop(held.take());
        assert!(acme.charge(1).is_none(), "taken ahead of those who wait");
        for (index, slot) in waiting.iter_mut().enumerate() {
            if let Some(Some(answer)) = slot.as_mut().map(FutureExt::now_or_never) {
                *slot = None;
                held = Some(answer.unwrap());
                order.push(index);
                break;
            }
        }
    }
    assert_eq!(order, [0, 3, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn free_bytes_go_to_the_tenant_that_has_least_until_all_have_the_same() {
    let bytes = SharedBytes::new(96);
    let names = ["acme", "globex", "initech"];
    let mut charges: Vec<_> = (0..72).map(|_| share(&bytes, "acme").charge(1).unwrap()).collect();
    let mut waiting: Vec<_> =
        names.iter().cycle().take(96).map(|name| share(&bytes, name).ask(1, Purpose::Grow)).collect();
    let mut granted = Vec::new();
    while !charges.is_empty() {
        waiting.retain_mut(|ask| ask.now_or_never().map(|charge| granted.push(charge.unwrap())).is_none());
        drop(charges.pop());
    }
    waiting.retain_mut(|ask| ask.now_or_never().map(|charge| granted.push(charge.unwrap())).is_none());
    let shares = names.map(|name| share(&bytes, name).used());
    assert!(shares.iter().all(|bytes| (24..=32).contains(bytes)), "{shares:?}");
    assert!(bytes.used() > 64);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_its_share_holds_up_no_other() {
    let bytes = SharedBytes::new(100);
    let (acme, globex) = (share(&bytes, "acme"), share(&bytes, "globex"));
    let _acmes = acme.charge(75).unwrap();
    let mut more = acme.begin(1);
    assert!(more.as_mut().now_or_never().is_none());
    let _globexs = globex.charge(2).expect("another tenant isn't held up by it");
    assert!(globex.begin(2).now_or_never().is_some_and(|charge| charge.is_ok()));
    assert!(!globex.is_tight() && !globex.is_pressed() && acme.is_tight() && acme.is_pressed());
}

// S162: While others need memory, uploads whose CLOSE has waited for 30 seconds release their memory and fail, …
#[tokio::test(start_paused = true)]
async fn uploads_whose_close_has_come_are_served_before_all_others() {
    let bytes = SharedBytes::new(4);
    let acme = share(&bytes, "acme");
    let held = acme.charge(4);
    let mut beginning = acme.begin(3);
    let mut growing = [(); 2].map(|()| acme.ask(3, Purpose::Grow));
    let mut closing = [(); 2].map(|()| acme.ask(2, Purpose::Close));
    assert!(beginning.as_mut().now_or_never().is_none());
    for waiting in growing.iter_mut().chain(&mut closing) {
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    drop(held);
    for waiting in closing {
        assert!(waiting.now_or_never().is_some_and(|grown| grown.is_ok()));
    }
    assert!(growing[0].as_mut().now_or_never().is_none(), "it takes its turn");
    assert!(beginning.await.is_ok());
    for waiting in growing {
        assert!(waiting.await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_may_take_bytes_that_the_tenant_leaves_to_others_but_not_the_last_eighth() {
    let bytes = SharedBytes::new(80);
    let acme = share(&bytes, "acme");
    let _share = acme.charge(60).unwrap();
    assert!(acme.charge(1).is_none());
    let closing = acme.ask(10, Purpose::Close).now_or_never();
    assert!(closing.is_some_and(|charge| charge.is_ok()));
    let _close = acme.ask(10, Purpose::Close).now_or_never().unwrap().unwrap();
    assert!(acme.ask(1, Purpose::Close).now_or_never().is_none());
    assert!(share(&bytes, "globex").charge(10).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_large_waiter_that_leaves_lets_the_next_one_in() {
    let bytes = SharedBytes::new(10);
    let (acme, globex) = (share(&bytes, "acme"), share(&bytes, "globex"));
    let _held = share(&bytes, "initech").charge(5).unwrap();
    let mut large = acme.begin(8);
    let mut small = globex.begin(2);
    assert!(large.as_mut().now_or_never().is_none());
    assert!(small.as_mut().now_or_never().is_none());
    drop(large);
    assert_eq!(small.await.unwrap().bytes(), 2);
}

#[test]
fn what_is_spare_is_shared_and_leaves_a_quarter() {
    let bytes = SharedBytes::new(100);
    let acme = share(&bytes, "acme");
    let mut held = [0; 3];
    let mut taken = Vec::new();
    for index in (0..3).cycle().take(99) {
        let has_spare = acme.has_spare(1, held[index]);
        let some = acme.charge_spare(1, held[index]);
        assert_eq!(some.is_some(), has_spare);
        if let Some(some) = some {
            held[index] += 1;
            taken.push(some);
        }
    }
    assert_eq!(held, [19, 19, 18]);
    assert!(acme.charge_spare(2, 0).is_none() && !acme.is_tight());
    let _needed = acme.charge(11).unwrap();
    assert!(acme.is_tight() && !acme.is_pressed());
}

#[test]
fn charges_split_and_merge() {
    let bytes = SharedBytes::new(20);
    let acme = share(&bytes, "acme");
    let mut whole = acme.charge(8).unwrap();
    let part = whole.split(3).unwrap();
    assert!(whole.split(6).is_none());
    assert_eq!((whole.bytes(), part.bytes(), bytes.used()), (5, 3, 8));
    whole.merge(part);
    assert_eq!((whole.bytes(), bytes.used()), (8, 8));
    whole.merge(share(&SharedBytes::new(1), "acme").charge(1).unwrap());
    whole.merge(share(&bytes, "globex").charge(1).unwrap());
    assert_eq!((whole.bytes(), bytes.used()), (8, 8), "each returns to its own");
    drop(whole);
    assert_eq!(bytes.used(), 0);
}

#[test]
fn a_share_without_references_is_forgotten() {
    let bytes = SharedBytes::new(20);
    let charge = share(&bytes, "acme").charge(3).unwrap();
    assert_eq!(bytes.by_tenant(), [("acme".parse().unwrap(), 3)]);
    assert!(Arc::ptr_eq(&share(&bytes, "acme"), &charge.share), "the tenant has one share");
    drop(charge);
    assert!(bytes.state.lock().shares.is_empty());
}

#[tokio::test(start_paused = true)]
async fn files_open_while_there_is_memory_for_all_of_them_and_take_none_from_other_tenants() {
    let bytes = SharedBytes::new(20);
    let (acme, globex) = (share(&bytes, "acme"), share(&bytes, "globex"));
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(acme.expect(5, SECOND).now_or_never().expect("there is memory"));
    }
    let started = tokio::time::Instant::now();
    let mut fourth = Box::pin(acme.expect(5, SECOND));
    assert!(fourth.as_mut().now_or_never().is_none());
    assert!(acme.charge(6).is_none(), "the files are expected to need it");
    let globexs = globex.charge(15).expect("it isn't reserved");
    drop(open.pop());
    assert!(fourth.as_mut().now_or_never().is_none(), "globex has the memory");
    let fourth = fourth.await;
    assert_eq!(started.elapsed(), SECOND);
    drop((open, fourth, globexs));
    assert_eq!(acme.expected_bytes.load(Ordering::Relaxed), 0);
    let three = [acme.expect(5, SECOND).await, acme.expect(5, SECOND).await, acme.expect(5, SECOND).await];
    let mut waiting = Box::pin(acme.expect(5, SECOND));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(three);
    assert!(waiting.now_or_never().is_some());
    assert_eq!(bytes.opening.load(Ordering::Relaxed), 0);
}

#[derive(Clone, Debug)]
enum SharedBytesStep {
    Ask { owner: u8, bytes: u64, purpose: Purpose },
    Poll(prop::sample::Index),
    Cancel(prop::sample::Index),
    Take { owner: u8, bytes: u64 },
    Free(prop::sample::Index),
    Wait,
}

fn step() -> impl Strategy<Value = SharedBytesStep> {
    let purpose = prop_oneof![Just(Purpose::Begin), Just(Purpose::Grow), Just(Purpose::Close)];
    prop_oneof![
        4 => (0..3u8, 1..8u64, purpose).prop_map(|(owner, bytes, purpose)| SharedBytesStep::Ask { owner, bytes, purpose }),
        4 => any::<prop::sample::Index>().prop_map(SharedBytesStep::Poll),
        2 => any::<prop::sample::Index>().prop_map(SharedBytesStep::Cancel),
        2 => (0..3u8, 1..8u64).prop_map(|(owner, bytes)| SharedBytesStep::Take { owner, bytes }),
        3 => any::<prop::sample::Index>().prop_map(SharedBytesStep::Free),
        1 => Just(SharedBytesStep::Wait),
    ]
}

/// Checks that each byte in use is charged to one tenant, and that no waiter is left who could be served.
fn check(bytes: &SharedBytes, charges: &[Charge]) {
    let sum: u64 = charges.iter().map(Charge::bytes).sum();
    let by_tenant: u64 = bytes.by_tenant().iter().map(|(_, bytes)| bytes).sum();
    assert!(sum <= bytes.used() && by_tenant == bytes.used() && bytes.used() <= bytes.total());
    let mut state = bytes.state.lock();
    let next = state.serve_next(bytes.total());
    drop(state);
    assert!(next.is_none(), "a waiter could be served");
}

proptest! {
    #[test]
    fn nothing_is_granted_twice_or_lost(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bytes = SharedBytes::new(20);
            let (mut asking, mut charges): (Vec<Asking>, Vec<Charge>) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    SharedBytesStep::Ask { owner, bytes: wanted, purpose } => {
                        asking.push(share(&bytes, &format!("tenant{owner}")).ask(wanted, purpose));
                    }
                    SharedBytesStep::Poll(index) if !asking.is_empty() => {
                        let index = index.index(asking.len());
                        if let Some(answer) = asking[index].as_mut().now_or_never() {
                            drop(asking.swap_remove(index));
                            charges.extend(answer.ok());
                        }
                    }
                    SharedBytesStep::Cancel(index) if !asking.is_empty() => {
                        drop(asking.swap_remove(index.index(asking.len())));
                    }
                    SharedBytesStep::Take { owner, bytes: wanted } => {
                        charges.extend(share(&bytes, &format!("tenant{owner}")).charge(wanted));
                    }
                    SharedBytesStep::Free(index) if !charges.is_empty() => {
                        charges.swap_remove(index.index(charges.len()));
                    }
                    SharedBytesStep::Wait => tokio::time::advance(SECOND / 2).await,
                    _ => {}
                }
                check(&bytes, &charges);
            }
            drop((asking, charges));
            assert_eq!(bytes.used(), 0);
            let state = bytes.state.lock();
            assert!(state.closing.is_empty() && state.waiting.is_empty());
            assert!(state.shares.is_empty());
        });
    }
}
