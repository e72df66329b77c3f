//! Contract of the verdicts about roles: the youngest of each role counts, for every node and after a restart.

use super::open;
use crate::support::postgres::Postgres;
use std::sync::Arc;
use tempfile::TempDir;
use wharfinger::{
    account::{OpenBy, ProbedRole, RoleVerdict},
    journal::{Journal, RoleProbe},
    ledger::Location,
};

const CLOSED: RoleVerdict = RoleVerdict::Closed;
const OPEN: RoleVerdict = RoleVerdict::Open(OpenBy::NoExternalId);

fn role(name: &str, hash: &str, sts: &str) -> ProbedRole {
    let arn = format!("arn:aws:iam::111122223333:role/{name}").parse().unwrap();
    ProbedRole { arn, external_id_hash: hash.to_owned(), sts: sts.to_owned() }
}

async fn save(journal: &Arc<dyn Journal>, role: &ProbedRole, verdict: RoleVerdict, probed_at: i64) {
    journal.save_role_probe(&RoleProbe { role: role.clone(), verdict, probed_at }).await.unwrap();
}

async fn verdict(journal: &Arc<dyn Journal>, role: &ProbedRole) -> Option<(RoleVerdict, i64)> {
    let found = journal.role_probes(std::slice::from_ref(role)).await.unwrap();
    assert!(found.iter().all(|probe| probe.role == *role) && found.len() <= 1, "{found:?}");
    found.first().map(|probe| (probe.verdict, probe.probed_at))
}

pub async fn hold(journal: &Arc<dyn Journal>) {
    the_youngest_verdict_counts(journal).await;
    roles_are_told_apart(journal).await;
    old_verdicts_are_deleted(journal).await;
}

async fn the_youngest_verdict_counts(journal: &Arc<dyn Journal>) {
    let role = role("wharfinger", "1f", "eu-central-1");
    assert_eq!(journal.role_probes(&[]).await.unwrap(), []);
    assert_eq!(verdict(journal, &role).await, None);
    for (saved, at) in RoleVerdict::ALL.into_iter().zip([100, 100, 101]) {
        save(journal, &role, saved, at).await;
        assert_eq!(verdict(journal, &role).await, Some((saved, at)));
    }
    save(journal, &role, CLOSED, 100).await;
    assert_eq!(verdict(journal, &role).await, Some((RoleVerdict::Open(OpenBy::WrongExternalId), 101)), "it is older");
}

async fn roles_are_told_apart(journal: &Arc<dyn Journal>) {
    let roles = [
        role("path/a%_", "1f", "eu-central-1"),
        role("path/A%_", "1f", "eu-central-1"),
        role("path/a%_", "2f", "eu-central-1"),
        role("path/a%_", "1f", "eu-north-1"),
        role("path/a%_", "1f", "eu-central-1 https://sts.example.com/'\\"),
    ];
    for (at, role) in (200..).zip(&roles) {
        save(journal, role, if at % 2 == 0 { CLOSED } else { OPEN }, at).await;
    }
    let unknown = role("unknown", "1f", "eu-central-1");
    let asked: Vec<_> = roles.iter().cloned().chain([unknown]).collect();
    let mut found = journal.role_probes(&asked).await.unwrap();
    found.sort_by_key(|probe| probe.probed_at);
    let found: Vec<_> = found.into_iter().map(|probe| (probe.role, probe.verdict, probe.probed_at)).collect();
    let saved = (200..).zip(roles).map(|(at, role)| (role, if at % 2 == 0 { CLOSED } else { OPEN }, at));
    assert_eq!(found, saved.collect::<Vec<_>>());
}

async fn old_verdicts_are_deleted(journal: &Arc<dyn Journal>) {
    let many: Vec<_> = (0..1_000).map(|number| role(&format!("many-{number}"), "1f", "eu-central-1")).collect();
    for role in &many {
        save(journal, role, CLOSED, 300).await;
    }
    assert_eq!(journal.role_probes(&many).await.unwrap().len(), 1_000, "as many as are asked for at once");
    assert_eq!(journal.drop_role_probes_before(300).await, Ok(6));
    assert_eq!(journal.role_probes(&many).await.unwrap().len(), 1_000);
    save(journal, &role("one-more", "1f", "eu-central-1"), CLOSED, 300).await;
    let dropped = [journal.drop_role_probes_before(301).await, journal.drop_role_probes_before(301).await];
    assert_eq!(dropped, [Ok(1_000), Ok(1)]);
}

#[tokio::test]
async fn nodes_and_the_next_start_go_by_a_verdict() {
    let (postgres, directory) = (Postgres::start(), TempDir::new().unwrap());
    let locations = [Location::parse(&postgres.url()).unwrap(), Location::Sqlite(directory.path().join("ledger.db"))];
    for location in locations {
        let (one, two) = (open(&location).await, open(&location).await);
        let role = role("wharfinger", "1f", "eu-central-1");
        save(&one.journal(), &role, OPEN, 100).await;
        assert_eq!(verdict(&two.journal(), &role).await, Some((OPEN, 100)));
        save(&two.journal(), &role, CLOSED, 200).await;
        // Not closed, as after a kill.
        let restarted = open(&location).await;
        for ledger in [&one, &restarted] {
            assert_eq!(verdict(&ledger.journal(), &role).await, Some((CLOSED, 200)));
        }
        for ledger in [one, two, restarted] {
            ledger.close().await;
        }
    }
}
