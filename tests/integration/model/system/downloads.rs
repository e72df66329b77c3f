//! Downloads: one version each, for as long as they are open.

use super::{System, calls::path};
use crate::model::{
    action::Action,
    check::{Kept, right_answer, same_bytes, same_metadata},
    promises::Shown,
    stored::Modified,
};

impl System {
    pub async fn open_read(&mut self, by: usize, at: &'static str) -> Kept {
        self.turn(by).await;
        let opened = self.sessions[by].open_read(&path(at)).await;
        right_answer(&opened, &[self.promises.open_read(at)])?;
        let Ok(handle) = opened else { return Ok(()) };
        let file = &self.promises.stored.files[at];
        // Of an empty file S3 tells nothing but that, when it is asked for bytes.
        let modified = if file.bytes.is_empty() { Modified::Unknown } else { file.modified };
        same_metadata(handle.metadata(), Shown::File(file.bytes.len() as u64, modified))?;
        self.promises.opened_read(by, at);
        self.reading.push(handle);
        Ok(())
    }

    pub async fn act_on_download(&mut self, action: &Action) -> Kept {
        let (Action::Read { handle, .. } | Action::CloseRead { handle }) = *action else { return Ok(()) };
        // Handles are counted round.
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
