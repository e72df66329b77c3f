//! Strategies for arbitrary requests and replies, to test the properties of the codec.

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};

use super::{
    Attrs, CopyData, Extended, Extension, FileTimes, Handle, MAX_HANDLE_BYTES, NameEntry, OpenFlags, OwnerIds, Reply,
    Request, StatusCode,
};

fn bytes() -> impl Strategy<Value = Bytes> + Clone {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn handle() -> impl Strategy<Value = Handle> + Clone {
    vec(any::<u8>(), 0..=MAX_HANDLE_BYTES).prop_map(|bytes| Bytes::from(bytes).try_into().unwrap())
}

fn attrs() -> impl Strategy<Value = Attrs> + Clone {
    let owner = (any::<u32>(), any::<u32>()).prop_map(|(uid, gid)| OwnerIds { uid, gid });
    let times = (any::<u32>(), any::<u32>()).prop_map(|(accessed, modified)| FileTimes { accessed, modified });
    (option::of(any::<u64>()), option::of(owner), option::of(any::<u32>()), option::of(times))
        .prop_map(|(size, owner, permissions, times)| Attrs { size, owner, permissions, times })
}

fn extended() -> impl Strategy<Value = Extended> {
    prop_oneof![
        Just(Extended::Limits),
        (bytes(), bytes()).prop_map(|(source, target)| Extended::PosixRename { source, target }),
        (bytes(), attrs()).prop_map(|(path, attrs)| Extended::LsetStat { path, attrs }),
        bytes().prop_map(|path| Extended::ExpandPath { path }),
        bytes().prop_map(|user| Extended::HomeDirectory { user }),
        copy_data().prop_map(Extended::CopyData),
        "[a-z]{0,20}@example[.]com".prop_map(|name| Extended::Unknown(name.into())),
    ]
}

fn copy_data() -> impl Strategy<Value = CopyData> {
    (handle(), any::<u64>(), any::<u64>(), handle(), any::<u64>()).prop_map(
        |(source, source_offset, length, target, target_offset)| CopyData {
            source,
            source_offset,
            length,
            target,
            target_offset,
        },
    )
}

/// Returns a strategy for any request.
pub(super) fn request() -> impl Strategy<Value = Request> {
    let id = any::<u32>;
    prop_oneof![
        any::<u32>().prop_map(|version| Request::Init { version }),
        (id(), bytes(), any::<u32>(), attrs()).prop_map(|(id, path, flags, attrs)| Request::Open {
            id,
            path,
            flags: OpenFlags::from_bits(flags),
            attrs
        }),
        (id(), handle()).prop_map(|(id, handle)| Request::Close { id, handle }),
        (id(), handle(), any::<u64>(), any::<u32>()).prop_map(|(id, handle, offset, length)| Request::Read {
            id,
            handle,
            offset,
            length
        }),
        (id(), handle(), any::<u64>(), bytes()).prop_map(|(id, handle, offset, data)| Request::Write {
            id,
            handle,
            offset,
            data
        }),
        (id(), bytes()).prop_map(|(id, path)| Request::Lstat { id, path }),
        (id(), handle()).prop_map(|(id, handle)| Request::Fstat { id, handle }),
        (id(), bytes(), attrs()).prop_map(|(id, path, attrs)| Request::SetStat { id, path, attrs }),
        (id(), handle(), attrs()).prop_map(|(id, handle, attrs)| Request::FsetStat { id, handle, attrs }),
        (id(), bytes()).prop_map(|(id, path)| Request::OpenDir { id, path }),
        (id(), handle()).prop_map(|(id, handle)| Request::ReadDir { id, handle }),
        (id(), bytes()).prop_map(|(id, path)| Request::Remove { id, path }),
        (id(), bytes(), attrs()).prop_map(|(id, path, attrs)| Request::Mkdir { id, path, attrs }),
        (id(), bytes()).prop_map(|(id, path)| Request::Rmdir { id, path }),
        (id(), bytes()).prop_map(|(id, path)| Request::RealPath { id, path }),
        (id(), bytes()).prop_map(|(id, path)| Request::Stat { id, path }),
        (id(), bytes(), bytes()).prop_map(|(id, source, target)| Request::Rename { id, source, target }),
        (id(), bytes()).prop_map(|(id, path)| Request::ReadLink { id, path }),
        (id(), bytes(), bytes()).prop_map(|(id, target, link)| Request::Symlink { id, target, link }),
        (id(), extended()).prop_map(|(id, request)| Request::Extended { id, request }),
    ]
}

/// Returns a strategy for any reply.
pub(super) fn reply() -> impl Strategy<Value = Reply> {
    let id = any::<u32>;
    let extension = (".*", ".*").prop_map(|(name, version)| Extension { name: name.into(), version: version.into() });
    let name =
        (bytes(), bytes(), attrs()).prop_map(|(filename, longname, attrs)| NameEntry { filename, longname, attrs });
    let code = (0_u32..9).prop_map(|code| StatusCode::from_code(code).unwrap());
    prop_oneof![
        (any::<u32>(), vec(extension, 0..5)).prop_map(|(version, extensions)| Reply::Version { version, extensions }),
        (id(), code, ".*").prop_map(|(id, code, message)| Reply::status(id, code, message)),
        (id(), handle()).prop_map(|(id, handle)| Reply::Handle { id, handle }),
        (id(), vec(bytes(), 0..5)).prop_map(|(id, pieces)| Reply::Data { id, pieces }),
        (id(), vec(name, 0..5)).prop_map(|(id, names)| Reply::Name { id, names }),
        (id(), attrs()).prop_map(|(id, attrs)| Reply::Attrs { id, attrs }),
        (id(), bytes()).prop_map(|(id, data)| Reply::ExtendedReply { id, data }),
    ]
}
