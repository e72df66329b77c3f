use super::*;
use crate::testing::StoppedClock;
use std::thread;

const DAY: i64 = 20_000;
const MIDNIGHT: u64 = 20_000 * 86_400;
use DailyResource::{BytesCopied, BytesWritten, S3Requests, ZeroBytes};

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

/// A node a minute before midnight, with `limits` for acme.
fn node(limits: DailyLimits) -> (DailyUsage, Arc<StoppedClock>) {
    let clock = Arc::new(StoppedClock::at(MIDNIGHT - 60));
    let usage = DailyUsage::new(Arc::clone(&clock) as Arc<_>);
    usage.set_limits([(&acme(), limits)]);
    (usage, clock)
}

fn written(limit: u64) -> DailyLimits {
    DailyLimits { bytes_written: Some(limit), ..DailyLimits::default() }
}

fn requests(limit: u64) -> DailyLimits {
    DailyLimits { s3_requests: Some(limit), ..DailyLimits::default() }
}

// S194: A tenant's limits per day, from 00:00 to 00:00 UTC, count its own use alone. Each request is charged before it …
#[test]
fn sessions_at_once_use_up_a_limit_and_not_a_byte_more() {
    let (node, _) = node(written(1_000));
    let usage = node.of(&acme());
    let charge = || (0..100).filter(|_| usage.charge_write(7).is_ok()).count();
    let sessions = || {
        let threads: Vec<_> = (0..8).map(|_| charge).collect();
        thread::scope(|scope| {
            let running: Vec<_> = threads.into_iter().map(|charge| scope.spawn(charge)).collect();
            running.into_iter().map(|session| session.join().unwrap()).sum::<usize>()
        })
    };
    assert_eq!(sessions(), 142);
    assert_eq!(usage.amounts().bytes_written, 994);
    assert!(usage.charge_write(6).is_ok(), "a smaller WRITE still fits");
    assert_eq!(usage.charge_write(1), Err(DailyLimitReached(BytesWritten)));
    assert!(node.of(&"globex".parse().unwrap()).charge_write(1 << 40).is_ok(), "another tenant has its own");
}

#[test]
fn each_resource_has_a_limit_and_a_sentence_of_its_own() {
    let all = DailyFigures { bytes_written: 1, zero_bytes: 2, bytes_copied: 3, s3_requests: 4 };
    let (node, _) =
        node(DailyFigures { bytes_written: Some(1), zero_bytes: Some(2), bytes_copied: Some(3), s3_requests: Some(4) });
    let usage = node.of(&acme());
    for (resource, limit) in [(BytesWritten, 1), (ZeroBytes, 2), (BytesCopied, 3), (S3Requests, 4)] {
        assert_eq!(usage.charge(resource, limit + 1).unwrap_err(), DailyLimitReached(resource));
        usage.charge(resource, limit).unwrap();
        usage.charge(resource, 0).unwrap();
        assert_eq!(usage.charge(resource, u64::MAX).unwrap_err(), DailyLimitReached(resource));
    }
    assert_eq!(usage.amounts(), all);
    let said = DailyLimitReached(BytesWritten).to_string();
    assert_eq!(said, "the daily limit on bytes written is reached; it ends at 00:00 UTC");
}

#[test]
fn a_limit_holds_from_the_next_charge_on_and_ends_with_its_key() {
    let (node, _) = node(written(10));
    let usage = node.of(&acme());
    usage.charge_write(10).unwrap();
    node.set_limits([(&acme(), written(11))]);
    usage.charge_write(1).unwrap();
    node.set_limits([(&acme(), written(5))]);
    assert!(usage.charge_write(1).is_err());
    node.set_limits([]);
    assert!(usage.charge_write(1 << 40).is_ok() && !node.is_limited());
}

#[test]
fn an_amount_that_is_not_used_is_given_back_on_its_own_day() {
    let (node, clock) = node(DailyLimits { zero_bytes: Some(100), ..DailyLimits::default() });
    let usage = node.of(&acme());
    let mut charge = usage.charge(ZeroBytes, 60).unwrap();
    charge.add(usage.charge(ZeroBytes, 40).unwrap());
    usage.give_back(ZeroBytes, &mut charge, 30);
    assert_eq!(usage.amounts().zero_bytes, 70);
    clock.set(MIDNIGHT);
    usage.charge(ZeroBytes, 50).unwrap();
    usage.give_back(ZeroBytes, &mut charge, 200);
    assert_eq!(usage.amounts().zero_bytes, 50, "they were yesterday's");
    usage.give_back(ZeroBytes, &mut charge, 200);
    assert_eq!(usage.amounts().zero_bytes, 50, "and were given back once");
}

#[test]
fn a_new_day_begins_at_midnight_and_a_clock_set_back_begins_none() {
    let (node, clock) = node(written(10));
    let usage = node.of(&acme());
    usage.charge_write(10).unwrap();
    clock.set(MIDNIGHT - 1);
    assert!(usage.charge_write(1).is_err());
    clock.set(MIDNIGHT);
    usage.charge_write(9).unwrap();
    clock.set(MIDNIGHT - 100);
    assert!(usage.charge_write(2).is_err());
    assert_eq!(usage.amounts().bytes_written, 9);
    let totals = |day, bytes_written| DayTotals {
        tenant: acme(),
        day: UtcDay(day),
        amounts: DailyAmounts { bytes_written, ..DailyAmounts::default() },
    };
    let unsaved = node.unsaved();
    assert_eq!(unsaved, [totals(DAY - 1, 10), totals(DAY, 9)], "the ended day is saved too");
    usage.charge_write(1).unwrap();
    node.note_saved(&unsaved);
    assert_eq!(node.unsaved(), [totals(DAY, 10)], "what came meanwhile");
}

#[test]
fn the_amounts_of_others_count_and_are_not_saved_again() {
    let (node, _) = node(written(10));
    let usage = node.of(&acme());
    let others = |bytes_written| [(acme(), DailyAmounts { bytes_written, ..DailyAmounts::default() })].into();
    node.note_others(node.today(), &others(7));
    assert!(usage.charge_write(4).is_err());
    usage.charge_write(3).unwrap();
    assert_eq!(node.unsaved().iter().map(|totals| totals.amounts.bytes_written).collect::<Vec<_>>(), [3]);
    node.note_others(UtcDay(1), &others(0));
    assert!(usage.charge_write(1).is_err(), "an answer about another day changes nothing");
    node.note_others(node.today(), &HashMap::new());
    assert!(usage.charge_write(7).is_ok());
    node.set_limits([]);
    assert!(node.unsaved().is_empty(), "without limits nothing is written");
}

#[tokio::test]
async fn requests_that_must_end_count_and_are_not_refused() {
    let (node, _) = node(requests(3));
    let usage = node.of(&acme());
    usage.charge_request(false).unwrap();
    must_end(async {
        (0..2).for_each(|_| usage.charge_request(false).unwrap());
        usage.charge_request(false).unwrap();
        let outside = Arc::clone(&usage);
        let spawned = tokio::spawn(async move { outside.charge_request(false) }).await.unwrap();
        assert_eq!(spawned, Err(DailyLimitReached(S3Requests)), "another task is outside");
    })
    .await;
    assert!(usage.charge_request(false).is_err() && usage.demand_requests().is_err());
    usage.charge_request(true).unwrap();
    assert_eq!(usage.charge_write(1), Err(DailyLimitReached(S3Requests)), "WRITEs need requests");
    assert_eq!(usage.amounts().s3_requests, 5);
}

#[tokio::test]
async fn reserved_requests_are_counted_once_and_the_rest_is_given_back() {
    let (node, _) = node(requests(10));
    let usage = node.of(&acme());
    assert!(RequestScope::reserve(&usage, 11).is_err());
    let scope = RequestScope::reserve(&usage, 8).unwrap();
    assert_eq!(usage.amounts().s3_requests, 8);
    scope.run(async { (0..3).for_each(|_| usage.charge_request(false).unwrap()) }).await;
    assert_eq!(usage.amounts().s3_requests, 3);
    let scope = RequestScope::reserve(&usage, 7).unwrap();
    scope.run(async { (0..9).for_each(|_| usage.charge_request(false).unwrap()) }).await;
    assert_eq!(usage.amounts().s3_requests, 12, "more than were reserved count too");
}
