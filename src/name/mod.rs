//! Every name that is parsed: once, at the edge or from the config, and used typed behind it. No IO, no other module of
//! ours.

mod account;
mod bucket_id;
mod key;
mod virtual_path;

pub use account::{InvalidName, TenantName, UserName};
pub use bucket_id::BucketId;
pub use key::{InvalidKey, InvalidPrefix, Key, MAX_KEY_BYTES, Prefix};
pub use virtual_path::{InvalidPath, VirtualPath};
