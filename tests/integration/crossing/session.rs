//! The random walk of a session, and the final check of the storage.

use super::{
    Counts, TENANTS, escapes,
    stamp::{Dice, check, stamped},
};
use crate::support::sftp::Sftp;
use russh_sftp::{
    client::error::Error,
    protocol::{FileAttributes, OpenFlags, StatusCode},
};
use std::net::SocketAddr;
use wharfinger::demo::Demo;

/// Limit on the bytes of one READ or WRITE here.
const PIECE_BYTES: u32 = 128 << 10;
/// Size of an occasional file of more than one part.
const LARGE_BYTES: usize = 9 << 20;

/// A session of a tenant with its random numbers.
pub struct TenantSession {
    tenant: &'static str,
    other: &'static str,
    number: usize,
    sftp: Sftp,
    dice: Dice,
}

/// Returns the answer, or `None` if the server refused. An error other than a status fails the test.
fn answered<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::Status(_)) => None,
        Err(other) => panic!("the session broke: {other}"),
    }
}

impl TenantSession {
    pub fn new(tenant: &'static str, number: usize, sftp: Sftp, seed: u64) -> Self {
        let other = TENANTS.into_iter().map(|(name, _)| name).find(|name| *name != tenant).unwrap();
        let dice = Dice(seed ^ tenant.len() as u64);
        Self { tenant, other, number, sftp, dice }
    }

    /// Performs one random operation.
    pub async fn step(&mut self, counts: &Counts) {
        match self.dice.roll(12) {
            0..3 => {
                let path = self.path();
                self.write(&path).await;
            }
            3..5 => {
                let path = self.path();
                self.read(&path, counts).await;
            }
            5 => {
                let directory = self.directory();
                self.list(&directory, counts).await;
            }
            6 => {
                let (source, target) = (self.path(), self.path());
                answered(self.sftp.rename(source, target).await);
            }
            7 => {
                let path = self.path();
                answered(self.sftp.remove(path).await);
            }
            8 => {
                let directory = self.directory();
                let made = self.sftp.mkdir(directory, FileAttributes::empty()).await;
                answered(made);
            }
            _ => self.escape(counts).await,
        }
    }

    /// Returns a name that both tenants use, or one that only this tenant uses.
    fn name(&mut self) -> String {
        let number = self.dice.roll(8);
        if self.dice.roll(4) == 0 { format!("only-{}-{number}", self.tenant) } else { format!("f{number}") }
    }

    fn directory(&mut self) -> String {
        match self.dice.roll(6) {
            0 | 1 => "/".to_owned(),
            number => format!("/d{number}"),
        }
    }

    fn path(&mut self) -> String {
        let (directory, name) = (self.directory(), self.name());
        format!("{}/{name}", directory.trim_end_matches('/'))
    }

    async fn write(&mut self, path: &str) -> bool {
        let bytes = if self.dice.roll(200) == 0 { LARGE_BYTES } else { self.dice.roll(40_000) };
        let content = stamped(self.tenant, self.number, bytes);
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let Some(opened) = answered(self.sftp.open(path, flags, FileAttributes::empty()).await) else { return false };
        for (index, piece) in content.chunks(PIECE_BYTES as usize).enumerate() {
            let offset = index as u64 * u64::from(PIECE_BYTES);
            answered(self.sftp.write(&opened.handle, offset, piece.to_vec()).await);
        }
        answered(self.sftp.close(opened.handle).await).is_some()
    }

    /// Reads a file to its end, from a random offset, and checks every byte.
    async fn read(&mut self, path: &str, counts: &Counts) -> bool {
        let attributes = FileAttributes::empty();
        let Some(opened) = answered(self.sftp.open(path, OpenFlags::READ, attributes).await) else { return false };
        let mut offset = if self.dice.roll(3) == 0 { self.dice.roll(20_000) } else { 0 } as u64;
        while let Some(piece) = answered(self.sftp.read(&opened.handle, offset, PIECE_BYTES).await) {
            check(self.tenant, &piece.data, path);
            offset += piece.data.len() as u64;
        }
        Counts::count(&counts.read);
        answered(self.sftp.close(opened.handle).await);
        true
    }

    /// Lists a directory and checks every name.
    async fn list(&mut self, path: &str, counts: &Counts) -> bool {
        let Some(opened) = answered(self.sftp.opendir(path).await) else { return false };
        while let Some(names) = answered(self.sftp.readdir(&opened.handle).await) {
            for file in names.files {
                let only_theirs = format!("only-{}", self.other);
                let foreign = file.filename.contains(&only_theirs) || file.longname.contains(&only_theirs);
                assert!(!foreign, "{} saw {:?} in {path:?}", self.tenant, file.filename);
            }
        }
        Counts::count(&counts.listed);
        answered(self.sftp.close(opened.handle).await);
        true
    }

    /// Tries to escape. The server may refuse, or answer with a path inside the jail: then its bytes and names must be
    /// the tenant's own.
    async fn escape(&mut self, counts: &Counts) {
        let attempt = self.dice.roll(11);
        let name = match self.dice.roll(3) {
            // A file made inside the jail must not have a name of the other tenant: the check couldn't tell it from a
            // leak.
            _ if matches!(attempt, 2 | 7 | 10) => "forged".to_owned(),
            0 => format!("only-{}-{}", self.other, self.dice.roll(8)),
            1 => format!("f{}", self.dice.roll(8)),
            _ => String::new(),
        };
        let way = escapes::path(self.dice.roll(escapes::COUNT), self.other, &name);
        let inside = match attempt {
            0 | 1 => self.read(&way, counts).await,
            2 => self.write_then_remove(&way).await,
            3 => self.list(&way, counts).await,
            4 => answered(self.sftp.stat(&way).await).is_some(),
            5 => {
                let real = answered(self.sftp.realpath(&way).await);
                // The answer is the tenant's view of the path, so it is absolute and without `..`.
                for file in real.iter().flat_map(|real| &real.files) {
                    let normal = file.filename.starts_with('/') && !file.filename.split('/').any(|name| name == "..");
                    assert!(normal, "{way:?} became {:?}", file.filename);
                }
                real.is_some()
            }
            6 => {
                let target = self.path();
                answered(self.sftp.rename(&way, target).await).is_some()
            }
            7 => {
                let source = self.path();
                let renamed = answered(self.sftp.rename(source, &way).await).is_some();
                if renamed {
                    answered(self.sftp.remove(&way).await);
                }
                renamed
            }
            8 => answered(self.sftp.remove(&way).await).is_some(),
            9 => self.link_or_guess(&way).await,
            _ => {
                let made = answered(self.sftp.mkdir(&way, FileAttributes::empty()).await).is_some();
                if made {
                    answered(self.sftp.rmdir(&way).await);
                }
                made
            }
        };
        Counts::count(if inside { &counts.inside } else { &counts.refused });
    }

    async fn write_then_remove(&mut self, way: &str) -> bool {
        let written = self.write(way).await;
        if written {
            answered(self.sftp.remove(way).await);
        }
        written
    }

    /// Tries links out of the jail and handles of other sessions. The server must refuse all of them.
    async fn link_or_guess(&mut self, way: &str) -> bool {
        let link = self.sftp.symlink("/link", way).await;
        assert_refused(link, way);
        assert_refused(self.sftp.readlink(way).await, way);
        let guess = match self.dice.roll(4) {
            0 => self.dice.roll(64).to_string(),
            1 => String::from_utf8(vec![0; 4]).unwrap(),
            2 => String::from_utf8(vec![0, 0, 0, u8::try_from(self.dice.roll(64)).unwrap()]).unwrap(),
            _ => way.to_owned(),
        };
        assert_refused(self.sftp.read(&guess, 0, 1_024).await, &guess);
        assert_refused(self.sftp.write(&guess, 0, stamped(self.tenant, self.number, 64)).await, &guess);
        assert_refused(self.sftp.readdir(&guess).await, &guess);
        false
    }
}

fn assert_refused<T>(result: Result<T, Error>, way: &str) {
    match result {
        Ok(_) => panic!("{way:?} was let through"),
        Err(Error::Status(status)) => assert_ne!(status.status_code, StatusCode::Ok, "{way:?}"),
        Err(other) => panic!("the session broke: {other}"),
    }
}

/// Content of the demo's buckets, seen with full access.
pub struct DemoBuckets {
    s3: SocketAddr,
}

impl DemoBuckets {
    pub fn of(demo: &Demo) -> Self {
        Self { s3: demo.s3().address }
    }

    /// Checks every object: it is in its tenant's place and holds only its tenant's bytes.
    pub async fn belong_to_their_tenants(&self) {
        for (bucket, tenant, prefix, client) in crate::support::demo::places(self.s3) {
            let mut seen = 0;
            let mut pages = client.list_objects_v2().bucket(bucket).into_paginator().send();
            while let Some(page) = pages.next().await {
                for object in page.unwrap().contents.unwrap_or_default() {
                    let key = object.key.unwrap();
                    let Some(tenant) = tenant.or_else(|| key.strip_prefix(prefix)?.split('/').next()) else {
                        panic!("{bucket} has {key:?}, which is no tenant's");
                    };
                    let content = client.get_object().bucket(bucket).key(&key).send().await.unwrap();
                    check(tenant, &content.body.collect().await.unwrap().to_vec(), &key);
                    seen += 1;
                }
            }
            assert!(seen > 0, "{bucket} is empty");
        }
    }
}
