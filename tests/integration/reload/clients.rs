//! A reload makes new clients of S3 for the tenants whose storage changed, and for no other. Each new client assumes its
//! role again, so that the requests to STS count them.

use super::server::ReloadedServer;
use crate::{
    roles::{EXTERNAL_ID, ROLE, TenantAccount},
    support::sftp::Sftp,
};
use russh_sftp::{client::error::Error, protocol::StatusCode};
use std::fs;

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
const USERS: usize = 2;

fn users(tenant: &str) -> [String; USERS] {
    ["anna", "ben"].map(|user| format!("{user}-{tenant}"))
}

/// Writes the file of a tenant with a role, and with more keys of its storage.
fn write_tenant(site: &ReloadedServer, account: &TenantAccount, name: &str, more: &str) {
    let (key, endpoint) = (fs::read_to_string(site.key_file()).unwrap(), format!("http://{}", account.s3.address));
    let users = users(name).map(|user| format!("[[users]]\nname = '{user}'\npublic_keys = ['{}']\n", key.trim()));
    let text = format!(
        "name = '{name}'\n[storage]\nbucket = 'exchange'\nprefix = '{name}/'\nregion = 'us-east-1'\n\
         endpoint = '{endpoint}'\npath_style = true\n{more}\n[storage.credentials]\naccess_key_id = 'server'\n\
         secret_access_key_file = '../server-secret'\n[storage.assume_role]\nrole_arn = '{ROLE}'\n\
         external_id = '{EXTERNAL_ID}'\nsts_endpoint = '{endpoint}'\n{}",
        users.concat()
    );
    site.write(&format!("tenants/{name}.toml"), &text);
}

/// Has each session ask its storage.
async fn ask_storage(sessions: &[Sftp]) {
    for session in sessions {
        match session.stat("/missing").await {
            Err(Error::Status(status)) => assert_eq!(status.status_code, StatusCode::NoSuchFile, "{status:?}"),
            other => panic!("{other:?}"),
        }
    }
}

async fn log_in_all(site: &ReloadedServer) -> Vec<Sftp> {
    let mut sessions = Vec::new();
    for user in TENANTS.iter().flat_map(|tenant| users(tenant)) {
        sessions.push(site.login(&user).await);
    }
    sessions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_tenant_leaves_the_clients_of_the_others_alone() {
    let account = TenantAccount::open().await;
    // The probes of the roles are requests to STS too.
    let mut site = ReloadedServer::new("verify_on_add = false").await;
    site.write("server-secret", "secret");
    for tenant in TENANTS {
        write_tenant(&site, &account, tenant, "");
    }
    site.start();
    let sessions = log_in_all(&site).await;
    ask_storage(&sessions).await;
    let all = TENANTS.len() * USERS;
    assert_eq!(account.asked(), all, "each user has a role's session");

    // A file that is written again with the same content changes nothing.
    write_tenant(&site, &account, "acme", "");
    assert!(!site.reload(1).contains("tenants_changed"));
    ask_storage(&sessions).await;
    assert_eq!(account.asked(), all);

    write_tenant(&site, &account, "acme", "storage_class = 'STANDARD_IA'");
    let line = site.reload(2);
    assert!(line.contains("tenants_changed=\"acme\""), "{line}");
    ask_storage(&sessions).await;
    assert_eq!(account.asked(), all + USERS, "acme's clients alone are new");

    // Logins after the reload, and the end of another tenant, make no new clients either.
    ask_storage(&log_in_all(&site).await).await;
    fs::remove_file(site.path("tenants/initech.toml")).unwrap();
    site.reload(3);
    ask_storage(&sessions[..2 * USERS]).await;
    assert_eq!(account.asked(), all + USERS);
}
