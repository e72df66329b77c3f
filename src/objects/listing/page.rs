//! The pages of a listing, and their memory.
//!
//! A page is charged before it is requested, with what 1,000 of the longest names take, and then with its own size. A
//! page that no READDIR asked for is dropped after ten seconds, or sooner when memory is tight. Tight memory is looked
//! for less often than prefetched ranges and files look for it, so that these return theirs first.

use super::{ListingEntry, Result};
use crate::{
    memory::{Charge, TenantMemory},
    name::Prefix,
    store::{Bucket, ListScope, ListedObject, OwnedTask, Page, PageToken},
};
use std::{mem::size_of, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

/// The most names that S3 puts in a page.
const PAGE_ENTRIES: u16 = 1000;
/// The memory that a page is requested with, in bytes.
pub(super) const PAGE_BYTES: u64 = 5 << 18;
/// The bytes beside a name's own that an allocator uses for it, and for its ETag.
const ALLOCATION_BYTES: usize = 32;

/// The longest time that a page waits for memory.
const WAIT: Duration = Duration::from_secs(30);
/// The age from which a page that no READDIR asked for is dropped.
const MAX_AGE: Duration = Duration::from_secs(10);
/// The interval at which such a page checks if it must be dropped.
const PERIOD: Duration = Duration::from_secs(1);

/// A page in memory.
#[derive(Debug)]
pub(super) struct ChargedPage {
    pub(super) page: Page,
    /// The token that the page was requested with.
    pub(super) token: Option<PageToken>,
    pub(super) charge: Charge,
}

/// Charges the memory of a page, if it is free at once.
pub(super) fn charge(memory: &TenantMemory) -> Option<Charge> {
    memory.charge(PAGE_BYTES).or_else(|| memory.charge_small_file(PAGE_BYTES))
}

/// Charges the memory of a page, unless it is charged already, and requests the page.
pub(super) async fn request(
    bucket: Arc<dyn Bucket>,
    prefix: Prefix,
    token: Option<PageToken>,
    memory: TenantMemory,
    charged: Option<Charge>,
) -> Result<ChargedPage> {
    let mut charge = match charged.or_else(|| charge(&memory)) {
        Some(charge) => charge,
        None => memory.charge_in_turn(PAGE_BYTES, WAIT).await?,
    };
    let page = bucket.list(ListScope::Directory(&prefix), token.as_ref(), PAGE_ENTRIES).await?;
    charge.shrink(bytes_of(&page));
    Ok(ChargedPage { page, token, charge })
}

/// The memory of a page, or of the entries that it becomes, whichever is more.
pub(super) fn bytes_of(page: &Page) -> u64 {
    let entry_bytes = size_of::<ListedObject>().max(size_of::<ListingEntry>()) + ALLOCATION_BYTES;
    let entries = page.objects.capacity() + page.directories.capacity();
    let objects = page.objects.iter().map(|object| object.raw_key.capacity() + object.etag.0.capacity());
    let directories = page.directories.iter().map(String::capacity);
    let token_bytes = page.next.as_ref().map_or(0, PageToken::capacity);
    (entries * entry_bytes + objects.chain(directories).sum::<usize>() + token_bytes) as u64
}

/// A page that was requested. It is dropped if it isn't claimed in time. Dropping this abandons the request.
#[derive(Debug)]
pub(super) struct PageRequest {
    /// Until the page is claimed.
    claims: Option<oneshot::Sender<()>>,
    task: OwnedTask<Result<Option<ChargedPage>>>,
}

impl PageRequest {
    /// Sends a request for `page`.
    pub(super) fn send(page: impl Future<Output = Result<ChargedPage>> + Send + 'static) -> Self {
        let (claims, claimed) = oneshot::channel();
        let task = OwnedTask::spawn(async move { Ok(offer(page.await?, claimed).await) });
        Self { claims: Some(claims), task }
    }

    /// A request whose answer was looked at.
    pub(super) fn answered(page: ChargedPage) -> Self {
        Self::send(async move { Ok(page) })
    }

    /// True if the page was dropped, or its request failed. Only valid before [`claim`](Self::claim).
    pub(super) fn has_ended(&self) -> bool {
        self.task.has_ended()
    }

    /// Waits for the page and takes it. `None` if it was dropped before. Dropping this future loses nothing.
    pub(super) async fn claim(&mut self) -> Result<Option<ChargedPage>> {
        if let Some(claims) = self.claims.take() {
            // This fails only if the page is gone, or its request failed.
            let _gone = claims.send(());
        }
        self.task.answer().await
    }
}

/// Keeps the page until it is claimed. `None` if it has to go before.
async fn offer(page: ChargedPage, claimed: oneshot::Receiver<()>) -> Option<ChargedPage> {
    let since = Instant::now();
    let expired = async {
        loop {
            sleep(PERIOD).await;
            if since.elapsed() >= MAX_AGE || page.charge.is_tight() {
                return;
            }
        }
    };
    let is_claimed = tokio::select! {
        biased;
        claim = claimed => claim.is_ok(),
        () = expired => false,
    };
    is_claimed.then_some(page)
}
