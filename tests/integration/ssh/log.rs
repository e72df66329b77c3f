//! The log of a test: the lines of all tasks on its runtime, which has one thread.

use parking_lot::Mutex;
use std::{
    cell::RefCell,
    io,
    sync::{Arc, Once},
    time::Duration,
};

thread_local! {
    static CURRENT: RefCell<Option<Written>> = const { RefCell::new(None) };
}

/// The lines since `start`.
pub struct CapturedLog(Written);

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    pub fn start() -> Self {
        // One subscriber for all threads. With one for each, a log line that another thread reaches first would stay
        // disabled.
        static ALL: Once = Once::new();
        ALL.call_once(|| {
            let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_env_filter("wharfinger=info");
            subscriber.with_writer(|| CURRENT.with_borrow(Clone::clone).unwrap_or_default()).init();
        });
        let log = Self(Written::default());
        CURRENT.set(Some(log.0.clone()));
        log
    }

    /// Returns the lines with this message.
    pub fn lines(&self, message: &str) -> Vec<serde_json::Value> {
        let written = self.0.0.lock().clone();
        let lines = String::from_utf8(written).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Waits for the first line with this message.
    pub async fn line(&self, message: &str) -> serde_json::Value {
        let found = async {
            loop {
                if let Some(line) = self.lines(message).into_iter().next() {
                    return line;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.unwrap_or_else(|_| panic!("no line {message:?}"))
    }

    /// True if no line was written.
    pub fn is_empty(&self) -> bool {
        self.0.0.lock().is_empty()
    }
}

impl Drop for CapturedLog {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
