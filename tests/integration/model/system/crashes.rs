//! Sessions that end in the middle of an operation.

use super::{PATIENCE, System, calls::perform};
use crate::model::{action::TreeOperation, answer_kind::AnswerKind, stored_tree::StoredTree};
use crate::support::promise::{CheckResult, ensure};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use wharfinger::{
    journal::{Journal, Lease, LeaseEnd, TaskKind},
    objects::{repair_file_rename, repair_rename},
    testing::{
        bucket::Verb,
        faulty::{Aim, Fault},
    },
};

/// Longer than the leases of a crashed session.
const LEASE: Duration = Duration::from_mins(2);

impl System {
    pub async fn crash(&mut self, by: usize) {
        while let Some(handle) = self.promises.drafts.iter().position(|draft| draft.by == by) {
            drop(self.take_upload(handle));
        }
        while let Some(handle) = self.promises.downloads.iter().position(|download| download.by == by) {
            self.promises.downloads.remove(handle);
            drop(self.reading.remove(handle));
        }
        self.sessions[by] = self.session(by);
        // The rows of its claims and locks are deleted a moment later.
        sleep(Duration::from_millis(1)).await;
    }

    pub async fn crash_in(&mut self, by: usize, operation: TreeOperation, request: usize, done: bool) -> CheckResult {
        self.turn(by).await;
        let before = self.promises.stored.clone();
        let mut after = self.promises.clone();
        if self.promises.answers(by, operation).contains(&AnswerKind::Ok) {
            after.done(by, operation);
        }
        self.fall_silent(request, done);
        let done = timeout(PATIENCE, perform(&self.sessions[by], operation)).await;
        if let (Ok(Ok(())), TreeOperation::Remove(_)) = (done, operation) {
            // As its last step, REMOVE ends the locks of other sessions.
            let mut promises = self.promises.clone();
            promises.done(by, operation);
            self.promises.drafts = promises.drafts;
        }
        self.come_back();
        self.crash(by).await;
        if let TreeOperation::Rename { source, target, .. } = operation
            && self.promises.renames_much(operation)
        {
            ensure(before.is_halfway(source, target, &self.memory), || {
                format!("in mid-rename there are only {:?}", self.memory.keys())
            })?;
            self.put_right().await?;
            return self.adopt_one_of([before.clone(), after.stored, before], &operation.paths());
        }
        if let TreeOperation::Rename { source, .. } = operation
            && before.files.contains_key(source)
        {
            self.put_right().await?;
            return self.adopt_one_of([before.clone(), after.stored, before], &operation.paths());
        }
        // The old and the new name of an empty directory may both be there.
        let both = before.with(&after.stored);
        self.adopt_one_of([before, after.stored, both], &operation.paths())
    }

    pub async fn crash_in_close(&mut self, handle: usize, request: usize, done: bool) -> CheckResult {
        let before = self.promises.stored.clone();
        let mut after = self.promises.clone();
        let may = self.promises.close(handle).contains(&AnswerKind::Ok);
        let (real, draft) = self.take_upload(handle);
        let (by, path) = (draft.by, draft.path);
        if may {
            after.closed(draft);
        }
        self.fall_silent(request, done);
        let _ = timeout(PATIENCE, real.close()).await;
        self.come_back();
        self.crash(by).await;
        self.adopt_one_of([before.clone(), after.stored, before], &[path])
    }

    /// Repairs interrupted renames as the next server does.
    async fn put_right(&self) -> CheckResult {
        // The paused clock advances from timer to timer, so live sessions renew their leases meanwhile.
        sleep(LEASE).await;
        let lease = Lease::new().map_err(|error| error.to_string())?;
        let journal = Arc::clone(&self.journal) as Arc<dyn Journal>;
        let next = || journal.take_next_task(TaskKind::DirectoryRename, &lease, Duration::ZERO);
        while let Some(task) = next().await.map_err(|error| error.to_string())? {
            let rename = task.directory_rename().ok_or("no rename")?;
            let repaired = repair_rename(&*self.faulty, &journal, &rename, &lease).await;
            repaired.map_err(|error| format!("{rename:?} can't be put right: {error:?}"))?;
        }
        let next = || journal.take_next_task(TaskKind::FileRename, &lease, Duration::ZERO);
        while let Some(task) = next().await.map_err(|error| error.to_string())? {
            let rename = task.file_rename().ok_or("no rename of a file")?;
            let repaired =
                repair_file_rename(&*self.faulty, &*journal, &rename, LeaseEnd::after(Duration::from_mins(1))).await;
            repaired.map_err(|error| format!("{rename:?} can't be finished: {error:?}"))?;
            journal.end_task(&rename.id, Some(&lease)).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Makes storage leave every request unanswered, from number `request` on.
    fn fall_silent(&self, request: usize, done: bool) {
        self.faulty.meet(Aim::From(request), if done { Fault::SilentWhenDone } else { Fault::Silent });
    }

    fn come_back(&mut self) {
        let created = self
            .faulty
            .met()
            .into_iter()
            .filter(|(step, fault)| step.verb == Verb::CreateUpload && matches!(fault, Fault::SilentWhenDone));
        self.orphans += created.count();
        self.faulty.restart();
    }

    /// Checks that the stored state after a crash is one of these, and adopts it.
    fn adopt_one_of(&mut self, choices: [StoredTree; 3], touched: &[&str]) -> CheckResult {
        let adopted = choices.into_iter().map(|mut choice| {
            choice.adopt(&self.memory, touched);
            choice
        });
        let found = adopted.into_iter().find(|choice| choice.is_in(&self.memory));
        self.promises.stored = found.ok_or_else(|| format!("the crash left {:?}", self.memory.keys()))?;
        self.promises.stored.doubt(touched);
        Ok(())
    }
}
