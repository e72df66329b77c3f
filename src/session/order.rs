//! The order of requests that touch the same paths.
//!
//! SFTP lets a client send many requests without waiting, and the draft (§6.1) promises that the result is as if they
//! were done in order. Requests run concurrently here; what changes the tree, CLOSE of an upload included, is a barrier
//! for the paths that it touches, their ancestors and what lies below them. Everything else overtakes freely.
//!
//! Invariant: a ticket waits for earlier tickets only, and nothing waits for upload memory while it holds a ticket, so
//! tickets can't wait in a circle.

use crate::vfs::VirtualPath;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio_util::sync::CancellationToken;

/// What a request does to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It looks, and may run beside others that look.
    Look,
    /// It changes the path or its existence.
    Change,
}

/// The tickets of one channel that are not done yet, in the order of their requests.
#[derive(Debug, Default)]
pub struct Order(Mutex<Tickets>);

#[derive(Debug, Default)]
struct Tickets {
    next: u64,
    active: BTreeMap<u64, Active>,
}

#[derive(Debug)]
struct Active {
    claim: Claim,
    paths: Vec<VirtualPath>,
    done: CancellationToken,
}

impl Active {
    fn conflicts(&self, claim: Claim, paths: &[VirtualPath]) -> bool {
        (self.claim == Claim::Change || claim == Claim::Change)
            && self.paths.iter().any(|mine| paths.iter().any(|theirs| are_related(mine, theirs)))
    }
}

fn are_related(one: &VirtualPath, other: &VirtualPath) -> bool {
    one == other || one.is_below(other) || other.is_below(one)
}

impl Order {
    /// Takes the next ticket, for `paths`. Call it in the order in which requests arrive.
    pub fn enter(self: &Arc<Self>, claim: Claim, paths: Vec<VirtualPath>) -> Ticket {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier =
            tickets.active.values().filter(|a| a.conflicts(claim, &paths)).map(|a| a.done.clone()).collect::<Vec<_>>();
        let number = tickets.next;
        tickets.next += 1;
        tickets.active.insert(number, Active { claim, paths, done: CancellationToken::new() });
        Ticket { order: Arc::clone(self), number, earlier }
    }
}

/// A place in the order. Dropping it lets later ones pass.
#[derive(Debug)]
pub struct Ticket {
    order: Arc<Order>,
    number: u64,
    earlier: Vec<CancellationToken>,
}

impl Ticket {
    /// Waits until every earlier request that touches the same paths is done.
    pub async fn turn(&mut self) {
        while let Some(earlier) = self.earlier.last() {
            earlier.cancelled().await;
            self.earlier.pop();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut tickets = self.order.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(active) = tickets.active.remove(&self.number) {
            active.done.cancel();
        }
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
        let order = Arc::new(Order::default());
        let mut close = order.enter(Claim::Change, paths(&["/d/a"]));
        let mut rename = order.enter(Claim::Change, paths(&["/d/a", "/d/b"]));
        let mut stat = order.enter(Claim::Look, paths(&["/d/b"]));
        let mut list = order.enter(Claim::Look, paths(&["/d"]));
        let mut other = order.enter(Claim::Change, paths(&["/d/c"]));
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
        let order = Arc::new(Order::default());
        let _first = order.enter(Claim::Look, paths(&["/d/a"]));
        assert!(order.enter(Claim::Look, paths(&["/d/a"])).turn().now_or_never().is_some());
        assert!(order.enter(Claim::Change, paths(&["/d/ab"])).turn().now_or_never().is_some());
    }

    #[test]
    fn a_ticket_given_up_lets_the_next_pass() {
        let order = Arc::new(Order::default());
        let first = order.enter(Claim::Change, paths(&["/a"]));
        let second = order.enter(Claim::Change, paths(&["/a"]));
        let mut third = order.enter(Claim::Change, paths(&["/a"]));
        drop(second);
        assert!(third.turn().now_or_never().is_none());
        drop(first);
        assert!(third.turn().now_or_never().is_some());
        drop(third);
        assert!(order.0.lock().unwrap().active.is_empty());
    }
}
