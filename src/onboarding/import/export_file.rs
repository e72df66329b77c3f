//! A file to import: its size is bounded, and an error in it names its line and column.

use serde::de::DeserializeOwned;

/// The maximum size of a file, in bytes.
pub(crate) const MAX_EXPORT_BYTES: u64 = 64 << 20;

/// A file, read.
#[derive(Debug)]
pub(crate) struct ExportFile {
    /// The name for messages.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The reason why nothing can be imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error("{file}:{line}:{column}: {message}; nothing was imported")]
    Malformed { file: String, line: usize, column: usize, message: String },
    #[error("{file} has nothing to import: {wanted}")]
    Nothing { file: String, wanted: &'static str },
    #[error(
        "{file}: the user `{}` is described twice; names of users are unique in this server: leave one out, or rename one; \
         nothing was imported",
        user.escape_debug()
    )]
    UserTwice { file: String, user: String },
}

impl ExportFile {
    /// Reads one JSON document after the other, as a loop of commands writes them.
    pub(super) fn documents<T: DeserializeOwned>(&self) -> Result<Vec<T>, ImportError> {
        // Windows' shells begin a file with a byte order mark.
        let text = self.text.strip_prefix('\u{feff}').unwrap_or(&self.text);
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().map_err(|error| {
            let message = error.to_string();
            // The position has a form of its own here.
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            ImportError::Malformed { file: self.name.clone(), line: error.line(), column: error.column(), message }
        })
    }
}
