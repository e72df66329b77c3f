//! Takes the lines of the spool to SQL, in batches, again until SQL has them. Takes over the spools of processes that
//! have ended.

use super::{
    InterruptedProcess,
    insert::RowInserter,
    process_directory::ProcessDirectory,
    reader::{RowBatch, SpoolPosition, SpoolReader, open_at_the_end},
    spool::Spool,
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Lines gather for this long before they go to SQL together.
const GATHERING: Duration = Duration::from_millis(100);
/// The time until lines that SQL didn't take are tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The time for the last lines.
const END_LIMIT: Duration = Duration::from_secs(10);
/// The interval at which the files are synced.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The log repeats this often that records are being lost.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// The interval between two looks for processes that have ended. Another server may drain beside this one, or be killed.
const TAKE_OVER_INTERVAL: Duration = Duration::from_mins(1);

/// The task that takes the lines of this process, and of those that have ended, to SQL.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    spool: Arc<Spool>,
    rows: RowInserter,
    own: SpoolReader,
    /// The readers of processes that have ended.
    ended: Vec<SpoolReader>,
    /// Gets the transfers of processes that have ended.
    interrupted: mpsc::UnboundedSender<InterruptedProcess>,
    took_over_at: Option<Instant>,
}

/// The result of a batch, or of a pass over all readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// SQL has all lines.
    Idle,
    /// SQL took the lines up to this position, and there may be more.
    Progress(SpoolPosition),
    /// SQL, or the spool's disk, doesn't answer.
    Failed,
}

impl RecordWriter {
    pub(super) fn new(
        spool: Arc<Spool>,
        rows: RowInserter,
        interrupted: mpsc::UnboundedSender<InterruptedProcess>,
    ) -> Self {
        let own = SpoolReader::new(Arc::clone(spool.directory()));
        Self { spool, rows, own, ended: Vec::new(), interrupted, took_over_at: None }
    }

    /// Runs until `end` is cancelled, after the last record. Then it takes all lines to SQL, if SQL answers within ten
    /// seconds.
    pub(crate) async fn run_until(mut self, end: CancellationToken) {
        end.run_until_cancelled(Box::pin(self.run())).await;
        self.finish().await;
    }

    async fn run(&mut self) {
        let spool = Arc::clone(&self.spool);
        let taking = async {
            loop {
                self.take_over_ended().await;
                match self.pass().await {
                    Pass::Progress(_) => {}
                    Pass::Failed => sleep(RETRY).await,
                    Pass::Idle => {
                        self.replace_segment().await;
                        // A line may have come since the pass: then this returns at once.
                        let _ = timeout(SYNC_INTERVAL, spool.appended.notified()).await;
                        sleep(GATHERING).await;
                    }
                }
            }
        };
        tokio::select! {
            () = taking => {}
            () = keep_synced(&spool) => {}
        }
    }

    /// Takes all lines to SQL. Removes the spool of this process if nothing is left in it.
    async fn finish(mut self) {
        let taking = async {
            while !self.take_all().await {
                sleep(RETRY).await;
            }
        };
        let _ = timeout(END_LIMIT, taking).await;
        let (spool, position) = (Arc::clone(&self.spool), self.own.position);
        if let Err(error) = blocking(move || spool.close(position)).await {
            warn!(%error, "the spool of the ledger could not be ended: the next start takes its records over");
        }
        let lost = self.spool.status().lost;
        if lost > 0 {
            error!(since_start = lost, "records lost: the ledger's spool was full, or its disk took nothing");
        }
    }

    /// Takes all lines to SQL. Returns false if SQL, or the spool's disk, doesn't answer.
    pub(super) async fn take_all(&mut self) -> bool {
        loop {
            match self.pass().await {
                Pass::Idle => return true,
                Pass::Progress(_) => {}
                Pass::Failed => return false,
            }
        }
    }

    /// Takes over the spools of processes that have ended, each minute.
    pub(crate) async fn take_over_ended(&mut self) {
        if self.took_over_at.is_some_and(|at| at.elapsed() < TAKE_OVER_INTERVAL) {
            return;
        }
        self.took_over_at = Some(Instant::now());
        let spool = Arc::clone(&self.spool);
        let processes = match blocking(move || take_over(&spool)).await {
            Ok(processes) => processes,
            Err(error) => {
                warn!(%error, "the spools of ended processes can't be taken over");
                return;
            }
        };
        for process in processes {
            self.ended.push(SpoolReader::new(Arc::clone(process.directory())));
            // The receiver lives as long as the server.
            let _ = self.interrupted.send(process);
        }
    }

    /// Begins another segment, if SQL has all lines, so that the old one can be deleted.
    async fn replace_segment(&self) {
        let (spool, position) = (Arc::clone(&self.spool), self.own.position);
        if let Err(error) = blocking(move || spool.replace_segment(position)).await {
            warn!(%error, "the ledger's spool can't begin a file");
        }
    }

    /// Takes one batch of each process to SQL. It failed only if no process made progress. Cancel-safe: the next pass takes
    /// an interrupted batch again.
    async fn pass(&mut self) -> Pass {
        let spool = Arc::clone(&self.spool);
        let written = blocking(move || Ok(spool.end())).await.unwrap_or_default();
        let own = self.take_batch(&self.own, Some(written)).await;
        if let Pass::Progress(end) = own {
            self.own.position = end;
        }
        let mut passes = vec![own];
        for reader in self.ended.clone() {
            let pass = self.take_batch(&reader, None).await;
            passes.push(match pass {
                Pass::Idle if self.end_process(&reader).await => {
                    self.ended.retain(|other| !other.is_of(&reader.directory));
                    Pass::Idle
                }
                Pass::Idle => Pass::Failed,
                pass => pass,
            });
            if let Pass::Progress(end) = pass
                && let Some(same) = self.ended.iter_mut().find(|other| other.is_of(&reader.directory))
            {
                same.position = end;
            }
        }
        let progress = passes.iter().find(|pass| matches!(pass, Pass::Progress(_)));
        let failure = passes.iter().find(|pass| **pass == Pass::Failed);
        progress.or(failure).copied().unwrap_or(Pass::Idle)
    }

    /// Takes a batch of a process to SQL.
    async fn take_batch(&self, reader: &SpoolReader, written: Option<SpoolPosition>) -> Pass {
        let reading = reader.clone();
        let RowBatch { rows, end, unreadable } = match blocking(move || reading.next(written)).await {
            Ok(batch) => batch,
            Err(error) => {
                warn!(%error, "the spool of the ledger can't be read");
                return Pass::Failed;
            }
        };
        if end == reader.position {
            return Pass::Idle;
        }
        let Ok(refused) = self.rows.insert(&rows).await else { return Pass::Failed };
        let (spool, reading) = (Arc::clone(&self.spool), reader.clone());
        if let Err(error) = blocking(move || reading.delete_before(end, &spool)).await {
            warn!(%error, "a file of the ledger's spool can't be deleted");
            return Pass::Failed;
        }
        for row in &refused {
            let (table, error) = (row.table.name(), &row.error);
            error!(table, id = row.id, error, "the ledger refuses a record: it is lost");
        }
        if unreadable > 0 {
            warn!(lines = unreadable, "lines of the ledger's spool can't be read: their records are lost");
        }
        self.spool.note_lost(unreadable + refused.len() as u64);
        Pass::Progress(end)
    }

    /// Ends the reading of a process that has ended, because SQL has all its rows.
    async fn end_process(&self, reader: &SpoolReader) -> bool {
        let (spool, directory) = (Arc::clone(&self.spool), Arc::clone(&reader.directory));
        let ending = blocking(move || {
            spool.sync_sql()?;
            spool.note_deleted(directory.bytes()?);
            directory.note_consumed();
            Ok(())
        });
        let ended = ending.await;
        if let Err(error) = &ended {
            warn!(%error, "the rows of the ledger's spool can't be synced: its files stay");
        }
        ended.is_ok()
    }
}

/// Takes over the spools of processes that have ended, with the transfers that their end interrupted. Leaves out those
/// that can't be read: their files stay for an operator.
fn take_over(spool: &Spool) -> io::Result<Vec<InterruptedProcess>> {
    let mut processes = Vec::new();
    for directory in spool.take_over_ended()? {
        let path = directory.path.clone();
        match read(spool, directory) {
            Ok(process) => processes.push(process),
            Err(error) => {
                error!(%error, directory = %path.display(), "the spool of an ended process can't be read: its records stay there");
            }
        }
    }
    Ok(processes)
}

fn read(spool: &Spool, directory: ProcessDirectory) -> io::Result<InterruptedProcess> {
    let (bytes, open) = (directory.bytes()?, open_at_the_end(&directory)?);
    spool.note_added(bytes);
    Ok(InterruptedProcess::new(directory, open))
}

/// Syncs the files each second, and reports losses.
async fn keep_synced(spool: &Arc<Spool>) {
    let (mut reported, mut lost) = (Instant::now(), 0);
    loop {
        sleep(SYNC_INTERVAL).await;
        let syncing = Arc::clone(spool);
        if let Err(error) = blocking(move || syncing.sync()).await {
            warn!(%error, "the ledger's spool can't be synced: a power cut may lose records");
        }
        let status = spool.status();
        if status.lost > lost && reported.elapsed() >= REPORT_INTERVAL {
            error!(
                records = status.lost - lost,
                since_start = status.lost,
                spool_bytes = status.bytes,
                "records lost: the ledger's spool is full, or its disk takes nothing"
            );
            (reported, lost) = (Instant::now(), status.lost);
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
