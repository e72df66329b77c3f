//! `wharfinger status`: the state of the running server.

use super::{
    config_file::ConfigFile,
    table::{escaped, json},
    units,
};
use crate::{
    control::{ServerStatus, client},
    events::visible,
};
use std::process::ExitCode;

/// Show the state of the running server
///
/// Its version, node and uptime, sessions and transfers, the memory of transfers, the spool of the ledger, tenants with open roles, the age of its
/// config and the problems of the last reload. Run it as root or as the server's user.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    /// # Errors
    /// The server doesn't run, or doesn't answer.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let status = client::status(self.config.path())?;
        if self.json {
            println!("{}", json(&status)?);
        } else {
            print(&status);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(status: &ServerStatus) {
    println!("version    {} on node {}, PID {}", visible(&status.server_version), visible(&status.node), status.pid);
    println!("uptime     {}, since {}", units::duration(status.uptime_s), units::time(status.started_at));
    if let Some(until) = status.stopping_until {
        println!("stopping   open transfers may finish until {}", units::time(until));
    }
    println!("sessions   {} with {} open transfers", status.sessions, status.transfers);
    let (used, max) = (units::bytes(status.buffer_bytes), units::bytes(status.max_buffer_bytes));
    let waited_for = if status.is_memory_waited_for { "; transfers wait for more" } else { "" };
    println!("memory     {used} of {max} for transfers and password checks{waited_for}");
    if status.password_check_bytes > 0 {
        println!("           {} of password checks", units::bytes(status.password_check_bytes));
    }
    for buffers in &status.buffers {
        println!("           {} of tenant {}", units::bytes(buffers.bytes), visible(&buffers.tenant));
    }
    if status.request_bytes > 0 {
        let (used, max) = (units::bytes(status.request_bytes), units::bytes(status.max_request_bytes));
        println!("           {used} of {max} for requests and replies beside it");
    }
    if let Some(spool) = status.spool {
        let lost =
            if spool.lost_records > 0 { format!("; {} records lost", spool.lost_records) } else { String::new() };
        println!("spool      {} of {}{lost}", units::bytes(spool.bytes), units::bytes(spool.max_bytes));
    }
    if let Some(tenants) = status.open_roles.text() {
        println!("open roles {}: logins are unavailable", escaped(&tenants));
    }
    if let Some(tenants) = status.accepted_open_roles.text() {
        println!("open roles {}: accepted", escaped(&tenants));
    }
    let Some(config) = &status.config else { return };
    println!("config     loaded {} ago, at {}", units::duration(config.age_s), units::time(config.loaded_at));
    if !config.needs_restart.is_empty() {
        println!("restart    needed for {}", escaped(&config.needs_restart.join(", ")));
    }
    if let Some(files) = config.refused_files.text() {
        println!("refused    {}", files.escape_debug());
    }
    let problems = &config.reload_problems;
    if problems.count == 0 {
        return;
    }
    let noun = if problems.count == 1 { "problem" } else { "problems" };
    println!("reload     the last one was refused, with {} {noun}:", problems.count);
    for problem in &problems.problems {
        println!("           {}", escaped(problem));
    }
}
