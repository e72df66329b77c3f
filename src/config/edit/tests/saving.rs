//! Edits of configs on disk: the check with the whole config, the server's answer, and files that the config names.

use super::{
    super::{EditAnswer, EditError, Editor, Saved, TenantEdit, replace::replace},
    key, key_line, left_over, name, new_user, tenant, text,
};
use crate::config::tests::Files;
use std::{cell::RefCell, fs, io, path::Path};

fn user(user: &str, number: u8) -> String {
    format!("[[users]]\nname = '{user}'\npublic_keys = ['{}']\n", key_line(number, "first"))
}

fn acme() -> Files {
    Files::new("").with_acme(&tenant("acme", &user("alice", 1)))
}

/// The answers of a server, the last one for all later requests, and the text that it saw at each.
struct FakeServer {
    answers: Vec<EditAnswer>,
    texts_read: RefCell<Vec<String>>,
}

impl FakeServer {
    fn new(answers: &[EditAnswer]) -> Self {
        Self { answers: answers.to_vec(), texts_read: RefCell::default() }
    }

    fn ask(&self, config: &Path) -> EditAnswer {
        let mut texts_read = self.texts_read.borrow_mut();
        texts_read.push(fs::read_to_string(config.parent().unwrap().join("tenants/acme.toml")).unwrap());
        self.answers.get(texts_read.len() - 1).or(self.answers.last()).unwrap().clone()
    }
}

fn save(
    files: &Files,
    server: &FakeServer,
    edit: impl FnOnce(&Editor) -> Result<TenantEdit, EditError>,
) -> Result<Saved, EditError> {
    let editor = Editor::lock(&files.path("wharfinger.toml"))?;
    editor.save(&edit(&editor)?.into(), &|config, _| server.ask(config))
}

fn disable(editor: &Editor, user: &str) -> Result<TenantEdit, EditError> {
    let mut edit = editor.edit_user(&name(user))?;
    edit.set_user_enabled(&name(user), false)?;
    Ok(edit)
}

fn add(editor: &Editor, tenant: &str, user: &str) -> Result<TenantEdit, EditError> {
    let mut edit = editor.edit_tenant(&tenant.parse().unwrap())?;
    edit.add_user(&new_user(user));
    Ok(edit)
}

#[test]
fn the_server_sees_the_new_file_and_may_take_it() {
    for (answer, wanted) in [(EditAnswer::Accepted, Saved::Accepted), (EditAnswer::NotRunning, Saved::NotRunning)] {
        let (files, server) = (acme(), FakeServer::new(&[answer]));
        assert_eq!(save(&files, &server, |editor| disable(editor, "alice")).unwrap(), wanted);
        assert_eq!(*server.texts_read.borrow(), [text(&files, "tenants/acme.toml")]);
        assert!(text(&files, "tenants/acme.toml").ends_with("enabled = false\n"));
        assert_eq!(save(&files, &server, |editor| disable(editor, "alice")).unwrap(), Saved::Unchanged);
        assert_eq!((server.texts_read.borrow().len(), left_over(&files)), (1, Vec::new()), "nothing to ask for");
    }
}

#[test]
fn a_refused_file_is_put_back_before_the_server_reads_it_again() {
    let (files, former) = (acme(), text(&acme(), "tenants/acme.toml"));
    let server = FakeServer::new(&[EditAnswer::Refused(vec!["too late".into()]), EditAnswer::Accepted]);
    let error = save(&files, &server, |editor| disable(editor, "alice")).unwrap_err();
    assert_eq!(error.to_string(), "the server didn't take the change, so that the former version is back");
    assert_eq!(error.details(), ["too late"]);
    assert_eq!(text(&files, "tenants/acme.toml"), former);
    assert_eq!(*server.texts_read.borrow(), [format!("{former}enabled = false\n"), former]);
    assert_eq!(left_over(&files), [""; 0]);
}

#[test]
fn problems_of_other_files_that_were_there_before_block_nothing() {
    let files =
        acme().with("tenants/broken.toml", "name = ").with("tenants/globex.toml", &tenant("globex", &user("alice", 2)));
    let server = FakeServer::new(&[EditAnswer::NotRunning]);
    save(&files, &server, |editor| add(editor, "acme", "bob")).unwrap();
    // The conflict of the two tenants is as before, but the edit has moved its lines.
    save(&files, &server, |editor| {
        let mut edit = editor.edit_tenant(&"globex".parse().unwrap())?;
        edit.set_enabled(false);
        Ok(edit)
    })
    .unwrap();
    let error = save(&files, &server, |editor| disable(editor, "alice")).unwrap_err();
    assert_eq!(error.to_string(), "`alice` is a user of more than one tenant (acme, globex): edit their files");
    let error = save(&files, &server, |editor| disable(editor, "carol")).unwrap_err();
    assert_eq!(error.to_string(), "no tenant has a user `carol`");
    assert!(error.details()[0].contains("broken.toml:1: isn't TOML"), "it may have the user: {:?}", error.details());
    assert!(Editor::lock(&files.path("wharfinger.toml")).unwrap().require_new(&name("bob")).is_err());
}

#[test]
fn new_problems_and_broken_files_change_nothing() {
    let files = acme().with("tenants/globex.toml", &tenant("globex", &user("bob", 2)));
    let server = FakeServer::new(&[EditAnswer::Accepted]);
    let former = text(&files, "tenants/acme.toml");
    let error = save(&files, &server, |editor| add(editor, "acme", "bob")).unwrap_err();
    assert_eq!(error.to_string(), "the config would have a problem with this change: nothing was changed");
    assert!(error.details()[0].contains("names of users are unique in the server"), "{:?}", error.details());
    let error = save(&files, &server, |editor| {
        let mut edit = add(editor, "acme", "carol")?;
        edit.set_password_hash(&name("carol"), "no hash")?;
        Ok(edit)
    });
    assert!(matches!(error, Err(EditError::NewProblems { problems }) if problems.len() == 1));
    assert_eq!(text(&files, "tenants/acme.toml"), former);
    let files = files.with_acme(&former[..former.len() - 4]);
    let error = save(&files, &server, |editor| add(editor, "acme", "carol")).unwrap_err();
    assert!(error.to_string().ends_with("acme.toml has a problem already: nothing was changed"), "{error}");
    assert!(error.details()[0].contains("isn't TOML"), "{:?}", error.details());
    assert_eq!(text(&files, "tenants/acme.toml"), former[..former.len() - 4]);
    assert_eq!((server.texts_read.borrow().len(), left_over(&files)), (0, Vec::new()));
    let error = save(&files, &server, |editor| add(editor, "nobody", "carol")).unwrap_err();
    assert_eq!(error.to_string(), "there is no tenant `nobody`");
}

#[test]
fn a_server_file_that_is_not_toml_changes_nothing() {
    let files = acme().with("wharfinger.toml", "[log");
    let error = Editor::lock(&files.path("wharfinger.toml")).unwrap_err();
    assert_eq!(error.to_string(), "the config can't be read: nothing was changed");
    assert!(error.details()[0].contains("wharfinger.toml:1: isn't TOML"), "{:?}", error.details());
}

/// An editor may save the file between the check and the replacement.
#[test]
fn a_file_that_changed_in_the_meantime_is_left_alone() {
    let files = acme();
    let path = files.path("tenants/acme.toml").canonicalize().unwrap();
    let error = replace(&path, "its text before", "its text after").unwrap_err();
    assert_eq!(error.to_string(), "another program changed the file in the meantime");
    assert_eq!(
        (text(&files, "tenants/acme.toml"), left_over(&files)),
        (text(&acme(), "tenants/acme.toml"), Vec::new())
    );
}

/// The file is replaced then, and a power cut could undo it.
#[test]
fn a_directory_that_can_not_be_synced_gets_its_former_files_back() {
    let files = acme();
    let editor = Editor::lock(&files.path("wharfinger.toml")).unwrap();
    let edit = disable(&editor, "alice").unwrap();
    let unasked = |_: &Path, _: &Path| panic!("the server was asked");
    let error = editor.save_with(&edit.into(), &unasked, &|_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
    let sentence = error.to_string();
    assert!(
        sentence.ends_with("acme.toml isn't changed: its directory can't be synced: no storage space"),
        "{sentence}"
    );
    assert_eq!(text(&files, "tenants/acme.toml"), text(&acme(), "tenants/acme.toml"));
}

#[test]
fn keys_are_added_and_removed_by_fingerprint_or_comment_but_never_the_last() {
    let (files, server) = (acme(), FakeServer::new(&[EditAnswer::Accepted]));
    let (alice, add) = (name("alice"), |number: u8, comment: &str| {
        save(&files, &server, |editor| {
            let mut edit = editor.edit_user(&name("alice"))?;
            edit.add_key(&name("alice"), &key(number, comment))?;
            Ok(edit)
        })
    });
    let remove = |called: &str| {
        save(&files, &server, |editor| {
            let mut edit = editor.edit_user(&alice)?;
            edit.remove_key(&alice, called)?;
            Ok(edit)
        })
    };
    let sentence = |done: Result<Saved, EditError>| done.unwrap_err().to_string();
    let last = "`alice` could not log in without this key: add another credential first, or disable or remove the user";
    assert_eq!(sentence(remove("first")), last);
    assert_eq!(sentence(remove("none")), "`alice` has no key with this fingerprint or comment");
    assert!(sentence(add(1, "other comment")).starts_with("`alice` has this key already: SHA256:"));
    add(2, "first").unwrap();
    assert!(sentence(remove("first")).contains("several keys with this comment: name one by its fingerprint"));
    remove(&key(1, "").fingerprint).unwrap();
    assert!(!text(&files, "tenants/acme.toml").contains(&key_line(1, "")));
    assert_eq!(sentence(remove("first")), last);
}

#[test]
fn files_that_a_user_names_are_edited_instead() {
    let users = "[[users]]\nname = 'alice'\npublic_keys_file = 'alice.keys'\npassword_hash_file = 'alice.hash'\n";
    let keys = format!("# keys\n{}\r\n{}", key_line(1, "one"), key_line(2, "two"));
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$rBD8SuO99aRzKvUEPsurFw$Vk6JBZAx2T2VUvKdX2dFE3/qFOCK1ikUmbgPYMs5v6Q";
    let files = Files::new("").with_acme(&tenant("acme", users));
    let files = files.with("tenants/alice.keys", &keys).with("tenants/alice.hash", hash);
    let (alice, server) = (name("alice"), FakeServer::new(&[EditAnswer::Accepted]));
    let former = text(&files, "tenants/acme.toml");
    let other_hash = hash.replace("Vk6J", "Vk6K");
    save(&files, &server, |editor| {
        let mut edit = editor.edit_user(&alice)?;
        edit.set_password_hash(&alice, &other_hash)?;
        Ok(edit)
    })
    .unwrap();
    assert_eq!(text(&files, "tenants/alice.hash"), format!("{other_hash}\n"));
    let edit_keys = |edit_keys: &dyn Fn(&mut TenantEdit) -> Result<(), EditError>| {
        save(&files, &server, |editor| {
            let mut edit = editor.edit_user(&alice)?;
            edit_keys(&mut edit)?;
            Ok(edit)
        })
    };
    edit_keys(&|edit| edit.add_key(&alice, &key(3, "three"))).unwrap();
    assert_eq!(text(&files, "tenants/alice.keys"), format!("{keys}\n{}\n", key_line(3, "three")));
    edit_keys(&|edit| edit.remove_key(&alice, "one").map(drop)).unwrap();
    let kept = format!("# keys\n{}\n{}\n", key_line(2, "two"), key_line(3, "three"));
    assert_eq!(text(&files, "tenants/alice.keys"), kept);
    let wrong_hash = edit_keys(&|edit| edit.set_password_hash(&alice, "no hash"));
    assert!(matches!(wrong_hash, Err(EditError::NewProblems { .. })), "{wrong_hash:?}");
    assert_eq!(text(&files, "tenants/alice.hash"), format!("{other_hash}\n"));
    assert_eq!(text(&files, "tenants/acme.toml"), former, "it names the files and stays");
    let bob = "[[users]]\nname = 'bob'\npublic_keys_file = 'alice.keys'\n";
    let files = files.with_acme(&format!("{former}{bob}"));
    let error = save(&files, &server, |editor| {
        let mut edit = editor.edit_user(&alice)?;
        edit.remove_key(&alice, "two")?;
        Ok(edit)
    });
    assert!(error.unwrap_err().to_string().ends_with("alice.keys is named for several users: edit it by hand"));
}

#[test]
fn a_key_in_two_places_is_removed_from_both() {
    let users = format!("{}public_keys_file = 'alice.keys'\n", user("alice", 1));
    let files = Files::new("").with_acme(&tenant("acme", &users));
    let files = files.with("tenants/alice.keys", &format!("{}\n{}\n", key_line(1, ""), key_line(2, "two")));
    let alice = name("alice");
    let remove = |answer: EditAnswer| {
        save(&files, &FakeServer::new(&[answer]), |editor| {
            let mut edit = editor.edit_user(&alice)?;
            edit.remove_key(&alice, &key(1, "").fingerprint)?;
            Ok(edit)
        })
    };
    let texts = || (text(&files, "tenants/acme.toml"), text(&files, "tenants/alice.keys"));
    let former = texts();
    assert!(matches!(remove(EditAnswer::Refused(Vec::new())), Err(EditError::PutBack { .. })));
    assert_eq!(texts(), former, "both files are back");
    remove(EditAnswer::Accepted).unwrap();
    assert!(texts().0.contains("public_keys = []\n"), "{}", texts().0);
    assert_eq!(texts().1, format!("{}\n", key_line(2, "two")));
}
