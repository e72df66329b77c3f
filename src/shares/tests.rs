use super::{
    ShareLine::{First, Second},
    *,
};
use futures_util::FutureExt;
use proptest::prelude::*;
use std::pin::Pin;

type TestShares = Arc<Shares<&'static str>>;
type TestPermit = SharePermit<&'static str>;
type Waiting = Pin<Box<dyn Future<Output = TestPermit>>>;

fn wait(shares: &TestShares, key: &'static str, line: ShareLine) -> Waiting {
    let shares = Arc::clone(shares);
    Box::pin(async move { shares.acquire(&key, line).await })
}

/// Takes a permit that is free.
fn take(shares: &TestShares, key: &'static str) -> TestPermit {
    wait(shares, key, First).now_or_never().expect("no permit is free")
}

/// Joins the line. Fails if a permit is free.
fn queued(shares: &TestShares, key: &'static str, line: ShareLine) -> Waiting {
    let mut waiting = wait(shares, key, line);
    assert!(waiting.as_mut().now_or_never().is_none(), "{key} has a permit");
    waiting
}

/// Takes permits until one isn't free. Returns them, and the future that waits.
fn fill(shares: &TestShares, key: &'static str) -> (Vec<TestPermit>, Waiting) {
    let mut permits = Vec::new();
    loop {
        let mut waiting = wait(shares, key, First);
        match waiting.as_mut().now_or_never() {
            Some(permit) => permits.push(permit),
            None => return (permits, waiting),
        }
    }
}

/// Returns the labels of the waiters in the order in which they are served, if each returns its permit at once. The
/// shares have one permit, which is in use.
fn order<T: Copy>(permit: TestPermit, mut waiting: Vec<(T, Waiting)>) -> Vec<T> {
    let mut order = Vec::new();
    drop(permit);
    while !waiting.is_empty() {
        let served = waiting.iter_mut().enumerate().find_map(|(at, (_, waiting))| {
            let permit = waiting.as_mut().now_or_never()?;
            Some((at, permit))
        });
        let (at, permit) = served.expect("a wake-up is lost");
        order.push(waiting.remove(at).0);
        drop(permit);
    }
    order
}

#[test]
fn one_key_has_three_quarters_and_a_newcomer_its_first_permit_at_once() {
    for (total, most) in [(1, 1), (4, 3), (64, 48), (256, 192), (1_024, 768)] {
        let shares = Shares::new(total);
        assert_eq!(fill(&shares, "a").0.len(), most, "of {total}");
    }
    let shares = Shares::new(1_024);
    let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|key| fill(&shares, key));
    assert_eq!(all.each_ref().map(|(permits, _)| permits.len()), [768, 128, 64, 32, 16, 8, 4, 2, 1]);
    drop(all);
    let state = shares.state();
    assert_eq!((state.in_use, state.keys.len(), state.turns.len()), (0, 0, 0));
}

#[test]
fn keys_with_equally_many_permits_take_turns_and_each_is_served_in_its_order() {
    let shares = Shares::new(1);
    let permit = take(&shares, "a");
    let waiting = ["a", "a", "a", "b", "b", "c"].iter().enumerate();
    let waiting = waiting.map(|(at, key)| ((*key, at), queued(&shares, key, First))).collect();
    assert_eq!(order(permit, waiting), [("a", 0), ("b", 3), ("c", 5), ("a", 1), ("b", 4), ("a", 2)]);
}

#[test]
fn the_key_with_the_fewest_permits_is_served_first() {
    let shares = Shares::new(8);
    let (mut of_a, mut a) = fill(&shares, "a");
    let (of_b, mut b) = fill(&shares, "b");
    assert_eq!((of_a.len(), of_b.len()), (6, 1));
    of_a.pop();
    assert!(a.as_mut().now_or_never().is_none());
    assert!(b.as_mut().now_or_never().is_some());
}

#[test]
fn a_flood_of_one_key_delays_another_by_one_turn() {
    let shares = Shares::new(1);
    let permit = take(&shares, "flood");
    let mut flood: Vec<_> = (0..10_000).map(|_| queued(&shares, "flood", First)).collect();
    let mut other = queued(&shares, "other", First);
    drop(permit);
    assert!(other.as_mut().now_or_never().is_none(), "the first of all comes first");
    drop(flood[0].as_mut().now_or_never().unwrap());
    assert!(other.as_mut().now_or_never().is_some());
}

#[test]
fn the_lines_of_a_key_take_turns() {
    let shares = Shares::new(1);
    let permit = take(&shares, "a");
    let lines = [First, First, First, Second, Second];
    let waiting = lines.iter().enumerate().map(|(at, line)| (at, queued(&shares, "a", *line))).collect();
    assert_eq!(order(permit, waiting), [3, 0, 4, 1, 2]);
}

#[test]
fn a_cancelled_waiter_leaves_its_line_even_with_a_permit_on_its_way() {
    let shares = Shares::new(1);
    let permit = take(&shares, "a");
    let [first, second, mut third] = ["a", "a", "b"].map(|key| queued(&shares, key, First));
    drop(first);
    drop(permit);
    // The second one was served, and leaves without having looked.
    drop(second);
    assert!(third.as_mut().now_or_never().is_some());
    assert_eq!((shares.in_use(), shares.state().keys.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_between_threads() {
    let shares = Shares::new(8);
    let tasks = (0..64_u32).map(|number| {
        let shares = Arc::clone(&shares);
        tokio::spawn(async move {
            let key = ["a", "b", "c", "d"][number as usize % 4];
            for turn in 0..200 {
                let line = if turn % 3 == 0 { Second } else { First };
                let permit = if (turn + number) % 5 == 0 {
                    // It leaves the line after one look.
                    shares.acquire(&key, line).now_or_never()
                } else {
                    Some(shares.acquire(&key, line).await)
                };
                tokio::task::yield_now().await;
                drop(permit);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!((shares.in_use(), shares.state().keys.len()), (0, 0));
}

/// A step of a random test.
#[derive(Clone, Debug)]
enum ShareStep {
    Wait(usize, bool),
    Poll(usize),
    Cancel(usize),
    Return(usize),
}

fn step() -> impl Strategy<Value = ShareStep> {
    prop_oneof![
        3 => (0..KEYS.len(), any::<bool>()).prop_map(|(key, changes)| ShareStep::Wait(key, changes)),
        2 => any::<usize>().prop_map(ShareStep::Poll),
        1 => any::<usize>().prop_map(ShareStep::Cancel),
        2 => any::<usize>().prop_map(ShareStep::Return),
    ]
}

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

proptest! {
    #[test]
    fn the_invariants_hold_in_any_order_of_steps(
        total in 1_usize..24,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let shares = Shares::new(total);
        let mut waiting: Vec<(&str, Waiting)> = Vec::new();
        let mut permits: Vec<(&str, TestPermit)> = Vec::new();
        for step in steps {
            match step {
                ShareStep::Wait(key, changes) => {
                    let line = if changes { Second } else { First };
                    let mut new = wait(&shares, KEYS[key], line);
                    match new.as_mut().now_or_never() {
                        Some(permit) => permits.push((KEYS[key], permit)),
                        None => waiting.push((KEYS[key], new)),
                    }
                }
                ShareStep::Poll(at) if !waiting.is_empty() => {
                    let at = at % waiting.len();
                    if let Some(permit) = waiting[at].1.as_mut().now_or_never() {
                        permits.push((waiting[at].0, permit));
                        drop(waiting.swap_remove(at));
                    }
                }
                ShareStep::Cancel(at) if !waiting.is_empty() => drop(waiting.swap_remove(at % waiting.len())),
                ShareStep::Return(at) if !permits.is_empty() => drop(permits.swap_remove(at % permits.len())),
                ShareStep::Poll(_) | ShareStep::Cancel(_) | ShareStep::Return(_) => {}
            }
            let state = shares.state();
            state.assert_sound(total);
            prop_assert!(permits.len() <= state.in_use && state.in_use <= total);
            prop_assert_eq!(state.keys.values().map(|share| share.in_use).sum::<usize>(), state.in_use);
            for key in KEYS {
                let of_key = state.keys.get(key).map_or(0, |share| share.in_use);
                prop_assert!(of_key <= total - total / 4);
                prop_assert!(permits.iter().filter(|(holder, _)| *holder == key).count() <= of_key);
            }
            prop_assert_eq!(state.turns.len(), state.keys.values().filter(|share| share.turn.is_some()).count());
        }
        // Every waiter is served in the end.
        while !waiting.is_empty() {
            permits.clear();
            let before = waiting.len();
            waiting.retain_mut(|(_, waiting)| waiting.as_mut().now_or_never().is_none());
            prop_assert!(waiting.len() < before, "a wake-up is lost");
        }
        permits.clear();
        let state = shares.state();
        prop_assert_eq!((state.in_use, state.keys.len(), state.turns.len()), (0, 0, 0));
    }
}
