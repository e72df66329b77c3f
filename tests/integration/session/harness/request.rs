//! Requests that still lack an id: `client.ask(request::stat("/a"))`.

use bytes::Bytes;
use wharfinger::sftp::wire::{Attrs, CopyData, Extended, Handle, OpenFlags, Request};

fn raw(path: &str) -> Bytes {
    Bytes::copy_from_slice(path.as_bytes())
}

pub fn open(path: &str, flags: OpenFlags) -> impl FnOnce(u32) -> Request + use<> {
    open_with(path, flags, Attrs::default())
}

pub fn open_with(path: &str, flags: OpenFlags, attrs: Attrs) -> impl FnOnce(u32) -> Request + use<> {
    let path = raw(path);
    move |id| Request::Open { id, path, flags, attrs }
}

pub fn close(handle: &Handle) -> impl FnOnce(u32) -> Request + use<> {
    let handle = handle.clone();
    move |id| Request::Close { id, handle }
}

pub fn read(handle: &Handle, offset: u64, length: u32) -> impl FnOnce(u32) -> Request + use<> {
    let handle = handle.clone();
    move |id| Request::Read { id, handle, offset, length }
}

pub fn write(handle: &Handle, offset: u64, data: impl Into<Bytes>) -> impl FnOnce(u32) -> Request {
    let (handle, data) = (handle.clone(), data.into());
    move |id| Request::Write { id, handle, offset, data }
}

pub fn stat(path: &str) -> impl FnOnce(u32) -> Request + use<> {
    let path = raw(path);
    move |id| Request::Stat { id, path }
}

pub fn lstat(path: &str) -> impl FnOnce(u32) -> Request + use<> {
    let path = raw(path);
    move |id| Request::Lstat { id, path }
}

pub fn fstat(handle: &Handle) -> impl FnOnce(u32) -> Request + use<> {
    let handle = handle.clone();
    move |id| Request::Fstat { id, handle }
}

pub fn set_stat(path: &str, attrs: Attrs) -> impl FnOnce(u32) -> Request + use<> {
    let path = raw(path);
    move |id| Request::SetStat { id, path, attrs }
}

pub fn fset_stat(handle: &Handle, attrs: Attrs) -> impl FnOnce(u32) -> Request + use<> {
    let handle = handle.clone();
    move |id| Request::FsetStat { id, handle, attrs }
}

pub fn open_dir(path: &str) -> impl FnOnce(u32) -> Request + use<> {
    let path = raw(path);
    move |id| Request::OpenDir { id, path }
}

pub fn read_dir(handle: &Handle) -> impl FnOnce(u32) -> Request + use<> {
    let handle = handle.clone();
    move |id| Request::ReadDir { id, handle }
}

pub fn remove(path: &str) -> impl FnOnce(u32) -> Request + use<> {
    let path = raw(path);
    move |id| Request::Remove { id, path }
}

pub fn mkdir(path: &str) -> impl FnOnce(u32) -> Request + use<> {
    let path = raw(path);
    move |id| Request::Mkdir { id, path, attrs: Attrs::default() }
}

pub fn rmdir(path: &str) -> impl FnOnce(u32) -> Request + use<> {
    let path = raw(path);
    move |id| Request::Rmdir { id, path }
}

pub fn real_path(path: &str) -> impl FnOnce(u32) -> Request + use<> {
    let path = raw(path);
    move |id| Request::RealPath { id, path }
}

pub fn rename(source: &str, target: &str) -> impl FnOnce(u32) -> Request + use<> {
    let (source, target) = (raw(source), raw(target));
    move |id| Request::Rename { id, source, target }
}

pub fn posix_rename(source: &str, target: &str) -> impl FnOnce(u32) -> Request + use<> {
    extended(Extended::PosixRename { source: raw(source), target: raw(target) })
}

pub fn copy(
    (source, source_offset): (&Handle, u64),
    length: u64,
    (target, target_offset): (&Handle, u64),
) -> impl FnOnce(u32) -> Request + use<> {
    let (source, target) = (source.clone(), target.clone());
    extended(Extended::CopyData(CopyData { source, source_offset, length, target, target_offset }))
}

pub fn extended(request: Extended) -> impl FnOnce(u32) -> Request {
    move |id| Request::Extended { id, request }
}
