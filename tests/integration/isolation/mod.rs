//! The second jail, with our own code out of the way: a session's credentials in the hands of an S3 client that would do
//! anything with them, against the demo's S3 and SeaweedFS.
//!
//! `attempts` is what such a client may try; `jail` that it gets nowhere outside the mount; `rules` that each rule of the
//! session policy keeps something out which would get through without it; `permissions` that inside the mount it does what
//! the user may and no more.

mod attempts;
mod jail;
mod permissions;
mod rules;
mod site;

use site::Site;

/// Runs each promise on each store.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        mod on_the_demo {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(crate::isolation::Site::demo(stringify!($promise)).await).await;
            })*
        }
        mod on_seaweedfs {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(crate::isolation::Site::seaweedfs(stringify!($promise)).await).await;
            })*
        }
    };
}
use promises;
