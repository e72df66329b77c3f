//! `ListObjectsV2` over a sorted map: delimiter, pages, and common prefixes that count as keys.

use super::contents::Contents;
use crate::store::{ListScope, ListedObject, Page, PageToken};
use std::ops::Bound;

/// S3's cap on `max-keys`.
const MAX_KEYS: u16 = 1000;

/// One page of `scope`. A token of either kind is the last name of the page before, a key or a common prefix.
pub(super) fn page(contents: &Contents, scope: ListScope<'_>, after: Option<&PageToken>, max_keys: u16) -> Page {
    if contents.listings_begin_empty && after.is_none() {
        return Page { next: Some(PageToken::Continuation(String::new())), ..Page::default() };
    }
    let prefix = scope.prefix();
    let delimited = matches!(scope, ListScope::Directory(_));
    let max_keys = usize::from(max_keys.min(MAX_KEYS));
    let after = after.map(|(PageToken::Continuation(last) | PageToken::After(last))| last.as_str());
    let start = match after {
        Some(last) if last >= prefix => Bound::Excluded(last),
        _ => Bound::Included(prefix),
    };

    let mut page = Page::default();
    let mut last: Option<String> = None;
    for (raw_key, object) in contents.objects.range::<str, _>((start, Bound::Unbounded)) {
        let Some(rest) = raw_key.strip_prefix(prefix) else { break };
        let directory = rest.find('/').filter(|_| delimited).and_then(|slash| raw_key.get(..=prefix.len() + slash));
        if directory.is_some_and(|directory| page.directories.last().is_some_and(|seen| seen == directory)) {
            continue;
        }
        // A common prefix that ended the page before: all keys in it were listed.
        if directory.is_some_and(|directory| after == Some(directory)) {
            continue;
        }
        if page.objects.len() + page.directories.len() == max_keys {
            page.next = last.map(PageToken::Continuation);
            break;
        }
        if let Some(directory) = directory {
            page.directories.push(directory.to_owned());
            last = Some(directory.to_owned());
        } else {
            page.objects.push(ListedObject {
                raw_key: raw_key.clone(),
                size: object.bytes.len() as u64,
                etag: object.pin.etag.clone(),
                modified: object.modified,
            });
            last = Some(raw_key.clone());
        }
    }
    page
}
