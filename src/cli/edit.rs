//! Parts of the commands that edit tenants' files: the end of an edit, and its errors.

use super::{ask_reload::ask_reload, table::escaped};
use crate::config::edit::{EditAnswer, EditError, EditedFiles, Editor, Saved};
use anyhow::anyhow;
use std::{path::Path, process::ExitCode};

/// The number of problems that get a line each.
const MAX_DETAILS: usize = 20;

/// The server may run without the socket that its file names now: it could not make it, or the path was changed since.
const NOT_RUNNING: &str = "no running server answers on the control socket: the change holds from its next start or \
                           reload; a server that runs without this socket takes it over at SIGHUP";

/// Edits a file of the config: locks it, has `edit` change it, and saves it. Then prints the sentence that `edit`
/// returned, or that there was nothing to change, and whether a server has taken the change.
pub(super) fn edit<E: Into<EditedFiles>>(
    config: &Path,
    edit: impl FnOnce(&Editor) -> Result<(E, String), EditError>,
) -> anyhow::Result<ExitCode> {
    edit_and_reload(config, edit, &ask_reload).map_err(|error| told(&error)).map(|lines| {
        for line in lines {
            println!("{}", escaped(&line));
        }
        ExitCode::SUCCESS
    })
}

/// Edits a file of the config, as [`edit`] does, and returns the lines to print.
pub(super) fn edit_and_reload<E: Into<EditedFiles>>(
    config: &Path,
    edit: impl FnOnce(&Editor) -> Result<(E, String), EditError>,
    ask_reload: &dyn Fn(&Path, &Path) -> EditAnswer,
) -> Result<[String; 2], EditError> {
    let editor = Editor::lock(config)?;
    let (edit, sentence) = edit(&editor)?;
    let (first, second) = match editor.save(&edit.into(), ask_reload)? {
        Saved::Unchanged => (format!("{sentence} already"), "nothing was changed"),
        Saved::NotRunning => (sentence, NOT_RUNNING),
        Saved::Accepted => (sentence, "the server has taken the change"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_answer_of_the_server_ends_the_edit() {
        let directory = tempfile::tempdir().unwrap();
        let (config, tenant) = (directory.path().join("wharfinger.toml"), directory.path().join("tenants/acme.toml"));
        fs::create_dir(directory.path().join("tenants")).unwrap();
        fs::write(&config, "").unwrap();
        let text = "name = 'acme'\n[storage]\nbucket = 'files'\nprefix = ''\nregion = 'eu-central-1'\n\
                    credentials.default_chain = true\n";
        fs::write(&tenant, text).unwrap();
        let disable = |answer: EditAnswer| {
            let edit = |editor: &Editor| {
                let mut edit = editor.edit_tenant(&"acme".parse().unwrap())?;
                edit.set_enabled(false);
                Ok((edit, "acme is disabled".to_owned()))
            };
            edit_and_reload(&config, edit, &|_, _| answer.clone())
        };
        let refused = disable(EditAnswer::Refused(vec!["too\u{1b}late".into()])).unwrap_err();
        assert_eq!(fs::read_to_string(&tenant).unwrap(), text);
        let sentence = told(&refused).to_string();
        assert_eq!(sentence, "the server didn't take the change, so that the former version is back");
        let accepted = disable(EditAnswer::Accepted).unwrap();
        assert_eq!(accepted, ["acme is disabled", "the server has taken the change"]);
        let unchanged = disable(EditAnswer::Accepted).unwrap();
        assert_eq!(unchanged, ["acme is disabled already", "nothing was changed"]);
    }
}
