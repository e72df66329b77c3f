//! A directory's entries, a page at a time. While memory is plentiful, the next page is requested while the client uses
//! the current one. At most two pages are in memory, which `page.rs` charges to the tenant.
//!
//! Invariant: a listing waits for memory only while it has no page, and only for a READDIR.
//!
//! The directory's own marker is no entry. Neither are names that no user could open (`//`, `..`, control characters),
//! which other programs wrote. If S3 holds both `x` and `x/…`, one entry `x` shows the file that STAT and OPEN reach; a
//! listing of `x` itself still shows the objects below.

mod page;

use crate::{
    memory::{BudgetExhausted, Charge, TenantMemory},
    name::Prefix,
    store::{self, Bucket, ETag, ListScope, ListedObject, Page, PageToken, first_names},
};
use page::{ChargedPage, PAGE_BYTES, PageRequest};
use std::{result, sync::Arc};

/// The result of a step of a listing.
type Result<T> = result::Result<T, ListingError>;

/// The reason why a page of a directory can't be shown.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ListingError {
    /// No memory was free for the page in time.
    #[error(transparent)]
    Busy(#[from] BudgetExhausted),
    /// The request for the page failed.
    #[error(transparent)]
    Storage(#[from] store::Error),
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListingEntry {
    /// One normal segment, without `/`.
    pub name: String,
    /// A file or a directory.
    pub(crate) kind: EntryKind,
}

/// The facts about an entry that a listing shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// An object.
    File {
        /// In bytes.
        size: u64,
        /// Last modification, in seconds since 1970.
        modified: i64,
        etag: ETag,
    },
    /// A marker, or a prefix that objects have in common.
    Directory,
}

/// The entries of a page, at least one and at most 1,000.
#[derive(Debug)]
pub(crate) struct ListedPage {
    pub(crate) entries: Vec<ListingEntry>,
    /// The memory of the entries.
    pub(crate) charge: Charge,
}

/// A running listing of one directory. Names come in the order of their UTF-8 bytes, and a directory's `/` counts.
#[derive(Debug)]
pub(crate) struct Listing {
    bucket: Arc<dyn Bucket>,
    prefix: Prefix,
    memory: TenantMemory,
    next: Next,
    has_marker: bool,
    open_files: OpenFiles,
}

#[derive(Debug)]
enum Next {
    /// The page at this token is to be requested; the first page has none.
    Wanted(Option<PageToken>),
    /// The page was requested. The token serves to request it again after an error, or after it was dropped.
    Requested(Option<PageToken>, PageRequest),
    End,
}

impl Listing {
    /// A listing of the directory at `prefix`, in the memory of its tenant. Sends no request yet.
    #[must_use]
    pub(crate) fn new(bucket: Arc<dyn Bucket>, prefix: Prefix, memory: TenantMemory) -> Self {
        let (next, open_files) = (Next::Wanted(None), OpenFiles::default());
        Self { bucket, prefix, memory, next, has_marker: false, open_files }
    }

    /// True if the directory exists: it has a marker, or any object below, even one whose name is no entry. Takes no
    /// request beyond the first page that isn't empty. Only valid before the first [`next_page`](Self::next_page).
    ///
    /// Never waits for memory: a CLOSE, whose upload has some, may wait for this answer. While there is none, S3 is asked
    /// for one name, and the first page is requested later.
    ///
    /// # Errors
    /// The errors of the pages.
    pub(crate) async fn exists(&mut self) -> Result<bool> {
        let mut token = None;
        loop {
            let Some(charge) = page::charge(&self.memory) else {
                self.next = Next::Wanted(token);
                let first = first_names(&*self.bucket, ListScope::Below(&self.prefix), 1).await?;
                self.has_marker = self.shows_marker(&first);
                return Ok(!first.objects.is_empty());
            };
            self.next = self.request(token, Some(charge));
            let Some(first) = self.fetch().await? else { return Ok(false) };
            if !first.page.objects.is_empty() || !first.page.directories.is_empty() {
                self.has_marker = self.shows_marker(&first.page);
                self.next = Next::Requested(first.token.clone(), PageRequest::answered(first));
                return Ok(true);
            }
            // S3 may return an empty page and a token while it has more to look through.
            token = first.page.next;
            if token.is_none() {
                return Ok(false);
            }
        }
    }

    fn shows_marker(&self, first: &Page) -> bool {
        first.objects.first().is_some_and(|object| object.raw_key == self.prefix.as_str())
    }

    /// True if the directory has a marker. Only valid after [`exists`](Self::exists).
    #[must_use]
    pub(crate) fn has_marker(&self) -> bool {
        self.has_marker
    }

    /// Requests the next page, unless it was requested, or there is none. False if the page would wait for memory.
    pub(crate) fn request_next(&mut self) -> bool {
        if let Next::Wanted(token) = &mut self.next {
            let Some(charge) = page::charge(&self.memory) else { return false };
            let token = token.take();
            self.next = self.request(token, Some(charge));
        }
        // A page that ended its own request was dropped, or failed.
        !matches!(&self.next, Next::Requested(_, request) if request.has_ended())
    }

    /// The next entries; `None` at the end. In all ⌈names / 1,000⌉ requests, and one more for each page that was dropped
    /// because it was not asked for.
    ///
    /// # Errors
    /// The listing's errors. The next call requests the same page again.
    pub(crate) async fn next_page(&mut self) -> Result<Option<ListedPage>> {
        while let Some(ChargedPage { page, charge, .. }) = self.fetch().await? {
            self.next = match page.next.clone() {
                Some(token) => self.prefetch(token, charge.bytes()),
                None => Next::End,
            };
            let entries = self.entries(page);
            if !entries.is_empty() {
                return Ok(Some(ListedPage { entries, charge }));
            }
        }
        Ok(None)
    }

    /// Waits for the next page and takes it. Dropping this future loses nothing.
    async fn fetch(&mut self) -> Result<Option<ChargedPage>> {
        loop {
            match &mut self.next {
                Next::End => return Ok(None),
                Next::Wanted(token) => {
                    let token = token.take();
                    self.next = self.request(token, None);
                }
                Next::Requested(token, request) => {
                    let answer = request.claim().await;
                    self.next = Next::Wanted(token.take());
                    if let Some(page) = answer? {
                        self.next = Next::End;
                        return Ok(Some(page));
                    }
                }
            }
        }
    }

    /// Requests the page behind one of `page_bytes`, if memory is plentiful.
    fn prefetch(&self, token: PageToken, page_bytes: u64) -> Next {
        match self.memory.charge_spare(PAGE_BYTES, page_bytes) {
            Some(charge) => self.request(Some(token), Some(charge)),
            None => Next::Wanted(Some(token)),
        }
    }

    fn request(&self, token: Option<PageToken>, charge: Option<Charge>) -> Next {
        let (bucket, prefix, memory) = (Arc::clone(&self.bucket), self.prefix.clone(), self.memory.clone());
        let page = page::request(bucket, prefix, token.clone(), memory, charge);
        Next::Requested(token, PageRequest::send(page))
    }

    /// Merges a page's objects and directories into the order in which S3 split the pages. Leaves out the names that
    /// are no entries.
    fn entries(&mut self, page: Page) -> Vec<ListingEntry> {
        let mut entries = Vec::with_capacity(page.objects.len() + page.directories.len());
        let mut directories = page.directories.into_iter().peekable();
        for object in page.objects {
            while let Some(directory) = directories.next_if(|directory| *directory < object.raw_key) {
                entries.extend(self.directory(&directory));
            }
            entries.extend(self.file(object));
        }
        entries.extend(directories.filter_map(|directory| self.directory(&directory)));
        entries
    }

    fn file(&mut self, listed: ListedObject) -> Option<ListingEntry> {
        let name = self.segment(&listed.raw_key)?;
        self.open_files.close_before(&name);
        self.open_files.open(&name);
        let kind = EntryKind::File { size: listed.size, modified: listed.modified, etag: listed.etag };
        Some(ListingEntry { name, kind })
    }

    fn directory(&mut self, raw: &str) -> Option<ListingEntry> {
        let name = self.segment(raw.strip_suffix('/')?)?;
        self.open_files.close_before(&name);
        let is_file_too = self.open_files.has(&name);
        (!is_file_too).then_some(ListingEntry { name, kind: EntryKind::Directory })
    }

    /// The name of a raw key below this directory. `None` if no user could open it.
    fn segment(&self, raw: &str) -> Option<String> {
        let name = raw.strip_prefix(self.prefix.as_str())?;
        (!name.contains('/') && self.prefix.key(name).is_ok()).then(|| name.to_owned())
    }
}

/// The files whose namesake directories may still follow. `x/` comes after `x` and all of `x!…`, `x-…`, `x.…`, so each
/// of these names begins with the one before it: all are beginnings of the last one.
#[derive(Debug, Default)]
struct OpenFiles {
    last: String,
    /// The lengths of the names.
    lengths: Vec<usize>,
}

impl OpenFiles {
    fn open(&mut self, name: &str) {
        name.clone_into(&mut self.last);
        self.lengths.push(name.len());
    }

    /// Forgets the files whose directories can't follow `name`.
    fn close_before(&mut self, name: &str) {
        let is_over = |bytes: &mut usize| !self.last.get(..*bytes).is_some_and(|open| name.starts_with(open));
        while self.lengths.pop_if(is_over).is_some() {}
    }

    /// True if there is a file `name`. Only valid after [`close_before`](Self::close_before) it.
    fn has(&self, name: &str) -> bool {
        self.lengths.last() == Some(&name.len())
    }
}

#[cfg(test)]
mod tests;
