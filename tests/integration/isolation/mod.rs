//! The second jail, without the server's own code: an S3 client with a session's credentials tries every request,
//! against the demo's S3, SeaweedFS and ministack.
//!
//! - `attempts`: the requests that the client tries.
//! - `kinds`: the kinds of tenants.
//! - `escapes`: the requests all fail outside the mount, for each kind.
//! - `documentation`: docs/isolation.md names tests that exist.
//! - `rules`: without any single rule of the session policy, some request succeeds.
//! - `role_policy`: the role that the operator's command prints allows what sessions need, and nothing else.
//! - `new_objects`: the settings of new objects need the role that the command prints for them.
//! - `access_points`: the server's own requests work through an access point.
//! - `permissions`: inside the mount, requests succeed exactly as far as the user's permissions allow.

mod access_points;
mod attempts;
mod documentation;
mod escapes;
mod kinds;
mod new_objects;
mod permissions;
mod role_policy;
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
        mod on_ministack {
            $(#[tokio::test]
            async fn $promise() {
                super::$promise(crate::isolation::Site::ministack(stringify!($promise)).await).await;
            })*
        }
    };
}
use promises;
