//! Decides when the server may check a password. A check takes memory and CPU before the client has proved its
//! identity. So only a few checks run at a time, and no source takes more than half of them or another source's turn.
//!
//! The check itself is in `identity`. Limits on connections bound the waiting checks further, since each connection
//! waits for one at a time.

use super::Source;
use crate::name::{LoginName, UserName};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// The maximum wait for a check.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The number of checks of one source that may wait.
const MAX_WAITING_PER_SOURCE: usize = 256;

/// The number of checks that may wait in all.
const MAX_WAITING: usize = 1_024;

/// The running and waiting password checks of the process.
#[derive(Debug)]
pub struct PasswordChecks {
    concurrent: NonZeroUsize,
    queue: Mutex<Queue>,
}

/// The right to check one password. Dropping it gives the right back.
#[derive(Debug)]
pub struct PasswordCheck {
    checks: Arc<PasswordChecks>,
    source: Source,
    user: CheckedName,
}

/// Too many checks wait, or this one waited too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Busy {
    /// The reason in the log.
    pub(crate) const REASON: &str = "too many password checks are waiting";
}

impl PasswordChecks {
    /// Allows `concurrent` checks at a time. One source may have half of them, and at least one.
    #[must_use]
    pub fn new(concurrent: NonZeroUsize) -> Arc<Self> {
        Arc::new(Self { concurrent, queue: Mutex::default() })
    }

    /// Waits until the server may check a password that `source` sent for the login `name`. A source has one check at a
    /// time for each name. Cancel-safe: dropping the future leaves the queue.
    ///
    /// # Errors
    /// The wait took 10 s, or the queue is full.
    pub(crate) async fn admit(self: &Arc<Self>, source: Source, name: &LoginName) -> Result<PasswordCheck, Busy> {
        let (turn, admitted) = oneshot::channel();
        self.queue().push(source, WaitingCheck { user: name.user().cloned(), turn });
        self.start();
        match timeout(MAX_WAIT, admitted).await {
            Ok(Ok(check)) => Ok(check),
            // The queue dropped the check, or the wait timed out.
            Ok(Err(_)) | Err(_) => Err(Busy),
        }
    }

    /// Starts the checks whose turn it is.
    fn start(self: &Arc<Self>) {
        loop {
            // The lock must be free before a check is handed over: a check that isn't taken is dropped, which takes the
            // lock.
            let next = self.queue().next(self.concurrent);
            let Some((source, WaitingCheck { user, turn })) = next else { return };
            // The send fails if the client has left, and then drops the check.
            drop(turn.send(PasswordCheck { checks: Arc::clone(self), source, user }));
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }
}

impl Drop for PasswordCheck {
    fn drop(&mut self) {
        self.checks.queue().end(&self.source, &self.user);
        self.checks.start();
    }
}

/// A user's name. `None` stands for all names that no user can have: clients could invent any number of them.
type CheckedName = Option<UserName>;

/// The queue of the checks: one line for each source. The sources take turns.
#[derive(Debug, Default)]
struct Queue {
    running: usize,
    /// The sources that have a running or waiting check.
    sources: HashMap<Source, SourceQueue>,
    /// The sources that have a waiting check, each once, the next one first.
    turns: VecDeque<Source>,
}

/// The checks of one source.
#[derive(Debug, Default)]
struct SourceQueue {
    /// The names of the running checks, each once.
    running: Vec<CheckedName>,
    waiting: VecDeque<WaitingCheck>,
}

#[derive(Debug)]
struct WaitingCheck {
    user: CheckedName,
    turn: oneshot::Sender<PasswordCheck>,
}

impl Queue {
    /// Appends a check to its source's line, or drops it if the line is full. When all lines together are full, the
    /// longest line loses its last check.
    fn push(&mut self, source: Source, waiting: WaitingCheck) {
        self.forget_left();
        let ahead = self.sources.get(&source).map_or(0, |line| line.waiting.len());
        if ahead >= MAX_WAITING_PER_SOURCE || (self.waiting() >= MAX_WAITING && !self.shorten_longer_than(ahead + 1)) {
            return;
        }
        if ahead == 0 {
            self.turns.push_back(source.clone());
        }
        self.sources.entry(source).or_default().waiting.push_back(waiting);
    }

    /// Removes the last check of the longest line, if that line is longer than `length`.
    fn shorten_longer_than(&mut self, length: usize) -> bool {
        let longest = self.sources.values_mut().max_by_key(|line| line.waiting.len());
        longest.filter(|line| line.waiting.len() > length).is_some_and(|line| line.waiting.pop_back().is_some())
    }

    /// Removes the next check that may run and counts it as running. At most `concurrent` checks run at a time.
    fn next(&mut self, concurrent: NonZeroUsize) -> Option<(Source, WaitingCheck)> {
        self.forget_left();
        if self.running >= concurrent.get() {
            return None;
        }
        let per_source = (concurrent.get() / 2).max(1);
        let may_run = |source| self.sources.get(source).is_some_and(|line| line.next(per_source).is_some());
        let at = self.turns.iter().position(may_run)?;
        let source = self.turns.remove(at)?;
        let line = self.sources.get_mut(&source)?;
        let waiting = line.waiting.remove(line.next(per_source)?)?;
        line.running.push(waiting.user.clone());
        self.running += 1;
        if !line.waiting.is_empty() {
            self.turns.push_back(source.clone());
        }
        Some((source, waiting))
    }

    /// Counts a check as ended.
    fn end(&mut self, source: &Source, user: &CheckedName) {
        self.running = self.running.saturating_sub(1);
        if let Some(line) = self.sources.get_mut(source) {
            line.running.retain(|running| running != user);
        }
        self.forget_left();
    }

    /// Removes the checks whose clients have left, and the sources without checks. A check waits only because others
    /// run, so the end of a running check calls this at the latest.
    fn forget_left(&mut self) {
        self.sources.retain(|_, line| {
            line.waiting.retain(|waiting| !waiting.turn.is_closed());
            !line.waiting.is_empty() || !line.running.is_empty()
        });
        let Self { sources, turns, .. } = self;
        turns.retain(|source| sources.get(source).is_some_and(|line| !line.waiting.is_empty()));
    }

    fn waiting(&self) -> usize {
        self.sources.values().map(|line| line.waiting.len()).sum()
    }
}

impl SourceQueue {
    /// Returns the position of the first check that may run beside the running ones, of which there may be `most`.
    fn next(&self, most: usize) -> Option<usize> {
        if self.running.len() >= most {
            return None;
        }
        self.waiting.iter().position(|waiting| !self.running.contains(&waiting.user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::{iter, pin::Pin};
    use tokio::time::advance;

    fn checks(concurrent: usize) -> Arc<PasswordChecks> {
        PasswordChecks::new(NonZeroUsize::new(concurrent).unwrap())
    }

    /// A client that asks for a check of `user`'s password.
    struct Client(Pin<Box<dyn Future<Output = Result<PasswordCheck, Busy>>>>);

    impl Client {
        fn new(checks: &Arc<PasswordChecks>, source: &str, user: &str) -> Self {
            let (checks, source, name) = (Arc::clone(checks), source.parse().unwrap(), LoginName::new(user));
            Self(Box::pin(async move { checks.admit(Source::new(source, None), &name).await }))
        }

        /// Returns the check if it is this client's turn, and `None` while it waits. The first call enters the queue.
        fn turn(&mut self) -> Option<Result<PasswordCheck, Busy>> {
            (&mut self.0).now_or_never()
        }

        fn has_turn(&mut self) -> PasswordCheck {
            self.turn().expect("it waits").expect("it was refused")
        }

        fn waits(&mut self) -> bool {
            self.turn().is_none()
        }
    }

    fn is_empty(checks: &PasswordChecks) -> bool {
        let queue = checks.queue();
        queue.running == 0 && queue.sources.is_empty() && queue.turns.is_empty()
    }

    #[tokio::test]
    async fn as_many_run_as_may_and_the_next_one_follows() {
        let checks = checks(2);
        let mut clients = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|source| Client::new(&checks, source, "alice"));
        let (first, second) = (clients[0].has_turn(), clients[1].has_turn());
        assert!(clients[2].waits());
        drop(first);
        let third = clients[2].has_turn();
        drop((second, third));
        assert!(is_empty(&checks));
    }

    /// Issue 12.6: at most half of the permits per source.
    #[tokio::test]
    async fn a_source_has_half_of_the_checks_and_keeps_nobody_else_from_the_rest() {
        for (concurrent, half) in [(1, 1), (2, 1), (3, 1), (4, 2), (9, 4)] {
            let checks = checks(concurrent);
            let mut flood: Vec<_> =
                (0..50).map(|index| Client::new(&checks, "192.0.2.1", &format!("user{index}"))).collect();
            let running: Vec<_> = flood.iter_mut().filter_map(Client::turn).collect();
            assert_eq!(running.len(), half, "of {concurrent}");
            let others: Vec<_> = (half..concurrent)
                .map(|index| Client::new(&checks, &format!("198.51.100.{index}"), "alice").has_turn())
                .collect();
            drop((running, others, flood));
            assert!(is_empty(&checks));
        }
    }

    /// Issue 12.6: one check at a time per source and user name.
    #[tokio::test]
    async fn a_source_has_one_check_at_a_time_for_a_name() {
        let checks = checks(8);
        let mut alice = [(); 2].map(|()| Client::new(&checks, "192.0.2.1", "alice"));
        let first = alice[0].has_turn();
        assert!(alice[1].waits());
        let others = [
            Client::new(&checks, "192.0.2.1", "bob").has_turn(),
            Client::new(&checks, "192.0.2.2", "alice").has_turn(),
            Client::new(&checks, "192.0.2.1", "no name").has_turn(),
        ];
        let mut nameless = Client::new(&checks, "192.0.2.1", &"x".repeat(100_000));
        assert!(nameless.waits(), "names that no user can have are one name");
        drop(first);
        drop((alice[1].has_turn(), others));
        drop(nameless.has_turn());
        assert!(is_empty(&checks));
    }

    #[tokio::test]
    async fn sources_take_turns_however_many_checks_one_of_them_has_waiting() {
        let checks = checks(1);
        let running = Client::new(&checks, "192.0.2.9", "eve").has_turn();
        let mut flood: Vec<_> = (0..5).map(|index| Client::new(&checks, "192.0.2.1", &format!("u{index}"))).collect();
        assert!(flood.iter_mut().all(Client::waits));
        let mut late = [Client::new(&checks, "192.0.2.2", "a"), Client::new(&checks, "192.0.2.3", "b")];
        assert!(late.iter_mut().all(Client::waits));
        drop(running);
        // The flood came first and gets one turn; then come the clients that arrived after it.
        drop(flood[0].has_turn());
        drop(late[0].has_turn());
        drop(late[1].has_turn());
        for client in &mut flood[1..] {
            drop(client.has_turn());
        }
        assert!(is_empty(&checks));
    }

    /// Issue 12.6: a wait of more than 10 s is refused as busy.
    #[tokio::test(start_paused = true)]
    async fn ten_seconds_are_the_longest_wait() {
        let checks = checks(1);
        let running = Client::new(&checks, "192.0.2.1", "alice").has_turn();
        let mut waiting = Client::new(&checks, "192.0.2.2", "bob");
        assert!(waiting.waits());
        advance(Duration::from_millis(9_999)).await;
        assert!(waiting.waits());
        advance(Duration::from_millis(2)).await;
        assert_eq!(waiting.turn().unwrap().unwrap_err(), Busy);
        let mut next = Client::new(&checks, "192.0.2.3", "carol");
        assert!(next.waits());
        drop(running);
        drop(next.has_turn());
        assert!(is_empty(&checks));
    }

    #[tokio::test]
    async fn a_client_that_leaves_gives_its_place_away() {
        let checks = checks(1);
        let running = Client::new(&checks, "192.0.2.1", "alice").has_turn();
        let [mut left, mut unheard, mut next] =
            ["192.0.2.2", "192.0.2.3", "192.0.2.4"].map(|source| Client::new(&checks, source, "bob"));
        assert!(left.waits() && unheard.waits() && next.waits());
        drop(left);
        drop(running);
        // This client left after it got its turn and before it took it.
        drop(unheard);
        drop(next.has_turn());
        assert!(is_empty(&checks));
    }

    #[tokio::test]
    async fn the_line_of_a_source_has_an_end() {
        let checks = checks(1);
        let running = Client::new(&checks, "192.0.2.1", "alice").has_turn();
        let mut line: Vec<_> = iter::repeat_with(|| Client::new(&checks, "192.0.2.1", "alice")).take(256).collect();
        assert!(line.iter_mut().all(Client::waits));
        assert_eq!(Client::new(&checks, "192.0.2.1", "alice").turn().unwrap().unwrap_err(), Busy);
        assert!(Client::new(&checks, "192.0.2.2", "alice").waits());
        drop((running, line));
        assert!(is_empty(&checks));
    }

    #[tokio::test]
    async fn when_all_lines_are_full_the_longest_one_loses_its_last() {
        let checks = checks(1);
        let running = Client::new(&checks, "192.0.2.1", "alice").has_turn();
        let sources: Vec<_> = (0..4).map(|index| format!("198.51.100.{index}")).collect();
        let mut lines: Vec<Vec<_>> =
            sources.iter().map(|source| (0..256).map(|_| Client::new(&checks, source, "x")).collect()).collect();
        assert!(lines.iter_mut().flatten().all(Client::waits));
        let mut newcomer = Client::new(&checks, "203.0.113.1", "bob");
        assert!(newcomer.waits());
        let refused: Vec<_> = lines.iter_mut().flatten().filter_map(Client::turn).map(Result::unwrap_err).collect();
        assert_eq!(refused, [Busy]);
        assert_eq!(checks.queue().waiting(), MAX_WAITING);
        drop((running, lines));
        drop(newcomer.has_turn());
        assert!(is_empty(&checks));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_client_has_its_turn_and_no_more_run_than_may() {
        let (checks, most) = (checks(4), Arc::new(Mutex::new((0, 0))));
        let clients: Vec<_> = (0..200_u8)
            .map(|index| {
                let (checks, most) = (Arc::clone(&checks), Arc::clone(&most));
                tokio::spawn(async move {
                    let source = Source::new([192, 0, 2, index % 7].into(), None);
                    let name = LoginName::new(["alice", "bob"][usize::from(index % 2)]);
                    let _check = checks.admit(source, &name).await.unwrap();
                    let running = |change: i32| {
                        let mut most = most.lock();
                        most.0 += change;
                        most.1 = most.1.max(most.0);
                    };
                    running(1);
                    tokio::task::yield_now().await;
                    running(-1);
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert!((1..=4).contains(&most.lock().1));
        assert!(is_empty(&checks));
    }
}
