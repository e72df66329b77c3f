//! Changes of a stored object: the bytes that are sent, copied and read back, and that no other client's change is
//! overwritten.

use super::*;
use crate::testing::bucket::ReceivedRequest;

const SIZE: usize = 20 * MIB + 77;

impl UploadFixture {
    /// An upload over an object of this content.
    async fn patch(&self, name: &str, content: &[u8]) -> Upload {
        self.bucket.insert(name, content.to_vec());
        let key = Prefix::parse("").unwrap().key(name).unwrap();
        let object = self.bucket.head(&key).await.unwrap();
        self.bucket.forget_requests();
        self.open(name, Origin::change(object), Self::options()).await
    }

    /// The answer to a READ of `name`. Its former bytes are those of the object.
    fn read(&self, name: &str, upload: &Upload, offset: usize, len: usize) -> Option<Bytes> {
        let BufferedBytes { mut bytes, former } = upload.read(at(offset), len)?;
        let object = self.bucket.bytes(name).unwrap();
        for range in former {
            let [start, end] = [range.start, range.end].map(|end| usize::try_from(end).unwrap());
            bytes[start - offset..end - offset].copy_from_slice(&object[start..end]);
        }
        Some(bytes.freeze())
    }

    /// The verbs of the requests, and the ranges of those that have one.
    fn asked(&self) -> Vec<(Verb, Option<std::ops::Range<u64>>)> {
        self.bucket.requests().into_iter().map(|ReceivedRequest { verb, range, .. }| (verb, range)).collect()
    }
}

fn at(offset: usize) -> u64 {
    offset as u64
}

// S78: Nothing before the first change is sent or fetched, where it can be copied.
#[tokio::test]
async fn what_is_appended_goes_up_alone() {
    for (size, more) in [(SIZE, 1), (20 * MIB, 1), (SIZE, 9 * MIB), (5 * MIB + 1, 4 * MIB)] {
        let (fixture, mut model) = (UploadFixture::new(), content(size));
        let mut upload = fixture.patch("x", &model).await;
        let tail = content(more);
        for (index, piece) in tail.chunks(WRITE).enumerate() {
            upload.write(at(size + index * WRITE), Bytes::copy_from_slice(piece)).await.unwrap();
        }
        upload.finish(Condition::Always).await.unwrap();
        model.extend(tail);
        fixture.assert_stored("x", &model);
        assert_eq!(fixture.bucket.count(Verb::CopyPart), 1);
        assert_eq!(fixture.bucket.count(Verb::Read), 0, "{size} and {more}");
        let sent: u64 = fixture.bucket.requests().iter().map(|request| request.sent_bytes).sum();
        assert_eq!(sent, at(more));
        assert_eq!(fixture.bucket.verbs().len(), 3 + more.div_ceil(PART));
    }
}

// S77: S3 copies the bytes that no WRITE touched, or the server reads them back if they are too few to be copied.
#[tokio::test]
async fn a_change_in_the_middle_sends_one_small_part() {
    let (fixture, mut model) = (UploadFixture::new(), content(SIZE));
    let mut upload = fixture.patch("x", &model).await;
    upload.write(at(10 * MIB), Bytes::from_static(b"new")).await.unwrap();
    model[10 * MIB..10 * MIB + 3].copy_from_slice(b"new");
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", &model);
    let [middle, behind] = [at(10 * MIB), at(15 * MIB)];
    let asked = fixture.asked();
    assert!(asked.contains(&(Verb::CopyPart, Some(0..middle))), "{asked:?}");
    assert!(asked.contains(&(Verb::CopyPart, Some(behind..at(SIZE)))), "{asked:?}");
    assert!(asked.contains(&(Verb::Read, Some(middle + 3..behind))), "{asked:?}");
    assert_eq!(asked.len(), 6, "{asked:?}");
}

// S83: FSETSTAT and SETSTAT of a size cut a file, or add zeros to it, up to 64 MiB at a time.
#[tokio::test]
async fn a_shorter_file_is_copied_and_nothing_sent() {
    let (fixture, model) = (UploadFixture::new(), content(SIZE));
    let mut upload = fixture.patch("x", &model).await;
    upload.set_size(at(9 * MIB + 5)).unwrap();
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", &model[..9 * MIB + 5]);
    assert_eq!(fixture.bucket.verbs(), [Verb::CreateUpload, Verb::CopyPart, Verb::CompleteUpload]);
}

// S77: S3 copies the bytes that no WRITE touched, or the server reads them back if they are too few to be copied.
#[tokio::test]
async fn what_fits_one_part_is_read_back_and_put() {
    for (size, change, expected) in [
        (100, 50, vec![Verb::Read, Verb::Put]),
        (100, 100, vec![Verb::Read, Verb::Put]),
        (0, 0, vec![Verb::Put]),
        (7 * MIB, 3 * MIB, vec![Verb::Read, Verb::Read, Verb::Put]),
    ] {
        let (fixture, mut model) = (UploadFixture::new(), content(size));
        let mut upload = fixture.patch("x", &model).await;
        upload.write(at(change), Bytes::from_static(b"n")).await.unwrap();
        model.resize(size.max(change + 1), 0);
        model[change] = b'n';
        upload.finish(Condition::Always).await.unwrap();
        fixture.assert_stored("x", &model);
        let reads = |verbs: &[Verb]| verbs.iter().filter(|verb| **verb == Verb::Read).count();
        let verbs = fixture.bucket.verbs();
        assert!(reads(&verbs) <= reads(&expected), "{verbs:?}");
        assert_eq!(verbs.last(), Some(&Verb::Put));
    }
}

// S77: S3 copies the bytes that no WRITE touched, or the server reads them back if they are too few to be copied.
#[tokio::test]
async fn what_is_too_small_to_be_copied_is_sent_with_what_comes_behind_it() {
    for size in [100, 3 * MIB, 5 * MIB] {
        let (fixture, mut model) = (UploadFixture::new(), content(size));
        let mut upload = fixture.patch("x", &model).await;
        for index in 0..10 {
            upload.write(at(size + index * MIB), Bytes::from(content(MIB))).await.unwrap();
            model.extend(content(MIB));
        }
        upload.finish(Condition::Always).await.unwrap();
        fixture.assert_stored("x", &model);
        assert_eq!(fixture.bucket.count(Verb::CopyPart), 0);
        assert_eq!(fixture.bucket.count(Verb::Read), 1);
    }
}

#[tokio::test]
async fn an_object_that_is_overwritten_from_end_to_end_is_neither_copied_nor_read() {
    for (old, new) in [(SIZE, SIZE), (SIZE, 9 * MIB), (SIZE, 30 * MIB), (SIZE, 10), (10, 10), (SIZE, 0)] {
        let (fixture, model) = (UploadFixture::new(), content(new));
        let mut upload = fixture.patch("x", &vec![7; old]).await;
        write_all(&mut upload, &model).await.unwrap();
        upload.set_size(at(new)).unwrap();
        upload.finish(Condition::Always).await.unwrap();
        fixture.assert_stored("x", &model);
        assert_eq!(fixture.bucket.count(Verb::CopyPart) + fixture.bucket.count(Verb::Read), 0, "{old} to {new}");
    }
}

#[tokio::test]
async fn a_file_truncated_to_nothing_is_a_new_file_on_a_condition() {
    let fixture = UploadFixture::new();
    let mut upload = fixture.patch("x", &content(SIZE)).await;
    upload.set_size(0).unwrap();
    upload.write(2, Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(fixture.read("x", &upload, 0, 100).unwrap(), b"\0\0new".as_slice());
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", b"\0\0new");
    assert_eq!(fixture.bucket.verbs(), [Verb::Put]);

    let mut upload = fixture.patch("x", &content(SIZE)).await;
    upload.set_size(0).unwrap();
    fixture.bucket.insert("x", "theirs");
    assert!(matches!(upload.finish(Condition::Always).await, Err(UploadError::Storage(Error::Conflict { .. }))));
    fixture.assert_stored("x", b"theirs");
}

// S80: A file that was opened and not changed stays the same version.
#[tokio::test]
async fn what_nobody_changed_costs_nothing() {
    let (fixture, model) = (UploadFixture::new(), content(SIZE));
    let mut upload = fixture.patch("x", &model).await;
    upload.write(3, Bytes::new()).await.unwrap();
    upload.set_size(at(SIZE)).unwrap();
    assert!(upload.is_unchanged());
    let FinishedUpload::Unchanged(object) = upload.finish(Condition::Always).await.unwrap() else { panic!("stored") };
    assert_eq!(fixture.bucket.verbs(), []);
    let key = Prefix::parse("").unwrap().key("x").unwrap();
    let there = fixture.bucket.head(&key).await.unwrap();
    assert_eq!((object.pin, object.size), (there.pin, there.size));
    fixture.assert_nothing_left();
}

// S83: FSETSTAT and SETSTAT of a size cut a file, or add zeros to it, up to 64 MiB at a time.
#[tokio::test]
async fn a_larger_size_is_zeros_up_to_a_limit() {
    let (fixture, mut model) = (UploadFixture::new(), content(SIZE));
    let mut upload = fixture.patch("x", &model).await;
    assert!(matches!(upload.set_size(at(SIZE + 64 * MIB + 1)), Err(UploadError::HoleTooLarge { .. })));
    assert!(matches!(upload.set_size(u64::MAX), Err(UploadError::TooLarge { .. })));
    upload.set_size(at(SIZE - 5)).unwrap();
    upload.set_size(at(SIZE + 10 * MIB)).unwrap();
    model.truncate(SIZE - 5);
    model.resize(SIZE + 10 * MIB, 0);
    upload.write(at(SIZE + MIB), Bytes::from_static(b"x")).await.unwrap();
    model[SIZE + MIB] = b'x';
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", &model);
}

// S79: A change replaces the version that was opened, and no other: if another writer has changed or removed the …
#[tokio::test]
async fn another_version_is_never_overwritten() {
    for removed in [false, true] {
        for verb in [Verb::CopyPart, Verb::Read, Verb::CompleteUpload, Verb::Put] {
            let size = if verb == Verb::Put { 100 } else { SIZE };
            let fixture = UploadFixture::new();
            let mut upload = fixture.patch("x", &content(size)).await;
            upload.write(at(size / 2), Bytes::from_static(b"new")).await.unwrap();
            let hold = fixture.bucket.hold(verb, Request);
            let finishing = tokio::spawn(upload.finish(Condition::Always));
            fixture.bucket.arrived(verb, 1).await;
            if removed {
                fixture.bucket.delete("x");
            } else {
                fixture.bucket.insert("x", "theirs");
            }
            drop(hold);
            let finished = finishing.await.unwrap();
            assert!(
                matches!(finished, Err(UploadError::Storage(Error::Conflict { .. }))),
                "{verb:?}, {removed}: {finished:?}"
            );
            assert_eq!(fixture.bucket.bytes("x"), (!removed).then(|| Bytes::from_static(b"theirs")));
            fixture.assert_nothing_left();
        }
    }
}

// S74: A file opened for writing without TRUNC begins as it is, and READ shows what was written over what was there.
#[tokio::test]
async fn a_read_shows_what_was_written_over_what_was_there() {
    let (fixture, mut model) = (UploadFixture::new(), content(SIZE));
    let mut upload = fixture.patch("x", &model).await;
    upload.write(at(10 * MIB), Bytes::from_static(b"new")).await.unwrap();
    model[10 * MIB..10 * MIB + 3].copy_from_slice(b"new");
    for (offset, len) in [(0, 10), (10 * MIB - 5, 20), (10 * MIB, 3), (SIZE - 3, 10), (SIZE, 10)] {
        let read = fixture.read("x", &upload, offset, len).unwrap();
        assert!(read == model[offset..SIZE.min(offset + len)], "{len} bytes at {offset}");
    }
    assert!(upload.shows_older_object(at(10 * MIB - 1), 2) && !upload.shows_older_object(at(10 * MIB), 3));
    upload.abort().await;
}

#[tokio::test]
async fn a_body_that_breaks_is_resumed_where_it_broke() {
    let (fixture, mut model) = (UploadFixture::new(), content(4 * MIB));
    let mut upload = fixture.patch("x", &model).await;
    upload.write(0, Bytes::from_static(b"new")).await.unwrap();
    model[..3].copy_from_slice(b"new");
    fixture.bucket.break_body(MIB);
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", &model);
    let broke_at = at(MIB + 3);
    let end = at(4 * MIB);
    assert_eq!(fixture.asked(), [(Verb::Read, Some(3..end)), (Verb::Read, Some(broke_at..end)), (Verb::Put, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_upload_gets_through_the_smallest_budget() {
    let (fixture, mut model) = (UploadFixture::with_budget(MIN_PART_BYTES), content(SIZE));
    let mut upload = fixture.patch("x", &model).await;
    let tail = content(40 * MIB);
    for (index, piece) in tail.chunks(WRITE).enumerate() {
        upload.write(at(SIZE - MIB + index * WRITE), Bytes::copy_from_slice(piece)).await.unwrap();
        assert!(fixture.budget.used() <= MIN_PART_BYTES);
    }
    upload.finish(Condition::Always).await.unwrap();
    model.truncate(SIZE - MIB);
    model.extend(tail);
    fixture.assert_stored("x", &model);
    assert_eq!(fixture.bucket.count(Verb::Read), 0);
}

// S81: Changes that touch at most 64 blocks of 256 KiB may come in any order: so all of a file up to 16 MiB.
#[tokio::test]
async fn changes_of_16_mib_may_come_in_any_order() {
    let (fixture, model) = (UploadFixture::new(), content(30 * MIB));
    let mut upload = fixture.patch("x", &vec![7; 30 * MIB]).await;
    for turn in 0..2 {
        for offset in (MIB..17 * MIB).step_by(MIB) {
            let bytes = if turn == 0 { vec![8; MIB] } else { model[offset..offset + MIB].to_vec() };
            upload.write(at(offset), Bytes::from(bytes)).await.unwrap();
            assert!(upload.read(at(MIB), 10).is_some());
        }
    }
    assert_eq!((upload.shipped(), fixture.bucket.count(Verb::CreateUpload)), (0, 0));
    upload.finish(Condition::Always).await.unwrap();
    let expected = [&[7; 1][..].repeat(MIB), &model[MIB..17 * MIB], &[7; 1][..].repeat(13 * MIB)].concat();
    fixture.assert_stored("x", &expected);
}

#[tokio::test]
async fn thousands_of_scattered_bytes_are_all_stored() {
    let (fixture, mut model) = (UploadFixture::new(), content(SIZE));
    let mut upload = fixture.patch("x", &model).await;
    for index in 0..3000 {
        let offset = 6 * MIB + index * 97;
        upload.write(at(offset), Bytes::from_static(b"!")).await.unwrap();
        model[offset] = b'!';
    }
    upload.finish(Condition::Always).await.unwrap();
    fixture.assert_stored("x", &model);
}

#[derive(Clone, Debug)]
enum PatchStep {
    Write(usize, usize, u8),
    Resize(usize),
    Read(usize, usize),
}

fn step() -> impl Strategy<Value = PatchStep> {
    prop_oneof![
        5 => (0..24 * MIB, 1..2 * MIB, any::<u8>()).prop_map(|(at, len, byte)| PatchStep::Write(at, len, byte)),
        1 => (0..24 * MIB).prop_map(PatchStep::Resize),
        2 => (0..24 * MIB, 1..WRITE).prop_map(|(at, len)| PatchStep::Read(at, len)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    // S82: With more changes, or while the server's memory is short, the server sends those with the lowest …
    #[test]
    fn a_changed_file_is_what_a_vector_is(
        size in select(vec![0, 3 * MIB, 5 * MIB, 5 * MIB + 1, 13 * MIB + 7, 22 * MIB]),
        steps in prop::collection::vec(step(), 0..24),
        budget in select(vec![MIN_PART_BYTES, 1 << 30]),
    ) {
        run(async {
            let (fixture, mut model) = (UploadFixture::with_budget(budget), content(size));
            let mut upload = fixture.patch("x", &model).await;
            let mut refused = false;
            for step in steps {
                let shipped = usize::try_from(upload.shipped()).unwrap();
                let done = match step {
                    PatchStep::Write(offset, len, byte) => {
                        let done = upload.write(at(offset), Bytes::from(vec![byte; len])).await;
                        if done.is_ok() {
                            model.resize(model.len().max(offset + len), 0);
                            model[offset..offset + len].fill(byte);
                        }
                        done
                    }
                    PatchStep::Resize(size) => {
                        let done = upload.set_size(at(size));
                        if done.is_ok() {
                            model.resize(size, 0);
                        }
                        done.or_else(|error| if size < shipped { Ok(()) } else { Err(error) })
                    }
                    PatchStep::Read(offset, len) => {
                        let range = offset.min(model.len())..model.len().min(offset + len);
                        match fixture.read("x", &upload, offset, len) {
                            Some(read) => assert!(read == model[range], "{len} bytes at {offset}"),
                            None => assert!(offset < shipped),
                        }
                        Ok(())
                    }
                };
                match done {
                    Ok(()) => {}
                    Err(UploadError::AlreadyShipped { .. } | UploadError::Busy(_)) => {
                        refused = true;
                        break;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            if refused {
                upload.finish(Condition::Always).await.unwrap_err();
                assert!(fixture.bucket.bytes("x").unwrap() == content(size));
                fixture.assert_nothing_left();
            } else {
                upload.finish(Condition::Always).await.unwrap();
                fixture.assert_stored("x", &model);
            }
        });
    }
}
