//! Every parsed name. An edge or the config parses it once, and all other code uses the type. Does no IO, and imports
//! no other module of the crate.

mod account;
mod bucket_id;
mod client_path;
mod key;
mod login_name;
mod mounted_key;
mod reserved;
mod transfer_id;
mod virtual_path;

pub use account::{InvalidName, TenantName, UserName};
pub use bucket_id::BucketId;
pub(crate) use client_path::{ends_in_dots, names_a_directory};
pub use key::{InvalidKey, InvalidPrefix, Key, MAX_KEY_BYTES, Prefix};
pub use login_name::LoginName;
pub use mounted_key::MountedKey;
pub(crate) use reserved::VERIFY_DIRECTORY;
pub use transfer_id::TransferId;
pub use virtual_path::{InvalidPath, VirtualPath};
