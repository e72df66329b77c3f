//! Uploads, from OPEN to their end.

use super::{
    System,
    calls::{self, size_of, times},
};
use crate::model::{
    action::Action,
    answer_kind::AnswerKind,
    check::{right_answer, same_bytes},
    stored_tree::Modified,
};
use crate::support::promise::{CheckResult, ensure};
use bytes::Bytes;
use wharfinger::vfs::{NewAttributes, Times, WriteOptions};

impl System {
    pub async fn open(
        &mut self,
        by: usize,
        at: &'static str,
        options: WriteOptions,
        modified: Option<u32>,
    ) -> CheckResult {
        self.turn(by).await;
        let times = modified.map(|modified| Times { accessed: modified, modified });
        let right = self.promises.open(by, at, options);
        let opened = calls::open(&self.sessions[by], at, options, NewAttributes { times, mode: None }).await;
        if right_answer(&opened, &right)? {
            self.promises.opened(by, at, options, modified);
            self.writing.extend(opened.ok());
        }
        Ok(())
    }

    pub async fn act_on_upload(&mut self, action: &Action) -> CheckResult {
        let (Action::Write { handle, .. }
        | Action::ReadBack { handle, .. }
        | Action::SetOpenTimes { handle, .. }
        | Action::ResizeOpen { handle, .. }
        | Action::Close { handle }
        | Action::Abandon { handle, .. }
        | Action::CrashInClose { handle, .. }) = *action
        else {
            return Ok(());
        };
        // Handle numbers wrap around.
        let Some(handle) = handle.checked_rem(self.writing.len()) else { return Ok(()) };
        self.turn(self.promises.drafts[handle].by).await;
        match *action {
            Action::Write { offset, len, fill, .. } => self.write(handle, offset, len, fill).await,
            Action::ReadBack { offset, len, .. } => self.read_back(handle, offset, len).await,
            Action::SetOpenTimes { modified, .. } => {
                right_answer(&self.writing[handle].set_attributes(times(modified)), &[AnswerKind::Ok])?;
                self.promises.drafts[handle].modified = Modified::Set(modified);
                Ok(())
            }
            Action::ResizeOpen { size, .. } => {
                let draft = &mut self.promises.drafts[handle];
                let set = self.writing[handle].set_attributes(size_of(size));
                if right_answer(&set, &draft.resize(size))? && !draft.poisoned {
                    draft.resized(size);
                }
                Ok(())
            }
            Action::Abandon { in_order, .. } => {
                let (real, _) = self.take_upload(handle);
                if in_order {
                    real.discard().await;
                }
                Ok(())
            }
            Action::CrashInClose { request, done, .. } => self.crash_in_close(handle, request, done).await,
            _ => self.close(handle).await,
        }
    }

    async fn write(&mut self, handle: usize, offset: u64, len: usize, fill: u8) -> CheckResult {
        let blocked = self.promises.blocked_write(handle);
        let draft = &mut self.promises.drafts[handle];
        let written = self.writing[handle].write(offset, Bytes::from(vec![fill; len])).await;
        let right: Vec<_> = draft.write(offset, len).into_iter().chain(blocked).collect();
        right_answer(&written, &right)?;
        if written.is_ok() {
            draft.written(offset, len, fill);
        } else if draft.is_writable() {
            draft.poisoned = true;
        }
        Ok(())
    }

    async fn read_back(&mut self, handle: usize, offset: u64, len: u32) -> CheckResult {
        let draft = &self.promises.drafts[handle];
        if draft.poisoned {
            return Ok(());
        }
        let read = self.writing[handle].read(offset, len).await;
        right_answer(&read, &self.promises.read_back(handle))?;
        read.map_or(Ok(()), |pieces| same_bytes(&pieces, &draft.bytes, offset, len))
    }

    async fn close(&mut self, handle: usize) -> CheckResult {
        let right = self.promises.close(handle);
        let (real, draft) = self.take_upload(handle);
        let closed = real.close().await;
        if right_answer(&closed, &right)? {
            let size = closed.map_or(0, |closed| closed.size);
            ensure(size == draft.bytes.len() as u64, || format!("{size} bytes were stored"))?;
            self.promises.closed(draft);
        }
        Ok(())
    }
}
