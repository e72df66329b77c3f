//! The end of a session that lost its rights: its open transfers may finish for a time.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// The time for the replies to a client's last requests, after its last transfer has ended.
const LAST_REPLIES: Duration = Duration::from_secs(1);

/// The rights of a session, until a reload of the config takes them.
#[derive(Debug, Default)]
pub(super) struct Rights {
    lost: CancellationToken,
    deadline: Mutex<Option<Instant>>,
    /// Notified when a transfer has ended.
    pub(super) transfer_ended: Notify,
}

impl Rights {
    /// Takes the rights. Open transfers may finish for `grace` from the first call on.
    pub(super) fn lose(&self, grace: Duration) {
        self.deadline.lock().get_or_insert_with(|| Instant::now() + grace);
        self.lost.cancel();
    }

    /// Waits until the rights are lost and no transfer is open any more, or the time for it is over. Waits forever
    /// while the session has its rights.
    pub(super) async fn over(&self, has_no_transfers: impl Fn() -> bool) {
        self.lost.cancelled().await;
        let deadline = *self.deadline.lock();
        let transfers_ended = async {
            loop {
                let mut ended = std::pin::pin!(self.transfer_ended.notified());
                // A transfer that ends after the look must not be missed.
                ended.as_mut().enable();
                if has_no_transfers() {
                    break;
                }
                ended.await;
            }
            sleep(LAST_REPLIES).await;
        };
        match deadline {
            Some(deadline) => _ = timeout_at(deadline, transfers_ended).await,
            None => transfers_ended.await,
        }
    }
}
