//! Limits the open handles and the outstanding requests of a connection, and those of a tenant's connections together.
//! Counts what else a connection's client may leave unread.
//!
//! The counts are atomic: a request takes no lock. Each adds one only below its limit, so no count exceeds its limit, not
//! even for a moment. Permits give back on drop, also when their connection is gone.

use super::SessionPacers;
use crate::name::TenantName;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Semaphore;

/// The handles that a connection may have open at once. `limits@openssh.com` tells clients.
pub(crate) const MAX_HANDLES: usize = 256;
/// The number of requests that a connection may have unanswered, without READs and WRITEs. OpenSSH keeps 64 in flight;
/// paramiko's prefetch sends 2,048 READs, which don't count.
pub(crate) const MAX_REQUESTS: usize = 4096;
/// The handles that the connections of one tenant may have open at once.
const MAX_TENANT_HANDLES: usize = 16 * MAX_HANDLES;
/// The number of requests that the connections of one tenant may have unanswered.
pub(crate) const MAX_TENANT_REQUESTS: usize = 16 * MAX_REQUESTS;
/// The bytes of READ replies in flight to one client: 16 of OpenSSH's 255 KiB.
pub(crate) const MAX_DATA_BYTES: u32 = 4 << 20;

/// The party that has reached a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountRefusal {
    /// The connection.
    Connection,
    /// The connections of the tenant together.
    Tenant,
}

/// The counts of all tenants with connections. The limit on logged-in connections bounds the table: a tenant's entry
/// vanishes with the last user of its counts.
#[derive(Debug, Default)]
pub(crate) struct CountTable(Mutex<HashMap<TenantName, Weak<TenantCounts>>>);

impl CountTable {
    /// Returns the counts of a new connection of `tenant`, whose session has these pacers.
    #[must_use]
    pub(crate) fn connection(self: &Arc<Self>, tenant: &TenantName, pacers: Arc<SessionPacers>) -> ConnectionCounts {
        let mut tenants = self.0.lock();
        let of_tenant = tenants.get(tenant).and_then(Weak::upgrade).unwrap_or_else(|| {
            let (table, tenant) = (Arc::clone(self), tenant.clone());
            Arc::new(TenantCounts { table, tenant, handles: AtomicUsize::new(0), requests: AtomicUsize::new(0) })
        });
        tenants.insert(tenant.clone(), Arc::downgrade(&of_tenant));
        ConnectionCounts {
            handles: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            run_count: Arc::default(),
            unread_bytes: AtomicUsize::new(0),
            data: Arc::new(Semaphore::new(MAX_DATA_BYTES as usize)),
            pacers,
            download_turn: Semaphore::new(1),
            listing_turn: Semaphore::new(1),
            of_tenant,
        }
    }
}

/// The counts of one tenant.
#[derive(Debug)]
struct TenantCounts {
    table: Arc<CountTable>,
    tenant: TenantName,
    handles: AtomicUsize,
    requests: AtomicUsize,
}

impl Drop for TenantCounts {
    fn drop(&mut self) {
        let mut tenants = self.table.0.lock();
        // A connection that came in between has made a new entry.
        if tenants.get(&self.tenant).is_some_and(|counts| counts.strong_count() == 0) {
            tenants.remove(&self.tenant);
        }
    }
}

/// The counts of one connection, which its channels share.
#[derive(Debug)]
pub(crate) struct ConnectionCounts {
    handles: AtomicUsize,
    requests: AtomicUsize,
    /// The waiting runs of READs, over all handles.
    pub(crate) run_count: Arc<AtomicUsize>,
    /// The bytes of small replies that wait to be written.
    pub(crate) unread_bytes: AtomicUsize,
    /// The permits of READ replies.
    pub(crate) data: Arc<Semaphore>,
    /// The rates of the session, its user and its tenant.
    pub(crate) pacers: Arc<SessionPacers>,
    /// The permit to wait for the rate of downloads: a connection waits with one READ at a time.
    pub(crate) download_turn: Semaphore,
    /// The same for the rate of listings, with one READDIR.
    pub(crate) listing_turn: Semaphore,
    of_tenant: Arc<TenantCounts>,
}

impl ConnectionCounts {
    /// Counts a handle that is being opened, until the permit is dropped.
    ///
    /// # Errors
    /// The connection, or its tenant, has too many open handles.
    pub(crate) fn open_handle(self: &Arc<Self>) -> Result<HandlePermit, CountRefusal> {
        let of_tenant = (&self.of_tenant.handles, MAX_TENANT_HANDLES);
        add((&self.handles, MAX_HANDLES), of_tenant).map(|_| HandlePermit(Arc::clone(self)))
    }

    /// Counts a request, and returns the number of the connection's. The caller ends it with
    /// [`end_request`](Self::end_request).
    ///
    /// # Errors
    /// The connection, or its tenant, has too many outstanding requests.
    pub(crate) fn begin_request(&self) -> Result<usize, CountRefusal> {
        add((&self.requests, MAX_REQUESTS), (&self.of_tenant.requests, MAX_TENANT_REQUESTS))
    }

    /// Ends a request that was counted.
    pub(crate) fn end_request(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
        self.of_tenant.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds one to the counts of a connection and of its tenant, each with its limit, or to neither. Returns the connection's.
fn add(of_connection: (&AtomicUsize, usize), of_tenant: (&AtomicUsize, usize)) -> Result<usize, CountRefusal> {
    let count = add_below(of_connection).ok_or(CountRefusal::Connection)?;
    if add_below(of_tenant).is_none() {
        of_connection.0.fetch_sub(1, Ordering::Relaxed);
        return Err(CountRefusal::Tenant);
    }
    Ok(count)
}

fn add_below((count, limit): (&AtomicUsize, usize)) -> Option<usize> {
    let more = |count: usize| (count < limit).then_some(count + 1);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|before| before + 1)
}

/// An open handle, or one that is being opened.
#[derive(Debug)]
pub(crate) struct HandlePermit(Arc<ConnectionCounts>);

impl Drop for HandlePermit {
    fn drop(&mut self) {
        self.0.handles.fetch_sub(1, Ordering::Relaxed);
        self.0.of_tenant.handles.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::PacerTable, *};

    fn tenant(name: &str) -> TenantName {
        name.parse().unwrap()
    }

    fn connection(table: &Arc<CountTable>, name: &str) -> Arc<ConnectionCounts> {
        let tenant = tenant(name);
        Arc::new(table.connection(&tenant, PacerTable::default().session(&tenant, &"alice".parse().unwrap())))
    }

    #[test]
    fn a_tenant_has_the_handles_of_sixteen_full_connections() {
        let table = Arc::default();
        let full: Vec<_> = (0..16).map(|_| connection(&table, "acme")).collect();
        let mut permits: Vec<_> =
            full.iter().flat_map(|connection| (0..MAX_HANDLES).map(|_| connection.open_handle().unwrap())).collect();
        assert!(full.iter().all(|connection| connection.open_handle().err() == Some(CountRefusal::Connection)));
        let one_more = connection(&table, "acme");
        assert_eq!(one_more.open_handle().err(), Some(CountRefusal::Tenant));
        let other = connection(&table, "globex");
        let _permit = other.open_handle().unwrap();
        permits.pop();
        permits.push(one_more.open_handle().unwrap());
        assert_eq!(full[15].open_handle().err(), Some(CountRefusal::Tenant));
        permits.clear();
        assert!(full.iter().all(|connection| connection.handles.load(Ordering::Relaxed) == 0));
        assert_eq!(one_more.of_tenant.handles.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_tenant_has_the_requests_of_sixteen_full_connections() {
        let table = Arc::default();
        let full: Vec<_> = (0..16).map(|_| connection(&table, "acme")).collect();
        for connection in &full {
            for _ in 0..MAX_REQUESTS {
                connection.begin_request().unwrap();
            }
            assert_eq!(connection.begin_request(), Err(CountRefusal::Connection));
        }
        let one_more = connection(&table, "acme");
        assert_eq!(one_more.begin_request(), Err(CountRefusal::Tenant));
        full[3].end_request();
        one_more.begin_request().unwrap();
        assert_eq!(one_more.begin_request(), Err(CountRefusal::Tenant));
        assert_eq!(one_more.requests.load(Ordering::Relaxed), 1, "a refused request isn't counted");
    }

    #[test]
    fn a_tenant_is_forgotten_with_its_last_connection_or_permit() {
        let table = Arc::default();
        let (one, two) = (connection(&table, "acme"), connection(&table, "acme"));
        let permit = one.open_handle().unwrap();
        drop(one);
        drop(two);
        let again = connection(&table, "acme");
        assert_eq!(again.of_tenant.handles.load(Ordering::Relaxed), 1, "the handle is still open");
        drop(permit);
        assert_eq!(again.of_tenant.handles.load(Ordering::Relaxed), 0);
        assert_eq!(table.0.lock().len(), 1);
        drop(again);
        assert!(table.0.lock().is_empty());
    }
}
