//! Files that edits make and remove: whole or not at all, and never at the cost of another program's file.

use super::{
    super::{
        EditAnswer, EditError, EditedFiles, Editor, Saved,
        file_change::{EditedFile, FileChange},
    },
    key_line, left_over, tenant, text,
};
use crate::config::tests::Files;
use std::{
    cell::Cell,
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

const ACME: &str = "tenants/acme.toml";
const GLOBEX: &str = "tenants/globex.toml";

fn acme() -> Files {
    Files::new("").with_acme(&tenant("acme", ""))
}

fn lock(files: &Files) -> Editor {
    Editor::lock(&files.path("wharfinger.toml")).unwrap()
}

/// Returns the edit that makes the file of the tenant `globex`.
fn addition(files: &Files, text: &str) -> EditedFiles {
    let (path, like) = (files.path(GLOBEX), files.path("wharfinger.toml"));
    EditedFiles::new(&path.clone(), vec![FileChange::New { path, text: text.to_owned(), like }])
}

/// Returns the edit that removes the file of the tenant `acme`.
fn removal(files: &Files) -> EditedFiles {
    lock(files).remove_tenant(&"acme".parse().unwrap()).unwrap()
}

/// Saves the edit. The server answers once, and calls `meanwhile` before.
fn save(
    files: &Files,
    edit: &EditedFiles,
    answer: &EditAnswer,
    meanwhile: impl Fn(),
) -> Result<(Saved, usize), EditError> {
    let asked = Cell::new(0);
    let ask = |_: &Path, _: &Path| {
        asked.set(asked.get() + 1);
        meanwhile();
        answer.clone()
    };
    lock(files).save(edit, &ask).map(|saved| (saved, asked.get()))
}

fn refused() -> EditAnswer {
    EditAnswer::Refused(vec!["too late".into()])
}

fn full_disk(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::StorageFull.into())
}

fn unasked(_: &Path, _: &Path) -> EditAnswer {
    panic!("the server was asked")
}

#[test]
fn a_new_file_is_whole_when_the_server_reads_it() {
    for (answer, saved) in [(EditAnswer::Accepted, Saved::Accepted), (EditAnswer::NotRunning, Saved::NotRunning)] {
        let (files, wanted) = (acme(), tenant("globex", ""));
        let edit = addition(&files, &wanted);
        assert_eq!(edit.tenant(), files.path(GLOBEX));
        let done = save(&files, &edit, &answer, || assert_eq!(text(&files, GLOBEX), wanted)).unwrap();
        assert_eq!((done, text(&files, GLOBEX), left_over(&files)), ((saved, 1), wanted, Vec::new()));
    }
}

#[test]
fn a_new_file_has_the_mode_of_the_servers_file_but_not_for_other_writers() {
    for (server, new) in
        [(0o600, 0o600), (0o644, 0o644), (0o664, 0o644), (0o640, 0o640), (0o400, 0o600), (0o755, 0o644)]
    {
        let files = acme();
        files.chmod("wharfinger.toml", server);
        save(&files, &addition(&files, &tenant("globex", "")), &EditAnswer::NotRunning, || ()).unwrap();
        let metadata = fs::metadata(files.path(GLOBEX)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, new, "{server:o}");
    }
}

#[test]
fn a_refused_new_file_is_gone_before_the_server_reads_the_config_again() {
    let files = acme();
    let reads = Cell::new(0);
    let note = || {
        assert_eq!(files.path(GLOBEX).exists(), reads.get() == 0);
        reads.set(reads.get() + 1);
    };
    let error = save(&files, &addition(&files, &tenant("globex", "")), &refused(), note).unwrap_err();
    assert!(error.to_string().ends_with("globex.toml, so that it is removed again"), "{error}");
    assert!(error.to_string().starts_with("the server didn't take the new file "), "{error}");
    assert_eq!((error.details(), reads.get()), (vec!["too late".to_owned()], 2));
    assert!(!files.path(GLOBEX).exists());
    assert_eq!(left_over(&files), [""; 0]);
}

/// Another operator may make the file between the check and the end of the edit.
#[test]
fn a_file_that_appeared_in_the_meantime_is_never_overwritten() {
    let link = |path: &Path| symlink("nowhere", path).unwrap();
    let file = |path: &Path| fs::write(path, "# mine").unwrap();
    for appear in [&link as &dyn Fn(&Path), &file] {
        let files = acme();
        let editor = lock(&files);
        let edit = addition(&files, &tenant("globex", ""));
        appear(&files.path(GLOBEX));
        let before = fs::symlink_metadata(files.path(GLOBEX)).unwrap().ino();
        let error = editor.save(&edit, &unasked).unwrap_err().to_string();
        assert!(
            error.ends_with("globex.toml isn't changed: another program has made a file of this name in the meantime"),
            "{error}"
        );
        assert_eq!(fs::symlink_metadata(files.path(GLOBEX)).unwrap().ino(), before);
        assert_eq!(left_over(&files), [""; 0]);
    }
}

#[test]
fn a_refused_new_file_that_another_program_changed_stays() {
    let files = acme();
    let change = || fs::write(files.path(GLOBEX), "# mine").unwrap();
    let error = save(&files, &addition(&files, &tenant("globex", "")), &refused(), change).unwrap_err();
    let sentence =
        "globex.toml, which can't be undone: another program changed the file in the meantime; the change stays";
    assert!(error.to_string().ends_with(sentence), "{error}");
    assert_eq!((text(&files, GLOBEX), left_over(&files)), ("# mine".to_owned(), Vec::new()));
}

#[test]
fn a_new_file_is_checked_with_all_others_before_it_is_made() {
    let user = |name: &str| format!("[[users]]\nname = '{name}'\npublic_keys = ['{}']\n", key_line(1, ""));
    let files = Files::new("").with_acme(&tenant("acme", &user("alice")));
    for (wrong, problem) in [
        (tenant("globex", &user("alice")), "globex.toml:8: users.name: `alice` is taken at "),
        (
            tenant("globex", "").replace("globex/", "acme/in/") + &user("bob"),
            "globex.toml:4: storage.prefix: `acme/in/`",
        ),
        (tenant("acme", ""), "globex.toml:1: name: is `acme`; it takes the file's name, `globex`"),
        ("name = ".to_owned(), "globex.toml:1: isn't TOML"),
    ] {
        let error = lock(&files).save(&addition(&files, &wrong), &unasked).unwrap_err();
        assert!(matches!(error, EditError::NewProblems { .. }), "{error}");
        assert!(error.details()[0].contains(problem), "{:?}", error.details());
        assert!(!files.path(GLOBEX).exists());
    }
}

#[test]
fn a_directory_that_can_not_be_synced_keeps_no_new_file_and_loses_none() {
    let files = acme();
    let (former, addition, removal) = (text(&files, ACME), addition(&files, &tenant("globex", "")), removal(&files));
    let editor = lock(&files);
    let error = editor.save_with(&addition, &unasked, &full_disk).unwrap_err();
    assert!(error.to_string().ends_with("globex.toml isn't changed: its directory can't be synced: no storage space"));
    assert!(!files.path(GLOBEX).exists());
    let error = editor.save_with(&removal, &unasked, &full_disk).unwrap_err();
    assert!(error.to_string().ends_with("acme.toml isn't changed: its directory can't be synced: no storage space"));
    assert_eq!((text(&files, ACME), left_over(&files)), (former, Vec::new()));
}

#[test]
fn a_removed_file_is_gone_when_the_server_reads_the_config() {
    for (answer, saved) in [(EditAnswer::Accepted, Saved::Accepted), (EditAnswer::NotRunning, Saved::NotRunning)] {
        let files = acme();
        // A process that was killed left it.
        let files = files.with("tenants/.acme.toml.removed", "of an earlier time");
        let done = save(&files, &removal(&files), &answer, || assert!(!files.path(ACME).exists())).unwrap();
        assert_eq!((done, left_over(&files)), ((saved, 1), Vec::new()));
        assert!(!files.path(ACME).exists());
    }
}

#[test]
fn a_refused_removal_brings_the_same_file_back() {
    let files = acme();
    fs::hard_link(files.path(ACME), files.path("another name")).unwrap();
    files.chmod(ACME, 0o640);
    let facts = || {
        let metadata = fs::symlink_metadata(files.path(ACME)).unwrap();
        (metadata.ino(), metadata.mode(), metadata.nlink())
    };
    let former = facts();
    let error = save(&files, &removal(&files), &refused(), || ()).unwrap_err();
    assert_eq!(error.to_string(), "the server didn't take the change, so that the former version is back");
    assert_eq!((facts(), left_over(&files)), (former, Vec::new()));
}

#[test]
fn a_file_that_another_program_changed_is_not_removed() {
    let files = acme();
    let edit = removal(&files);
    let files = files.with_acme("# another text\n");
    let error = lock(&files).save(&edit, &unasked).unwrap_err().to_string();
    assert!(error.ends_with("acme.toml isn't changed: another program changed the file in the meantime"), "{error}");
    assert_eq!((text(&files, ACME), left_over(&files)), ("# another text\n".to_owned(), Vec::new()));
}

#[test]
fn a_file_that_appears_in_place_of_a_removed_one_stays() {
    let files = acme();
    let former = text(&files, ACME);
    let appear = || fs::write(files.path(ACME), "# mine").unwrap();
    let error = save(&files, &removal(&files), &refused(), appear).unwrap_err().to_string();
    let reason =
        "which can't be undone: another program has made a file of this name in the meantime; the change stays";
    assert!(error.ends_with(reason), "{error}");
    assert_eq!((text(&files, ACME), text(&files, "tenants/.acme.toml.removed")), ("# mine".to_owned(), former));
}

#[test]
fn of_a_link_the_link_is_removed() {
    let files = acme();
    fs::rename(files.path(ACME), files.path("acme.toml")).unwrap();
    symlink("../acme.toml", files.path(ACME)).unwrap();
    let error = save(&files, &removal(&files), &refused(), || ()).unwrap_err();
    assert!(matches!(error, EditError::PutBack { .. }), "{error}");
    assert_eq!(fs::read_link(files.path(ACME)).unwrap(), Path::new("../acme.toml"));
    save(&files, &removal(&files), &EditAnswer::Accepted, || ()).unwrap();
    assert!(fs::symlink_metadata(files.path(ACME)).is_err());
    assert_eq!((text(&files, "acme.toml"), left_over(&files)), (tenant("acme", ""), Vec::new()));
}

#[test]
fn of_several_files_all_are_changed_or_none() {
    let files = acme();
    let former = text(&files, ACME);
    let changes = || {
        let [mut addition, mut removal] = [addition(&files, &tenant("globex", "")), removal(&files)];
        let mut server = EditedFile::read(&files.path("wharfinger.toml")).unwrap();
        server.text = "strict = true\n".to_owned();
        [addition.changes.pop().unwrap(), removal.changes.pop().unwrap(), FileChange::Replaced(server)].into()
    };
    let edit = EditedFiles::new(&files.path(GLOBEX), changes());
    fs::hard_link(files.path("wharfinger.toml"), files.path("another name")).unwrap();
    let error = lock(&files).save(&edit, &unasked).unwrap_err().to_string();
    assert!(error.contains("wharfinger.toml isn't changed: it has 2 hard links"), "{error}");
    assert_eq!((text(&files, ACME), text(&files, "wharfinger.toml")), (former, String::new()));
    assert!(!files.path(GLOBEX).exists());
    fs::remove_file(files.path("another name")).unwrap();
    save(&files, &edit, &EditAnswer::Accepted, || ()).unwrap();
    assert!(!files.path(ACME).exists() && files.path(GLOBEX).exists());
    assert_eq!((text(&files, "wharfinger.toml"), left_over(&files)), ("strict = true\n".to_owned(), Vec::new()));
}

/// It may be wrong in every way: its removal is a way to mend the config.
#[test]
fn a_file_with_a_problem_can_be_removed() {
    for wrong in [&b"name = "[..], b"\xff", b""] {
        let files = acme();
        fs::write(files.path(ACME), wrong).unwrap();
        save(&files, &removal(&files), &EditAnswer::Accepted, || ()).unwrap();
        assert!(!files.path(ACME).exists());
    }
    let files = acme();
    let unknown = lock(&files).remove_tenant(&"globex".parse().unwrap()).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no tenant `globex`");
    fs::create_dir(files.path(GLOBEX)).unwrap();
    let directory = lock(&files).remove_tenant(&"globex".parse().unwrap()).unwrap_err().to_string();
    assert!(
        directory.ends_with("globex.toml isn't changed: it can't be read: Is a directory (os error 21)"),
        "{directory}"
    );
}
