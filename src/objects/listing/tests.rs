//! Tests of listings on a bucket in memory.

use super::*;
use crate::{
    memory::Budget,
    store::{Error, ListScope},
    testing::{
        MemoryBucket,
        bucket::{Moment, Verb},
    },
};
use proptest::prelude::*;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

const MIB: u64 = 1024 * 1024;
/// The age from which a page that no READDIR asked for is dropped.
const MAX_AGE: Duration = Duration::from_secs(10);

fn bucket(raw_keys: impl IntoIterator<Item = impl AsRef<str>>) -> Arc<MemoryBucket> {
    let bucket = MemoryBucket::new();
    for raw_key in raw_keys {
        bucket.insert(raw_key.as_ref(), "bytes");
    }
    Arc::new(bucket)
}

fn memory(budget: &Arc<Budget>) -> TenantMemory {
    budget.of(&"acme".parse().unwrap())
}

fn listing_in(bucket: &Arc<MemoryBucket>, budget: &Arc<Budget>) -> Listing {
    Listing::new(bucket.clone(), Prefix::parse("acme/").unwrap(), memory(budget))
}

/// A listing while memory is plentiful.
fn listing(bucket: &Arc<MemoryBucket>) -> Listing {
    listing_in(bucket, &Budget::new(64 * MIB))
}

/// All names; directories with a slash.
async fn names(mut listing: Listing) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(page) = listing.next_page().await.unwrap() {
        assert!((1..=1000).contains(&page.entries.len()));
        names.extend(page.entries.into_iter().map(|entry| match entry.kind {
            EntryKind::File { size, .. } => {
                assert_eq!(size, 5);
                entry.name
            }
            EntryKind::Directory => entry.name + "/",
        }));
    }
    names
}

#[tokio::test]
async fn entries_are_files_markers_and_prefixes_but_not_the_marker_itself() {
    let bucket = bucket(["acme/", "acme/a", "acme/b/", "acme/c/d/e", "acme-2/x", "acme/z \"?#%"]);
    assert_eq!(names(listing(&bucket)).await, ["a", "b/", "c/", "z \"?#%"]);
}

// S218: No client sees or opens a directory of `tenant verify`: names that begin with …
#[tokio::test]
async fn directories_of_verifications_are_left_out() {
    let bucket = bucket(["acme/.wharfinger-verify-1f/a", "acme/.wharfinger-verify-2f", "acme/ok"]);
    assert_eq!(names(listing(&bucket)).await, ["ok"]);
}

// S26: Names that could not be opened are not listed, but count for RMDIR and RENAME.
#[tokio::test]
async fn names_that_nobody_could_open_are_left_out() {
    let bucket = bucket(["acme//x", "acme/..", "acme/../x", "acme/.", "acme/a\nb", "acme/a\u{1}/c", "acme/ok"]);
    assert_eq!(names(listing(&bucket)).await, ["ok"]);
    assert!(listing(&bucket).exists().await.unwrap());
}

// S25: If S3 holds both `x` and `x/…`, STAT, SETSTAT, OPEN and REMOVE reach the file, OPENDIR the directory; …
#[tokio::test]
async fn a_name_is_shown_once_as_the_file_that_stat_reaches() {
    let bucket = bucket(["acme/x", "acme/x-1", "acme/x-1/z", "acme/x.txt", "acme/x/y", "acme/x0/"]);
    assert_eq!(names(listing(&bucket)).await, ["x", "x-1", "x.txt", "x0/"]);
}

#[tokio::test]
async fn a_page_holds_a_thousand_names_and_costs_one_request() {
    for (count, requests) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (2500, 3), (3000, 3)] {
        let bucket = bucket((0..count).map(|number| format!("acme/{number:05}")));
        assert_eq!(names(listing(&bucket)).await.len(), count);
        assert_eq!(bucket.count(Verb::List), requests, "{count} names");
    }
}

#[tokio::test]
async fn asking_whether_it_exists_costs_no_further_request() {
    let bucket = bucket(["acme/", "acme/a"]);
    let mut present = listing(&bucket);
    assert!(present.exists().await.unwrap());
    assert_eq!(names(present).await, ["a"]);
    assert_eq!(bucket.count(Verb::List), 1);

    let mut absent = Listing::new(bucket.clone(), Prefix::parse("globex/").unwrap(), memory(&Budget::new(64 * MIB)));
    assert!(!absent.exists().await.unwrap());
    assert!(absent.next_page().await.unwrap().is_none());
    assert_eq!(bucket.count(Verb::List), 2);
}

#[tokio::test]
async fn an_empty_page_with_a_token_is_not_the_end() {
    for raw_key in ["acme/", "acme/a", "acme/a/b"] {
        let bucket = bucket([raw_key]);
        bucket.begin_listings_empty();
        assert!(listing(&bucket).exists().await.unwrap(), "{raw_key}");
        let mut asked = listing(&bucket);
        asked.exists().await.unwrap();
        assert_eq!(names(asked).await, names(listing(&bucket)).await, "{raw_key}");
        assert_eq!(names(listing(&bucket)).await.is_empty(), raw_key == "acme/");
    }
}

// S47: A listing keeps two pages of 1,000 names in memory, the one that is being read and the next.
#[tokio::test]
async fn one_page_is_prefetched_and_no_more() {
    let bucket = bucket((0..5000).map(|number| format!("acme/{number:05}")));
    let mut listing = listing(&bucket);
    listing.next_page().await.unwrap();
    bucket.arrived(Verb::List, 2).await;
    tokio::task::yield_now().await;
    assert_eq!(bucket.count(Verb::List), 2);
}

// S48: A page of a listing that fails loses no name: the next READDIR asks for it again.
#[tokio::test]
async fn a_page_that_fails_is_asked_for_again() {
    let bucket = bucket((0..1500).map(|number| format!("acme/{number:05}")));
    let mut listing = listing(&bucket);
    assert_eq!(listing.next_page().await.unwrap().unwrap().entries.len(), 1000);
    bucket.fail(Verb::List, Moment::Request, Error::Throttled { request: "SlowDown".into() });
    assert!(listing.next_page().await.is_err());
    assert_eq!(names(listing).await.len(), 500);
}

proptest! {
    /// Each name comes once, for any set of keys and pages of any size.
    #[test]
    fn each_name_comes_once(keys in proptest::collection::btree_set("[ab][-/ab.]{0,4}", 0..40), cut in 1u16..5) {
        let bucket = bucket(keys.iter().map(|key| format!("acme/{key}")));
        let mut expected = BTreeMap::new();
        for key in &keys {
            let (name, below) = key.split_once('/').map_or((key.as_str(), false), |(name, _)| (name, true));
            if !name.is_empty() && name != "." && name != ".." {
                *expected.entry(name.to_owned()).or_insert(true) &= below;
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let shown = runtime.block_on(async {
            let mut listing = listing(&bucket);
            let mut shown = Vec::new();
            let mut after = None;
            loop {
                let scope = ListScope::Directory(&listing.prefix);
                let page = bucket.list(scope, after.as_ref(), cut).await.unwrap();
                after = page.next.clone();
                shown.extend(listing.entries(page));
                if after.is_none() {
                    return shown;
                }
            }
        });
        let mut unique = BTreeMap::new();
        for entry in shown {
            let directory = entry.kind == EntryKind::Directory;
            prop_assert_eq!(unique.insert(entry.name, directory), None);
        }
        prop_assert_eq!(unique, expected);
    }
}

/// The bytes that the tenant may have while no other has any.
const SHARE: u64 = 64 * MIB / 16 * 15 / 4 * 3;

fn many(count: usize) -> Arc<MemoryBucket> {
    bucket((0..count).map(|number| format!("acme/{number:05}")))
}

// S206: The pages of listings count as memory of the tenant. …
#[tokio::test(start_paused = true)]
async fn a_page_is_charged_before_it_is_requested_and_then_with_its_size() {
    let (bucket, budget) = (many(5000), Budget::new(64 * MIB));
    let hold = bucket.hold(Verb::List, Moment::Answer);
    let mut listing = listing_in(&bucket, &budget);
    let mut first = Box::pin(listing.next_page());
    assert!(futures_util::poll!(&mut first).is_pending());
    bucket.arrived(Verb::List, 1).await;
    assert_eq!(budget.used(), PAGE_BYTES);
    drop(hold);
    let first = first.await.unwrap().unwrap();
    bucket.arrived(Verb::List, 2).await;
    sleep(Duration::from_millis(1)).await;
    let page_bytes = first.charge.bytes();
    assert!((60_000..=200_000).contains(&page_bytes), "{page_bytes}");
    assert_eq!(budget.used(), 2 * page_bytes);
    drop(first);
    assert_eq!(budget.used(), page_bytes);
    drop(listing);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(budget.used(), 0);
}

// S207: A page that no READDIR asks for within ten seconds is dropped, or sooner if memory is short. It is fetched again …
#[tokio::test(start_paused = true)]
async fn a_page_that_is_not_asked_for_is_dropped_and_no_name_is_lost() {
    for pause in [0, 9, 11].map(Duration::from_secs) {
        let (bucket, budget) = (many(3000), Budget::new(64 * MIB));
        let mut listing = listing_in(&bucket, &budget);
        assert!(listing.exists().await.unwrap());
        let mut shown = Vec::new();
        loop {
            sleep(pause).await;
            let is_dropped = pause > MAX_AGE;
            assert_eq!(budget.used() == 0, is_dropped || shown.len() == 3000, "{pause:?}");
            let Some(page) = listing.next_page().await.unwrap() else { break };
            shown.extend(page.entries.into_iter().map(|entry| entry.name));
        }
        assert_eq!(shown, (0..3000).map(|number| format!("{number:05}")).collect::<Vec<_>>());
        assert_eq!(bucket.count(Verb::List), if pause > MAX_AGE { 6 } else { 3 }, "{pause:?}");
        assert_eq!(budget.used(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_makes_way_when_memory_is_short() {
    let (bucket, budget) = (many(3000), Budget::new(64 * MIB));
    let mut listing = listing_in(&bucket, &budget);
    assert!(listing.exists().await.unwrap());
    sleep(Duration::from_secs(3)).await;
    assert!(budget.used() > 0);
    let upload = memory(&budget).charge(SHARE - 2 * MIB).unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(budget.used(), upload.bytes());
    // Each page is then requested once, for its READDIR.
    assert_eq!(names(listing).await.len(), 3000);
    assert_eq!(bucket.count(Verb::List), 4);
}

// S208: A READDIR whose page finds no memory for 30 s is told that the server is busy. The next one asks for the page …
#[tokio::test(start_paused = true)]
async fn a_page_without_memory_is_refused_after_a_while_and_no_name_is_lost() {
    let (bucket, budget) = (many(3000), Budget::new(64 * MIB));
    let mut listing = listing_in(&bucket, &budget);
    let first = listing.next_page().await.unwrap().unwrap();
    sleep(MAX_AGE * 2).await;
    drop(first);
    let all = (memory(&budget).charge(SHARE).unwrap(), memory(&budget).charge_small_file(3 * MIB).unwrap());
    let since = Instant::now();
    let refused = listing.next_page().await;
    assert!(matches!(refused, Err(ListingError::Busy(_))), "{refused:?}");
    assert_eq!(since.elapsed(), Duration::from_secs(30));
    let mut second = Box::pin(listing.next_page());
    assert!(futures_util::poll!(&mut second).is_pending());
    sleep(Duration::from_secs(5)).await;
    drop(all);
    assert_eq!(second.await.unwrap().unwrap().entries.len(), 1000);
    assert_eq!(names(listing).await.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn asking_whether_it_exists_waits_for_no_memory() {
    for raw_keys in [&["acme/", "acme/a"][..], &["acme/a/b"], &["acme"]] {
        let (bucket, budget) = (bucket(raw_keys), Budget::new(0));
        let (mut poor, mut rich) = (listing_in(&bucket, &budget), listing(&bucket));
        let since = Instant::now();
        assert_eq!(poor.exists().await.unwrap(), rich.exists().await.unwrap(), "{raw_keys:?}");
        assert_eq!(poor.has_marker(), rich.has_marker(), "{raw_keys:?}");
        assert_eq!(since.elapsed(), Duration::ZERO);
        assert!(matches!(poor.next_page().await, Err(ListingError::Busy(_))));
    }
}

#[test]
fn the_longest_page_fits_its_charge() {
    let object = |number: usize| ListedObject {
        raw_key: format!("{number:01024}"),
        size: 1,
        etag: ETag(format!("\"{number:032}-10000\"")),
        modified: 1,
    };
    let token = Some(PageToken::Continuation("x".repeat(1024)));
    let page = Page { objects: (0..1000).map(object).collect(), directories: Vec::new(), next: token };
    assert!(page::bytes_of(&page) <= PAGE_BYTES);
}
