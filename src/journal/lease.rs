//! Leases: the exclusive right to a task or a name, for a limited time. A lease is a row with a deadline, so that it
//! ends if its node dies.

use crate::store::Error;
use std::time::Duration;

/// The exclusive right to a task or a name, for a limited time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// A random id, another one for each holder.
    pub holder: String,
    /// The duration of the lease, from now on.
    pub term: Duration,
}

impl Lease {
    /// Renewed every 20 seconds, so that one slow answer of the database doesn't end a lease.
    const TERM: Duration = Duration::from_mins(1);

    /// A lease for a new holder.
    ///
    /// # Errors
    /// [`Error::Broken`] if the system has no random bytes.
    pub fn new() -> Result<Self, Error> {
        let mut holder = [0; 16];
        getrandom::fill(&mut holder).map_err(|error| Error::Broken(format!("no random name: {error}")))?;
        Ok(Self { holder: hex::encode(holder), term: Self::TERM })
    }
}
