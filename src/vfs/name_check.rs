//! The check that a new name is free: no file may be stored below the name of a file, nor under the name of a
//! directory.
//!
//! S3 would accept both, but no listing would lead to the result. One LIST answers this for a whole directory. It is
//! sent when an upload is opened, and awaited before the upload is published. So it costs a request, but hardly ever
//! time. Two nodes whose sessions begin uploads at the same moment may still create both names: then the file is shown.

use super::{
    Error, Node, Result,
    cache::{Answer, CachedStat, Children, ChildrenLookup, CredentialScope, ScopedName, Stamp, Verdict},
    file_attributes::NamedObject,
};
use crate::{
    account::Mount,
    name::{Key, Prefix, TenantName},
    objects::{directory_page, find_in_listing, missing_directories},
    store::{self, Bucket},
};
use futures_util::FutureExt;
use std::sync::Arc;
use tokio::task::{JoinError, JoinHandle};

/// The most times that a question is repeated because changes of the node outdated its answer.
const TRIES: usize = 3;

/// The name of a new file or directory, and the question to S3 if it is free.
#[derive(Debug)]
pub(super) struct NameCheck {
    place: NewName,
    question: Question,
    /// True if it is known that no directory has the name.
    is_no_directory: bool,
    /// The stamps of the name when the question was sent. `None` for an existing file, which the upload's condition
    /// protects.
    stamps: Option<(Stamp, u64)>,
}

#[derive(Debug)]
enum Question {
    /// The name is free.
    Answered,
    /// The parent directory was listed, or is being listed.
    Directory(ChildrenLookup),
    /// The parent directory has too many names for one page, so the name itself is asked for.
    Name(JoinHandle<Result<()>>),
}

#[derive(Clone, Debug)]
struct NewName {
    node: Arc<Node>,
    scope: Arc<CredentialScope>,
    bucket: Arc<dyn Bucket>,
    root: Prefix,
    key: Key,
}

impl NameCheck {
    /// For a file that exists, or whose name was checked.
    pub(super) fn known(node: &Arc<Node>, named: NamedObject<'_>, bucket: &Arc<dyn Bucket>, mount: &Mount) -> Self {
        let place = NewName::new(node, named, bucket, mount);
        Self { place, question: Question::Answered, is_no_directory: true, stamps: None }
    }

    /// Asks if the name is free, unless the node has just listed the parent directory.
    pub(super) fn ask(
        node: &Arc<Node>,
        named: NamedObject<'_>,
        bucket: &Arc<dyn Bucket>,
        mount: &Mount,
        is_no_directory: bool,
    ) -> Self {
        let place = NewName::new(node, named, bucket, mount);
        let stamps = Some(place.stamps());
        let question = match place.look_unless_needless(is_no_directory) {
            None => Question::Answered,
            Some(ChildrenLookup::Known(Verdict::Unknown)) => {
                let place = place.clone();
                Question::Name(tokio::spawn(async move { place.check_name().await }))
            }
            Some(lookup) => Question::Directory(lookup),
        };
        Self { place, question, is_no_directory, stamps }
    }

    /// True if a name that must be a directory was a file's a moment ago. OPEN waits for the answer then, because some
    /// clients ignore the answer to CLOSE.
    pub(super) fn is_suspect(&self) -> bool {
        let NewName { node, scope, bucket, root, key } = &self.place;
        let mut directory = key.directory();
        while directory != *root {
            let Some(name) = directory.without_slash() else { break };
            let stat = node.cache.stat.find(ScopedName { scope, bucket: bucket.id(), key: &name });
            if stat.and_then(CachedStat::file).is_some() {
                return true;
            }
            directory = name.directory();
        }
        false
    }

    /// True if `confirm` returns at once. It still sends a request for a name that a directory had a moment ago.
    pub(super) fn is_answered(&self) -> bool {
        match &self.question {
            Question::Answered | Question::Directory(ChildrenLookup::Known(_)) => true,
            Question::Directory(ChildrenLookup::InFlight(answer)) => answer.peek().is_some(),
            Question::Name(answer) => answer.is_finished(),
        }
    }

    /// Changes the name to one that RENAME has checked.
    pub(super) fn rename(&mut self, key: &Key) {
        self.place.key = key.clone();
        self.question = Question::Answered;
        self.is_no_directory = true;
        self.stamps = Some(self.place.stamps());
    }

    /// [`confirm`](Self::confirm) just before the file is published. Asks again if sessions of this node have since
    /// changed something that the answer depends on.
    ///
    /// # Errors
    /// As [`confirm`](Self::confirm).
    pub(super) async fn confirm_at_close(&mut self) -> Result<()> {
        self.confirm().await?;
        for _ in 0..TRIES {
            let Some((name, above)) = self.stamps else { return Ok(()) };
            let (now, above_now) = self.place.stamps();
            if (name, above) == (now, above_now) {
                return Ok(());
            }
            self.stamps = Some((now, above_now));
            if name != now {
                self.place.check_name().await?;
            }
            if above != above_now {
                let (verdict, _) = self.place.ask_again().await?;
                if verdict == Verdict::BelowFile {
                    return Err(Error::BelowFile);
                }
            }
        }
        Ok(())
    }

    /// Waits for the answer. At most one more request, if the directory has many names or contains a directory of this
    /// name. Returns the directories that the file will create implicitly, the innermost first.
    ///
    /// # Errors
    /// [`Error::BelowFile`], [`Error::IsDirectory`], or those of the listings.
    pub(super) async fn confirm(&mut self) -> Result<Vec<Key>> {
        let missing = match std::mem::replace(&mut self.question, Question::Answered) {
            Question::Answered => Vec::new(),
            Question::Name(answer) => {
                answer.await.unwrap_or_else(|stopped| Err(broken(&stopped).into())).map(|()| Vec::new())?
            }
            Question::Directory(lookup) => {
                let (verdict, missing) = self.place.wait(lookup).await?;
                match verdict {
                    Verdict::BelowFile => return Err(Error::BelowFile),
                    Verdict::Directory | Verdict::Unknown if !self.is_no_directory => self.place.check_name().await?,
                    Verdict::Directory | Verdict::Unknown | Verdict::Free => {}
                }
                missing
            }
        };
        Ok(missing)
    }
}

impl NewName {
    fn new(node: &Arc<Node>, named: NamedObject<'_>, bucket: &Arc<dyn Bucket>, mount: &Mount) -> Self {
        Self {
            node: Arc::clone(node),
            scope: Arc::clone(named.scope),
            bucket: Arc::clone(bucket),
            root: mount.prefix.clone(),
            key: named.key.clone(),
        }
    }

    fn look_unless_needless(&self, is_no_directory: bool) -> Option<ChildrenLookup> {
        // A mount's root is never a file.
        let is_free = is_no_directory && self.key.directory() == self.root;
        (!is_free).then(|| self.look())
    }

    fn stamps(&self) -> (Stamp, u64) {
        let (stat, name) = (&self.node.cache.stat, (self.bucket.id(), self.key.as_str()));
        (stat.stamp(name), stat.files_above(name))
    }

    fn look(&self) -> ChildrenLookup {
        let (directory, name) = self.key.directory_and_name();
        let at = (&self.scope, (self.bucket.id(), directory));
        self.node.cache.children.look(at, name, || self.send())
    }

    /// Sends the question in a task of its own, because it must be answered even if the upload ends.
    fn send(&self) -> Answer {
        let (bucket, root, directory) = (Arc::clone(&self.bucket), self.root.clone(), self.key.directory());
        let (node, tenant) = (Arc::clone(&self.node), self.scope.tenant.clone());
        let answer = async move { ask(&node, &tenant, &*bucket, &root, &directory).await.map(Arc::new) };
        let answer = answer.boxed().shared();
        tokio::spawn(answer.clone());
        answer
    }

    /// Asks S3, and not the cache.
    async fn ask_again(&self) -> Result<(Verdict, Vec<Key>)> {
        let directory = self.key.directory();
        match ask(&self.node, &self.scope.tenant, &*self.bucket, &self.root, &directory).await {
            Err(store::Error::Forbidden { .. }) => Ok((Verdict::Free, Vec::new())),
            asked => {
                let children = asked?;
                Ok((children.judge(self.key.directory_and_name().1), children.missing))
            }
        }
    }

    async fn wait(&self, mut lookup: ChildrenLookup) -> Result<(Verdict, Vec<Key>)> {
        let (directory, name) = self.key.directory_and_name();
        let at = (&self.scope, (self.bucket.id(), directory));
        for _ in 0..TRIES {
            let answer = match lookup {
                ChildrenLookup::Known(verdict) => return Ok((verdict, Vec::new())),
                ChildrenLookup::InFlight(answer) => answer,
            };
            let result = answer.clone().await;
            let verdict = self.node.cache.children.finish(at, name, &answer, &result);
            match (result, verdict) {
                // The server can't check a store that denies listings. The users of such a store must keep the names of
                // files and directories apart.
                (Err(store::Error::Forbidden { .. }), _) => return Ok((Verdict::Free, Vec::new())),
                (Err(error), _) => return Err(error.into()),
                (Ok(children), Some(verdict)) => return Ok((verdict, children.missing.clone())),
                (Ok(_), None) => lookup = self.look(),
            }
        }
        self.ask_again().await
    }

    /// Refuses the name of a directory, unless a file has it too.
    async fn check_name(&self) -> Result<()> {
        let found = find_in_listing(&*self.bucket, &self.key).await?;
        if found.directory && found.file.is_none() { Err(Error::IsDirectory) } else { Ok(()) }
    }
}

fn broken(stopped: &JoinError) -> store::Error {
    store::Error::Broken(stopped.to_string())
}

async fn ask(
    node: &Node,
    tenant: &TenantName,
    bucket: &dyn Bucket,
    root: &Prefix,
    directory: &Prefix,
) -> store::Result<Children> {
    let name = (bucket.id(), directory.as_str());
    let stamp = node.cache.stat.stamp(name);
    let page = directory_page(bucket, directory).await?;
    if page.has_marker && node.cache.stat.is_unchanged(name, stamp) {
        node.cache.markers.note(tenant, name);
    }
    let missing = if page.exists { Some(Vec::new()) } else { missing_directories(bucket, root, directory).await? };
    Ok(Children {
        directories: page.directories.into_iter().map(Into::into).collect(),
        is_complete: page.is_complete,
        is_below_file: missing.is_none(),
        missing: missing.unwrap_or_default(),
    })
}
