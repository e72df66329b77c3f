//! Downloads: each shows one version as long as it is open.

use super::{System, calls::path};
use crate::model::{
    action::Action,
    check::{right_answer, same_bytes, same_metadata},
    promises::ShownEntry,
    stored_tree::Modified,
};
use crate::support::promise::CheckResult;

impl System {
    pub async fn open_read(&mut self, by: usize, at: &'static str) -> CheckResult {
        self.turn(by).await;
        let opened = self.sessions[by].open_read(&path(at)).await;
        right_answer(&opened, &[self.promises.open_read(at)])?;
        let Ok(handle) = opened else { return Ok(()) };
        let file = &self.promises.stored.files[at];
        // For an empty file, S3's answer to a ranged GET holds no metadata.
        let modified = if file.bytes.is_empty() { Modified::Unknown } else { file.modified };
        same_metadata(handle.metadata(), ShownEntry::File(file.bytes.len() as u64, modified))?;
        self.promises.opened_read(by, at);
        self.reading.push(handle);
        Ok(())
    }

    pub async fn act_on_download(&mut self, action: &Action) -> CheckResult {
        let (Action::Read { handle, .. } | Action::CloseRead { handle }) = *action else { return Ok(()) };
        // Handle numbers wrap around.
        let Some(handle) = handle.checked_rem(self.reading.len()) else { return Ok(()) };
        self.turn(self.promises.downloads[handle].by).await;
        let Action::Read { offset, len, .. } = *action else {
            self.promises.downloads.remove(handle);
            drop(self.reading.remove(handle));
            return Ok(());
        };
        let read = self.reading[handle].read(offset, len).await;
        right_answer(&read, &self.promises.read(handle))?;
        let bytes = self.promises.downloads[handle].bytes();
        read.map_or(Ok(()), |pieces| same_bytes(&pieces, bytes, offset, len))
    }
}
