//! SFTP version 3: the [codec](wire), and one [channel] that speaks it over a session's tree. No russh here.

pub mod channel;
pub mod wire;
