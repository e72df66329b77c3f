//! Uploads against the bucket in memory: what they send, what appears, and that nothing is left behind.

mod copies;
mod patches;

use super::{parts::MAX_IN_FLIGHT, *};
use crate::store::{
    MemoryBucket, Prefix,
    memory::{
        Moment::{Answer, Request},
        Verb,
    },
};
use futures_util::{FutureExt, future::join_all};
use proptest::{prelude::*, sample::select};

const MIB: usize = 1024 * 1024;
const PART: usize = 8 * MIB;
/// What OpenSSH sends at most.
const WRITE: usize = 255 * 1024;
const DEADLINE: Duration = Duration::from_mins(10);

struct Fixture {
    bucket: Arc<MemoryBucket>,
    budget: Arc<Budget>,
}

impl Fixture {
    fn with_budget(bytes: u64) -> Self {
        Self { bucket: Arc::new(MemoryBucket::new()), budget: Budget::new(bytes) }
    }

    fn new() -> Self {
        Self::with_budget(1 << 30)
    }

    fn options() -> UploadOptions {
        UploadOptions { max_object_bytes: 1 << 39, condition: Condition::Always, object: NewObject::default() }
    }

    async fn upload(&self, name: &str, options: UploadOptions) -> Upload {
        let reservation = self.budget.reserve("acme", MIN_PART_BYTES, DEADLINE).await.unwrap();
        let key = Prefix::parse("").unwrap().key(name).unwrap();
        Upload::new(Arc::clone(&self.bucket) as Arc<dyn Bucket>, key, reservation, Arc::clone(&self.budget), options)
    }

    async fn start(&self) -> Upload {
        self.upload("x", Self::options()).await
    }

    fn assert_stored(&self, name: &str, content: &[u8]) {
        // Not assert_eq: nobody reads megabytes of difference.
        assert!(self.bucket.bytes(name).unwrap() == content, "{name} differs");
        self.assert_nothing_left();
    }

    fn assert_nothing_left(&self) {
        assert_eq!(self.bucket.open_uploads(), 0);
        assert_eq!(self.budget.used(), 0);
    }
}

/// Bytes that differ from block to block: their period is a prime number.
fn content(len: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..65_521u32).map(|at| u8::try_from((at / 251 * 7 % 256) ^ (at % 251)).unwrap()).collect();
    let mut bytes = period.repeat(len / period.len() + 1);
    bytes.truncate(len);
    bytes
}

async fn write_all(upload: &mut Upload, content: &[u8]) -> Result<()> {
    for (index, piece) in content.chunks(WRITE).enumerate() {
        upload.write((index * WRITE) as u64, Bytes::copy_from_slice(piece)).await?;
    }
    Ok(())
}

fn lost() -> Error {
    Error::Unreachable("lost".into())
}

#[tokio::test]
async fn a_file_of_one_part_is_one_request() {
    for len in [0, 1, PART - 1, PART] {
        let fixture = Fixture::new();
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(len)).await.unwrap();
        assert_eq!(upload.size(), len as u64);
        assert!(upload.object_mut().is_some());
        upload.finish().await.unwrap();
        assert_eq!(fixture.bucket.verbs(), [Verb::Put], "{len} bytes");
        fixture.assert_stored("x", &content(len));
    }
}

#[tokio::test]
async fn a_larger_file_is_its_parts_and_two() {
    for (len, parts) in [(PART + 1, 2), (2 * PART, 2), (7 * PART + 3, 8)] {
        let fixture = Fixture::new();
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(len)).await.unwrap();
        assert!(upload.object_mut().is_none());
        upload.finish().await.unwrap();
        assert_eq!(fixture.bucket.count(Verb::UploadPart), parts, "{len} bytes");
        assert_eq!(fixture.bucket.verbs().len(), parts + 2);
        fixture.assert_stored("x", &content(len));
    }
}

#[tokio::test]
async fn metadata_and_a_token_go_with_either_kind() {
    for len in [1, PART + 1] {
        let fixture = Fixture::new();
        let mut upload = fixture.start().await;
        upload.object_mut().unwrap().metadata.insert("mtime".into(), "1".into());
        write_all(&mut upload, &content(len)).await.unwrap();
        upload.finish().await.unwrap();
        let metadata = fixture.bucket.metadata("x").unwrap();
        assert_eq!(metadata["mtime"], "1");
        assert_eq!(metadata[NewObject::TOKEN].len(), 32);
    }
}

// S63: A hole of at most 64 MiB reads as zeros; a WRITE that would leave a larger one is refused.
#[tokio::test]
async fn holes_read_as_zeros_up_to_a_limit() {
    let fixture = Fixture::new();
    let mut upload = fixture.start().await;
    let hole = 64 * MIB;
    upload.write(hole as u64, Bytes::from_static(b"end")).await.unwrap();
    assert_eq!(upload.read(hole as u64 - 1, 9).await.unwrap().unwrap(), b"\0end".as_slice());
    assert!(fixture.budget.used() <= MIN_PART_BYTES, "a hole takes no memory");
    upload.finish().await.unwrap();
    let mut expected = vec![0; hole];
    expected.extend(b"end");
    fixture.assert_stored("x", &expected);

    let mut upload = fixture.start().await;
    let written = upload.write(hole as u64 + 1, Bytes::from_static(b"x")).await;
    assert!(matches!(written, Err(Error::HoleTooLarge { limit }) if limit == hole as u64));
    assert!(matches!(upload.write(0, Bytes::from_static(b"x")).await, Err(Error::Poisoned(_))));
    assert!(matches!(upload.finish().await, Err(Error::Poisoned(_))));
    fixture.assert_nothing_left();
}

// S62: WRITEs may come in any order, as many as a client has in flight; the offsets say what the file is.
#[tokio::test]
async fn a_gap_is_waited_for_as_long_as_its_bytes_may_be_in_flight() {
    let fixture = Fixture::new();
    let whole = content(40 * MIB);
    let piece = |at: usize| Bytes::copy_from_slice(&whole[at..whole.len().min(at + WRITE)]);
    let mut upload = fixture.start().await;
    // All that a client may have in flight, the first write last.
    for at in (0..64 * WRITE).step_by(WRITE).rev() {
        assert_eq!(fixture.bucket.verbs(), []);
        upload.write(at as u64, piece(at)).await.unwrap();
    }
    for at in (64 * WRITE..whole.len()).step_by(WRITE) {
        upload.write(at as u64, piece(at)).await.unwrap();
    }
    upload.finish().await.unwrap();
    fixture.assert_stored("x", &whole);

    let mut upload = fixture.start().await;
    for at in (WRITE..whole.len()).step_by(WRITE) {
        upload.write(at as u64, piece(at)).await.unwrap();
    }
    let late = upload.write(0, Bytes::from_static(b"late")).await;
    assert!(matches!(late, Err(Error::AlreadyShipped { .. })), "{late:?}");
    upload.abort().await;
    fixture.assert_nothing_left();
}

// S69: READ of bytes that have left the server's memory, and WRITE to them, are refused; the latter ends the upload.
#[tokio::test]
async fn rewriting_what_is_shipped_poisons() {
    let fixture = Fixture::new();
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(PART + 1)).await.unwrap();
    assert_eq!(upload.read(PART as u64 - 1, 1).await.unwrap(), None);
    let rewritten = upload.write(PART as u64 - 1, Bytes::from_static(b"xx")).await;
    assert!(matches!(rewritten, Err(Error::AlreadyShipped { shipped }) if shipped == PART as u64));
    let Err(Error::Poisoned(cause)) = upload.finish().await else { panic!("published") };
    assert!(cause.contains("already stored"), "{cause}");
    assert_eq!(fixture.bucket.bytes("x"), None);
    assert_eq!(fixture.bucket.count(Verb::AbortUpload), 1);
    fixture.assert_nothing_left();
}

// S106: A file larger than the tenant's `max_object_bytes` is refused at the WRITE that would make it so.
#[tokio::test]
async fn too_large_poisons() {
    let fixture = Fixture::new();
    let mut upload = fixture.upload("x", UploadOptions { max_object_bytes: 10, ..Fixture::options() }).await;
    upload.write(0, Bytes::from_static(b"0123456789")).await.unwrap();
    for offset in [10, u64::MAX] {
        let mut upload = fixture.upload("x", UploadOptions { max_object_bytes: 10, ..Fixture::options() }).await;
        let written = upload.write(offset, Bytes::from_static(b"x")).await;
        assert!(matches!(written, Err(Error::TooLarge { limit: 10 })));
    }
    upload.finish().await.unwrap();
}

#[tokio::test]
async fn a_failed_part_is_noticed_and_publishes_nothing() {
    for (verb, noticed_by_write) in [(Verb::UploadPart, true), (Verb::CreateUpload, true), (Verb::UploadPart, false)] {
        let fixture = Fixture::new();
        let mut upload = fixture.start().await;
        fixture.bucket.fail(verb, Request, Error::Forbidden { request: "R1".into() });
        write_all(&mut upload, &content(PART + 1)).await.unwrap();
        if noticed_by_write {
            fixture.bucket.arrived(verb, 1).await;
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert!(matches!(upload.write(PART as u64, Bytes::from_static(b"x")).await, Err(Error::Forbidden { .. })));
            let Err(Error::Poisoned(cause)) = upload.finish().await else { panic!("published") };
            assert!(cause.contains("R1"));
        } else {
            assert!(matches!(upload.finish().await, Err(Error::Forbidden { .. })));
        }
        assert_eq!(fixture.bucket.keys(), [""; 0]);
        fixture.assert_nothing_left();
    }
}

#[tokio::test]
async fn a_lost_answer_to_our_own_success_is_success() {
    let conflict = || Error::Conflict { request: "R1".into() };
    for (len, verb, error) in [
        (1, Verb::Put, lost()),
        (1, Verb::Put, conflict()),
        (PART + 1, Verb::CompleteUpload, lost()),
        (PART + 1, Verb::CompleteUpload, Error::NotFound),
    ] {
        let fixture = Fixture::new();
        let mut upload =
            fixture.upload("x", UploadOptions { condition: Condition::Absent, ..Fixture::options() }).await;
        write_all(&mut upload, &content(len)).await.unwrap();
        fixture.bucket.fail(verb, Answer, error);
        upload.finish().await.unwrap();
        assert_eq!(fixture.bucket.count(Verb::Head), 1);
        assert_eq!(fixture.bucket.count(Verb::AbortUpload), 0);
        fixture.assert_stored("x", &content(len));
    }
}

#[tokio::test]
async fn anothers_object_is_not_our_success() {
    for (len, verb, error) in [(1, Verb::Put, lost()), (PART + 1, Verb::CompleteUpload, Error::NotFound)] {
        let fixture = Fixture::new();
        fixture.bucket.insert_with("x", "theirs", [(NewObject::TOKEN.to_owned(), "0".repeat(32))].into());
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(len)).await.unwrap();
        fixture.bucket.fail(verb, Request, error);
        upload.finish().await.unwrap_err();
        assert_eq!(fixture.bucket.count(Verb::Head), 1);
        fixture.assert_stored("x", b"theirs");
    }
}

#[tokio::test]
async fn absent_means_absent() {
    for len in [1, PART + 1] {
        let fixture = Fixture::new();
        fixture.bucket.insert("x", "theirs");
        let mut upload =
            fixture.upload("x", UploadOptions { condition: Condition::Absent, ..Fixture::options() }).await;
        write_all(&mut upload, &content(len)).await.unwrap();
        assert!(matches!(upload.finish().await, Err(Error::Conflict { .. })));
        fixture.assert_stored("x", b"theirs");
    }
}

#[tokio::test]
async fn abort_leaves_nothing_at_any_step() {
    // Nothing sent yet.
    let fixture = Fixture::new();
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(PART)).await.unwrap();
    upload.abort().await;
    assert_eq!(fixture.bucket.verbs(), []);
    fixture.assert_nothing_left();

    // The answer to the creation is pending.
    let mut upload = fixture.start().await;
    let hold = fixture.bucket.hold(Verb::CreateUpload, Answer);
    write_all(&mut upload, &content(PART + 1)).await.unwrap();
    fixture.bucket.arrived(Verb::CreateUpload, 1).await;
    let mut abort = Box::pin(upload.abort());
    assert!(abort.as_mut().now_or_never().is_none());
    drop(hold);
    abort.await;
    assert_eq!(fixture.bucket.verbs(), [Verb::CreateUpload, Verb::AbortUpload]);
    fixture.assert_nothing_left();

    // Parts are in flight.
    fixture.bucket.forget_requests();
    let hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(3 * PART)).await.unwrap();
    fixture.bucket.arrived(Verb::UploadPart, 2).await;
    upload.abort().await;
    assert_eq!(fixture.bucket.verbs().last(), Some(&Verb::AbortUpload));
    assert_eq!(fixture.bucket.count(Verb::AbortUpload), 1);
    fixture.assert_nothing_left();
    drop(hold);

    // The completion failed.
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(PART + 1)).await.unwrap();
    fixture.bucket.fail(Verb::CompleteUpload, Request, Error::Forbidden { request: "R1".into() });
    assert!(matches!(upload.finish().await, Err(Error::Forbidden { .. })));
    fixture.assert_nothing_left();
    assert_eq!(fixture.bucket.keys(), [""; 0]);
}

#[tokio::test]
async fn a_dropped_upload_is_aborted_in_the_background() {
    let fixture = Fixture::new();
    let _hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(PART + 1)).await.unwrap();
    drop(upload);
    fixture.bucket.arrived(Verb::AbortUpload, 1).await;
    tokio::task::yield_now().await;
    fixture.assert_nothing_left();
}

#[tokio::test]
async fn four_parts_are_in_flight_at_once_and_a_full_buffer_withholds_the_reply() {
    let fixture = Fixture::with_budget(64 << 20);
    let hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let mut upload = fixture.start().await;
    let whole = content(100 * MIB);
    let mut writing = Box::pin(write_all(&mut upload, &whole));
    assert!(writing.as_mut().now_or_never().is_none());
    fixture.bucket.arrived(Verb::UploadPart, MAX_IN_FLIGHT).await;
    assert!(writing.as_mut().now_or_never().is_none());
    assert_eq!(fixture.bucket.count(Verb::UploadPart), MAX_IN_FLIGHT);
    assert!(fixture.budget.used() > 40 << 20);
    drop(hold);
    writing.await.unwrap();
    upload.finish().await.unwrap();
    fixture.assert_stored("x", &whole);
}

#[tokio::test]
async fn extra_memory_goes_back_when_it_is_not_needed() {
    let fixture = Fixture::new();
    let hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(3 * PART + 1)).await.unwrap();
    assert!(fixture.budget.used() > 3 * PART as u64);
    drop(hold);
    while fixture.budget.used() > MIN_PART_BYTES {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.budget.used(), MIN_PART_BYTES);
    upload.finish().await.unwrap();
    fixture.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_uploads_get_through_a_budget_of_four_parts() {
    let fixture = Arc::new(Fixture::with_budget(4 * MIN_PART_BYTES));
    let whole = Arc::new(content(6 * MIB + 77));
    let uploads = (0..64).map(|index| {
        let (fixture, whole) = (Arc::clone(&fixture), Arc::clone(&whole));
        tokio::spawn(async move {
            let mut upload = fixture.upload(&format!("{index}"), Fixture::options()).await;
            write_all(&mut upload, &whole).await.unwrap();
            assert!(fixture.budget.used() <= 4 * MIN_PART_BYTES);
            upload.finish().await.unwrap();
        })
    });
    join_all(uploads).await.into_iter().for_each(|joined| joined.unwrap());
    for index in 0..64 {
        fixture.assert_stored(&format!("{index}"), &whole);
    }
}

#[tokio::test(start_paused = true)]
async fn the_overflow_serves_one_upload_after_the_other() {
    let fixture = Fixture::with_budget(2 * MIN_PART_BYTES);
    let whole = content(64 * WRITE);
    let backwards = async |upload: &mut Upload, writes: std::ops::Range<usize>| {
        for index in writes.rev() {
            let piece = Bytes::copy_from_slice(&whole[index * WRITE..(index + 1) * WRITE]);
            upload.write((index * WRITE) as u64, piece).await?;
        }
        Ok::<_, Error>(())
    };
    let mut first = fixture.upload("first", Fixture::options()).await;
    let mut second = fixture.upload("second", Fixture::options()).await;
    backwards(&mut first, 1..64).await.unwrap();
    {
        let mut waiting = Box::pin(backwards(&mut second, 0..64));
        assert!(waiting.as_mut().now_or_never().is_none());
        backwards(&mut first, 0..1).await.unwrap();
        first.finish().await.unwrap();
        waiting.await.unwrap();
    }
    second.finish().await.unwrap();
    assert!(fixture.bucket.bytes("first").unwrap() == whole);
    fixture.assert_stored("second", &whole);

    // The first one's client falls silent: the second one is refused in the end, but not kept waiting for ever.
    let mut first = fixture.upload("silent", Fixture::options()).await;
    let mut second = fixture.upload("refused", Fixture::options()).await;
    backwards(&mut first, 1..64).await.unwrap();
    let started = tokio::time::Instant::now();
    assert!(matches!(backwards(&mut second, 0..64).await, Err(Error::Busy(PATIENCE))));
    assert_eq!(started.elapsed(), PATIENCE);
    second.finish().await.unwrap_err();
    first.abort().await;
    fixture.assert_nothing_left();
    assert_eq!(fixture.bucket.keys(), ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_ahead_of_a_full_reservation_does_not_wait_for_ever() {
    let fixture = Fixture::with_budget(MIN_PART_BYTES);
    let _silent = fixture.budget.overflow().await.unwrap();
    let mut upload = fixture.start().await;
    let almost_a_part = 5 * MIB - 1;
    write_all(&mut upload, &content(almost_a_part)).await.unwrap();
    let ahead = upload.write(6 * MIB as u64, Bytes::from_static(b"x")).await;
    assert!(matches!(ahead, Err(Error::Busy(PATIENCE))), "{ahead:?}");
    upload.finish().await.unwrap_err();
    fixture.assert_nothing_left();
}

#[tokio::test(start_paused = true)]
async fn memory_that_others_give_back_serves_what_waits_for_the_overflow() {
    let fixture = Fixture::with_budget(2 * MIN_PART_BYTES);
    let _silent = fixture.budget.overflow().await.unwrap();
    let other = fixture.budget.try_take(MIN_PART_BYTES).unwrap();
    let mut upload = fixture.start().await;
    let almost_a_part = content(5 * MIB - 1);
    write_all(&mut upload, &almost_a_part).await.unwrap();
    {
        let mut ahead = Box::pin(upload.write(6 * MIB as u64, Bytes::from_static(b"x")));
        assert!(ahead.as_mut().now_or_never().is_none());
        assert!(fixture.budget.pressed(), "silent uploads and readers are to make way");
        drop(other);
        assert!(matches!(ahead.now_or_never(), Some(Ok(()))));
    }
    // What came late is no hole.
    let late = content(6 * MIB).split_off(5 * MIB - 1);
    upload.write(5 * MIB as u64 - 1, Bytes::from(late)).await.unwrap();
    upload.finish().await.unwrap();
    fixture.assert_stored("x", &[content(6 * MIB), b"x".to_vec()].concat());
}

#[tokio::test]
async fn a_write_that_is_cut_off_poisons() {
    let fixture = Fixture::with_budget(MIN_PART_BYTES);
    let _hold = fixture.bucket.hold(Verb::UploadPart, Request);
    let mut upload = fixture.start().await;
    assert!(upload.write(0, Bytes::from(content(6 * MIB))).now_or_never().is_none());
    assert!(matches!(upload.write(0, Bytes::new()).await, Err(Error::Poisoned(_))));
    assert!(matches!(upload.finish().await, Err(Error::Poisoned(_))));
    fixture.assert_nothing_left();
}

#[tokio::test]
async fn the_memory_of_what_is_given_up_is_free_before_s3_has_answered() {
    let fixture = Fixture::new();
    let _held = fixture.bucket.hold(Verb::UploadPart, Request);
    let hold = fixture.bucket.hold(Verb::AbortUpload, Request);
    let mut upload = fixture.start().await;
    write_all(&mut upload, &content(3 * PART)).await.unwrap();
    let aborting = tokio::spawn(upload.abort());
    fixture.bucket.arrived(Verb::AbortUpload, 1).await;
    assert_eq!(fixture.budget.used(), 0);
    drop(hold);
    aborting.await.unwrap();
    fixture.assert_nothing_left();
}

#[tokio::test]
async fn an_upload_that_somebody_aborted_is_no_missing_file() {
    for verb in [Verb::UploadPart, Verb::CompleteUpload] {
        let fixture = Fixture::new();
        let mut upload = fixture.start().await;
        write_all(&mut upload, &content(PART + 1)).await.unwrap();
        fixture.bucket.fail(verb, Request, Error::NotFound);
        assert!(matches!(upload.finish().await, Err(Error::UploadGone)), "{verb:?}");
        fixture.assert_nothing_left();
    }
}

/// The writes of a file, shuffled within so many at a time, as a client with as many in flight may send them.
fn shuffled(writes: usize, in_flight: usize) -> impl Strategy<Value = Vec<usize>> {
    let batches = (0..writes).collect::<Vec<_>>();
    let batches: Vec<_> = batches.chunks(in_flight).map(|batch| Just(batch.to_vec()).prop_shuffle()).collect();
    batches.prop_map(|batches| batches.concat())
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_writes_doesnt_matter(
        (write, order) in select(vec![(WRITE, 64), (32 * 1024, 64)])
            .prop_flat_map(|(write, in_flight)| (Just(write), shuffled(21 * MIB / write, in_flight))),
        budget in select(vec![MIN_PART_BYTES, 12 << 20, 1 << 30]),
    ) {
        run(async {
            let (fixture, whole) = (Fixture::with_budget(budget), content(21 * MIB / write * write));
            let mut upload = fixture.start().await;
            for index in order {
                let piece = Bytes::copy_from_slice(&whole[index * write..(index + 1) * write]);
                upload.write((index * write) as u64, piece).await.unwrap();
                assert!(fixture.budget.used() <= budget);
            }
            upload.finish().await.unwrap();
            fixture.assert_stored("x", &whole);
        });
    }

    #[test]
    fn what_is_acknowledged_is_stored(
        writes in prop::collection::vec((0..12 * MIB, 1..MIB, any::<u8>()), 1..40),
        budget in select(vec![MIN_PART_BYTES, 1 << 30]),
    ) {
        run(async {
            let (fixture, mut model) = (Fixture::with_budget(budget), Vec::new());
            let mut upload = fixture.start().await;
            let mut refused = false;
            for (at, len, byte) in writes {
                match upload.write(at as u64, Bytes::from(vec![byte; len])).await {
                    Ok(()) => {
                        model.resize(model.len().max(at + len), 0);
                        model[at..at + len].fill(byte);
                    }
                    Err(Error::AlreadyShipped { shipped }) => {
                        assert!((at as u64) < shipped);
                        refused = true;
                        break;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            if refused {
                upload.finish().await.unwrap_err();
                assert_eq!(fixture.bucket.keys(), [""; 0]);
                fixture.assert_nothing_left();
            } else {
                upload.finish().await.unwrap();
                fixture.assert_stored("x", &model);
            }
        });
    }
}
