//! `wharfinger tenant verify`: proves what a tenant's sessions may do in its account.

use crate::{
    account::VendorRole,
    cli::{
        edit::told,
        table::{escaped, json},
    },
    cloud::AccountChecks,
    config::overview::{self, AllSetups},
    name::TenantName,
    onboarding::{StepOutcome, StepReport, VerifyProgress, VerifyReport, VerifyRequest, permissions_of, verify},
    tenants::TenantSetup,
};
use anyhow::{Result, ensure};
use clap::Args;
use futures_util::{StreamExt as _, future::select_all, stream};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The tenants that are verified at the same time.
const MAX_VERIFICATIONS: usize = 8;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    tenant: Option<TenantName>,
    /// Verify all tenants, eight at a time
    #[arg(long)]
    all: bool,
    /// Write nothing, and read at most a byte of an object that exists
    #[arg(long)]
    read_only: bool,
    /// A bucket of the same store that the tenant must not reach [default: that of another tenant]
    #[arg(long, value_name = "NAME")]
    other_bucket: Option<String>,
    /// Print JSON: an object, or with `--all` an array of objects
    #[arg(long)]
    json: bool,
}

impl VerifyArgs {
    /// # Errors
    /// The config can't be read, or has no such tenant.
    pub(super) fn run(&self, config: &Path) -> Result<ExitCode> {
        let all = overview::setups(config).map_err(|error| told(&error))?;
        let tenants: Vec<&TenantSetup> = match &self.tenant {
            None => all.tenants.iter().collect(),
            Some(name) => {
                // The error for an unknown tenant, and for a file with a problem, is that of the other commands.
                overview::setup(config, name).map_err(|error| told(&error))?;
                all.tenants.iter().filter(|setup| setup.tenant.name == *name).collect()
            }
        };
        let broken: &[String] = if self.all { &all.broken } else { &[] };
        ensure!(!tenants.is_empty() || !broken.is_empty(), "the config has no tenant");
        let runtime = tokio::runtime::Runtime::new()?;
        let reports = runtime.block_on(self.verify(&tenants, &all))?;
        let text = match &reports[..] {
            [report] if self.json && !self.all => json(report)? + "\n",
            reports if self.json => json(&reports)? + "\n",
            reports if self.all => reports.iter().map(summary).collect(),
            reports => reports.iter().map(end).collect(),
        };
        io::stdout().write_all(text.as_bytes())?;
        for file in broken {
            eprintln!("{}", escaped(&format!("{file}: its file has a problem: `wharfinger check` prints it")));
        }
        let proved = broken.is_empty() && reports.iter().all(|report| report.proved);
        Ok(if proved { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Verifies the tenants. The reports are in their order.
    async fn verify(&self, tenants: &[&TenantSetup], all: &AllSetups) -> Result<Vec<VerifyReport>> {
        let (checks, stop) = (AccountChecks::new(), CancellationToken::new());
        let interrupted = stop.clone();
        let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        tokio::spawn(async move {
            let received: Vec<_> = signals.iter_mut().flatten().map(|signal| Box::pin(signal.recv())).collect();
            if !received.is_empty() {
                select_all(received).await;
                interrupted.cancel();
            }
        });
        let verifications = tenants.iter().map(|setup| {
            let (checks, stop) = (&checks, &stop);
            async move {
                let vendor_role = setup.storage.credentials.role.as_ref().and_then(|role| role.via.as_ref());
                let request = VerifyRequest {
                    setup,
                    server_principal: vendor_role.map(VendorRole::principal).or(all.server_principal.as_ref()),
                    permissions: permissions_of(setup),
                    read_only: self.read_only,
                    other_bucket: self.other_bucket.clone().or_else(|| other_bucket(setup, &all.tenants)),
                };
                let display = Display { is_shown: !self.all && !self.json, is_terminal: io::stderr().is_terminal() };
                verify(checks, &request, stop, &mut |progress: VerifyProgress<'_>| {
                    // A closed pipe, such as that of `head`.
                    if display.show(&progress).is_err() {
                        stop.cancel();
                    }
                })
                .await
            }
        });
        let reports: Vec<_> = stream::iter(verifications).buffered(MAX_VERIFICATIONS).collect().await;
        Ok(reports.into_iter().collect::<Result<_, _>>()?)
    }
}

/// Returns the bucket of another tenant in the same store.
fn other_bucket(setup: &TenantSetup, all: &[TenantSetup]) -> Option<String> {
    let own = &setup.storage;
    let is_other = |other: &&TenantSetup| {
        let other = &other.storage;
        other.endpoint == own.endpoint && other.region == own.region && other.bucket != own.bucket
    };
    all.iter().find(is_other).map(|other| other.storage.bucket.clone())
}

/// Shows the steps while they run.
struct Display {
    is_shown: bool,
    is_terminal: bool,
}

impl Display {
    fn show(&self, progress: &VerifyProgress<'_>) -> io::Result<()> {
        if !self.is_shown {
            return Ok(());
        }
        match progress {
            // The line of the outcome follows in its place.
            VerifyProgress::Begins(step) if self.is_terminal => {
                let mut terminal = io::stderr().lock();
                write!(terminal, "        {} …\r", step.title())?;
                terminal.flush()
            }
            VerifyProgress::Begins(_) => Ok(()),
            VerifyProgress::Ended(step) => {
                if self.is_terminal {
                    write!(io::stderr(), "\u{1b}[2K")?;
                }
                let mut output = io::stdout().lock();
                write!(output, "{}", lines(step))?;
                output.flush()
            }
        }
    }
}

/// Returns the lines for a step.
fn lines(step: &StepReport) -> String {
    let seconds = step.duration.as_secs_f64();
    let line = |word: &str, detail: &str| {
        let detail = if detail.is_empty() { String::new() } else { format!(": {}", escaped(detail)) };
        format!("{word:<8}{}{detail}  ({seconds:.2} s)\n", step.title)
    };
    match &step.outcome {
        StepOutcome::Proved { detail } => line("ok", detail.as_deref().unwrap_or_default()),
        StepOutcome::Accepted { reason } => line("open", reason),
        StepOutcome::NotTried { reason } => line("-", reason),
        StepOutcome::Failed { cause, cure } => {
            format!("{}        cause: {}\n        cure: {}\n", line("FAILED", ""), escaped(cause), escaped(cure))
        }
    }
}

/// Returns the lines below the steps.
fn end(report: &VerifyReport) -> String {
    let stays = report.left.iter().map(|left| format!("stays: {}", escaped(left)));
    let failed = report.steps.iter().filter(|step| matches!(step.outcome, StepOutcome::Failed { .. })).count();
    let result = match failed {
        _ if report.stopped => "stopped".to_owned(),
        0 => "proved".to_owned(),
        failed => format!("{failed} of {} steps failed", report.steps.len()),
    };
    let lines: Vec<String> = stays.chain([format!("{}: {result}", report.tenant)]).collect();
    lines.join("\n") + "\n"
}

/// Returns the line for a tenant among many, and the lines of the steps that failed.
fn summary(report: &VerifyReport) -> String {
    let failed = report.steps.iter().filter(|step| matches!(step.outcome, StepOutcome::Failed { .. }));
    format!("{}{}", end(report), failed.map(lines).collect::<String>())
}
