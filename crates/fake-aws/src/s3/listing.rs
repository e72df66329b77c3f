//! One page of a listing over a sorted map of names: prefix, delimiter and the position to continue at. Pure.

use std::{collections::BTreeMap, ops::Bound};

/// The names that a listing covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListingScope<'a> {
    pub(crate) prefix: &'a str,
    /// Names that contain it after the prefix are rolled up into common prefixes.
    pub(crate) delimiter: Option<&'a str>,
    /// Lists only names after this one. If it is a common prefix, lists only names after everything that it rolls up.
    pub(crate) after: Option<&'a str>,
    /// Limit on objects and common prefixes together.
    pub(crate) max: usize,
}

/// One page of a listing, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListingPage<T> {
    pub(crate) objects: Vec<(String, T)>,
    pub(crate) prefixes: Vec<String>,
    /// The last name or common prefix of the page, if more follow.
    pub(crate) next: Option<String>,
}

/// Lists `names`. `pick` extracts the value that the page shows for an object.
pub(crate) fn page<V, T>(
    names: &BTreeMap<String, V>,
    scope: ListingScope<'_>,
    pick: impl Fn(&V) -> T,
) -> ListingPage<T> {
    let mut page = ListingPage { objects: Vec::new(), prefixes: Vec::new(), next: None };
    if scope.max == 0 {
        return page;
    }
    let from = match scope.after {
        Some(after) if after >= scope.prefix => Bound::Excluded(after),
        _ => Bound::Included(scope.prefix),
    };
    let mut last = None;
    let mut skipped = scope.after;
    for (name, value) in names.range::<str, _>((from, Bound::Unbounded)) {
        let Some(rest) = name.strip_prefix(scope.prefix) else { break };
        let rolled = scope.delimiter.filter(|delimiter| !delimiter.is_empty()).and_then(|delimiter| {
            let end = scope.prefix.len() + rest.find(delimiter)? + delimiter.len();
            name.get(..end)
        });
        if rolled.is_some() && rolled == skipped {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == scope.max {
            page.next = last.map(str::to_owned);
            break;
        }
        match rolled {
            Some(common) => {
                page.prefixes.push(common.to_owned());
                skipped = rolled;
            }
            None => page.objects.push((name.clone(), pick(value))),
        }
        last = Some(rolled.unwrap_or(name));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn names(names: &[&str]) -> BTreeMap<String, usize> {
        names.iter().map(|name| ((*name).to_owned(), name.len())).collect()
    }

    fn scope<'a>(prefix: &'a str, after: Option<&'a str>, max: usize) -> ListingScope<'a> {
        ListingScope { prefix, delimiter: Some("/"), after, max }
    }

    #[test]
    fn directories_sort_by_bytes_and_markers_are_objects() {
        let names = names(&["a", "d-x", "d.txt", "d/", "d/1", "d/2", "k", "k/b", "é"]);
        let page = page(&names, scope("", None, 100), |len| *len);
        let objects: Vec<_> = page.objects.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(objects, ["a", "d-x", "d.txt", "k", "é"]);
        assert_eq!(page.prefixes, ["d/", "k/"]);
        assert_eq!(page.next, None);
    }

    #[test]
    fn the_marker_of_the_listed_directory_is_among_its_objects() {
        let names = names(&["d/", "d/1", "d/e/f"]);
        let page = page(&names, scope("d/", None, 100), |len| *len);
        assert_eq!(page.objects, [("d/".to_owned(), 2), ("d/1".to_owned(), 3)]);
        assert_eq!(page.prefixes, ["d/e/"]);
    }

    #[test]
    fn nothing_is_truncated_when_nothing_follows() {
        let names = names(&["a", "d/1", "d/2"]);
        assert_eq!(page(&names, scope("", None, 2), |len| *len).next, None);
        assert_eq!(page(&names, scope("", None, 1), |len| *len).next, Some("a".to_owned()));
        assert_eq!(page(&names, scope("", None, 0), |len| *len).next, None);
    }

    proptest! {
        #[test]
        fn pages_put_together_are_what_a_naive_listing_says(
            names in prop::collection::btree_set("[ab/\u{e9}-]{1,6}", 0..40),
            prefix in "[ab/]{0,2}",
            delimiter in prop::option::of("[/a]"),
            max in 1usize..5,
        ) {
            let map: BTreeMap<String, usize> = names.iter().map(|name| (name.clone(), name.len())).collect();
            let mut objects = Vec::new();
            let mut prefixes = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let scope = ListingScope { prefix: &prefix, delimiter: delimiter.as_deref(), after: after.as_deref(), max };
                let page = page(&map, scope, |len| *len);
                prop_assert!(page.objects.len() + page.prefixes.len() <= max);
                objects.extend(page.objects.into_iter().map(|(name, _)| name));
                prefixes.extend(page.prefixes);
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            let (expected_objects, expected_prefixes) = naive(&names, &prefix, delimiter.as_deref());
            prop_assert_eq!(objects, expected_objects);
            prop_assert_eq!(prefixes, expected_prefixes);
        }
    }

    fn naive(names: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> (Vec<String>, Vec<String>) {
        let mut objects = Vec::new();
        let mut prefixes = BTreeSet::new();
        for name in names.iter().filter(|name| name.starts_with(prefix)) {
            match delimiter.and_then(|delimiter| name[prefix.len()..].split_once(delimiter)) {
                Some((head, _)) => {
                    prefixes.insert(format!("{prefix}{head}{}", delimiter.unwrap()));
                }
                None => objects.push(name.clone()),
            }
        }
        (objects, prefixes.into_iter().collect())
    }
}
