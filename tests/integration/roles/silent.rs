//! Buckets and roles that answer nothing. They hold connections of their own tenant alone.

use super::{Bounds, S3Buckets, TenantAccount, Way, scope};
use std::sync::Arc;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use wharfinger::account::Storage;

/// A server that accepts connections and answers nothing. It ends with the test.
struct SilentServer {
    endpoint: String,
    connections: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl SilentServer {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (count, connections) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                open.push(listener.accept().await.unwrap());
                count.send_replace(open.len());
            }
        });
        Self { endpoint, connections, accepting }
    }

    async fn has_connections(&mut self, wanted: usize) {
        self.connections.wait_for(|count| *count >= wanted).await.unwrap();
    }

    fn connections(&self) -> usize {
        *self.connections.borrow()
    }
}

impl Drop for SilentServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Starts requests of `count` users of acme, whose storage is `silent`, and waits until the server has so many
/// `connections`. Globex has an account that answers: each of its users is served, and acme gets no more.
async fn assert_only_acme_waits(silent: Storage, mut server: SilentServer, count: usize, connections: usize) {
    let account = TenantAccount::open().await;
    let tenants = scope::tenants([("acme", silent), ("globex", account.storage())]);
    let buckets = Arc::new(S3Buckets::with_bounds(tenants, Bounds { requests: 8, ..Bounds::default() }));
    let mut waiting = JoinSet::new();
    for number in 0..count {
        let buckets = Arc::clone(&buckets);
        waiting.spawn(async move { Way::new("acme", &format!("user-{number}"), "in/").go(&buckets).await });
    }
    server.has_connections(connections).await;
    for user in ["bob", "carol", "dave"] {
        Way::new("globex", user, "in/").go(&buckets).await.unwrap();
    }
    assert_eq!(server.connections(), connections);
    assert!(waiting.try_join_next().is_none(), "they still wait");
}

#[tokio::test]
async fn a_bucket_that_answers_nothing_holds_six_of_eight_requests() {
    let server = SilentServer::start().await;
    let storage = scope::storage("vendor", &server.endpoint, "server", "secret");
    assert_only_acme_waits(storage, server, 50, 6).await;
}

#[tokio::test]
async fn a_role_that_sts_answers_nothing_for_holds_three_quarters_of_64_requests() {
    let (server, account) = (SilentServer::start().await, TenantAccount::open().await);
    let mut storage = account.storage();
    storage.credentials.role.as_mut().unwrap().sts_endpoint = Some(server.endpoint.clone());
    assert_only_acme_waits(storage, server, 100, 48).await;
}
