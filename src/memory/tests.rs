//! The budget: its lines, its spare bytes, and that no byte is charged twice or lost.

use super::*;
use futures_util::FutureExt;
use proptest::prelude::*;
use std::{future::Future, pin::Pin};

const SECOND: Duration = Duration::from_secs(1);

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_the_deadline_and_leaves_no_trace() {
    let budget = Budget::new(10);
    let acme = budget.of(&tenant("acme"));
    let all = acme.charge_in_turn(10, SECOND).await.unwrap();
    assert!(budget.pressed());
    let asked = tokio::time::Instant::now();
    assert!(matches!(acme.charge_in_turn(1, SECOND).await, Err(BudgetExhausted(SECOND))));
    assert_eq!(asked.elapsed(), SECOND);
    drop(all);
    assert!(!budget.pressed());
    assert_eq!(budget.used(), 0);
    assert!(matches!(acme.charge_in_turn(11, SECOND).now_or_never(), Some(Err(BudgetExhausted(_)))));
}

#[tokio::test(start_paused = true)]
async fn tenants_take_turns_and_nobody_overtakes() {
    let budget = Budget::new(1);
    let (acme, globex) = (budget.of(&tenant("acme")), budget.of(&tenant("globex")));
    let mut held = acme.charge(1);
    let asks = [&acme, &acme, &acme, &globex];
    let mut waiting: Vec<_> = asks.iter().map(|memory| Some(Box::pin(memory.charge_in_turn(1, SECOND)))).collect();
    for ask in waiting.iter_mut().flatten() {
        assert!(ask.now_or_never().is_none());
    }
    let mut order = Vec::new();
    while order.len() < asks.len() {
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

// S162: While others need memory, uploads whose CLOSE has waited for 30 seconds release their memory and fail, …
#[tokio::test(start_paused = true)]
async fn uploads_whose_close_has_come_are_served_before_all_others() {
    let budget = Budget::new(2);
    let acme = budget.of(&tenant("acme"));
    let held = acme.charge(2);
    let mut beginning = Box::pin(acme.charge_in_turn(2, SECOND));
    let mut growing = [(); 2].map(|()| Box::pin(acme.wait(Line::Growing, 2, SECOND)));
    let mut closing = [(); 2].map(|()| Box::pin(acme.wait(Line::Closing, 1, SECOND)));
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
async fn a_large_waiter_that_leaves_lets_the_next_one_in() {
    let budget = Budget::new(10);
    let acme = budget.of(&tenant("acme"));
    let globex = budget.of(&tenant("globex"));
    let _held = acme.charge(5).unwrap();
    let mut large = Box::pin(acme.charge_in_turn(8, SECOND));
    let mut small = Box::pin(globex.charge_in_turn(2, SECOND));
    assert!(large.as_mut().now_or_never().is_none());
    assert!(small.as_mut().now_or_never().is_none());
    drop(large);
    assert_eq!(small.await.unwrap().bytes(), 2);
}

#[test]
fn what_is_spare_is_shared_and_leaves_a_quarter() {
    let budget = Budget::new(100);
    let acme = budget.of(&tenant("acme"));
    let mut held = [0; 3];
    let mut taken = Vec::new();
    for index in (0..3).cycle().take(99) {
        let has_spare = budget.has_spare(1, held[index]);
        let some = acme.charge_spare(1, held[index]);
        assert_eq!(some.is_some(), has_spare);
        if let Some(some) = some {
            held[index] += 1;
            taken.push(some);
        }
    }
    assert_eq!(held, [25, 25, 25]);
    assert!(acme.charge_spare(1, 0).is_none() && !budget.is_tight());
    let _needed = acme.charge(14).unwrap();
    assert!(budget.is_tight());
}

#[test]
fn charges_split_and_merge() {
    let budget = Budget::new(10);
    let acme = budget.of(&tenant("acme"));
    let mut whole = acme.charge(8).unwrap();
    let part = whole.split(3).unwrap();
    assert!(whole.split(6).is_none());
    assert_eq!((whole.bytes(), part.bytes(), budget.used()), (5, 3, 8));
    whole.merge(part);
    assert_eq!((whole.bytes(), budget.used()), (8, 8));
    whole.merge(Budget::new(1).of(&tenant("acme")).charge(1).unwrap());
    whole.merge(budget.of(&tenant("globex")).charge(1).unwrap());
    assert_eq!((whole.bytes(), budget.used()), (8, 8), "each returns to its own");
    drop(whole);
    assert_eq!(budget.used(), 0);
}

#[derive(Clone, Debug)]
enum BudgetStep {
    Ask { owner: u8, bytes: u64 },
    Poll(prop::sample::Index),
    Cancel(prop::sample::Index),
    Take(u64),
    Free(prop::sample::Index),
    Wait,
}

fn step() -> impl Strategy<Value = BudgetStep> {
    prop_oneof![
        4 => (0..3u8, 1..8u64).prop_map(|(owner, bytes)| BudgetStep::Ask { owner, bytes }),
        4 => any::<prop::sample::Index>().prop_map(BudgetStep::Poll),
        2 => any::<prop::sample::Index>().prop_map(BudgetStep::Cancel),
        2 => (1..8u64).prop_map(BudgetStep::Take),
        3 => any::<prop::sample::Index>().prop_map(BudgetStep::Free),
        1 => Just(BudgetStep::Wait),
    ]
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Charge, BudgetExhausted>> + 'a>>;

proptest! {
    #[test]
    fn nothing_is_granted_twice_or_lost(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let budget = Budget::new(10);
            let (mut asking, mut held): (Vec<Asking<'_>>, Vec<Charge>) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    BudgetStep::Ask { owner, bytes } => {
                        let memory = budget.of(&tenant(&format!("tenant{owner}")));
                        asking.push(Box::pin(async move { memory.charge_in_turn(bytes, SECOND).await }));
                    }
                    BudgetStep::Poll(index) if !asking.is_empty() => {
                        let index = index.index(asking.len());
                        if let Some(answer) = asking[index].as_mut().now_or_never() {
                            drop(asking.swap_remove(index));
                            held.extend(answer.ok());
                        }
                    }
                    BudgetStep::Cancel(index) if !asking.is_empty() => {
                        drop(asking.swap_remove(index.index(asking.len())));
                    }
                    BudgetStep::Take(bytes) => held.extend(budget.of(&tenant("acme")).charge(bytes)),
                    BudgetStep::Free(index) if !held.is_empty() => {
                        held.swap_remove(index.index(held.len()));
                    }
                    BudgetStep::Wait => tokio::time::advance(SECOND / 2).await,
                    _ => {}
                }
                let sum: u64 = held.iter().map(Charge::bytes).sum();
                assert!(sum <= budget.used() && budget.used() <= 10);
            }
            drop((asking, held));
            assert_eq!(budget.used(), 0);
            let state = budget.state();
            assert!(state.lines.is_empty() && state.turns.is_empty());
        });
    }
}
