//! Directories of any size are listed in constant memory, one page ahead and without a request for each name.

use super::*;
use std::{env, fs, process::Command};
use wharfinger::{
    sftp::wire::{NameEntry, StatusCode},
    testing::bucket::Verb,
};

const NAMES: usize = 1_000_000;
/// Names in a page of S3.
const PAGE_NAMES: usize = 1000;
/// After this many names a listing holds its maximum of memory.
const WARM_NAMES: usize = 50_000;
/// Limit on growth after that. The remaining names have seven times as many bytes.
const MOST_GROWTH_BYTES: u64 = 1 << 20;
/// Environment variable of a process that runs one test.
const ALONE: &str = "WHARFINGER_TEST_ALONE";

/// True if this process runs only `test`, so that it can measure its peak memory. If not, runs `test` in such a
/// process.
fn is_alone(test: &str) -> bool {
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    let run = command.args(["--exact", test]).env(ALONE, "").output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
    false
}

/// Peak memory of this process so far.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")).unwrap();
    peak.trim().parse::<u64>().unwrap() << 10
}

/// True if this is the name at a position of the listing: `.`, `..`, then all others in order.
fn is_name(name: &NameEntry, place: usize) -> bool {
    match place {
        0 => name.filename == b"."[..],
        1 => name.filename == b".."[..],
        _ => name.filename == format!("{:07}", place - 2).as_bytes(),
    }
}

#[tokio::test]
async fn replies_are_filled_across_the_pages_of_a_listing() {
    let wharf = Wharf::with(Setup { many_names: 10_000, ..Setup::default() });
    let mut client = wharf.connect().await;
    let open = client.send(request::open_dir("/many")).await;
    let directory = client.handle(open).await.unwrap();
    let mut replies = Vec::new();
    loop {
        let read = client.send(request::read_dir(&directory)).await;
        match client.names(read).await {
            Ok(names) => replies.push(names.len()),
            Err(StatusError { code, .. }) => break assert_eq!(code, StatusCode::Eof),
        }
    }
    // 32 KiB hold 277 names of 7 bytes, with long names of 63 bytes and 48 bytes for the rest.
    assert_eq!(replies, [vec![277; 36], vec![30]].concat());
}

// S47: A listing keeps two pages of 1,000 names in memory, the one that is being read and the next.
#[test]
fn a_million_names_are_listed_in_constant_memory() {
    if !is_alone("session::listings::a_million_names_are_listed_in_constant_memory") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let wharf = Wharf::with(Setup { many_names: NAMES, ..Setup::default() });
        let mut client = wharf.connect().await;
        let open = client.send(request::open_dir("/many")).await;
        let directory = client.handle(open).await.unwrap();
        let (mut given, mut warm_bytes) = (0, 0);
        loop {
            let read = client.send(request::read_dir(&directory)).await;
            match client.names(read).await {
                Ok(names) => {
                    assert!(names.iter().zip(given..).all(|(name, place)| is_name(name, place)), "{given}: {names:?}");
                    given += names.len();
                }
                Err(StatusError { code, .. }) => break assert_eq!(code, StatusCode::Eof),
            }
            assert!(wharf.sparse.listed() <= given + 2 * PAGE_NAMES, "{} after {given}", wharf.sparse.listed());
            if given < WARM_NAMES {
                warm_bytes = peak_bytes();
            }
        }
        assert_eq!(given, 2 + NAMES, "with `.` and `..`");
        let verbs: Vec<Verb> = wharf.faulty.steps().iter().map(|step| step.verb).collect();
        assert_eq!(verbs, vec![Verb::List; NAMES / PAGE_NAMES]);
        // The kernel counts memory by CPU, so a later peak may seem a little lower.
        let grown_bytes = peak_bytes().saturating_sub(warm_bytes);
        assert!(grown_bytes <= MOST_GROWTH_BYTES, "{grown_bytes} bytes more than at first");
    });
}
