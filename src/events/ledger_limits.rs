//! Limits the records that clients can cause at no cost: those of failed requests, and of connections before their login.
//! Records of logins, transfers and completed changes have no limit here.

use super::{Event, Outcome, Record, Who, limits::report_most, log};
use crate::{
    name::TenantName,
    policy::{Rate, Rates, RefusedTokens, Source},
};

/// Records of what the clients of a tenant failed to do, over all its sessions.
const TENANT: Rate = Rate::new(5_000, 20);
/// Records of the connections of one source before their login.
const SOURCE: Rate = Rate::new(500, 2);
/// Refused logins over all sources: an attacker can have many.
const LOGINS: Rate = Rate::new(5_000, 20);
/// Other records of connections before their login, over all sources.
const CONNECTIONS: Rate = Rate::new(5_000, 10);

/// The token buckets of tenants and sources.
#[derive(Debug)]
pub(crate) struct LedgerLimits {
    tenants: Rates<TenantName>,
    sources: Rates<Source>,
    logins: Rates<()>,
    connections: Rates<()>,
}

impl Default for LedgerLimits {
    fn default() -> Self {
        Self {
            tenants: Rates::new(TENANT),
            sources: Rates::new(SOURCE),
            logins: Rates::new(LOGINS),
            connections: Rates::new(CONNECTIONS),
        }
    }
}

impl LedgerLimits {
    /// Returns true if the ledger gets the record. Else the record is counted.
    pub(crate) fn admit(&self, record: &Record) -> bool {
        match (&record.who, &record.event) {
            (Who::Session(user), event) if is_failure(event) => self.tenants.take(&user.tenant),
            (Who::Connection(peer), event) => {
                // A source that has none left takes none from others.
                let source = Source::new(peer.source.ip(), peer.vpc_endpoint.clone());
                let all = if matches!(event, Event::LoginRefused { .. }) { &self.logins } else { &self.connections };
                self.sources.take(&source) && all.take(&())
            }
            (Who::Session(_) | Who::Maintenance { .. } | Who::Server {}, _) => true,
        }
    }

    /// Writes lines with the counts of the records that the ledger didn't get since the last call.
    pub(crate) fn report(&self) {
        let tenants = self.tenants.take_refused();
        let others = tenants.by_others
            + report_most(tenants.by_key, log::unrecorded_of_tenant)
            + total(&self.sources.take_refused())
            + total(&self.logins.take_refused())
            + total(&self.connections.take_refused());
        if others > 0 {
            log::unrecorded_of_others(others);
        }
    }
}

fn total<K>(refused: &RefusedTokens<K>) -> u64 {
    refused.by_others + refused.by_key.iter().map(|(_, records)| records).sum::<u64>()
}

fn is_failure(event: &Event) -> bool {
    match event {
        Event::RequestFailed { .. } | Event::ServiceRefused { .. } | Event::ConnectionEnded { .. } => true,
        Event::Changed { outcome, .. } => *outcome != Outcome::Done,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{ChangeKind, ClientProgram, ConnectionPeer, SessionUser};
    use std::{net::SocketAddr, sync::Arc, time::Duration};

    fn session(tenant: &str, event: Event) -> Record {
        let user = SessionUser {
            session: "5f0c-1".into(),
            tenant: tenant.parse().unwrap(),
            user: "alice".parse().unwrap(),
            source: SocketAddr::from(([192, 0, 2, 1], 1)),
            vpc_endpoint: None,
        };
        Record::new("node".into(), Who::Session(Arc::new(user)), event)
    }

    fn stranger(last_byte: u8, event: Event) -> Record {
        let source = SocketAddr::from(([192, 0, 2, last_byte], 1));
        Record::new(
            "node".into(),
            Who::Connection(ConnectionPeer { connection: None, source, vpc_endpoint: None }),
            event,
        )
    }

    fn change(outcome: Outcome) -> Event {
        let (change, path, duration) = (ChangeKind::Remove, "/a".to_owned(), Duration::ZERO);
        Event::Changed { change, path, target: None, duration, outcome }
    }

    fn login_refused() -> Event {
        let (client, reason) = (ClientProgram::default(), "wrong".into());
        Event::LoginRefused { name: "alice".into(), method: "password", reason, fingerprint: None, client }
    }

    fn admitted(limits: &LedgerLimits, tries: usize, record: impl Fn() -> Record) -> usize {
        (0..tries).filter(|_| limits.admit(&record())).count()
    }

    #[test]
    fn a_tenant_that_fails_without_end_takes_no_record_from_others_and_none_of_its_changes() {
        let limits = LedgerLimits::default();
        let failed = || session("acme", change(Outcome::Failed("no".into())));
        let of_acme = admitted(&limits, 9_000, failed);
        assert!((5_000..6_000).contains(&of_acme), "{of_acme}");
        assert_eq!(admitted(&limits, 100, || session("globex", change(Outcome::Failed("no".into())))), 100);
        assert_eq!(admitted(&limits, 9_000, || session("acme", change(Outcome::Done))), 9_000);
    }

    #[test]
    fn one_stranger_hides_no_refused_login_of_another() {
        let limits = LedgerLimits::default();
        let refused = || Event::ConnectionRefused { reason: "too many" };
        let of_one = admitted(&limits, 9_000, || stranger(1, refused()));
        assert!((500..700).contains(&of_one), "{of_one}");
        assert_eq!(admitted(&limits, 100, || stranger(2, login_refused())), 100);
        for source in 3..=200 {
            admitted(&limits, 100, || stranger(source, refused()));
        }
        assert_eq!(
            admitted(&limits, 100, || stranger(201, login_refused())),
            100,
            "refused connections have a rate of their own"
        );
    }
}
