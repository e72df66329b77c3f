//! A line that the log writes about itself or about the end of the process. No level or limit suppresses it, and it has
//! the format of the other lines.

use crate::config::LogFormat;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use tracing::Level;
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime as _, SystemTime},
};

pub(super) struct LogLine {
    level: Level,
    message: &'static str,
    fields: Map<String, Value>,
}

impl LogLine {
    pub(super) fn new(level: Level, message: &'static str) -> Self {
        Self { level, message, fields: Map::new() }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Formats the line with the current time and a line break.
    pub(super) fn write(self, format: LogFormat) -> String {
        let mut time = String::new();
        // Writing to a String never fails.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let line = match format {
            LogFormat::Human => {
                let mut line = format!("{time} {:>5} {}", self.level, self.message);
                for (name, value) in self.fields {
                    let _ = write!(line, " {name}={value}");
                }
                line
            }
            LogFormat::Json => {
                let own =
                    [("timestamp", time), ("level", self.level.to_string()), ("message", self.message.to_owned())];
                let own = own.map(|(name, value)| (name.to_owned(), Value::from(value)));
                Value::Object(own.into_iter().chain(self.fields).collect()).to_string()
            }
        };
        line + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_other_lines() {
        let line = |format| {
            LogLine::new(Level::WARN, "log lines dropped").with("lines", 7).with("error", "a \"b\"\nc").write(format)
        };
        let human = line(LogFormat::Human);
        assert!(human.ends_with("Z  WARN log lines dropped error=\"a \\\"b\\\"\\nc\" lines=7\n"), "{human}");
        let json: Value = serde_json::from_str(&line(LogFormat::Json)).unwrap();
        assert_eq!(
            (&json["level"], &json["message"], &json["lines"]),
            (&"WARN".into(), &"log lines dropped".into(), &7.into())
        );
        assert!(json["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
