//! A session of any kind of tenant can't reach anything outside its mount. The counts are in docs/isolation.md.

use super::{
    Site,
    attempts::{Attempt, AttemptOutcome, outcome},
    kinds::TenantKind,
    site::{EscapeWay, SECRET},
};
use aws_sdk_s3::Client;
use std::{fmt::Write as _, fs, ops::AddAssign, path::Path};

/// The row for listings that show more than the mount.
const LISTINGS: &str = "listings above the mount";

/// The requests that were tried.
#[derive(Clone, Copy, Default)]
struct EscapeCount {
    refused: usize,
    allowed: usize,
}

impl EscapeCount {
    const fn of(outcome: AttemptOutcome) -> Self {
        match outcome {
            AttemptOutcome::Done => Self { refused: 0, allowed: 1 },
            AttemptOutcome::Denied => Self { refused: 1, allowed: 0 },
        }
    }

    fn cell(self) -> String {
        match (self.refused, self.allowed) {
            (0, 0) => "–".to_owned(),
            (refused, 0) => refused.to_string(),
            (refused, allowed) => format!("{refused}, {allowed} allowed"),
        }
    }
}

impl AddAssign for EscapeCount {
    fn add_assign(&mut self, other: Self) {
        self.refused += other.refused;
        self.allowed += other.allowed;
    }
}

/// Counts by rows, and by kinds of tenants.
struct EscapeTable {
    title: &'static str,
    rows: Vec<(String, [EscapeCount; TenantKind::ALL.len()])>,
}

impl EscapeTable {
    fn new(title: &'static str, rows: impl IntoIterator<Item = String>) -> Self {
        Self { title, rows: rows.into_iter().map(|row| (row, Default::default())).collect() }
    }

    fn add(&mut self, row: &str, kind: usize, outcome: AttemptOutcome) {
        let (_, counts) = self.rows.iter_mut().find(|(name, _)| name == row).unwrap();
        counts[kind] += EscapeCount::of(outcome);
    }

    fn total(&self) -> [EscapeCount; TenantKind::ALL.len()] {
        self.rows.iter().fold(Default::default(), |mut total, (_, counts)| {
            total.iter_mut().zip(counts).for_each(|(total, count)| *total += *count);
            total
        })
    }

    fn markdown(&self) -> String {
        let mut text = format!("| {} |", self.title);
        for kind in TenantKind::ALL {
            write!(text, " {} |", name_of_kind(kind)).unwrap();
        }
        text += "\n|---|";
        text += &"---:|".repeat(TenantKind::ALL.len());
        for (row, counts) in self.rows.iter().chain([&("**all**".to_owned(), self.total())]) {
            write!(text, "\n| {row} |").unwrap();
            for count in counts {
                write!(text, " {} |", count.cell()).unwrap();
            }
        }
        text + "\n"
    }
}

const fn name_of_kind(kind: TenantKind) -> &'static str {
    match kind {
        TenantKind::VendorPrefix => "prefix",
        TenantKind::NestedMount => "nested mount",
        TenantKind::WholeBucket => "whole bucket",
        TenantKind::OwnAccount => "own account",
        TenantKind::AccessPointAlias => "access point by alias",
        TenantKind::AccessPointArn => "access point by ARN",
        TenantKind::ReadOnly => "read-only",
        TenantKind::DropBox => "drop box",
        TenantKind::Janitor => "janitor",
    }
}

const fn name_of_way(way: EscapeWay) -> &'static str {
    match way {
        EscapeWay::Sibling => "a name that begins like the prefix: `acme-archive/…`, `acme2`",
        EscapeWay::ShorterName => "a name with which the prefix begins: `acm/…`",
        EscapeWay::Neighbour => "another directory beside the mount: `globex/…`",
        EscapeWay::Above => "a file in the directory above",
        EscapeWay::SecondBucket => "the same key in another bucket of the account",
        EscapeWay::SecondAccount => "the same key in the vendor's bucket",
        EscapeWay::BucketItself => "a file in the mount, by the name of the bucket behind the access point",
        EscapeWay::OtherPoint => "a file in the mount, through another access point of the bucket",
    }
}

#[tokio::test]
async fn no_kind_of_tenant_reaches_anything_outside_its_mount() {
    let requests = Attempt::ALL.map(|attempt| attempt.operation().to_owned());
    let mut by_request = EscapeTable::new("request", requests.iter().cloned().chain([LISTINGS.to_owned()]));
    let ways = EscapeWay::ALL.map(|way| name_of_way(way).to_owned());
    let mut by_way = EscapeTable::new("way out", ways.into_iter().chain([LISTINGS.to_owned()]));
    for (number, kind) in TenantKind::ALL.into_iter().enumerate() {
        for site in kind.sites().await {
            let session = kind.session(&site).await;
            for (way, bucket, key) in site.escapes() {
                for (attempt, request) in Attempt::ALL.into_iter().zip(&requests) {
                    let found = attempt.on(&site, &session, &bucket, &key).await;
                    // S3 can't limit a list of uploads to a prefix.
                    let is_allowed =
                        kind == TenantKind::Janitor && attempt == Attempt::ListUploads && bucket == site.bucket;
                    let expected = if is_allowed { AttemptOutcome::Done } else { AttemptOutcome::Denied };
                    assert_eq!(found, expected, "{kind:?}: {attempt:?} of {bucket}/{key}");
                    by_request.add(request, number, found);
                    by_way.add(name_of_way(way), number, found);
                }
                assert_eq!(site.content(&bucket, &key).await.as_deref(), Some(SECRET), "{kind:?}: {bucket}/{key}");
            }
            for found in listings_above(&site, &session).await {
                by_request.add(LISTINGS, number, found);
                by_way.add(LISTINGS, number, found);
            }
            assert_eq!(site.content(&site.bucket, &format!("{}stolen", site.prefix)).await, None);
            // The same client succeeds in its own mount, so the refusals above aren't due to a broken client.
            let own = format!("{}file", site.prefix);
            site.put(&site.bucket, &own, "acme's").await;
            let found = kind.permitted().on(&site, &session, &site.bucket, &own).await;
            assert_eq!(found, AttemptOutcome::Done, "{kind:?}: {:?} of {own}", kind.permitted());
        }
    }
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/isolation.md")).unwrap();
    let tables = [by_request.markdown(), by_way.markdown()];
    assert!(tables.iter().all(|table| text.contains(table)), "docs/isolation.md must have\n{}", tables.join("\n"));
}

/// Tries each way to list more than the mount. All must be refused.
async fn listings_above(site: &Site, session: &Client) -> Vec<AttemptOutcome> {
    let mut outcomes = Vec::new();
    for prefix in site.listings_above() {
        let list = session.list_objects_v2().bucket(&site.bucket).set_prefix(prefix.clone());
        let version_1 = session.list_objects().bucket(&site.bucket).set_prefix(prefix.clone());
        let tried = [
            outcome(list.clone().send().await),
            outcome(list.delimiter("/").send().await),
            outcome(version_1.send().await),
        ];
        assert_eq!(tried, [AttemptOutcome::Denied; 3], "{prefix:?}");
        outcomes.extend(tried);
    }
    outcomes
}
