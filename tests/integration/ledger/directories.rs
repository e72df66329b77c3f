//! The journal's contract for times of directories.

use super::{bucket, open};
use crate::support::postgres::Postgres;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use wharfinger::{
    journal::{DirectoryNote, DirectoryTimes, Journal, ListedDirectories},
    ledger::{Ledger, Location},
    name::{BucketId, Prefix},
};

/// Names that a pattern, a case folding or a collation could confuse, in S3's order.
const NAMES: [&str; 11] = ["%", "A", "_", "a'\"\\", "a", "aa", "b", "z", "Ä", "日本", "\u{1f600}"];

fn directory(raw: &str) -> Prefix {
    Prefix::parse(raw).unwrap()
}

fn times(modified: u32) -> DirectoryTimes {
    DirectoryTimes { accessed: modified + 1, modified }
}

async fn set(journal: &Arc<dyn Journal>, raw: &str, modified: u32) {
    journal.set_directory_times(&bucket(), &directory(raw), times(modified)).await.unwrap();
}

async fn find(journal: &Arc<dyn Journal>, raw: &str) -> Option<u32> {
    let found = journal.directory_times(&bucket(), &directory(raw)).await.unwrap();
    found.map(|found| {
        assert_eq!(found, times(found.modified));
        found.modified
    })
}

/// Returns the times of a page's directories, in the order of the page.
async fn listed(journal: &Arc<dyn Journal>, parent: &str, names: &[&str]) -> Vec<Option<u32>> {
    let page = ListedDirectories { parent: &directory(parent), names, asked_ago: Duration::ZERO };
    let kept = journal.directory_times_in(&bucket(), page).await.unwrap();
    names.iter().map(|name| kept.get(*name).map(|times| times.modified)).collect()
}

pub async fn hold(journal: &Arc<dyn Journal>) {
    a_directory_has_one_entry(journal).await;
    a_page_is_of_one_directory(journal).await;
    a_directory_is_forgotten_with_those_below_it(journal).await;
    a_directory_moves_with_those_below_it(journal).await;
    times_told_afterwards_replace_none_that_were_set_since(journal).await;
}

// S101: A time that was set on a directory is kept in the journal, by bucket and key: every session sees it, on every node …
async fn a_directory_has_one_entry(journal: &Arc<dyn Journal>) {
    let other = BucketId::new("files", Some("http://127.0.0.1:8333"));
    for raw in ["", "one/", "one/two/", "one/ä%_'\\/"] {
        assert_eq!(find(journal, raw).await, None);
        for modified in [5, 0, u32::MAX - 1] {
            set(journal, raw, modified).await;
            assert_eq!(find(journal, raw).await, Some(modified), "{raw:?}");
        }
        assert_eq!(journal.directory_times(&other, &directory(raw)).await.unwrap(), None);
        let several = ["nothing/", raw, "one/", raw].map(directory);
        let found = journal.directory_times_of(&bucket(), &several.each_ref()).await.unwrap();
        let own = Some(times(u32::MAX - 1));
        assert_eq!(found, [None, own, own.filter(|_| raw == "one/"), own], "{raw:?}");
        journal.forget_directory_times(&bucket(), &directory(raw), None).await.unwrap();
        assert_eq!(find(journal, raw).await, None);
    }
    assert_eq!(journal.directory_times_of(&bucket(), &[]).await, Ok(Vec::new()));
}

async fn a_page_is_of_one_directory(journal: &Arc<dyn Journal>) {
    for (modified, name) in (1..).zip(NAMES) {
        set(journal, &format!("page/{name}/"), modified).await;
        set(journal, &format!("page/{name}/below/"), 100).await;
        set(journal, &format!("{name}/"), 200).await;
    }
    let all: Vec<_> = (1..=11).map(Some).collect();
    assert_eq!(listed(journal, "page/", &NAMES).await, all);
    assert_eq!(listed(journal, "page/", &NAMES[2..7]).await, all[2..7]);
    assert_eq!(listed(journal, "page/", &["A"]).await, [Some(2)]);
    assert_eq!(listed(journal, "", &["A"]).await, [Some(200)]);
    assert_eq!(listed(journal, "page/", &["B"]).await, [None]);
    assert_eq!(listed(journal, "page/", &[]).await, []);
}

async fn a_directory_is_forgotten_with_those_below_it(journal: &Arc<dyn Journal>) {
    let all = ["gone/", "gone/a/", "gone/a/b/", "gone/\u{1f600}/"];
    let neighbours = ["gon/", "gone-1/", "gone0/", "gone0/a/", "GONE/a/", "x/gone/a/"];
    for raw in neighbours {
        set(journal, raw, 7).await;
    }
    let keeps = async || journal.keeps_directory_times(&bucket(), &directory("gone/")).await.unwrap();
    for raw in all {
        assert!(!keeps().await);
        set(journal, raw, 7).await;
        assert!(keeps().await, "{raw}");
        journal.forget_directory_times(&bucket(), &directory(raw), None).await.unwrap();
    }
    for raw in all {
        set(journal, raw, 7).await;
    }
    // The directories may have been created since the question.
    for asked_ago in [Duration::ZERO, Duration::from_hours(1)] {
        journal.forget_directory_times(&bucket(), &directory("gone/"), Some(asked_ago)).await.unwrap();
        assert_eq!(find(journal, "gone/a/").await, Some(7));
    }
    journal.forget_directory_times(&bucket(), &directory("gone/"), None).await.unwrap();
    for raw in all {
        assert_eq!(find(journal, raw).await, None, "{raw}");
    }
    for raw in neighbours {
        assert_eq!(find(journal, raw).await, Some(7), "{raw}");
    }
}

// S169: RENAME takes the time of a directory along, and those of the directories below it; so does another node that …
async fn a_directory_moves_with_those_below_it(journal: &Arc<dyn Journal>) {
    let below = ["", "sub/", "sub/ä%/deep/", "from/dü_/"];
    let neighbours = ["from/", "from/düx/", "from/dü_0/", "to/"];
    let (source, target) = ("from/dü_/", "to/dir/");
    for (modified, name) in (1..).zip(below) {
        set(journal, &format!("{source}{name}"), modified).await;
    }
    for neighbour in neighbours {
        set(journal, neighbour, 9).await;
    }
    set(journal, "to/dir/sub/", 8).await;
    for _ in 0..2 {
        journal.move_directory_times(&bucket(), &directory(source), &directory(target)).await.unwrap();
        for (modified, name) in (1..).zip(below) {
            assert_eq!(find(journal, &format!("{source}{name}")).await, None, "{name}");
            let expected = if name == "sub/" { 8 } else { modified };
            assert_eq!(find(journal, &format!("{target}{name}")).await, Some(expected), "{name}");
        }
    }
    for neighbour in neighbours {
        assert_eq!(find(journal, neighbour).await, Some(9), "{neighbour}");
    }
}

fn note(raw: &str, modified: Option<u32>, seconds_ago: u64) -> DirectoryNote {
    let set_ago = Duration::from_secs(seconds_ago);
    DirectoryNote { bucket: bucket(), directory: directory(raw), times: modified.map(times), set_ago }
}

// S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files and as …
async fn times_told_afterwards_replace_none_that_were_set_since(journal: &Arc<dyn Journal>) {
    let tell = async |notes: &[DirectoryNote]| journal.tell_directory_times(notes).await.unwrap();
    let all = ["told/", "told/a/", "told/a/ä%/", "told0/", "tol/", "x/told/"];
    for seconds_ago in [30, 60] {
        tell(&all.map(|raw| note(raw, Some(7), seconds_ago))).await;
        tell(&all.map(|raw| note(raw, Some(8), seconds_ago + 10))).await;
    }
    for raw in all {
        assert_eq!(find(journal, raw).await, Some(7), "{raw}");
    }
    set(journal, "told/a/", 9).await;
    tell(&[note("told/a/", Some(8), 5), note("tol/", Some(8), 5)]).await;
    // Creations before a time was set there, and after.
    tell(&[note("told/", None, 40), note("x/told/", None, 10), note("told/b/", None, 0)]).await;
    let left = [("told/", 7), ("told/a/", 9), ("told/a/ä%/", 7), ("told0/", 7), ("tol/", 8)];
    for (raw, modified) in left {
        assert_eq!(find(journal, raw).await, Some(modified), "{raw}");
    }
    assert_eq!(find(journal, "x/told/").await, None);
    tell(&[note("told/", None, 20)]).await;
    let left = [("told/", None), ("told/a/", Some(9)), ("told/a/ä%/", None), ("told0/", Some(7))];
    for (raw, modified) in left {
        assert_eq!(find(journal, raw).await, modified, "{raw}");
    }
    let many: Vec<_> = (0..1_000).map(|number| format!("told/many/{number}/")).collect();
    tell(&many.iter().map(|raw| note(raw, Some(7), 20)).collect::<Vec<_>>()).await;
    assert_eq!(find(journal, &many[999]).await, Some(7));
    tell(&many.iter().map(|raw| note(raw, None, 10)).collect::<Vec<_>>()).await;
    assert!(!journal.keeps_directory_times(&bucket(), &directory("told/many/")).await.unwrap());
    tell(&[]).await;
}

const BEFORE: &str = "UPDATE directory_times SET set_at = set_at - 20";
/// SQL that adds times of 2,100 missing directories to the bucket of another row.
const CROWD: &str = "WITH RECURSIVE numbers (number) AS \
     (SELECT 1000 UNION ALL SELECT number + 1 FROM numbers WHERE number < 3099) \
     INSERT INTO directory_times SELECT bucket, 'crowd/', 'm' || CAST(number AS TEXT), 3, 2, set_at \
     FROM directory_times, numbers WHERE parent = 'dir/' AND name = 'new'";
const LEFT: &str = "SELECT parent || name FROM directory_times ORDER BY 1";

macro_rules! a_listing_drops_what_it_lacks {
    ($location:expr, $stranger:expr) => {{
        let ledger: Ledger = open(&$location).await;
        let journal = ledger.journal();
        for raw in ["b/", "dir/a/", "dir/b/", "dir/b/below/", "dir/c/", "dir/z/"] {
            set(&journal, raw, 1).await;
        }
        let mut stranger = $stranger;
        sqlx::query(BEFORE).execute(&mut stranger).await.unwrap();
        set(&journal, "dir/new/", 1).await;
        assert_eq!(listed(&journal, "dir/", &["a", "c", "d", "x"]).await, [Some(1), Some(1), None, None]);
        // `b` is gone, `new` is too young to count as gone, and `z` is beyond the page.
        let dropped = async {
            while sqlx::query_scalar::<_, String>(LEFT).fetch_all(&mut stranger).await.unwrap()
                != ["b", "dir/a", "dir/c", "dir/new", "dir/z"]
            {}
        };
        tokio::time::timeout(Duration::from_mins(1), dropped).await.expect("it is dropped, and nothing else");
        for (raw, kept) in [("dir/a/", None), ("dir/new/", Some(1))] {
            let asked_ago = Some(Duration::from_secs(5));
            journal.forget_directory_times(&bucket(), &directory(raw), asked_ago).await.unwrap();
            assert_eq!(find(&journal, raw).await, kept, "{raw}");
        }
        for raw in ["crowd/a/", "crowd/m3050'/", "crowd/z/"] {
            set(&journal, raw, 1).await;
        }
        sqlx::query(CROWD).execute(&mut stranger).await.unwrap();
        let names = ["a", "m2000", "m3050'", "m3050", "n", "z"];
        let found = [Some(1), Some(2), Some(1), Some(2), None, Some(1)];
        assert_eq!(listed(&journal, "crowd/", &names).await, found, "others hide nothing of a page");
        ledger.close().await;
    }};
}

// S170: A time whose directory others removed is dropped by the next STAT or listing that doesn't find it, ten seconds …
#[tokio::test]
async fn a_listing_drops_directories_that_are_gone_in_sqlite() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("ledger.db");
    let location = Location::Sqlite(file.clone());
    open(&location).await.close().await;
    let url = format!("sqlite:{}", file.display());
    a_listing_drops_what_it_lacks!(location, SqliteConnection::connect(&url).await.unwrap());
}

// S170: A time whose directory others removed is dropped by the next STAT or listing that doesn't find it, ten seconds …
#[tokio::test]
async fn a_listing_drops_directories_that_are_gone_in_postgresql() {
    let postgres = Postgres::start();
    let location = Location::parse(&postgres.url()).unwrap();
    open(&location).await.close().await;
    a_listing_drops_what_it_lacks!(location, PgConnection::connect(&postgres.url()).await.unwrap());
}
