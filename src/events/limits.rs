//! Limits the log lines that a client can cause. Each line takes a token of the client's source before login, and of
//! its user after it.
//!
//! The rates of one user and one source add up to 100 lines a second. Lines about ends have a higher rate than lines
//! about beginnings: if a batch of thousands of small files suppresses its beginnings, the log still has the end of
//! each transfer.

use super::{Event, Outcome, Record, Who, backlog::Backlog, log, record::UserKey};
use crate::{
    name::TenantName,
    policy::{Rate, Rates, Source},
};
use std::collections::HashMap;

/// The lines of a source: before login, and for requests of services other than SFTP.
const SOURCE: Rate = Rate::new(100, 10);
/// The same lines over all sources: an attacker can have many sources.
const ALL_SOURCES: Rate = Rate::new(1_000, 200);
/// Lines about logins, ended transfers and completed changes.
const RECORDS: Rate = Rate::new(1_000, 60);
/// Lines about sessions that began or ended in good order, and about opened files.
const PROGRESS: Rate = Rate::new(100, 20);
/// Lines about failed requests, and about sessions that the server ended.
const FAILURES: Rate = Rate::new(100, 10);

/// Lines about maintenance that failed for one tenant: its bucket may deny thousands of aborts.
const MAINTENANCE: Rate = Rate::new(20, 1);

/// The number of users, of tenants, or of sources, that one report names. The report counts the others together.
const MAX_NAMED: usize = 20;

/// The token buckets of users and sources.
#[derive(Debug)]
pub(crate) struct Limits {
    sources: Rates<Source>,
    all_sources: Rates<()>,
    records: Rates<UserKey>,
    progress: Rates<UserKey>,
    failures: Rates<UserKey>,
    maintenance: Rates<TenantName>,
    /// The lines that have a token and wait for their turn.
    pub(crate) backlog: Backlog,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sources: Rates::new(SOURCE),
            all_sources: Rates::new(ALL_SOURCES),
            records: Rates::new(RECORDS),
            progress: Rates::new(PROGRESS),
            failures: Rates::new(FAILURES),
            maintenance: Rates::new(MAINTENANCE),
            backlog: Backlog::default(),
        }
    }
}

impl Limits {
    /// Returns true if the record's line is to be written now. Else it is written later, or is suppressed and counted.
    pub(crate) fn admit(&self, record: &Record) -> bool {
        self.take(record) && self.backlog.admit(record)
    }

    /// Takes the token for the record's line. Returns `false` and counts the line if there is none.
    fn take(&self, record: &Record) -> bool {
        let rates = match &record.event {
            Event::ConnectionRefused { .. }
            | Event::LoginRefused { .. }
            | Event::ConnectionEnded { .. }
            | Event::ServiceRefused { .. } => return self.take_of_source(&record.who),
            Event::LoginAccepted { .. }
            | Event::FileClosed { .. }
            | Event::TransferResolved { .. }
            | Event::Changed { outcome: Outcome::Done, .. } => &self.records,
            Event::SessionStarted
            | Event::FileOpened { .. }
            | Event::UploadPublishing { .. }
            | Event::SessionEnded { reason: None, .. } => &self.progress,
            Event::Changed { .. }
            | Event::RequestFailed { .. }
            | Event::UploadNotAborted { .. }
            | Event::SessionEnded { .. } => &self.failures,
            Event::InterruptedUploadAborted { outcome, .. }
            | Event::UnknownUploadAborted { outcome, .. }
            | Event::OpenUploadsNotListed { outcome }
            | Event::RenameRepaired { outcome, .. } => {
                let is_warning = *outcome != Outcome::Done;
                return match &record.who {
                    Who::Maintenance { tenant, .. } if is_warning => self.maintenance.take(tenant),
                    Who::Maintenance { .. } | Who::Session(_) | Who::Connection(_) | Who::Server {} => true,
                };
            }
            // Operators cause these lines, and a record has few of them.
            Event::RoleOpen { .. }
            | Event::RoleClosed { .. }
            | Event::SessionEndAsked { .. }
            | Event::ConfigReloaded { .. }
            | Event::ReloadRefused { .. }
            | Event::TenantRefused { .. } => return true,
        };
        record.who.user().is_none_or(|(tenant, user)| rates.take(&(tenant.clone(), user.clone())))
    }

    fn take_of_source(&self, who: &Who) -> bool {
        who.peer().is_none_or(|(source, vpc_endpoint)| {
            let source = Source::new(source.ip(), vpc_endpoint.cloned());
            self.sources.take(&source) && self.all_sources.take(&())
        })
    }

    /// Writes lines with the counts of the lines that had no token since the last call.
    pub(crate) fn report(&self) {
        let mut users: HashMap<UserKey, u64> = HashMap::new();
        let sources = self.sources.take_refused();
        let mut others =
            sources.by_others + self.all_sources.take_refused().by_key.iter().map(|((), lines)| lines).sum::<u64>();
        for rates in [&self.records, &self.progress, &self.failures] {
            let refused = rates.take_refused();
            others += refused.by_others;
            for (user, lines) in refused.by_key {
                *users.entry(user).or_default() += lines;
            }
        }
        others += report_most(users.into_iter().collect(), |(tenant, user), lines| {
            log::suppressed_of_user(tenant, user, lines);
        });
        others += report_most(sources.by_key, log::suppressed_of_source);
        let maintenance = self.maintenance.take_refused();
        others += maintenance.by_others;
        others += report_most(maintenance.by_key, log::suppressed_of_tenant);
        if others > 0 {
            log::suppressed_of_others(others);
        }
    }
}

/// Reports the keys with the highest counts. Returns the total of the others.
pub(super) fn report_most<K>(mut counts: Vec<(K, u64)>, report: impl Fn(&K, u64)) -> u64 {
    counts.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
    let others = counts.split_off(counts.len().min(MAX_NAMED));
    for (key, lines) in &counts {
        report(key, *lines);
    }
    others.iter().map(|(_, lines)| lines).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::{ChangeKind, ClientProgram, ConnectionPeer, Events, SessionUser, Transfer},
        name::TransferId,
    };
    use parking_lot::Mutex;
    use std::{
        io,
        net::{IpAddr, SocketAddr},
        sync::Arc,
        time::Duration,
    };
    use tracing::Level;

    type Happened = (Who, Event);

    fn user(name: &str) -> Who {
        let source = SocketAddr::from(([192, 0, 2, 1], 22));
        Who::Session(Arc::new(SessionUser {
            session: "5f0c-1".into(),
            tenant: "acme".parse().unwrap(),
            user: name.parse().unwrap(),
            source,
            vpc_endpoint: None,
        }))
    }

    fn connection(source: impl Into<IpAddr>, vpc_endpoint: Option<&str>) -> Who {
        let source = SocketAddr::new(source.into(), 22);
        Who::Connection(ConnectionPeer { connection: None, source, vpc_endpoint: vpc_endpoint.map(Arc::from) })
    }

    fn refused(host: [u8; 4]) -> Happened {
        let client = ClientProgram::default();
        let (name, method, reason) = ("root".to_owned(), "password", "".into());
        (connection(host, None), Event::LoginRefused { name, method, reason, fingerprint: None, client })
    }

    fn opened(name: &str) -> Happened {
        (
            user(name),
            Event::FileOpened { transfer_id: TransferId::new(), path: "/file".into(), transfer: Transfer::Download },
        )
    }

    fn closed(name: &str) -> Happened {
        let (path, duration, outcome) = ("/file".into(), Duration::ZERO, Outcome::Done);
        let transfer = Transfer::Download;
        (
            user(name),
            Event::FileClosed {
                transfer_id: TransferId::new(),
                path,
                transfer,
                bytes: 0,
                size: Some(0),
                duration,
                outcome,
                object: None,
            },
        )
    }

    fn failed(name: &str) -> Happened {
        let (change, duration, outcome) = (ChangeKind::Mkdir, Duration::ZERO, Outcome::Refused("it exists".into()));
        (user(name), Event::Changed { change, path: "/d".into(), target: None, duration, outcome })
    }

    fn take(limits: &Limits, (who, event): &Happened) -> bool {
        limits.take(&Record::new("node".into(), who.clone(), event.clone()))
    }

    /// Returns the number of written lines out of `count` lines of `event`.
    fn written(limits: &Limits, happened: &Happened, count: usize) -> usize {
        (0..count).filter(|_| take(limits, happened)).count()
    }

    fn report(limits: &Limits) -> Vec<String> {
        lines_of(Level::INFO, || limits.report())
    }

    /// Returns the lines that `record` writes at this level.
    fn lines_of(level: Level, record: impl FnOnce()) -> Vec<String> {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                self.0.lock().extend(line);
                Ok(line.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let format = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
        let subscriber = format.with_max_level(level).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, record);
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        text.lines().map(|line| line.trim_start().to_owned()).collect()
    }

    // Issue 12.8: at most 100 lines a second, of a source and of a user.
    #[tokio::test(start_paused = true)]
    async fn lines_are_no_more_than_the_burst_and_the_rate_times_the_seconds() {
        let limits = Limits::default();
        let flood = |count| {
            let events = [refused([192, 0, 2, 9]), opened("alice"), closed("alice"), failed("alice")];
            events.map(|event| written(&limits, &event, count))
        };
        assert_eq!(flood(5_000), [100, 100, 1_000, 100]);
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            let lines = flood(5_000);
            assert_eq!(lines, [10, 20, 60, 10]);
            assert_eq!(lines.iter().sum::<usize>(), 100);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_one_user_or_source_takes_no_line_from_another() {
        let limits = Limits::default();
        written(&limits, &refused([192, 0, 2, 9]), 5_000);
        written(&limits, &closed("alice"), 5_000);
        assert!(take(&limits, &refused([192, 0, 2, 10])));
        assert!(take(&limits, &closed("bob")));
        written(&limits, &failed("bob"), 5_000);
        assert!(take(&limits, &closed("bob")), "failures don't hide what was done");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_of_a_thousand_small_files_has_all_transfers_on_record() {
        let limits = Limits::default();
        let ends = (0..1_000).filter(|_| {
            let _ = take(&limits, &opened("alice"));
            take(&limits, &closed("alice"))
        });
        assert_eq!(ends.count(), 1_000);
        assert_eq!(report(&limits), ["WARN log lines suppressed tenant=acme user=alice lines=900"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_process_writes_the_lines_that_wait() {
        let lines = lines_of(Level::INFO, || {
            let events = Events::new("node");
            for _ in 0..1_000 {
                let (who, event) = closed("alice");
                events.record(who, event);
            }
            events.finish_log();
        });
        assert_eq!(lines.iter().filter(|line| line.contains("file closed")).count(), 1_000);
        assert_eq!(lines.len(), 1_000, "none was suppressed");
    }

    // Issue 12.8: one warning with a count in place of 2,000.
    #[tokio::test(start_paused = true)]
    async fn each_line_that_was_not_written_is_counted_in_one_that_is() {
        let limits = Limits::default();
        assert_eq!(report(&limits), [] as [&str; 0]);
        let flood = 2_000;
        let lost = flood - written(&limits, &refused([192, 0, 2, 9]), flood);
        assert_eq!(report(&limits), [format!("WARN log lines suppressed source=192.0.2.9 lines={lost}")]);
        assert_eq!(report(&limits), [] as [&str; 0], "and once");
    }

    // Issue 12.8: a flood of connections is few lines, and counted; it hides no refusal of another source.
    #[tokio::test(start_paused = true)]
    async fn refused_connections_take_tokens_of_their_source() {
        let limits = Limits::default();
        let connection = |host, vpc_endpoint: Option<&str>| {
            (connection([192, 0, 2, host], vpc_endpoint), Event::ConnectionRefused { reason: "too many" })
        };
        assert_eq!(written(&limits, &connection(9, None), 1_000), 100);
        assert_eq!(written(&limits, &refused([192, 0, 2, 9]), 1), 0, "lines before login share a bucket");
        assert!(take(&limits, &connection(10, None)));
        assert!(take(&limits, &connection(9, Some("vpce-1"))), "another network's 192.0.2.9");
        assert_eq!(report(&limits), ["WARN log lines suppressed source=192.0.2.9 lines=901"]);
        let of_many = (0..200).map(|host| written(&limits, &connection(host, None), 100)).sum::<usize>();
        assert_eq!(of_many, 1_000 - 102, "the sources together have a bucket too");
    }

    /// 2,000 uploads that can't be aborted become a few lines and a count, and hide nothing of another tenant.
    #[tokio::test(start_paused = true)]
    async fn failed_maintenance_of_a_tenant_is_limited_and_counted() {
        let limits = Limits::default();
        let maintenance = |tenant: &str, outcome| {
            let who = Who::Maintenance { tenant: tenant.parse().unwrap(), user: None };
            (who, Event::UnknownUploadAborted { id: "u".into(), key: "k".into(), outcome })
        };
        let denied = || Outcome::Failed("denied".into());
        assert_eq!(written(&limits, &maintenance("acme", denied()), 2_000), 20);
        assert_eq!(written(&limits, &maintenance("globex", denied()), 1), 1);
        assert_eq!(written(&limits, &maintenance("acme", Outcome::Done), 30), 30, "work that was done");
        assert_eq!(report(&limits), ["WARN log lines suppressed tenant=acme lines=1980"]);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_below_the_level_are_not_missed() {
        let lines = lines_of(Level::WARN, || {
            let events = Events::new("node");
            for _ in 0..2_000 {
                for (who, event) in [opened("alice"), closed("alice"), failed("alice")] {
                    events.record(who, event);
                }
            }
            let (who, event) = refused([192, 0, 2, 9]);
            events.record(who, event);
            events.finish_log();
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("login refused"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_of_many_sources_is_short_and_complete() {
        let limits = Limits::default();
        let asked: usize = (0..200u8).map(|host| 300 + usize::from(host)).sum();
        let said: usize =
            (0..200u8).map(|host| written(&limits, &refused([198, 51, 100, host]), 300 + usize::from(host))).sum();
        assert_eq!(said, 1_000, "the sources together have a bucket too");
        let lines = report(&limits);
        assert_eq!(lines.len(), MAX_NAMED + 1);
        assert!(lines[0].contains("source=198.51.100.199 lines=399"), "{}", lines[0]);
        let counts = lines.iter().map(|line| line.rsplit_once("lines=").unwrap().1.parse::<usize>().unwrap());
        assert_eq!(counts.sum::<usize>(), asked - said);
    }
}
