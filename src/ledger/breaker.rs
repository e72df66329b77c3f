//! The circuit breaker in front of the database. Every question has a timeout. After a failure the database is not
//! asked for a moment, so an outage costs one wait now and then, not one for each request.
//!
//! The log reports an outage when it begins and when it ends, whatever the number of questions between.

use super::Error;
use crate::journal::JournalDown;
use parking_lot::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tracing::{info, warn};

/// The timeout of a question. A healthy database answers in a thousandth of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// After a failure no question is sent for this long. Then one question probes the database.
const REST: Duration = Duration::from_secs(5);
/// The most questions that may wait at once. Sessions ask far fewer at once: see [`crate::journal`].
const MAX_WAITING: usize = 1024;

/// A breaker for one kind of questions to a database.
#[derive(Debug)]
pub(super) struct Breaker {
    /// The kind, for the log.
    kind: &'static str,
    /// The database, for the log.
    ledger: String,
    waiting: Semaphore,
    outage: Mutex<Option<OpenBreaker>>,
}

#[derive(Debug)]
struct OpenBreaker {
    rests_until: Instant,
    unanswered: u64,
}

impl Breaker {
    pub(super) fn new(kind: &'static str, ledger: String) -> Self {
        Self { kind, ledger, waiting: Semaphore::new(MAX_WAITING), outage: Mutex::new(None) }
    }

    /// Sends the question, unless the breaker is open.
    pub(super) async fn ask<T>(&self, question: impl Future<Output = Result<T, Error>>) -> Result<T, JournalDown> {
        if self.rests() {
            return Err(JournalDown);
        }
        // A crowd is no fault of the database: the questions that wait may well be answered.
        let Ok(_place) = self.waiting.try_acquire() else { return Err(JournalDown) };
        match timeout(PATIENCE, question).await.unwrap_or(Err(Error::Slow(PATIENCE))) {
            Ok(answer) => {
                self.answered();
                Ok(answer)
            }
            Err(error) => {
                // The database answers, and the next question may do what this one couldn't.
                if error.is_deadlock() {
                    self.answered();
                    let error = error.detail();
                    warn!(ledger = self.ledger, kind = self.kind, error, "the ledger undid one statement");
                } else {
                    self.failed(&error);
                }
                Err(JournalDown)
            }
        }
    }

    /// True if no question may be sent now. When the rest is over, the first caller probes the database, and the others
    /// continue to rest.
    fn rests(&self) -> bool {
        let mut outage = self.outage();
        let Some(outage) = &mut *outage else { return false };
        let rests = Instant::now() < outage.rests_until;
        if rests {
            outage.unanswered += 1;
        } else {
            outage.rests_until = Instant::now() + REST;
        }
        rests
    }

    fn answered(&self) {
        if let Some(OpenBreaker { unanswered, .. }) = self.outage().take() {
            info!(ledger = self.ledger, kind = self.kind, unanswered, "the ledger answers again");
        }
    }

    fn failed(&self, error: &Error) {
        let mut outage = self.outage();
        let first = outage.is_none();
        let unanswered = outage.as_ref().map_or(0, |outage| outage.unanswered) + 1;
        *outage = Some(OpenBreaker { rests_until: Instant::now() + REST, unanswered });
        drop(outage);
        if first {
            let error = error.detail();
            warn!(
                ledger = self.ledger,
                kind = self.kind,
                error,
                "the ledger doesn't answer: sessions continue without it"
            );
        }
    }

    fn outage(&self) -> MutexGuard<'_, Option<OpenBreaker>> {
        self.outage.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::{pending, ready},
        sync::Arc,
    };

    fn unanswered(breaker: &Breaker) -> Option<u64> {
        breaker.outage().as_ref().map(|outage| outage.unanswered)
    }

    // S98: While the journal is down, locked or slow, a question ends after two seconds and none is asked for five.
    #[tokio::test(start_paused = true)]
    async fn a_database_that_failed_is_left_alone_and_tried_again_by_one() {
        let breaker = Breaker::new("reads", String::new());
        assert_eq!(breaker.ask(ready(Err::<(), _>(Error::Slow(PATIENCE)))).await, Err(JournalDown));
        for _ in 0..100 {
            assert_eq!(breaker.ask(ready(Ok(()))).await, Err(JournalDown), "it rests");
        }
        assert_eq!(unanswered(&breaker), Some(101));
        tokio::time::advance(REST).await;
        let (failed, rested) =
            tokio::join!(breaker.ask(ready(Err::<(), _>(Error::Slow(PATIENCE)))), breaker.ask(ready(Ok(()))));
        assert_eq!((failed, rested), (Err(JournalDown), Err(JournalDown)));
        tokio::time::advance(REST).await;
        assert_eq!(breaker.ask(ready(Ok(7))).await, Ok(7));
        assert_eq!(unanswered(&breaker), None);
        assert_eq!(breaker.ask(ready(Ok(8))).await, Ok(8));
    }

    // S98: While the journal is down, locked or slow, a question ends after two seconds and none is asked for five.
    #[tokio::test(start_paused = true)]
    async fn a_question_has_an_end() {
        let breaker = Breaker::new("reads", String::new());
        let asked = Instant::now();
        assert_eq!(breaker.ask(pending::<Result<(), _>>()).await, Err(JournalDown));
        assert_eq!(asked.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_may_wait_and_no_more() {
        let breaker = Arc::new(Breaker::new("reads", String::new()));
        for _ in 0..MAX_WAITING {
            let breaker = Arc::clone(&breaker);
            tokio::spawn(async move { breaker.ask(pending::<Result<(), _>>()).await });
        }
        while breaker.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(breaker.ask(ready(Ok(()))).await, Err(JournalDown));
        assert_eq!(unanswered(&breaker), None, "a crowd is no outage");
    }
}
