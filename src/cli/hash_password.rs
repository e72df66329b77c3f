//! `wharfinger hash-password`: reads a password and prints its argon2id hash.

use crate::identity::{self, MAX_PASSWORD_BYTES};
use anyhow::{Context as _, Result, ensure};
use std::{
    io::{self, IsTerminal as _, Read},
    process::ExitCode,
};
use zeroize::Zeroizing;

/// Hash a password for `password_hash` in a tenant's file
///
/// Asks for the password twice on a terminal, without showing it. Otherwise reads it from stdin, where one line break
/// at its end doesn't count. Prints an argon2id hash in the PHC format, with a new salt each time.
#[derive(Debug, clap::Args)]
pub(super) struct HashPassword {}

pub(super) fn run() -> Result<ExitCode> {
    println!("{}", hash_of_input()?);
    Ok(ExitCode::SUCCESS)
}

/// Asks for a password on a terminal, or reads it from stdin, and returns its hash.
pub(super) fn hash_of_input() -> Result<String> {
    let password = if io::stdin().is_terminal() { ask()? } else { read(io::stdin().lock())? };
    Ok(identity::hash_password(&password)?)
}

fn ask() -> Result<Zeroizing<String>> {
    let prompt = |text| rpassword::prompt_password(text).map(Zeroizing::new).context("the terminal can't be read");
    let password = prompt("Password: ")?;
    ensure!(password == prompt("The same again: ")?, "the two passwords differ");
    Ok(password)
}

/// Reads a password to the end of `input`, up to slightly more than the maximum length of a password.
fn read(input: impl Read) -> Result<Zeroizing<String>> {
    const LINE_BREAK: &str = "\r\n";
    let mut text = Zeroizing::new(String::new());
    input
        .take((MAX_PASSWORD_BYTES + LINE_BREAK.len() + 1) as u64)
        .read_to_string(&mut text)
        .context("the password can't be read from stdin as UTF-8")?;
    let password = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    ensure!(!password.contains(['\n', '\r']), "the password has more than one line");
    Ok(Zeroizing::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_not_of_the_password() {
        for (input, password) in [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), (" x ", " x "), ("\n", ""), ("ä\n", "ä")]
        {
            assert_eq!(*read(input.as_bytes()).unwrap(), password, "{input:?}");
        }
    }

    #[test]
    fn what_no_client_could_send_is_refused() {
        assert_eq!(read("x\n\n".as_bytes()).unwrap_err().to_string(), "the password has more than one line");
        assert!(read(&b"\xff"[..]).is_err());
    }

    #[test]
    fn an_endless_input_is_not_read_to_its_end() {
        let password = read(io::repeat(b'x')).unwrap();
        assert!(password.len() > MAX_PASSWORD_BYTES && password.len() < 2 * MAX_PASSWORD_BYTES);
    }
}
