//! The order of requests that touch the same paths.
//!
//! SFTP lets a client send many requests without waiting, and the draft (§6.1) promises the same result as in-order
//! execution. The server runs requests concurrently. A request that changes the tree, including OPEN and CLOSE of an
//! upload, is a barrier for its paths, their ancestors and all paths below them. All other requests may overtake
//! freely. WRITEs have no ticket: a request on a path that the session writes goes behind them through the handle's
//! task, unless it must wait for other tickets.
//!
//! Invariant: a ticket waits only for earlier tickets. No ticket holder waits for memory, except a CLOSE behind
//! requests of its handle that wait for memory for a limited time. So tickets can't wait in a circle forever. A ticket
//! knows the number of tickets that it waits for, not which ones: thousands of requests on one path would otherwise
//! store millions of references to each other.

use crate::name::VirtualPath;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};
use tokio::sync::Notify;

/// The effect of a request on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathAccess {
    /// The request only looks, and may run beside other looks.
    Look,
    /// The request changes the path or its existence.
    Change,
}

/// The unfinished tickets of one channel, in the order of their requests.
#[derive(Debug, Default)]
pub(crate) struct RequestOrder(Mutex<Tickets>);

#[derive(Debug, Default)]
struct Tickets {
    next: u64,
    active: BTreeMap<u64, Active>,
    /// The active tickets of changes. A look conflicts with no other, so thousands of looks don't search each other.
    changes: BTreeSet<u64>,
}

#[derive(Debug)]
struct Active {
    access: PathAccess,
    paths: Vec<VirtualPath>,
    /// The number of earlier tickets that this one waits for.
    earlier: usize,
    turn: Arc<Notify>,
}

impl Active {
    fn conflicts(&self, other: &Self) -> bool {
        (self.access == PathAccess::Change || other.access == PathAccess::Change)
            && self.paths.iter().any(|mine| other.paths.iter().any(|theirs| are_related(mine, theirs)))
    }

    /// An earlier ticket is done.
    fn pass(&mut self, done: &Self) {
        if self.conflicts(done) {
            self.earlier -= 1;
            if self.earlier == 0 {
                self.turn.notify_one();
            }
        }
    }
}

fn are_related(one: &VirtualPath, other: &VirtualPath) -> bool {
    one == other || one.is_below(other) || other.is_below(one)
}

impl RequestOrder {
    /// Takes the next ticket, for `paths`. Call it in the order in which requests arrive.
    pub(crate) fn enter(self: &Arc<Self>, access: PathAccess, paths: Vec<VirtualPath>) -> OrderTicket {
        let turn = Arc::new(Notify::new());
        let mut entering = Active { access, paths, earlier: 0, turn: Arc::clone(&turn) };
        let mut tickets = self.tickets();
        entering.earlier = tickets.conflicting(&entering).count();
        let number = tickets.next;
        tickets.next += 1;
        if access == PathAccess::Change {
            tickets.changes.insert(number);
        }
        tickets.active.insert(number, entering);
        OrderTicket { order: Arc::clone(self), number, turn }
    }

    /// Takes the next ticket for the CLOSE of an upload to `path`. The ticket also covers the targets of unfinished
    /// RENAMEs of that path.
    pub(crate) fn enter_close(self: &Arc<Self>, path: VirtualPath) -> OrderTicket {
        let mut paths = vec![path];
        for active in self.tickets().active.values() {
            // Only RENAME has two paths.
            if let [source, target] = active.paths.as_slice()
                && paths.contains(source)
                && !paths.contains(target)
            {
                paths.push(target.clone());
            }
        }
        self.enter(PathAccess::Change, paths)
    }

    /// True if a request on `path` could run at once.
    pub(crate) fn is_free(&self, access: PathAccess, path: &VirtualPath) -> bool {
        let entering = Active { access, paths: vec![path.clone()], earlier: 0, turn: Arc::default() };
        self.tickets().conflicting(&entering).next().is_none()
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.0.lock()
    }
}

impl Tickets {
    /// The active tickets that conflict with `entering`.
    fn conflicting<'a>(&'a self, entering: &'a Active) -> impl Iterator<Item = &'a Active> {
        let (all, changes) = match entering.access {
            PathAccess::Change => (Some(self.active.values()), None),
            PathAccess::Look => (None, Some(self.changes.iter().filter_map(|number| self.active.get(number)))),
        };
        let searched = all.into_iter().flatten().chain(changes.into_iter().flatten());
        searched.filter(|active| active.conflicts(entering))
    }

    /// Tells the tickets behind `number`, which is `done`, that they wait for one less.
    fn pass(&mut self, number: u64, done: &Active) {
        let later = (Bound::Excluded(number), Bound::Unbounded);
        match done.access {
            PathAccess::Change => self.active.range_mut(later).for_each(|(_, later)| later.pass(done)),
            PathAccess::Look => {
                for change in self.changes.range(later) {
                    if let Some(later) = self.active.get_mut(change) {
                        later.pass(done);
                    }
                }
            }
        }
    }
}

/// A place in the order. Dropping it lets later tickets pass.
#[derive(Debug)]
pub(crate) struct OrderTicket {
    order: Arc<RequestOrder>,
    number: u64,
    turn: Arc<Notify>,
}

impl OrderTicket {
    /// Waits until every earlier request that touches the same paths is done.
    pub(crate) async fn turn(&mut self) {
        while self.order.tickets().active.get(&self.number).is_some_and(|active| active.earlier > 0) {
            self.turn.notified().await;
        }
    }
}

impl Drop for OrderTicket {
    fn drop(&mut self) {
        let mut tickets = self.order.tickets();
        let Some(done) = tickets.active.remove(&self.number) else { return };
        tickets.changes.remove(&self.number);
        tickets.pass(self.number, &done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn paths(raw: &[&str]) -> Vec<VirtualPath> {
        raw.iter().map(|raw| VirtualPath::parse(raw.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn a_change_waits_for_what_touches_its_path_and_is_waited_for() {
        let order = Arc::new(RequestOrder::default());
        let mut close = order.enter(PathAccess::Change, paths(&["/d/a"]));
        let mut rename = order.enter(PathAccess::Change, paths(&["/d/a", "/d/b"]));
        let mut stat = order.enter(PathAccess::Look, paths(&["/d/b"]));
        let mut list = order.enter(PathAccess::Look, paths(&["/d"]));
        let mut other = order.enter(PathAccess::Change, paths(&["/d/c"]));
        assert!(close.turn().now_or_never().is_some());
        assert!(rename.turn().now_or_never().is_none());
        assert!(stat.turn().now_or_never().is_none());
        assert!(other.turn().now_or_never().is_none(), "the listing before it must not see it half done");
        drop(close);
        assert!(rename.turn().now_or_never().is_some());
        assert!(list.turn().now_or_never().is_none());
        drop(rename);
        assert!(stat.turn().now_or_never().is_some());
        assert!(list.turn().now_or_never().is_some());
        drop(list);
        assert!(other.turn().now_or_never().is_some());
    }

    #[test]
    fn looks_run_beside_each_other_and_neighbours_do_not_meet() {
        let order = Arc::new(RequestOrder::default());
        let _first = order.enter(PathAccess::Look, paths(&["/d/a"]));
        assert!(order.enter(PathAccess::Look, paths(&["/d/a"])).turn().now_or_never().is_some());
        assert!(order.enter(PathAccess::Change, paths(&["/d/ab"])).turn().now_or_never().is_some());
    }

    #[test]
    fn a_dropped_ticket_lets_the_next_pass() {
        let order = Arc::new(RequestOrder::default());
        let first = order.enter(PathAccess::Change, paths(&["/a"]));
        let second = order.enter(PathAccess::Change, paths(&["/a"]));
        let mut third = order.enter(PathAccess::Change, paths(&["/a"]));
        drop(second);
        assert!(third.turn().now_or_never().is_none());
        drop(first);
        assert!(third.turn().now_or_never().is_some());
        drop(third);
        let tickets = order.tickets();
        assert!(tickets.active.is_empty() && tickets.changes.is_empty());
    }
}
