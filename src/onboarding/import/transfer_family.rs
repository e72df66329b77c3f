//! AWS Transfer Family: service-managed users of SFTP servers on S3.

use super::{
    documents::{DescribedServer, DescribedUser, TransferDocument},
    export_file::{ExportFile, ImportError},
    home::TransferHome,
    keys::usable_keys,
    plan::{ImportPlan, ImportedUser, TenantSite, UsersBySite, quoted},
};
use crate::account::RoleArn;
use std::collections::{BTreeMap, BTreeSet};

/// The documents of all files together.
#[derive(Debug, Default)]
struct TransferExport {
    /// The described users, by name, each with its server.
    users: BTreeMap<String, (Option<String>, DescribedUser)>,
    /// The listed users, each with its server.
    listed: BTreeSet<(Option<String>, String)>,
    servers: Vec<DescribedServer>,
    is_partial: bool,
}

pub(super) fn plan(files: &[ExportFile], region: Option<&str>) -> Result<ImportPlan, ImportError> {
    let described = read(files)?;
    let mut notes = Vec::new();
    described.servers.iter().for_each(|server| note_server(server, &mut notes));
    if described.is_partial {
        notes.push(
            "a list of users has a NextToken: it is not the whole list; run list-users without --max-items".into(),
        );
    }
    for (server, name) in &described.listed {
        if described.users.get(name).is_none_or(|(other, _)| other != server) {
            let (name, server) = (quoted(name), quoted(server.as_deref().unwrap_or("?")));
            notes.push(format!(
                "{name} is listed, but not described: the user of the server {server} is left out; export it with \
                 describe-user"
            ));
        }
    }
    let mut sites = UsersBySite::default();
    for (_, user) in described.users.values() {
        match imported(user, region, &mut notes) {
            Ok((site, user)) => sites.push(site, user),
            Err(reason) => notes.push(format!("{} is left out: {reason}", quoted(&user.user_name))),
        }
    }
    Ok(sites.into_plan(notes))
}

fn read(files: &[ExportFile]) -> Result<TransferExport, ImportError> {
    let mut described = TransferExport::default();
    for file in files {
        let documents = file.documents::<TransferDocument>()?;
        let is_known = |document: &TransferDocument| {
            document.server.is_some() || document.user.is_some() || document.users.is_some()
        };
        if documents.is_empty() || !documents.iter().all(is_known) {
            let wanted = "it takes the JSON of `aws transfer describe-server`, `list-users` and `describe-user`";
            return Err(ImportError::Nothing { file: file.name.clone(), wanted });
        }
        for document in documents {
            described.is_partial |= document.users.is_some() && document.next_token.is_some();
            let listed = document.users.into_iter().flatten();
            described.listed.extend(listed.map(|user| (document.server_id.clone(), user.user_name)));
            described.servers.extend(document.server);
            let Some(user) = document.user else { continue };
            let name = user.user_name.clone();
            let both = (document.server_id, user);
            match described.users.get(&name) {
                // The same command may have been run twice.
                Some(before) if *before == both => {}
                Some(_) => return Err(ImportError::UserTwice { file: file.name.clone(), user: name }),
                None => drop(described.users.insert(name, both)),
            }
        }
    }
    Ok(described)
}

/// Returns the user and its site, or the end of the sentence about a user that can't be imported.
fn imported(
    user: &DescribedUser,
    region: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<(TenantSite, ImportedUser), String> {
    let name = user.user_name.parse().map_err(|error| format!("{error}"))?;
    if user.posix_profile.is_some() {
        return Err("it has a POSIX profile, so that its files are on EFS, not on S3".into());
    }
    let role = user.role.as_deref().ok_or("it has no role")?;
    let arn = role.parse::<RoleArn>().map_err(|error| format!("{}: {error}", quoted(role)))?;
    let region = match region {
        Some(region) => region,
        None => region_of(&user.arn).ok_or_else(|| format!("{} is no ARN of a user", quoted(&user.arn)))?,
    };
    let TransferHome { bucket, landing, mounts, is_open } = TransferHome::of(user)?;
    let keys = usable_keys(&user.user_name, user.ssh_public_keys.iter().map(|key| &key.ssh_public_key_body), notes);
    if keys.is_empty() {
        return Err("it has no public key that can be used, and no password: add it with `wharfinger user add`".into());
    }
    let restriction = if user.policy.is_some() {
        Some(
            "its session policy has no counterpart: state its `permissions`, and mounts if it allows less than the home",
        )
    } else if is_open {
        Some("its home is the whole bucket, and only its role kept it in its place: give it a mount")
    } else {
        None
    };
    if let Some(restriction) = restriction {
        notes.push(format!(
            "{} is disabled: {restriction}; then `wharfinger user enable {name}`",
            quoted(&user.user_name)
        ));
    }
    if !user.tags.is_empty() {
        let tags: Vec<_> = user.tags.iter().map(|tag| quoted(&tag.key)).collect();
        notes.push(format!("tags of {} have no counterpart: {}", quoted(&user.user_name), tags.join(", ")));
    }
    let (region, role) = (region.to_owned(), Some(arn));
    let site = TenantSite { bucket, region, endpoint: None, path_style: false, role, access_key: None };
    let enabled = restriction.is_none();
    Ok((site, ImportedUser { name, keys, password_hash: None, enabled, landing, mounts }))
}

/// Returns the region in `arn:PARTITION:transfer:REGION:ACCOUNT:user/SERVER/USER`.
fn region_of(arn: &str) -> Option<&str> {
    let mut fields = arn.splitn(6, ':');
    match [(); 6].map(|()| fields.next().unwrap_or_default()) {
        ["arn", _, "transfer", region, _, resource] if resource.starts_with("user/") => Some(region),
        _ => None,
    }
}

/// Adds notes about what a server has that this one lacks.
fn note_server(server: &DescribedServer, notes: &mut Vec<String>) {
    let id = quoted(server.server_id.as_deref().unwrap_or("?"));
    let mut note = |text: String| notes.push(format!("the server {id}: {text}"));
    if let Some(provider) = server.identity_provider_type.as_deref().filter(|kind| *kind != "SERVICE_MANAGED") {
        note(format!("its users come from {}, and only described ones are imported", quoted(provider)));
    }
    if server.domain.as_deref() == Some("EFS") {
        note("its files are on EFS; this server has S3 alone".into());
    }
    let others: Vec<_> = server.protocols.iter().filter(|name| *name != "SFTP").map(|name| quoted(name)).collect();
    if !others.is_empty() {
        note(format!("{} have no counterpart: there is SFTP alone", others.join(", ")));
    }
    if server.workflow_details.as_ref().is_some_and(|it| !(it.on_upload.is_empty() && it.on_partial_upload.is_empty()))
    {
        note("its workflows have no counterpart: react to the events of S3 instead".into());
    }
    let banners = [&server.pre_authentication_login_banner, &server.post_authentication_login_banner];
    if banners.into_iter().flatten().any(|banner| !banner.is_empty()) {
        note("its banners are not imported".into());
    }
    if let Some(kind) = server.endpoint_type.as_deref().filter(|kind| *kind != "PUBLIC") {
        note(format!(
            "its endpoint is one of the type {}: its addresses and security groups are not imported; let a firewall limit \
             who reaches this server",
            quoted(kind)
        ));
    }
    let optimization = server.s3_storage_options.as_ref().and_then(|it| it.directory_listing_optimization.as_deref());
    if optimization == Some("ENABLED") {
        note("S3StorageOptions is not imported: this server has one way to list directories".into());
    }
    if let Some(policy) = &server.security_policy_name {
        note(format!("its algorithms ({}) are not imported: clients get those of this server", quoted(policy)));
    }
    if server.protocol_details.as_ref().and_then(|it| it.set_stat_option.as_deref()) == Some("ENABLE_NO_OP") {
        note("SetStatOption is not imported: this server stores times, or says that it can't".into());
    }
    if !server.tags.is_empty() {
        note("its tags have no counterpart".into());
    }
    let known = server.host_key_fingerprint.as_deref().map(|known| format!(", which is {} now,", quoted(known)));
    note(format!(
        "AWS exports no private host keys: clients will say that the host key{} has changed, or refuse to connect. If you \
         imported it into AWS and have its file, use that. Otherwise send the new fingerprint to the customers before the \
         move, by another way than this connection",
        known.unwrap_or_default()
    ));
}
