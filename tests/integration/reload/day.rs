//! An operator's day: the commands of docs/operations.md, on a server that never restarts, while another tenant's client
//! transfers.

use super::server::ReloadedServer;
use crate::support::sftp::Sftp;
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use serde_json::Value;
use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const UPLOAD: OpenFlags = OpenFlags::WRITE.union(OpenFlags::CREATE).union(OpenFlags::TRUNCATE);
const WRITE_BYTES: usize = 32 << 10;
/// The default of `reload_grace`.
const GRACE: Duration = Duration::from_secs(30);
/// Longer than the upload of a part takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// The commands of the section about users and tenants, in its order.
fn documented_commands() -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let text = fs::read_to_string(file).unwrap();
    let section = text.split("\n## Users and tenants by command\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let commands = section.lines().filter_map(|line| line.strip_prefix("$ wharfinger ")).map(str::to_owned);
    commands.collect()
}

/// Runs `wharfinger` with these arguments, and with what follows ` < ` on stdin. Returns its output if it succeeds.
fn run(site: &ReloadedServer, line: &str) -> Result<String, String> {
    let (arguments, input) = line.split_once(" < ").unwrap_or((line, ""));
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    command.args(arguments.split(' ')).args(["--config", "wharfinger.toml"]).current_dir(site.path("."));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let text = if input.is_empty() { String::new() } else { fs::read_to_string(site.path(input)).unwrap() };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(if output.status.success() { output.stdout } else { output.stderr }).unwrap();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// Returns the bytes of an open upload, as `wharfinger sessions` shows them.
fn uploaded_bytes(site: &ReloadedServer, path: &str) -> u64 {
    let sessions: Value = serde_json::from_str(&run(site, "sessions --json").unwrap()).unwrap();
    let transfers = sessions.as_array().unwrap().iter().flat_map(|session| session["transfers"].as_array().unwrap());
    transfers.filter(|transfer| transfer["path"] == path).find_map(|transfer| transfer["bytes"].as_u64()).unwrap_or(0)
}

/// Uploads in the session until it ends. Returns the number of the acknowledged bytes.
async fn upload_until_refused(session: &Sftp, path: &str) -> usize {
    let open = session.open(path, UPLOAD, FileAttributes::empty()).await.unwrap().handle;
    for number in 0.. {
        let data = vec![b'x'; WRITE_BYTES];
        if session.write(open.clone(), (number * WRITE_BYTES) as u64, data).await.is_err() {
            return number * WRITE_BYTES;
        }
    }
    unreachable!()
}

/// Disables a user amid an upload. The session ends at once. The user, enabled again, resumes the upload.
async fn disable_amid_upload(site: &ReloadedServer, session: Sftp, user: &str) {
    let upload = tokio::spawn(async move { upload_until_refused(&session, "/big").await });
    // The storage has a part by then.
    let deadline = Instant::now() + PATIENCE;
    while uploaded_bytes(site, "/big") < 12 << 20 {
        assert!(Instant::now() < deadline && !upload.is_finished(), "the upload is under way");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let since = Instant::now();
    let said = run(site, &format!("user disable {user}")).unwrap();
    assert!(said.contains("the server has taken the change"), "{said}");
    let acknowledged = upload.await.unwrap();
    assert!(since.elapsed() < GRACE / 2, "no time to finish: {:?}", since.elapsed());
    site.log_line("the user or its tenant was disabled");
    let sessions = run(site, "sessions").unwrap();
    assert!(!sessions.contains(user), "{sessions}");
    assert!(!site.is_let_in(user).await);

    run(site, &format!("user enable {user}")).unwrap();
    let again = site.login(user).await;
    let stored = usize::try_from(again.stat("/big").await.unwrap().attrs.size.unwrap()).unwrap();
    assert!((5 << 20..=acknowledged + WRITE_BYTES).contains(&stored), "{stored} of {acknowledged}");
    let open = again.open("/big", OpenFlags::WRITE, FileAttributes::empty()).await.unwrap().handle;
    again.write(open.clone(), stored as u64, b"the end".to_vec()).await.unwrap();
    again.close(open).await.unwrap();
    assert_eq!(again.stat("/big").await.unwrap().attrs.size, Some(stored as u64 + 7), "it is resumed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_day_takes_no_restart() {
    let mut site = ReloadedServer::new("").await;
    site.write_tenant("acme", &["alice"]);
    site.start();
    let alice = site.login("alice").await;
    let open = alice.open("/a", UPLOAD, FileAttributes::empty()).await.unwrap().handle;
    alice.write(open.clone(), 0, b"123".to_vec()).await.unwrap();

    // A new tenant is a new file.
    site.write_tenant("globex", &["bob"]);
    let said = run(&site, "reload").unwrap();
    assert!(said.contains("tenants added (1): globex") && said.contains("users added (1): bob"), "{said}");
    let bob = site.login("bob").await;
    let sessions = run(&site, "sessions").unwrap();
    assert!(sessions.contains("alice") && sessions.contains("bob") && sessions.contains("upload /a"), "{sessions}");

    // The documented edits concern the tenant acme. Alice works for it all day.
    let key = fs::read_to_string(site.key_file()).unwrap();
    for (file, comment) in [("carol.pub", "carol@old-laptop"), ("carol-new.pub", "carol@new-laptop")] {
        let key = if file == "carol.pub" { key.clone() } else { crate::support::scope::KEY.to_owned() };
        let words: Vec<_> = key.split_whitespace().take(2).collect();
        fs::write(site.path(file), format!("{} {comment}\n", words.join(" "))).unwrap();
    }
    fs::write(site.path("carol.password"), "Carols long secret\n").unwrap();
    let commands = documented_commands();
    assert!(commands.len() > 8, "{commands:?}");
    for command in &commands {
        if command == "tenant disable acme" {
            alice.write(open.clone(), 3, b"456".to_vec()).await.unwrap();
            alice.close(open.clone()).await.unwrap();
        }
        let said = run(&site, command).unwrap_or_else(|said| panic!("{command}: {said}"));
        match command.split(' ').next_back().unwrap() {
            "/reports" => assert!(site.is_let_in("carol").await, "{said}"),
            "carol@old-laptop" => assert!(!site.is_let_in("carol").await, "{said}"),
            _ => {}
        }
        let is_alices = !command.starts_with("tenant disable") && !command.starts_with("tenant enable");
        assert!(!is_alices || alice.stat("/").await.is_ok(), "{command}");
        assert!(bob.stat("/").await.is_ok(), "another tenant's session continues: {command}");
    }
    alice.stat("/").await.unwrap_err();
    let again = site.login("alice").await;
    assert_eq!(again.stat("/a").await.unwrap().attrs.size, Some(6));

    // A broken file, and its repair.
    let right = fs::read_to_string(site.path("tenants/globex.toml")).unwrap();
    site.write("tenants/globex.toml", &right.replace("'us-east-1'", "7"));
    let said = run(&site, "reload").unwrap_err();
    assert!(said.contains("globex.toml:5: storage.region: is an integer"), "{said}");
    assert!(said.contains("the tenant stays as it was") && bob.stat("/").await.is_ok(), "{said}");
    let said = run(&site, "user disable bob").unwrap_err();
    assert!(said.contains("has a problem already: nothing was changed"), "{said}");
    site.write("tenants/globex.toml", &right);
    run(&site, "reload").unwrap();
    let said = run(&site, "sessions end --user bob").unwrap();
    assert!(said.contains("1 session"), "{said}");
    site.log_line("an operator ended the session");
    assert!(site.is_let_in("bob").await, "an ended session is no lost account");
    disable_amid_upload(&site, again, "alice").await;
    assert!(run(&site, "status").unwrap().contains("sessions"), "it is the server that was started in the morning");
    assert_eq!(site.count_lines("listening address="), 1);
}
