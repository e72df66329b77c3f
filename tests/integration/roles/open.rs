//! A running server finds that a role is open: logins, log, status, restart and reload.

use super::{EXTERNAL_ID, ROLE, TenantAccount};
use crate::reload::server::ReloadedServer;
use std::{fs, time::Duration};
use tokio::time::{Instant, sleep};

const ACCEPTS: &str = "accept_role_without_external_id = true";
const REFUSES: &str = "accept_role_without_external_id = false";

/// Writes acme's file, with its bucket and role in `account`.
fn write_acme(server: &ReloadedServer, account: &TenantAccount, accepts: &str) {
    let endpoint = format!("http://{}", account.s3.address);
    let key = fs::read_to_string(server.key_file()).unwrap();
    server.write("tenants-secret", "secret");
    server.write(
        "tenants/acme.toml",
        &format!(
            "name = 'acme'\n[storage]\nbucket = 'exchange'\nprefix = 'acme/'\nregion = 'us-east-1'\n\
             endpoint = '{endpoint}'\npath_style = true\n\
             [storage.assume_role]\nrole_arn = '{ROLE}'\nexternal_id = '{EXTERNAL_ID}'\nsts_endpoint = '{endpoint}'\n{accepts}\n\
             [storage.credentials]\naccess_key_id = 'server'\nsecret_access_key_file = '../tenants-secret'\n\
             [[users]]\nname = 'alice'\npublic_keys = ['{}']\n",
            key.trim()
        ),
    );
}

fn status(server: &ReloadedServer) -> serde_json::Value {
    let (succeeded, output) = server.command(&["status", "--json"]);
    assert!(succeeded, "{output}");
    serde_json::from_str(&output).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_refused_from_the_first_one_on_until_the_file_accepts_the_role() {
    let actions = r#""sts:AssumeRole""#;
    let account = TenantAccount::with_condition("arn:aws:iam::111122223333:user/server", actions, "").await;
    let mut server = ReloadedServer::new("").await;
    write_acme(&server, &account, REFUSES);
    server.start();
    let line = server.log_line("role is open: logins of the tenant's users are unavailable");
    assert!(line.contains("tenant=acme") && line.contains(ROLE) && line.contains("without an external ID"), "{line}");
    assert!(!server.is_let_in("alice").await);
    let refused = server.log_line("login refused");
    assert!(refused.contains("the tenant's role is open: its trust policy must require the external ID"), "{refused}");
    let (_, text) = server.command(&["status"]);
    assert!(text.contains("open roles acme: logins are unavailable\n"), "{text}");
    assert_eq!((&status(&server)["open_roles"]["names"][0], account.asked()), (&"acme".into(), 1));

    // The verdict is in the ledger.
    server.stop();
    server.start();
    assert!(!server.is_let_in("alice").await);
    assert_eq!(account.asked(), 1);

    write_acme(&server, &account, ACCEPTS);
    server.reload(1);
    assert!(server.is_let_in("alice").await);
    server.log_line("role is open: the tenant's file accepts it");
    let accepted = &status(&server)["accepted_open_roles"];
    assert_eq!((&accepted["count"], &accepted["names"][0]), (&1.into(), &"acme".into()));
    write_acme(&server, &account, REFUSES);
    server.reload(2);
    assert!(!server.is_let_in("alice").await);
    // The STS is none of AWS's: by default its tenants accept what it does.
    write_acme(&server, &account, "");
    server.reload(3);
    assert!(server.is_let_in("alice").await);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_role_is_asked_for_twice_and_a_reload_with_a_new_external_id_asks_again() {
    let account = TenantAccount::open().await;
    let mut server = ReloadedServer::new("").await;
    write_acme(&server, &account, REFUSES);
    server.start();
    asked(&account, 2).await;
    assert!(server.is_let_in("alice").await);
    write_acme(&server, &account, &REFUSES.replace("accept", "session_tags = false\naccept"));
    server.reload(1);
    let text = fs::read_to_string(server.path("tenants/acme.toml")).unwrap();
    server.write("tenants/acme.toml", &text.replace(EXTERNAL_ID, "wh-another"));
    server.reload(2);
    asked(&account, 4).await;
    assert!(account.s3.assume_role_requests().iter().all(|request| !request.granted || request.external_id.is_some()));
    server.stop();
    assert_eq!(server.count_lines("role is open"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_on_add_can_be_turned_off() {
    let account = TenantAccount::with_condition("*", r#""sts:AssumeRole""#, "").await;
    let mut server = ReloadedServer::new("verify_on_add = false").await;
    write_acme(&server, &account, REFUSES);
    server.start();
    assert!(server.is_let_in("alice").await);
    server.stop();
    assert_eq!((account.asked(), server.count_lines("role is open")), (0, 0));
}

/// Waits until STS was asked this often without the external ID or with a wrong one, and no more often.
async fn asked(account: &TenantAccount, count: usize) {
    let probes = || {
        let asked = account.s3.assume_role_requests();
        asked.iter().filter(|asked| asked.session_name.as_deref().is_some_and(|name| name.contains(".-probe."))).count()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while probes() < count && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(probes(), count);
}
