//! The program at the other end of a connection, as the log shows it: learned step by step, each step once.

use super::algorithms::needs_mac;
use crate::events::Client;
use russh::Names;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// A client's program, as far as it is known.
#[derive(Debug, Default)]
pub struct Program {
    version: OnceLock<Arc<str>>,
    algorithms: OnceLock<Arc<str>>,
    asked_to_log_in: AtomicBool,
}

impl Program {
    /// The client has sent its identification.
    pub fn greeted(&self, version: Arc<str>) {
        self.version.get_or_init(|| version);
    }

    /// Keys were exchanged. A later exchange is not noted: the algorithms of the first are those of the login.
    pub fn keys_exchanged(&self, names: &Names) {
        self.algorithms.get_or_init(|| {
            let mac = Some(names.client_mac.as_ref()).filter(|_| needs_mac(&names.cipher));
            let words = [names.kex.as_ref(), names.key.as_str(), names.cipher.as_ref()].into_iter().chain(mac);
            words.collect::<Vec<_>>().join(" ").into()
        });
    }

    /// The client has asked to log in, whatever came of it.
    pub fn asked_to_log_in(&self) {
        self.asked_to_log_in.store(true, Ordering::Relaxed);
    }

    /// True if the client has sent its identification and has not asked to log in.
    pub fn has_only_greeted(&self) -> bool {
        self.version.get().is_some() && !self.asked_to_log_in.load(Ordering::Relaxed)
    }

    /// The same for an event.
    pub fn client(&self) -> Client {
        Client { version: self.version.get().cloned(), algorithms: self.algorithms.get().cloned() }
    }
}
