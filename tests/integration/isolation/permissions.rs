//! Inside its mount a session's credentials allow what the user's permissions need, and no more.

use super::{
    Site,
    attempts::{Attempt, AttemptOutcome},
    promises,
    site::PointAddress,
};
use Attempt as A;
use wharfinger::account::Permission as P;

promises![each_permission_brings_its_actions_alone, the_janitor_aborts_uploads_of_its_prefix_alone];

/// Requests on a file that each permission allows, beside listing.
const TABLE: [(P, &[Attempt]); 7] = [
    (P::Read, &[A::Head, A::Get]),
    (P::Write, &[A::Put, A::BeginUpload, A::UploadPart, A::ListParts, A::CompleteUpload, A::AbortUpload]),
    (P::Overwrite, &[A::Head, A::Get]),
    (P::List, &[]),
    (P::Delete, &[A::Delete, A::DeleteMany]),
    (
        P::Rename,
        &[
            A::Head,
            A::Get,
            A::Put,
            A::Delete,
            A::DeleteMany,
            A::CopyFrom,
            A::CopyTo,
            A::BeginUpload,
            A::UploadPart,
            A::CompleteUpload,
            A::AbortUpload,
        ],
    ),
    (P::Mkdir, &[]),
];

#[tokio::test]
async fn access_points_bring_the_same() {
    for address in PointAddress::ALL {
        let site = async || Site::demo("point").await.with_access_point(address).await;
        each_permission_brings_its_actions_alone(site().await).await;
        the_janitor_aborts_uploads_of_its_prefix_alone(site().await).await;
    }
}

async fn each_permission_brings_its_actions_alone(site: Site) {
    let file = format!("{}file", site.prefix);
    for (permission, allowed) in TABLE {
        let session = site.session(&[permission]).await;
        for attempt in Attempt::ALL {
            site.put(&site.bucket, &file, "acme's").await;
            // SeaweedFS lets every principal that may upload parts list them.
            let implied = attempt == A::ListParts && site.is_seaweedfs() && allowed.contains(&A::UploadPart);
            let done = implied || allowed.contains(&attempt) || attempt == A::List;
            let expected = if done { AttemptOutcome::Done } else { AttemptOutcome::Denied };
            assert_eq!(attempt.on(&site, &session, &site.bucket, &file).await, expected, "{permission}: {attempt:?}");
        }
    }
    let mkdir = site.session(&[P::Mkdir]).await;
    let marker = format!("{}directory/", site.prefix);
    let expected = if site.is_ministack() { AttemptOutcome::Denied } else { AttemptOutcome::Done };
    assert_eq!(A::Put.on(&site, &mkdir, &site.bucket, &marker).await, expected);
}

async fn the_janitor_aborts_uploads_of_its_prefix_alone(site: Site) {
    let janitor = site.session_under(&site.policy_of_janitor()).await;
    let (mine, file) = (site.bucket.clone(), format!("{}file", site.prefix));
    for attempt in Attempt::ALL {
        site.put(&mine, &file, "acme's").await;
        let done = matches!(attempt, A::AbortUpload | A::ListUploads);
        let expected = if done { AttemptOutcome::Done } else { AttemptOutcome::Denied };
        assert_eq!(attempt.on(&site, &janitor, &mine, &file).await, expected, "{attempt:?}");
        for (bucket, key) in site.foreign() {
            // S3 can't restrict a listing of uploads to a prefix.
            let seen = attempt == A::ListUploads && bucket == mine;
            let expected = if seen { AttemptOutcome::Done } else { AttemptOutcome::Denied };
            assert_eq!(attempt.on(&site, &janitor, &bucket, &key).await, expected, "{attempt:?} of {key} in {bucket}");
        }
    }
}
