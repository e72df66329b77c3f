//! SFTP version 3: the [codec](wire), and a [channel] that speaks it over a session's tree. It doesn't use russh.

pub mod channel;
pub mod wire;
