//! The log of the process: writes to stderr in the configured format.
//!
//! ```text
//! event → level → repeats (warnings of one place) → format → harmless → LineQueue → its thread → stderr
//! ```
//!
//! Invariant: no task waits for the reader of stderr. A stopped reader costs lines, and the log counts them.

mod harmless;
mod line;
mod line_queue;
mod repeats;

pub(super) use harmless::is_harmful;

use crate::config::{Log, LogFormat, Problem};
use line::LogLine;
use line_queue::LineQueue;
use repeats::Repeats;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal as _},
    panic,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// The time that the end of the process waits for lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs `work` with the log of this process. An error of `work` is the last line.
///
/// # Errors
/// The system can't start the log's thread.
pub(super) fn logged(log: Log, work: impl FnOnce() -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    let repeats = Repeats::default();
    let queue = LineQueue::start(io::stderr(), log.format, repeats.clone())?;
    let _flush = FlushOnDrop(Arc::clone(&queue));
    subscriber(log, filter(log.level), repeats, Arc::clone(&queue)).init();
    record_panics(&queue, log.format);
    Ok(work().unwrap_or_else(|error| {
        let error = format!("{error:#}");
        queue.push(&match log.format {
            LogFormat::Human => format!("wharfinger: {error}\n"),
            LogFormat::Json => LogLine::new(Level::ERROR, "server failed").with("error", error).write(log.format),
        });
        ExitCode::FAILURE
    }))
}

/// Writes the config's problems before the log has started: the server doesn't start.
pub(super) fn write_problems(problems: &[Problem]) {
    for problem in problems {
        let line = LogLine::new(Level::ERROR, "config problem").with("error", problem.to_string());
        eprint!("{}", line.write(LogFormat::Json));
    }
    let error = format!("the config has {} problems", problems.len());
    eprint!("{}", LogLine::new(Level::ERROR, "server failed").with("error", error).write(LogFormat::Json));
}

/// Flushes the remaining lines when it is dropped, even if the process ends by a panic.
struct FlushOnDrop(Arc<LineQueue>);

impl Drop for FlushOnDrop {
    fn drop(&mut self) {
        self.0.flush(FLUSH_TIMEOUT);
    }
}

/// Logs a panic like other lines. The standard library's own message would wait for the reader of stderr.
fn record_panics(queue: &Arc<LineQueue>, format: LogFormat) {
    let queue = Arc::clone(queue);
    panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let error = panic.payload_as_str().unwrap_or("a panic without words").to_owned();
        let mut line = LogLine::new(Level::ERROR, "task panicked").with("error", error).with("place", place);
        // RUST_BACKTRACE enables the backtrace.
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            line = line.with("backtrace", backtrace.to_string());
        }
        queue.push(&line.write(format));
    }));
}

/// Applies `filter`, then the limit of repeated warnings, then formats the lines.
///
/// The filter belongs to the whole subscriber, not to a layer. A layer's filter remembers the answer to a query through
/// the crate `log`, and then swallows the thread's next line. A NOTICE of PostgreSQL causes such a query through sqlx.
fn subscriber<W>(
    log: Log,
    filter: Box<dyn Layer<Registry> + Send + Sync>,
    repeats: Repeats,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_target(false);
    let lines = match log.format {
        LogFormat::Human => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(repeats).with(lines)
}

/// Returns the filter: `RUST_LOG` if it is set and valid, else the level.
fn filter(level: Level) -> Box<dyn Layer<Registry> + Send + Sync> {
    match EnvFilter::try_from_default_env() {
        Ok(filter) => filter.boxed(),
        Err(_) => levels(level).boxed(),
    }
}

/// Returns `level` for our own messages, and at most warnings for libraries, unless `level` is DEBUG or finer. Three
/// libraries are off: russh complains of client requests in the clients' words and without a limit; s3s calls every 404
/// an error; sqlx repeats the database messages that the ledger logs once.
fn levels(level: Level) -> Targets {
    let targets = Targets::new().with_target("wharfinger", level);
    if level >= Level::DEBUG {
        return targets.with_default(level);
    }
    targets
        .with_target("russh", LevelFilter::OFF)
        .with_target("s3s", LevelFilter::OFF)
        .with_target("sqlx", LevelFilter::OFF)
        .with_default(level.min(Level::WARN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{ConnectionPeer, Event, Events, Who};
    use tracing::{Metadata, callsite, dispatcher, field::FieldSet, info, metadata::Kind, subscriber::Interest, warn};

    #[test]
    fn libraries_are_quiet_until_a_fault_is_looked_for() {
        for (level, ours, theirs) in [
            (Level::ERROR, Level::ERROR, Level::ERROR),
            (Level::INFO, Level::INFO, Level::ERROR),
            (Level::DEBUG, Level::DEBUG, Level::DEBUG),
        ] {
            let levels = levels(level);
            assert!(levels.would_enable("wharfinger::session", &ours), "{level}");
            assert!(levels.would_enable("aws_config", &theirs), "{level}");
        }
        assert!(!levels(Level::INFO).would_enable("russh::server", &Level::ERROR));
        assert!(!levels(Level::INFO).would_enable("s3s::ops", &Level::ERROR));
        assert!(!levels(Level::INFO).would_enable("sqlx::postgres::notice", &Level::WARN));
        assert!(levels(Level::INFO).would_enable("aws_config", &Level::WARN));
        assert!(!levels(Level::INFO).would_enable("wharfinger::session", &Level::DEBUG));
    }

    /// The query that the crate `log` makes for crates that use it, such as sqlx at a NOTICE of PostgreSQL.
    struct Notice;
    static NOTICE: Notice = Notice;
    static ASKED: Metadata<'static> = Metadata::new(
        "log record",
        "sqlx::postgres::notice",
        Level::INFO,
        None,
        None,
        None,
        FieldSet::new(&[], callsite::Identifier(&NOTICE)),
        Kind::EVENT,
    );

    impl callsite::Callsite for Notice {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            &ASKED
        }
    }

    /// Returns the lines that `record` writes at the level `info`.
    fn lines_of(format: LogFormat, record: impl FnOnce()) -> Vec<String> {
        let log = Log { format, level: Level::INFO };
        let queue = LineQueue::without_thread(format);
        let subscriber = subscriber(log, levels(log.level).boxed(), Repeats::default(), Arc::clone(&queue));
        tracing::subscriber::with_default(subscriber, record);
        queue.take_lines()
    }

    // Issue 12.8: no line is lost after a NOTICE of PostgreSQL.
    #[test]
    fn no_line_is_lost_after_a_record_that_is_not_written() {
        let lines = lines_of(LogFormat::Human, || {
            for number in 0..3 {
                assert!(!dispatcher::get_default(|dispatch| dispatch.enabled(&ASKED)));
                info!(number, "written");
            }
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
    }

    // Issue 12.8: one warning with a count in place of 2,000.
    #[test]
    fn warnings_of_one_place_are_few_and_other_places_have_their_own() {
        let lines = lines_of(LogFormat::Human, || {
            for number in 0..2_000 {
                warn!(number, "a tenant's bucket is gone");
                info!(number, "a line that isn't a warning");
            }
            warn!("something else");
            let source = ([192, 0, 2, 1], 22).into();
            let who = Who::Connection(ConnectionPeer { connection: None, source, vpc_endpoint: None });
            let refused = Event::ConnectionRefused { reason: "none" };
            (0..100).for_each(|_| Events::new("node").record(who.clone(), refused.clone()));
        });
        assert_eq!(lines.iter().filter(|line| line.contains("bucket is gone")).count(), 20);
        assert_eq!(lines.iter().filter(|line| line.contains("isn't a warning")).count(), 2_000);
        assert_eq!(lines.iter().filter(|line| line.contains("something else")).count(), 1);
        assert_eq!(
            lines.iter().filter(|line| line.contains("refused")).count(),
            100,
            "events have limits of their own"
        );
    }

    // Issue 12.8: U+2028 and U+202E are escaped in both formats, whatever part writes the line.
    #[test]
    fn no_line_holds_what_breaks_or_turns_it() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let key = "a\u{202e}b\u{2028}c\nd\u{1b}[2K";
            let lines = lines_of(format, || warn!(key, shown = %key, "an upload could not be aborted"));
            let [line] = &lines[..] else { panic!("{lines:?}") };
            assert!(line.is_ascii() && !line.contains(char::is_control), "{line:?}");
            if format == LogFormat::Json {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                for field in ["key", "shown"] {
                    let value = line[field].as_str().unwrap();
                    assert!(value.is_ascii() && !value.contains(char::is_control), "{value:?}");
                }
            }
        }
    }
}
