//! Log lines of users that wait for their turn.
//!
//! A user may have a thousand lines at once (`limits`), so that the log has the end of each transfer of a batch. Here
//! they are spread over seconds, so that a user causes at most 90 lines a second in the long run, and at most 490 in five
//! seconds. Lines of one user stay in their order.
//!
//! No line is suppressed here: each has a token. If too many wait, the oldest of the user is written before its turn. So
//! a user that floods takes no line from another. A line waits for some 13 seconds at most. The end of the process writes
//! all lines at once, and a kill loses those that wait.

use super::{Event, Record, Who, log, record::UserKey};
use crate::policy::{Rate, Rates};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// The lines of a user that are written at once, and then in a second.
const TURNS: Rate = Rate::new(40, 90);
/// The interval at which waiting lines get their turns.
const PERIOD: Duration = Duration::from_millis(100);
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
}

impl Default for Backlog {
    fn default() -> Self {
        Self { turns: Rates::new(TURNS), waiting: Mutex::default(), arrived: Notify::new() }
    }
}

impl Backlog {
    /// Returns true if the line of `record` is to be written now. Else it waits.
    pub(crate) fn admit(&self, record: &Record) -> bool {
        let (Who::Session(user), false) = (&record.who, matches!(record.event, Event::SessionEndAsked { .. })) else {
            return true;
        };
        let key = (user.tenant.clone(), user.user.clone());
        let mut waiting = self.waiting.lock();
        let WaitingLines { by_user, count } = &mut *waiting;
        let is_full = *count >= MAX_LINES;
        match by_user.get_mut(&key) {
            None if is_full || self.turns.take(&key) => return true,
            None => {
                by_user.insert(key, VecDeque::from([record.clone()]));
                *count += 1;
            }
            Some(lines) => {
                lines.push_back(record.clone());
                if is_full {
                    lines.pop_front().iter().for_each(log::write);
                } else {
                    *count += 1;
                }
            }
        }
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

    /// Writes the lines that have a turn. Returns the number of those that still wait.
    fn write_next(&self, has_turn: impl Fn(&UserKey) -> bool) -> usize {
        let mut waiting = self.waiting.lock();
        let WaitingLines { by_user, count } = &mut *waiting;
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
    use crate::{
        events::{Outcome, SessionUser, Transfer},
        name::TransferId,
    };
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
        let event = Event::FileClosed {
            transfer_id: TransferId::new(),
            path,
            transfer,
            bytes,
            size: Some(0),
            duration,
            outcome,
            object: None,
        };
        Record::new("node".into(), who, event)
    }

    /// Returns the lines of `count` records that are written at once.
    fn admitted(backlog: &Backlog, user: &str, count: u64) -> usize {
        (0..count).filter(|number| backlog.admit(&closed(user, *number))).count()
    }

    fn key(user: &str) -> UserKey {
        ("acme".parse().unwrap(), user.parse().unwrap())
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
    async fn a_full_backlog_takes_no_line_from_another_user_and_the_end_writes_all() {
        let backlog = Backlog::default();
        for user in ["a", "b", "c", "d", "e"] {
            admitted(&backlog, user, 1_000);
        }
        assert_eq!(waiting(&backlog), MAX_LINES);
        assert_eq!(admitted(&backlog, "f", 1_000), 1_000, "none waits, so all are written");
        let waits = |user: &str| backlog.waiting.lock().by_user.get(&key(user)).map_or(0, VecDeque::len);
        let before = waits("a");
        assert_eq!(admitted(&backlog, "a", 10), 0, "each takes the place of an older one");
        assert_eq!((waits("a"), waiting(&backlog)), (before, MAX_LINES));
        backlog.write_all();
        assert_eq!(waiting(&backlog), 0);
    }
}
