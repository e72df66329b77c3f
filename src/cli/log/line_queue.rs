//! A bounded queue of log lines, and the one thread that writes them to stderr.
//!
//! tracing-appender has a similar writer. It doesn't fit for three reasons: it bounds lines and not bytes, it doesn't
//! report dropped lines, and at the end it prints to stdout if its thread is stuck, which waits for the same reader.

use super::{LogLine, Repeats, harmless::harmless};
use crate::config::LogFormat;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tracing::Level;

/// The memory of waiting lines, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// The memory of a line beside its text, in bytes.
const LINE_BYTES: usize = 64;
/// The interval at which a line reports the number of suppressed warnings.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// The pause after a nonblocking stderr (`O_NONBLOCK`) took no bytes.
const PAUSE: Duration = Duration::from_millis(20);

/// Accepts lines without waiting. Drops and counts lines that don't fit.
#[derive(Debug)]
pub(super) struct LineQueue {
    format: LogFormat,
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The number of lost lines that no line has reported yet.
    dropped: u64,
    /// True while the thread writes a line that it took from the queue.
    writing: bool,
}

impl QueueState {
    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len() + LINE_BYTES;
        self.lines.push_back(line);
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let line = self.lines.pop_front()?;
        self.bytes = self.bytes.saturating_sub(line.len() + LINE_BYTES);
        Some(line)
    }

    fn is_done(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.writing
    }
}

impl LineQueue {
    /// Starts the thread that writes to `stderr` and reports the warnings that `repeats` suppressed.
    ///
    /// # Errors
    /// The system can't start a thread.
    pub(super) fn start(
        stderr: impl Write + Send + 'static,
        format: LogFormat,
        repeats: Repeats,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::new(format));
        let writer = LogWriter { queue: Arc::clone(&queue), stderr, repeats, lost: 0 };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run())?;
        Ok(queue)
    }

    fn new(format: LogFormat) -> Self {
        Self { format, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Queues a line with its line break, or drops it.
    pub(super) fn push(&self, line: &str) {
        let line = harmless(line, self.format).into_owned().into_bytes();
        let mut state = self.state();
        // After a loss the queue drops all lines until half of it is free, so that one count at the gap covers many
        // lines.
        if state.dropped > 0 || state.bytes + line.len() + LINE_BYTES > MAX_BYTES {
            state.dropped = state.dropped.saturating_add(1);
        } else {
            state.push(line);
            self.changed.notify_all();
        }
    }

    /// Waits until all lines are written, for `patience` at most.
    pub(super) fn flush(&self, patience: Duration) {
        self.changed.wait_while_for(&mut self.state(), |state| !state.is_done(), patience);
    }

    /// Waits for the next line until `until`. The call also tells the queue that the line before it is written.
    fn next(&self, until: Instant) -> Option<Vec<u8>> {
        let mut state = self.state();
        state.writing = false;
        self.changed.notify_all();
        let idle = |state: &mut QueueState| state.lines.is_empty() && state.dropped == 0;
        self.changed.wait_while_until(&mut state, idle, until);
        if state.dropped > 0 && state.bytes <= MAX_BYTES / 2 {
            let dropped = std::mem::take(&mut state.dropped);
            let count = LogLine::new(Level::WARN, "log lines dropped").with("lines", dropped);
            state.push(count.write(self.format).into_bytes());
        }
        let line = state.pop()?;
        state.writing = true;
        Some(line)
    }

    /// Counts lines that were taken from the queue and could not be written.
    fn count_lost(&self, lost: u64) {
        let mut state = self.state();
        state.dropped = state.dropped.saturating_add(lost);
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock()
    }
}

/// The writing thread.
struct LogWriter<W> {
    queue: Arc<LineQueue>,
    stderr: W,
    repeats: Repeats,
    /// The number of failed writes since the last successful one.
    lost: u64,
}

impl<W: Write> LogWriter<W> {
    fn run(mut self) {
        let mut report = Instant::now() + REPORT_INTERVAL;
        loop {
            if let Some(line) = self.queue.next(report) {
                self.write(&line);
            }
            if Instant::now() >= report {
                self.report();
                report = Instant::now() + REPORT_INTERVAL;
            }
        }
    }

    /// Writes a line, or counts it as lost: a full disk or a closed reader is no reason to end.
    fn write(&mut self, line: &[u8]) {
        match write_all(&mut self.stderr, line) {
            Ok(()) => self.queue.count_lost(std::mem::take(&mut self.lost)),
            Err(_) => self.lost += 1,
        }
    }

    fn report(&self) {
        for ((target, _), lines) in self.repeats.take_suppressed() {
            let line = LogLine::new(Level::WARN, "log lines suppressed").with("lines", lines).with("target", target);
            self.queue.push(&line.write(self.queue.format));
        }
    }
}

/// Like `Write::write_all`, and also waits for a nonblocking stderr.
fn write_all(stderr: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match stderr.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => line = line.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The formatter writes each line whole, in one call.
impl Write for &LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl LineQueue {
    /// Creates a queue without a writing thread.
    pub(super) fn without_thread(format: LogFormat) -> Arc<Self> {
        Arc::new(Self::new(format))
    }

    /// Removes and returns the lines, without their line breaks.
    pub(super) fn take_lines(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.state()).lines;
        lines.into_iter().map(|line| String::from_utf8(line).unwrap().trim_end_matches('\n').to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LINE: &str = "a line of the log, which has its line break\n";

    /// A stderr that takes a line when the test does, like a full pipe.
    struct Pipe(mpsc::SyncSender<String>);

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let sent = self.0.send(String::from_utf8(line.to_vec()).unwrap());
            sent.map(|()| line.len()).map_err(|_| ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> (Arc<LineQueue>, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::sync_channel(0);
        (LineQueue::start(Pipe(sender), LogFormat::Human, Repeats::default()).unwrap(), receiver)
    }

    /// Returns the number of dropped lines that `line` reports.
    fn dropped(line: &str) -> Option<usize> {
        line.trim_end().split_once(" WARN log lines dropped lines=").map(|(_, lines)| lines.parse().unwrap())
    }

    // Issue 12.8: a stopped reader of stderr freezes nothing, and the queue counts the lines that it drops.
    #[test]
    fn a_reader_that_has_stopped_costs_lines_which_one_line_counts() {
        let (queue, reader) = queue();
        let (fit, pushed) = (MAX_BYTES / (LINE.len() + LINE_BYTES), 200_000);
        for _ in 0..pushed {
            queue.push(LINE);
        }
        assert!(queue.state().bytes <= MAX_BYTES);
        let mut read = 0;
        let dropped = loop {
            let line = reader.recv().unwrap();
            if let Some(dropped) = dropped(&line) {
                break dropped;
            }
            assert_eq!(line, LINE);
            read += 1;
        };
        assert_eq!(read + dropped, pushed, "each line is there or counted");
        assert!((fit..fit + 2).contains(&read), "the count stands where the gap is: {read} of {fit}");
        queue.push(LINE);
        assert_eq!(reader.recv().unwrap(), LINE, "lines are written again");
    }

    // Issue 12.8: shutdown doesn't hang on a stopped reader.
    #[test]
    fn a_flush_ends_without_a_reader_and_waits_for_one_that_reads() {
        let (queue, reader) = queue();
        queue.push(LINE);
        queue.push(LINE);
        queue.flush(Duration::ZERO);
        let reading = thread::spawn(move || reader.iter().take(2).count());
        queue.flush(Duration::MAX);
        assert!(queue.state().is_done());
        assert_eq!(reading.join().unwrap(), 2);
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_when_lines_can_be_again() {
        struct FullDisk(u32, mpsc::Sender<String>);
        impl Write for FullDisk {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                let Some(left) = self.0.checked_sub(1) else {
                    self.1.send(String::from_utf8(line.to_vec()).unwrap()).unwrap();
                    return Ok(line.len());
                };
                self.0 = left;
                Err(ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (sender, reader) = mpsc::channel();
        let queue = LineQueue::start(FullDisk(3, sender), LogFormat::Human, Repeats::default()).unwrap();
        for _ in 0..3 {
            queue.push("lost\n");
            queue.flush(Duration::MAX);
        }
        queue.push(LINE);
        assert_eq!(reader.recv().unwrap(), LINE);
        assert_eq!(dropped(&reader.recv().unwrap()), Some(3));
    }
}
