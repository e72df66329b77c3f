//! Where the log goes: stderr, in the format of the config.

use crate::config::{Log, LogFormat};
use std::io::{self, IsTerminal as _};
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Starts the log of this process. `RUST_LOG`, if it is set and right, decides what is written instead of the level.
pub fn start_log(log: Log) {
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = match log.format {
        LogFormat::Human => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let lines = match EnvFilter::try_from_default_env() {
        Ok(filter) => lines.with_filter(filter).boxed(),
        Err(_) => lines.with_filter(levels(log.level)).boxed(),
    };
    tracing_subscriber::registry().with(lines).init();
}

/// Our own words at `level`; those of the libraries only where they warn, or where somebody looks for a fault. russh
/// complains of what clients send, in their words and as often as they like; s3s calls every 404 an error; sqlx repeats
/// what the ledger says of its database once.
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
}
