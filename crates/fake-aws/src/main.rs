//! The services as a program, for tests in any language.
//!
//! ```text
//! fake-aws SETTINGS.json
//! ```
//!
//! It prints one line of JSON with the address of the services and that of the levers, and serves until it is killed.

use fake_aws::{AwsSettings, FakeAws, LeverServer, SettingsError, StartError};
use std::{env, error::Error, ffi::OsString, fs, io, process::ExitCode};

/// Reason why the program ends.
#[derive(Debug, thiserror::Error)]
enum ProgramError {
    #[error("usage: fake-aws SETTINGS.json")]
    Usage,
    #[error("can't read {}", .0.display())]
    Unreadable(OsString, #[source] io::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the levers can't listen")]
    Levers(#[source] io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await;
    let mut sentence = error.to_string();
    let mut reason = error.source();
    while let Some(error) = reason {
        sentence = format!("{sentence}: {error}");
        reason = error.source();
    }
    eprintln!("fake-aws: {sentence}");
    ExitCode::FAILURE
}

async fn run() -> Result<std::convert::Infallible, ProgramError> {
    let mut arguments = env::args_os().skip(1);
    let (Some(file), None) = (arguments.next(), arguments.next()) else { return Err(ProgramError::Usage) };
    let text = fs::read_to_string(&file).map_err(|error| ProgramError::Unreadable(file, error))?;
    let aws = FakeAws::start(AwsSettings::from_json(&text)?).await?;
    let levers = LeverServer::start(aws.levers()).await.map_err(ProgramError::Levers)?;
    println!(r#"{{"endpoint": "http://{}", "levers": "http://{}"}}"#, aws.address, levers.address);
    std::future::pending().await
}
