//! The rounds in which requests start. Keys, such as tenants, take turns.
//!
//! A task that is ready waits until the runtime has polled those that were ready before it. If a flood of requests starts
//! at once, thousands of tasks are ready, and the next step of every other request waits for them. So while a key has more
//! than a few running requests, its next one waits: one request starts in each round of the runtime, which is the time until
//! it has polled all ready tasks, or in each third round while another key runs few requests. On an idle machine a round
//! takes microseconds. On a busy one the number of ready tasks stays small, however many requests clients send. With many
//! threads a round starts more.
//!
//! Rounds limit no concurrency: requests that wait for storage delay those of other keys by nothing, and those of their own
//! key by a round each.
//!
//! Invariants:
//! - Keys that wait are served in turn. A key is served in the order of its requests.
//! - While a request waits, a task counts rounds.

use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
};
use tokio::{runtime::Handle, sync::oneshot, task::yield_now};

/// A round starts one request for this many threads of the runtime, and at least one: the runtime polls ready tasks faster
/// with more threads.
const THREADS_PER_START: usize = 2;
/// The next request of a key with fewer running ones starts at once. So a client that waits for each answer waits for no
/// round.
const UNCOUNTED: usize = 4;
/// While a key runs of which no request waits, requests start in one of so many rounds. So each step of its request finds
/// fewer ready tasks before it.
const ROUNDS_BESIDE_OTHERS: u32 = 3;

/// The rounds of one process.
#[derive(Debug)]
pub(crate) struct Rounds<K: Clone + Eq + Hash> {
    line: Mutex<RoundsLine<K>>,
}

/// The requests that run or wait.
#[derive(Debug)]
struct RoundsLine<K> {
    /// True while a task counts rounds.
    is_counted: bool,
    /// The number of running requests of each key that has any.
    running: HashMap<K, usize>,
    /// The requests of each key. Those whose task was cancelled are among them until their turn.
    waiting: HashMap<K, VecDeque<oneshot::Sender<()>>>,
    /// The keys that wait, in their order.
    turns: VecDeque<K>,
}

impl<K: Clone + Eq + Hash + Send + 'static> Rounds<K> {
    #[must_use]
    pub(crate) fn new() -> Arc<Self> {
        let (running, waiting, turns) = (HashMap::new(), HashMap::new(), VecDeque::new());
        Arc::new(Self { line: Mutex::new(RoundsLine { is_counted: false, running, waiting, turns }) })
    }

    /// Waits until a request of `key` may start. Drop the result when the request ends.
    pub(crate) async fn start(self: &Arc<Self>, key: &K) -> RunningRequest<K> {
        if let Some(turn) = self.queue(key) {
            // The senders live as long as this.
            let _ = turn.await;
            self.line().begin(key);
        }
        RunningRequest { rounds: Arc::clone(self), key: key.clone() }
    }

    /// Starts the request at once (`None`), or joins the line.
    fn queue(self: &Arc<Self>, key: &K) -> Option<oneshot::Receiver<()>> {
        let mut line = self.line();
        if line.may_begin(key) {
            line.begin(key);
            return None;
        }
        let (grant, turn) = oneshot::channel();
        line.join(key, grant);
        if !line.is_counted {
            line.is_counted = true;
            tokio::spawn(Arc::clone(self).count_rounds());
        }
        Some(turn)
    }

    /// Serves the requests that wait, a few in each round, until none waits.
    async fn count_rounds(self: Arc<Self>) {
        let starts = (Handle::current().metrics().num_workers() / THREADS_PER_START).max(1);
        let mut rounds = 0;
        loop {
            yield_now().await;
            rounds += 1;
            if rounds < ROUNDS_BESIDE_OTHERS && self.line().has_quiet_keys() {
                continue;
            }
            rounds = 0;
            if !(0..starts).all(|_| self.line().serve()) {
                return;
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, RoundsLine<K>> {
        self.line.lock()
    }
}

impl<K: Clone + Eq + Hash> RoundsLine<K> {
    fn may_begin(&self, key: &K) -> bool {
        !self.waiting.contains_key(key) && self.running.get(key).is_none_or(|running| *running < UNCOUNTED)
    }

    /// True if a key of which no request waits has running ones. Keys that wait have some too, but for moments.
    fn has_quiet_keys(&self) -> bool {
        self.running.len() > self.waiting.len()
    }

    fn begin(&mut self, key: &K) {
        if let Some(running) = self.running.get_mut(key) {
            *running += 1;
        } else {
            self.running.insert(key.clone(), 1);
        }
    }

    fn end(&mut self, key: &K) {
        let Some(running) = self.running.get_mut(key) else { return };
        *running -= 1;
        if *running == 0 {
            self.running.remove(key);
        }
    }

    fn join(&mut self, key: &K, grant: oneshot::Sender<()>) {
        if let Some(line) = self.waiting.get_mut(key) {
            line.push_back(grant);
        } else {
            self.waiting.insert(key.clone(), VecDeque::from([grant]));
            self.turns.push_back(key.clone());
        }
    }

    /// Starts the next request. Returns false, and ends the count, if none waits then.
    fn serve(&mut self) -> bool {
        while let Some(key) = self.turns.pop_front() {
            let Some(line) = self.waiting.get_mut(&key) else { continue };
            let grant = line.pop_front();
            if line.is_empty() {
                self.waiting.remove(&key);
            } else {
                self.turns.push_back(key);
            }
            // The turn of a request whose task was cancelled goes to the next one.
            if grant.is_some_and(|grant| grant.send(()).is_ok()) {
                break;
            }
        }
        self.is_counted = !self.turns.is_empty();
        self.is_counted
    }
}

/// A request that has started.
#[derive(Debug)]
pub(crate) struct RunningRequest<K: Clone + Eq + Hash> {
    rounds: Arc<Rounds<K>>,
    key: K,
}

impl<K: Clone + Eq + Hash> Drop for RunningRequest<K> {
    fn drop(&mut self) {
        self.rounds.line.lock().end(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    /// Lets the task that counts begin, and count a round.
    async fn a_round() {
        yield_now().await;
        yield_now().await;
    }

    #[tokio::test]
    async fn a_few_requests_start_at_once_and_the_next_one_in_the_next_round() {
        let rounds = Rounds::new();
        let mut running: Vec<_> = (0..UNCOUNTED).map(|_| rounds.start(&"acme").now_or_never().unwrap()).collect();
        let mut next = Box::pin(rounds.start(&"acme"));
        assert!(next.as_mut().now_or_never().is_none());
        a_round().await;
        running.push(next.as_mut().now_or_never().unwrap());
        running.truncate(UNCOUNTED - 1);
        assert!(rounds.start(&"acme").now_or_never().is_some());
        drop(running);
        assert!(rounds.line().running.is_empty());
    }

    #[tokio::test]
    async fn one_request_of_a_flood_starts_in_a_round_and_other_tenants_take_turns_with_it() {
        let (rounds, started) = (Rounds::new(), Arc::new(Mutex::new(Vec::new())));
        let request = |tenant: &'static str| {
            let (rounds, started) = (Arc::clone(&rounds), Arc::clone(&started));
            tokio::spawn(async move {
                let running = rounds.start(&tenant).await;
                started.lock().push(tenant);
                // It waits for storage that never answers.
                std::mem::forget(running);
            })
        };
        let mut tasks: Vec<_> = (0..100).map(|_| request("acme")).collect();
        yield_now().await;
        tasks.extend((0..UNCOUNTED + 5).map(|_| request("initech")));
        yield_now().await;
        let mut before = started.lock().len();
        let of_initech = started.lock().iter().filter(|tenant| **tenant == "initech").count();
        assert!(before <= 2 * UNCOUNTED + 2 && of_initech >= UNCOUNTED, "{of_initech} of {before}");
        while before < tasks.len() {
            yield_now().await;
            let now = started.lock().len();
            assert!(now - before <= 1, "{before} to {now}");
            before = now;
        }
        let last = started.lock().iter().rposition(|tenant| *tenant == "initech");
        assert!(last.is_some_and(|place| place < 2 * UNCOUNTED + 13), "{last:?}");
        a_round().await;
        assert!(!rounds.line().is_counted && rounds.line().waiting.is_empty());
    }

    #[tokio::test]
    async fn beside_a_key_with_few_requests_one_of_three_rounds_starts_some() {
        let rounds = Rounds::new();
        let running: Vec<_> = (0..UNCOUNTED).map(|_| rounds.start(&"acme").now_or_never().unwrap()).collect();
        let quiet = rounds.start(&"initech").now_or_never().unwrap();
        let request = |rounds: Arc<Rounds<&'static str>>| async move { rounds.start(&"acme").await };
        let mut flood: Vec<_> = (0..10).map(|_| tokio::spawn(request(Arc::clone(&rounds)))).collect();
        let started = async |flood: &mut Vec<tokio::task::JoinHandle<_>>, rounds: usize| {
            for _ in 0..rounds {
                yield_now().await;
            }
            let all = flood.len();
            flood.retain(|request| !request.is_finished());
            all - flood.len()
        };
        a_round().await;
        let beside = started(&mut flood, 12).await;
        assert!((3..=5).contains(&beside), "{beside}");
        drop((running, quiet));
        assert_eq!(started(&mut flood, 12).await, 10 - beside, "alone it starts one a round");
    }

    #[tokio::test]
    async fn a_cancelled_request_takes_no_turn() {
        let rounds = Rounds::new();
        let _running: Vec<_> = (0..UNCOUNTED).map(|_| rounds.start(&"acme").now_or_never().unwrap()).collect();
        let mut flood: Vec<_> = (0..50).map(|_| Box::pin(rounds.start(&"acme"))).collect();
        assert!(flood.iter_mut().all(|start| start.as_mut().now_or_never().is_none()));
        let mut last = flood.pop().unwrap();
        drop(flood);
        a_round().await;
        assert!(last.as_mut().now_or_never().is_some());
        assert!(rounds.line().waiting.is_empty());
    }
}
