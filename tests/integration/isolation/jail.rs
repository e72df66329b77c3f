//! A session can't reach anything outside its mount.

use super::{
    Site,
    attempts::{Attempt, AttemptOutcome, outcome},
    promises,
    site::SECRET,
};
use wharfinger::account::Permission;

promises![nothing_of_another_can_be_touched, nothing_of_another_can_be_listed];

async fn nothing_of_another_can_be_touched(site: Site) {
    let session = site.session(&Permission::ALL).await;
    for (bucket, key) in site.foreign() {
        for attempt in Attempt::ALL {
            let outcome = attempt.on(&site, &session, &bucket, &key).await;
            assert_eq!(outcome, AttemptOutcome::Denied, "{attempt:?} of {bucket}/{key}");
        }
        assert_eq!(site.content(&bucket, &key).await.as_deref(), Some(SECRET), "{bucket}/{key}");
    }
    assert_eq!(site.content(&site.bucket, &format!("{}stolen", site.prefix)).await, None);
    // The same client succeeds in its own mount, so the refusals above aren't due to a broken client.
    let own = format!("{}file", site.prefix);
    for attempt in Attempt::ALL.into_iter().filter(|attempt| *attempt != Attempt::ListUploads) {
        site.put(&site.bucket, &own, "acme's").await;
        let outcome = attempt.on(&site, &session, &site.bucket, &own).await;
        assert_eq!(outcome, AttemptOutcome::Done, "{attempt:?} of {own}");
    }
}

async fn nothing_of_another_can_be_listed(site: Site) {
    let session = site.session(&Permission::ALL).await;
    let above = site.prefix.trim_end_matches("acme/");
    let (bare, half) = (site.prefix.trim_end_matches('/'), format!("{above}acm"));
    for prefix in [None, Some(""), Some("/"), Some(above), Some(bare), Some(&half), Some("../")] {
        let list = session.list_objects_v2().bucket(&site.bucket).set_prefix(prefix.map(str::to_owned));
        assert_eq!(outcome(list.clone().send().await), AttemptOutcome::Denied, "{prefix:?}");
        assert_eq!(outcome(list.delimiter("/").send().await), AttemptOutcome::Denied, "{prefix:?} with a delimiter");
        let list = session.list_objects().bucket(&site.bucket).set_prefix(prefix.map(str::to_owned));
        assert_eq!(outcome(list.send().await), AttemptOutcome::Denied, "{prefix:?}, version 1");
    }
    let other = session.list_objects_v2().bucket(&site.other).prefix(&site.prefix);
    assert_eq!(outcome(other.send().await), AttemptOutcome::Denied);
    let own = session.list_objects_v2().bucket(&site.bucket).prefix(&site.prefix);
    assert_eq!(outcome(own.send().await), AttemptOutcome::Done);
}
