//! One reading of all files. Each file counts as a whole or not at all.

use super::{
    document::{ConfigDocument, ConfigTable},
    exposure,
    problem::{Problem, Report, Spot},
    replaced_texts::ReplacedTexts,
    served::{RefusedTenant, ServedTenant, ServedTenants},
    server::ServerSettings,
    tenant,
    tenant_claims::{TenantClaim, TenantClaims, conflicts},
    tiers::{self, Tiers},
    watched::WatchedFiles,
};
use crate::{files, name::TenantName, tenants::TenantSetup};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// The content of all files at one time.
#[derive(Debug)]
pub(crate) struct ConfigReading {
    /// The server's settings, or `None` if its file has a problem or the tenants' directory can't be read.
    server: Option<ServerSettings>,
    server_report: Report,
    tenants: Vec<TenantFile>,
    watched: WatchedFiles,
}

/// The content of a tenant's file.
#[derive(Debug)]
pub(super) struct TenantFile {
    pub(super) path: PathBuf,
    /// The name of the file without its extension, unless no tenant can have this name.
    pub(super) name: Option<TenantName>,
    /// The tenant, or `None` if the file has a problem.
    pub(super) setup: Option<TenantSetup>,
    pub(super) claims: TenantClaims,
    pub(super) is_toml: bool,
    pub(super) report: Report,
}

impl ConfigReading {
    /// Reads the server's file, the files of all tenants, and the files that these name.
    #[must_use]
    pub(crate) fn of(file: &Path) -> Self {
        Self::with(file, &ReplacedTexts::default())
    }

    /// Like [`Self::of`], with other texts in place of those of some files.
    #[must_use]
    pub(super) fn with(file: &Path, replaced: &ReplacedTexts) -> Self {
        let server_report = Report::default();
        let read = |root: &mut ConfigTable<'_>| {
            let settings = ServerSettings::read(root);
            let directory = tenants_directory(root);
            Some((settings, tenant_files(root, &directory, replaced), Some(directory), tiers::path(root)))
        };
        let (server, files, directory, tiers_file) = match text(file, &server_report, replaced) {
            Some(text) => ConfigDocument::read(file, &text, &server_report, replaced, read).unwrap_or_default(),
            None => (None, Vec::new(), None, None),
        };
        let tiers = match tiers_file {
            Some(file) => read_tiers(&file, &server_report, replaced),
            None => Tiers::Known(BTreeMap::new()),
        };
        let server = server.filter(|_| server_report.count() == 0);
        let tenants: Vec<_> = files.into_iter().map(|path| TenantFile::read(path, &tiers, replaced)).collect();
        let reports = tenants.iter().map(|tenant| &tenant.report).chain([&server_report]);
        let named = reports.flat_map(Report::named_files).collect();
        let watched = WatchedFiles { file: file.to_owned(), directory, named };
        Self { server, server_report, tenants, watched }
    }

    /// Returns the server's settings, or the problems of its file.
    ///
    /// # Errors
    /// The server's file has a problem, or the directory of the tenants can't be read.
    pub(crate) fn server(&self) -> Result<&ServerSettings, Vec<Problem>> {
        self.server.as_ref().ok_or_else(|| self.server_report.problems())
    }

    /// Returns the files whose changes may change the config.
    #[must_use]
    pub(crate) fn watched(&self) -> &WatchedFiles {
        &self.watched
    }

    /// Returns the names of the tenants that have a file, whatever is in it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &TenantName> {
        self.tenants.iter().filter_map(|file| file.name.as_ref())
    }

    /// Returns the tenants' files, in the order of their names.
    pub(super) fn tenant_files(&self) -> &[TenantFile] {
        &self.tenants
    }

    /// Returns the problems that weren't there in the reading `before` an edit. Problems of files that the edit left alone
    /// are in both readings. Of two tenants in conflict, the edit is the reason if one of them claims a value that it
    /// didn't claim before: the positions in the sentence may differ for other reasons.
    #[must_use]
    pub(super) fn problems_since(&self, before: &Self) -> Vec<Problem> {
        let reports = |reading: &Self| -> Vec<Problem> {
            let tenants = reading.tenants.iter().map(|tenant| &tenant.report);
            tenants.chain([&reading.server_report]).flat_map(Report::problems).collect()
        };
        let known: BTreeSet<Problem> = reports(before).into_iter().collect();
        let mut problems: Vec<_> = reports(self).into_iter().filter(|problem| !known.contains(problem)).collect();
        let former = before.claims_by_name().collect::<BTreeMap<_, _>>();
        let is_new =
            |(name, claim): (&TenantName, &TenantClaim)| !former.get(name).is_some_and(|own| own.contains(claim));
        let conflicts = conflicts(self.claims_by_name());
        problems
            .extend(conflicts.into_iter().filter(|found| found.sides.into_iter().any(is_new)).map(|new| new.problem));
        in_order(problems)
    }

    /// Returns the values that the tenants claim, also of files with problems.
    fn claims_by_name(&self) -> impl Iterator<Item = (&TenantName, &TenantClaims)> {
        self.tenants.iter().filter_map(|file| Some((file.name.as_ref()?, &file.claims)))
    }

    /// Returns all problems of all files, in the order of files and lines.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.server_report.problems();
        problems.extend(self.tenants.iter().flat_map(|file| file.report.problems()));
        problems.extend(conflicts(self.claims_by_name()).into_iter().map(|conflict| conflict.problem));
        in_order(problems)
    }

    /// Returns the warnings of all files, in the order of files and lines.
    #[must_use]
    pub(crate) fn warnings(&self) -> Vec<Problem> {
        let mut warnings = self.server_report.warnings();
        warnings.extend(self.tenants.iter().flat_map(|file| file.report.warnings()));
        in_order(warnings)
    }

    /// Returns the tenants to serve after this reading, and those whose files it refuses. `former` are the tenants that
    /// were served before it.
    ///
    /// A tenant whose file has a problem stays as it was. Of two tenants that exclude each other, the one that had the
    /// disputed value before keeps it; if neither had it, both stay as they were. A tenant that wasn't served before
    /// isn't served then.
    #[must_use]
    pub(crate) fn served_after(self, former: &ServedTenants) -> (ServedTenants, Vec<RefusedTenant>) {
        let (mut read, mut refused) = (ServedTenants::default(), Vec::new());
        let mut unchanged = ServedTenants::default();
        for TenantFile { path, name, setup, claims, is_toml, report } in self.tenants {
            let before = name.as_ref().and_then(|name| former.get(name));
            match (&name, setup) {
                (Some(name), Some(setup)) => read.insert(name.clone(), ServedTenant { path, setup, claims }),
                _ => refused.push(RefusedTenant {
                    path,
                    users: claims.users().cloned().collect(),
                    problems: report.problems(),
                    is_toml,
                    is_served: before.is_some(),
                    name: name.clone(),
                }),
            }
            if let (Some(name), Some(before)) = (name, before) {
                unchanged.insert_shared(name, before);
            }
        }
        refused.extend(read.resolve_conflicts(&unchanged));
        (read, refused)
    }
}

#[cfg(test)]
impl ConfigReading {
    /// Returns every key that was read, right or wrong or absent.
    pub(super) fn asked(&self) -> std::collections::BTreeSet<String> {
        let reports = self.tenants.iter().map(|file| &file.report).chain([&self.server_report]);
        reports.flat_map(|report| report.asked.borrow().clone()).collect()
    }
}

impl TenantFile {
    fn read(path: PathBuf, tiers: &Tiers, replaced: &ReplacedTexts) -> Self {
        let (report, mut claims) = (Report::default(), TenantClaims::default());
        let name = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        let text = text(&path, &report, replaced);
        let mut is_toml = false;
        let setup = text.and_then(|text| {
            ConfigDocument::read(&path, &text, &report, replaced, |root| {
                is_toml = true;
                tenant::read(root, &path, tiers, &mut claims)
            })
        });
        let setup = setup.filter(|_| report.count() == 0);
        Self { path, name, setup, claims, is_toml, report }
    }
}

/// Reads the tiers' file. Its problems are those of the server's file.
fn read_tiers(file: &Path, report: &Report, replaced: &ReplacedTexts) -> Tiers {
    let before = report.count();
    let read = |root: &mut ConfigTable<'_>| Some(tiers::read(root));
    let tiers = text(file, report, replaced).and_then(|text| ConfigDocument::read(file, &text, report, replaced, read));
    tiers.filter(|_| report.count() == before).unwrap_or(Tiers::Broken)
}

/// Returns the text of a file, or reports that it can't be read.
fn text(file: &Path, report: &Report, replaced: &ReplacedTexts) -> Option<String> {
    match replaced.text(file).map_or_else(|| files::open(file).and_then(io::read_to_string), Ok) {
        Ok(text) => {
            exposure::check_file(file, report);
            Some(text)
        }
        Err(error) => {
            report.problem(&Spot::of(file), format!("can't be read: {error}"));
            None
        }
    }
}

/// Sorts the problems of several files. Two files may report the same directory.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    problems
}

/// Returns the tenants' directory that the server's file names, whatever else is in the file. Returns `None` if the file
/// can't be read, or isn't TOML.
pub(super) fn directory_of_tenants(file: &Path) -> Option<PathBuf> {
    let (report, replaced) = (Report::default(), ReplacedTexts::default());
    let text = text(file, &report, &replaced)?;
    ConfigDocument::read(file, &text, &report, &replaced, |root| Some(tenants_directory(root)))
}

const TENANTS_DIRECTORY: &str = "tenants_directory";

fn tenants_directory(root: &mut ConfigTable<'_>) -> PathBuf {
    let directory = root.or(TENANTS_DIRECTORY, PathBuf::from("tenants"));
    root.resolve(&directory)
}

/// Returns the tenants' files: the `*.toml` files in their directory, except hidden ones, which editors leave as
/// copies.
fn tenant_files(root: &ConfigTable<'_>, directory: &Path, replaced: &ReplacedTexts) -> Vec<PathBuf> {
    exposure::check_tenants_directory(directory, root.report());
    let mut files = match list_tenant_files(directory) {
        Ok(files) => files,
        Err(error) => {
            let message = format!(
                "`{}` can't be read ({error}); it takes a directory, relative to this file's",
                directory.display()
            );
            root.problem(TENANTS_DIRECTORY, message);
            return Vec::new();
        }
    };
    replaced.change(&mut files);
    if files.is_empty() {
        let message = format!("`{}` holds no tenant, `*.toml`: no user can log in", directory.display());
        root.report().warning(&root.spot(TENANTS_DIRECTORY), message);
    }
    files
}

/// Lists the tenants' files in the order of their names.
pub(super) fn list_tenant_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<_> =
        entries.filter(|file| file.as_deref().map_or(true, is_tenant_file)).collect::<io::Result<_>>()?;
    files.sort();
    Ok(files)
}

fn is_tenant_file(file: &Path) -> bool {
    let hidden = file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && file.extension().is_some_and(|extension| extension == "toml")
}
