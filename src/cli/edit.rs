//! Parts of the commands that edit tenants' files: the end of an edit, and its errors.

use super::{ask_reload::ask_reload, table::escaped};
use crate::config::edit::{EditError, Editor, ReloadAnswer, Saved, TenantEdit};
use anyhow::anyhow;
use std::{path::Path, process::ExitCode};

/// The number of problems that get a line each.
const MAX_DETAILS: usize = 20;

/// Edits a file of the config: locks it, has `edit` begin and change it, and saves it. Then prints the sentence that `edit`
/// returned, or that nothing was to change, and whether a server has taken the change.
pub(super) fn edit(
    config: &Path,
    edit: impl FnOnce(&Editor) -> Result<(TenantEdit, String), EditError>,
) -> anyhow::Result<ExitCode> {
    edit_and_reload(config, edit, &ask_reload).map_err(|error| told(&error)).map(|lines| {
        lines.iter().for_each(|line| println!("{}", escaped(line)));
        ExitCode::SUCCESS
    })
}

fn edit_and_reload(
    config: &Path,
    edit: impl FnOnce(&Editor) -> Result<(TenantEdit, String), EditError>,
    ask_reload: &dyn Fn(&Path) -> ReloadAnswer,
) -> Result<[String; 2], EditError> {
    let editor = Editor::lock(config)?;
    let (edit, sentence) = edit(&editor)?;
    let (first, second) = match editor.save(&edit, ask_reload)? {
        Saved::Unchanged => (format!("{sentence} already"), "nothing was changed"),
        Saved::NotRunning => (sentence, "no running server answers: the change holds from its next start or reload"),
        Saved::Taken => (sentence, "the server has taken the change"),
    };
    Ok([first, second.to_owned()])
}

/// Prints the problems behind an error, and returns its sentence.
pub(super) fn told(error: &EditError) -> anyhow::Error {
    let details = error.details();
    for detail in details.iter().take(MAX_DETAILS) {
        eprintln!("{}", escaped(detail));
    }
    if details.len() > MAX_DETAILS {
        eprintln!("and {} more: `wharfinger check` prints all", details.len().saturating_sub(MAX_DETAILS));
    }
    anyhow!(escaped(&error.to_string()))
}
