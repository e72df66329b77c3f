//! Arbitrary requests in any order: nothing panics, nothing hangs, each request gets one reply, and no request to
//! storage leaves the tenant's prefix.

use super::{harness::Wharf, *};
use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::select};
use std::future::Future;
use wharfinger::{
    sftp::wire::{Attrs, Extended, FileTimes, Handle, OpenFlags, OwnerIds, Request},
    testing::MemoryBucket,
};

/// Runs a test on a paused clock, which advances only when no task can run.
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(test);
}

fn path() -> impl Strategy<Value = Bytes> {
    let known = select(vec![
        "/a",
        "/b",
        "/d",
        "/d/x",
        "/d/y",
        "/e",
        "/",
        "",
        ".",
        "..",
        "/../globex/secret",
        "d/../a",
        "//d//x",
        "/d/",
        "/a/below",
        "a\0b",
        "/globex/secret",
        "../globex",
        "~",
    ]);
    prop_oneof![
        9 => known.prop_map(|path| Bytes::from_static(path.as_bytes())),
        1 => vec(any::<u8>(), 0..40).prop_map(Bytes::from),
    ]
}

fn handle() -> impl Strategy<Value = Handle> {
    prop_oneof![9 => 0..8_u32, 1 => any::<u32>()].prop_map(Handle::from)
}

fn attrs() -> impl Strategy<Value = Attrs> {
    let owner = prop_oneof![Just(0_u32), any::<u32>()].prop_map(|uid| OwnerIds { uid, gid: 0 });
    let times = any::<(u32, u32)>().prop_map(|(accessed, modified)| FileTimes { accessed, modified });
    (prop::option::of(0..10_u64), prop::option::of(owner), any::<Option<u32>>(), prop::option::of(times))
        .prop_map(|(size, owner, permissions, times)| Attrs { size, owner, permissions, times })
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..20_u64, 1 => 0..100_000_000_u64, 1 => any::<u64>()]
}

fn flags() -> impl Strategy<Value = OpenFlags> {
    prop_oneof![Just(0x01), Just(0x1a), Just(0x1b), 0..64_u32, any::<u32>()].prop_map(OpenFlags::from_bits)
}

/// A request without its id.
fn request() -> impl Strategy<Value = Request> {
    let id = 0;
    let on_handles = prop_oneof![
        handle().prop_map(move |handle| Request::Close { id, handle }),
        handle().prop_map(move |handle| Request::Fstat { id, handle }),
        handle().prop_map(move |handle| Request::ReadDir { id, handle }),
        (handle(), attrs()).prop_map(move |(handle, attrs)| Request::FsetStat { id, handle, attrs }),
        (handle(), offset(), prop_oneof![0..40_u32, any::<u32>()])
            .prop_map(move |(handle, offset, length)| Request::Read { id, handle, offset, length }),
        (handle(), offset(), prop_oneof![4 => 0..20_usize, 1 => 0..261_120_usize])
            .prop_map(move |(handle, offset, length)| Request::Write { id, handle, offset, data: content(1, length) }),
    ];
    let opens =
        (path(), flags(), attrs()).prop_map(move |(path, flags, attrs)| Request::Open { id, path, flags, attrs });
    let on_paths = prop_oneof![
        path().prop_map(move |path| Request::OpenDir { id, path }),
        path().prop_map(move |path| Request::Stat { id, path }),
        path().prop_map(move |path| Request::Lstat { id, path }),
        path().prop_map(move |path| Request::Remove { id, path }),
        path().prop_map(move |path| Request::Rmdir { id, path }),
        path().prop_map(move |path| Request::RealPath { id, path }),
        path().prop_map(move |path| Request::ReadLink { id, path }),
        (path(), attrs()).prop_map(move |(path, attrs)| Request::Mkdir { id, path, attrs }),
        (path(), attrs()).prop_map(move |(path, attrs)| Request::SetStat { id, path, attrs }),
        (path(), path()).prop_map(move |(source, target)| Request::Rename { id, source, target }),
        (path(), path()).prop_map(move |(target, link)| Request::Symlink { id, target, link }),
        extended().prop_map(move |request| Request::Extended { id, request }),
    ];
    prop_oneof![4 => on_handles, 2 => opens, 3 => on_paths]
}

fn extended() -> impl Strategy<Value = Extended> {
    prop_oneof![
        Just(Extended::Limits),
        (path(), path()).prop_map(|(source, target)| Extended::PosixRename { source, target }),
        (path(), attrs()).prop_map(|(path, attrs)| Extended::LsetStat { path, attrs }),
        path().prop_map(|path| Extended::ExpandPath { path }),
        path().prop_map(|user| Extended::HomeDirectory { user }),
        vec(any::<u8>(), 0..10).prop_map(|name| Extended::Unknown(name.into())),
    ]
}

fn numbered(request: Request, number: u32) -> Request {
    let mut request = request;
    match &mut request {
        Request::Init { .. } => {}
        Request::Open { id, .. }
        | Request::Close { id, .. }
        | Request::Read { id, .. }
        | Request::Write { id, .. }
        | Request::Lstat { id, .. }
        | Request::Fstat { id, .. }
        | Request::SetStat { id, .. }
        | Request::FsetStat { id, .. }
        | Request::OpenDir { id, .. }
        | Request::ReadDir { id, .. }
        | Request::Remove { id, .. }
        | Request::Mkdir { id, .. }
        | Request::Rmdir { id, .. }
        | Request::RealPath { id, .. }
        | Request::Stat { id, .. }
        | Request::Rename { id, .. }
        | Request::ReadLink { id, .. }
        | Request::Symlink { id, .. }
        | Request::Extended { id, .. } => *id = number,
    }
    request
}

fn furnished(budget_bytes: u64) -> Wharf {
    let wharf = Wharf::with(Setup { budget_bytes, ..Setup::default() });
    wharf.bucket.insert("acme/a", "abc");
    wharf.bucket.insert("acme/d/x", content(1, 100_000));
    wharf.bucket.insert("globex/secret", "secret");
    wharf
}

fn assert_jailed(bucket: &MemoryBucket) {
    for request in bucket.requests() {
        for name in [Some(&request.name), request.source.as_ref()].into_iter().flatten() {
            assert!(name.starts_with("acme/"), "{request:?}");
        }
    }
    assert_eq!(bucket.bytes("globex/secret").unwrap(), "secret");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn each_request_gets_one_reply(
        requests in vec((request(), any::<bool>()), 1..80),
        budget_bytes in select(vec![0_u64, 5 << 20, 6 << 20, 64 << 20]),
        vanishes: bool,
    ) {
        run(async move {
            let wharf = furnished(budget_bytes);
            let mut client = wharf.connect().await;
            let count = u32::try_from(requests.len()).unwrap();
            for (number, (request, pause)) in (0..).zip(requests) {
                client.send_request(&numbered(request, number)).await.unwrap();
                if pause {
                    tokio::task::yield_now().await;
                }
            }
            if vanishes {
                client.vanish();
            } else {
                let replies = client.finish().rest().await;
                for id in 0..count {
                    assert!(replies.contains_key(&id), "request {id} got no reply");
                }
            }
            wharf.assert_nothing_left().await;
            assert_jailed(&wharf.bucket);
        });
    }

    #[test]
    fn arbitrary_frames_do_no_harm(bodies in vec((select((0..21_u8).chain([200, 201, 255]).collect::<Vec<_>>()), vec(any::<u8>(), 0..60)), 1..20)) {
        run(async move {
            let wharf = furnished(64 << 20);
            let mut client = wharf.connect().await;
            for (kind, rest) in bodies {
                // Equal ids would look like two replies to one request.
                if client.send_body(&[&[kind][..], &rest].concat()).await.is_err() {
                    break;
                }
            }
            drop(client.inbound);
            wharf.assert_nothing_left().await;
            assert_jailed(&wharf.bucket);
        });
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(chunks in vec(vec(any::<u8>(), 0..200), 0..20)) {
        run(async move {
            let wharf = furnished(64 << 20);
            let mut client = wharf.channel();
            for chunk in chunks {
                if client.inbound.feed(&chunk).await.is_err() {
                    break;
                }
            }
            client.vanish();
            wharf.assert_nothing_left().await;
            assert_eq!(wharf.requested(), []);
        });
    }
}
