//! Log lines of users that wait for their turn.
//!
//! A user may have a thousand lines at once (`limits`), so that the log has the end of each transfer of a batch. Here
//! they are spread over seconds, so that a user causes at most 90 lines a second in the long run, and at most 490 in five
//! seconds. Lines of one user stay in their order.
//!
//! A line waits for some ten seconds at most. The end of the process writes all lines at once. A kill loses those that
//! wait; the subscribers of the bus have their records.

use super::{Event, Record, UserKey, Who, log};
use crate::policy::{Rate, Rates};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    mem,
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// The lines of a user that are written at once, and then in a second.
const TURNS: Rate = Rate::new(40, 90);
/// The interval at which waiting lines get their turns.
const PERIOD: Duration = Duration::from_millis(100);
/// The lines of a user that may wait: those that `limits` allows at once.
const MAX_LINES_OF_USER: usize = 1_200;
/// The lines of all users that may wait.
const MAX_LINES: usize = 4_096;

/// The lines that wait.
#[derive(Debug)]
pub(crate) struct Backlog {
    turns: Rates<UserKey>,
    waiting: Mutex<WaitingLines>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct WaitingLines {
    by_user: HashMap<UserKey, VecDeque<Record>>,
    count: usize,
    /// The lines for which there was no room.
    suppressed: HashMap<UserKey, u64>,
}

impl Default for Backlog {
    fn default() -> Self {
        Self { turns: Rates::new(TURNS), waiting: Mutex::default(), arrived: Notify::new() }
    }
}

impl Backlog {
    /// Returns true if the line of `record` is to be written now. Else it waits, or is counted as suppressed.
    pub(crate) fn admit(&self, record: &Record) -> bool {
        let (Who::Session(user), false) = (&record.who, matches!(record.event, Event::SessionEndAsked { .. })) else {
            return true;
        };
        let key = (user.tenant.clone(), user.user.clone());
        let mut waiting = self.waiting.lock();
        if !waiting.by_user.contains_key(&key) && self.turns.take(&key) {
            return true;
        }
        let is_full = waiting.count >= MAX_LINES;
        let lines = waiting.by_user.entry(key.clone()).or_default();
        if is_full || lines.len() >= MAX_LINES_OF_USER {
            if lines.is_empty() {
                waiting.by_user.remove(&key);
            }
            *waiting.suppressed.entry(key).or_default() += 1;
            return false;
        }
        lines.push_back(record.clone());
        waiting.count += 1;
        drop(waiting);
        self.arrived.notify_one();
        false
    }

    /// Writes lines as their turns come, for ever.
    pub(crate) async fn write(&self) {
        loop {
            self.arrived.notified().await;
            while self.write_next(|user| self.turns.take(user)) > 0 {
                sleep(PERIOD).await;
            }
        }
    }

    /// Writes all lines.
    pub(crate) fn write_all(&self) {
        self.write_next(|_| true);
    }

    /// Returns the lines of each user for which there was no room since the last call.
    pub(crate) fn take_suppressed(&self) -> HashMap<UserKey, u64> {
        mem::take(&mut self.waiting.lock().suppressed)
    }

    /// Writes the lines that have a turn. Returns the number of those that still wait.
    fn write_next(&self, has_turn: impl Fn(&UserKey) -> bool) -> usize {
        let mut waiting = self.waiting.lock();
        let WaitingLines { by_user, count, .. } = &mut *waiting;
        by_user.retain(|user, lines| {
            while !lines.is_empty() && has_turn(user) {
                // Under the lock, so that no later line of the user overtakes it. The log's queue never waits.
                lines.pop_front().iter().for_each(log::write);
                *count -= 1;
            }
            !lines.is_empty()
        });
        // The turns that there were not are no suppressed lines.
        let _ = self.turns.take_refused();
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Outcome, SessionUser, Transfer};
    use std::{net::SocketAddr, sync::Arc};

    fn closed(user: &str, bytes: u64) -> Record {
        let who = Who::Session(Arc::new(SessionUser {
            session: "5f0c-1".into(),
            tenant: "acme".parse().unwrap(),
            user: user.parse().unwrap(),
            source: SocketAddr::from(([192, 0, 2, 1], 22)),
            vpc_endpoint: None,
        }));
        let (path, duration, outcome) = ("/file".into(), Duration::ZERO, Outcome::Done);
        let transfer = Transfer::Download;
        let event = Event::FileClosed { path, transfer, bytes, size: Some(0), duration, outcome, published: None };
        Record::new("node".into(), who, event)
    }

    /// Returns the lines of `count` records that are written at once.
    fn admitted(backlog: &Backlog, user: &str, count: u64) -> usize {
        (0..count).filter(|number| backlog.admit(&closed(user, *number))).count()
    }

    fn waiting(backlog: &Backlog) -> usize {
        backlog.waiting.lock().count
    }

    // Issue 19.4: at most 100 lines a second of a source, in any five seconds, and none of a thousand is lost.
    #[tokio::test(start_paused = true)]
    async fn a_batch_of_a_thousand_lines_is_spread_over_seconds() {
        let backlog = Backlog::default();
        let mut written = vec![admitted(&backlog, "alice", 1_000)];
        let write = backlog.write();
        tokio::pin!(write);
        while waiting(&backlog) > 0 {
            let before = waiting(&backlog);
            assert!(tokio::time::timeout(Duration::from_secs(1), &mut write).await.is_err());
            written.push(before - waiting(&backlog));
        }
        assert_eq!((written[0], written.iter().sum::<usize>(), written.len()), (40, 1_000, 12));
        assert!(written[1..].iter().all(|lines| *lines <= 90), "{written:?}");
        assert!(backlog.take_suppressed().is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(admitted(&backlog, "alice", 1), 1, "no line waits any more");
    }

    #[tokio::test(start_paused = true)]
    async fn later_lines_wait_behind_earlier_ones_and_those_of_other_users_do_not() {
        let backlog = Backlog::default();
        assert_eq!(admitted(&backlog, "alice", 41), 40);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(admitted(&backlog, "alice", 1), 0);
        assert_eq!(admitted(&backlog, "bob", 1), 1);
        let bytes = |record: &Record| match record.event {
            Event::FileClosed { bytes, .. } => bytes,
            _ => panic!("{record:?}"),
        };
        let order: Vec<_> = backlog.waiting.lock().by_user.values().flatten().map(bytes).collect();
        assert_eq!(order, [40, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_without_room_are_counted_and_the_end_writes_the_others() {
        let backlog = Backlog::default();
        for user in ["a", "b", "c", "d"] {
            assert_eq!(admitted(&backlog, user, 2_000), 40);
        }
        assert_eq!(waiting(&backlog), MAX_LINES);
        let suppressed = backlog.take_suppressed();
        let of = |user: &str| suppressed[&("acme".parse().unwrap(), user.parse().unwrap())];
        assert_eq!([of("a"), of("b"), of("c")], [760; 3]);
        assert_eq!(of("d"), 1_960 - (MAX_LINES as u64 - 3 * 1_200));
        assert_eq!((admitted(&backlog, "e", 50), backlog.take_suppressed().len()), (40, 1));
        backlog.write_all();
        assert_eq!(waiting(&backlog), 0);
    }
}
